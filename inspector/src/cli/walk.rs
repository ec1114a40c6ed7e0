//! `pagescope walk`: one translation, every step.

use pagescope_protocol::translate::{Outcome, Step, Translation};
use pagescope_protocol::{PteKind, Satp, TranslationMode};
use serde::Serialize;

use super::arguments::{SpaceChoice, Walk};
use super::source::{self, Place, parse_address};
use super::{Answer, Failure, format};
use crate::capture::live::translate_live;
use crate::export::text::walk_text;
use crate::link::HartId;

/// A translation as scripts get it.
#[derive(Debug, Serialize)]
struct WalkAnswer {
    va: String,
    /// What lies there, with its source line, where the ELF knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    mapped: bool,
    pa: Option<String>,
    reason: Option<String>,
    mode: String,
    page_size: Option<u64>,
    flags: Option<String>,
    steps: Vec<StepAnswer>,
}

#[derive(Debug, Serialize)]
struct StepAnswer {
    level: u8,
    table: String,
    index: usize,
    pte: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) fn run(options: &Walk) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?
        .with_root(&options.space)?
        .with_lines();
    // A file that lies elsewhere than it is linked is known to do so once the guest is there.
    let address = parse_address(&options.va, known.elf.as_deref())?;
    let mut place = String::new();
    let (mode, translation) = match Place::chosen(&options.addr, &options.watch)? {
        place @ Place::File(_) => {
            let snapshot = source::one_moment(place, source::Known::default())?;
            let space = source::space_chosen(&snapshot, &options.space)?;
            (space.mode, space.translate(address))
        }
        Place::Watch(watch) => {
            let mut opened = source::open_source(&known.look_on(watch))?;
            let result = walk_running(&mut opened, &options.space, &options.va);
            source::leave(opened);
            result?
        }
        Place::Live(at, watch) => {
            let mut opened = source::open(at, watch, known)?;
            let result = walk_live(&mut opened, &options.space, &options.va);
            if let Ok((_, translation)) = &result {
                let elf = opened.capturer.elf().map(AsRef::as_ref);
                let at = [translation.address.as_u64()];
                place = opened.capturer.knowledge().places(elf, &at).concat();
            }
            source::leave(opened);
            result?
        }
    };
    let answer = WalkAnswer {
        place: Some(place.clone()).filter(|place| !place.is_empty()),
        ..answer(mode, &translation)
    };
    format::print(options.format, &answer, || match place.as_str() {
        "" => walk_text(mode, &translation),
        place => format!("{place}\n{}", walk_text(mode, &translation)),
    })?;
    match translation.outcome {
        Outcome::Mapped(_) => Ok(Answer::Yes),
        Outcome::Fault(_) => Ok(Answer::No),
        Outcome::Unreadable(at) => Err(Failure::Target(unreadable(at))),
    }
}

fn unreadable(at: pagescope_protocol::PhysAddr) -> String {
    format!("the entry at {at} could not be read: it is not RAM, or not in this file")
}

/// Through tables that were read twice: entries that are read one after the other need not fit each other.
fn walk_running(
    opened: &mut crate::session::Opened,
    choice: &SpaceChoice,
    address: &str,
) -> Result<(TranslationMode, Translation), Failure> {
    let elf = opened.capturer.elf().cloned();
    let address = parse_address(address, elf.as_deref())?;
    let snapshot = source::capture(opened)?;
    source::mention_changing(&snapshot);
    let space = source::space_chosen(&snapshot, choice)?;
    Ok((space.mode, space.translate(address)))
}

fn walk_live(
    opened: &mut crate::session::Opened,
    choice: &SpaceChoice,
    address: &str,
) -> Result<(TranslationMode, Translation), Failure> {
    // Again, for a symbol: the file may carry several programs, and now it is known which one runs.
    let elf = opened.capturer.elf().cloned();
    let address = parse_address(address, elf.as_deref())?;
    if choice.space.is_some() || choice.root.is_some() {
        // Names are the kernel's, which the whole capture asks.
        let stop = opened.stop.clone();
        let captured = opened.capturer.capture(opened.target.as_mut(), stop);
        let snapshot = captured.map_err(Failure::target)?;
        source::mention_changing(&snapshot);
        let space = source::space_chosen(&snapshot, choice)?;
        return Ok((space.mode, space.translate(address)));
    }
    let hart = choice.hart;
    let target = opened.target.as_mut();
    let harts = target.harts().map_err(Failure::target)?;
    let hart = HartId::new(hart);
    if !harts.contains(&hart) {
        let known: Vec<String> = harts.iter().map(|id| id.number().to_string()).collect();
        return Err(Failure::Usage(format!(
            "there is no {hart}; there are: {}",
            known.join(", ")
        )));
    }
    let satp = target
        .register(hart, "satp")
        .map_err(Failure::target)?
        .ok_or_else(|| {
            Failure::Target(format!(
                "the stub does not show satp of {hart}, so its tables are unknown"
            ))
        })?;
    let satp = Satp::from_bits(satp);
    let machine = opened.capturer.machine().clone();
    let translation = translate_live(target, &machine, satp, address).map_err(Failure::target)?;
    Ok((satp.mode(), translation))
}

fn answer(mode: TranslationMode, translation: &Translation) -> WalkAnswer {
    let mapped = translation.mapped();
    let reason = match translation.outcome {
        Outcome::Mapped(_) => None,
        Outcome::Fault(fault) => Some(fault.to_string()),
        Outcome::Unreadable(at) => Some(unreadable(at)),
    };
    WalkAnswer {
        va: format::hex(translation.address.as_u64()),
        place: None,
        mapped: mapped.is_some(),
        pa: mapped.map(|mapped| format::hex(mapped.address.as_u64())),
        reason,
        mode: mode.to_string(),
        page_size: mapped
            .map(|mapped| mapped.page_size)
            .filter(|size| *size > 0),
        flags: mapped
            .filter(|mapped| mapped.page_size > 0)
            .map(|mapped| mapped.flags.to_string()),
        steps: translation.trail.iter().map(step_answer).collect(),
    }
}

fn step_answer(step: &Step) -> StepAnswer {
    StepAnswer {
        level: step.level.number(),
        table: format::hex(step.table.start().as_u64()),
        index: step.index,
        pte: format::hex(step.pte.bits()),
        kind: step.kind.name(),
        reason: match step.kind {
            PteKind::Reserved(why) => Some(why.to_string()),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::VirtAddr;

    use super::*;

    #[test]
    fn addresses_are_hexadecimal() {
        assert_eq!(
            parse_address("80200000", None).unwrap(),
            VirtAddr::new(0x8020_0000)
        );
        assert_eq!(
            parse_address("0x8020_0000+0x10", None).unwrap(),
            VirtAddr::new(0x8020_0010)
        );
        assert!(parse_address("face", None).is_err());
        assert!(parse_address("0x1_0000_0000_0000_0000", None).is_err());
    }
}
