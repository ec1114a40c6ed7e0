//! `pagescope walk`: one translation, every step of every stage.

use pagescope_protocol::access::Extensions;
use pagescope_protocol::snapshot::{Snapshot, Space, SpaceOutcome, SpaceTranslation};
use pagescope_protocol::{TranslationMode, VirtAddr};

use super::arguments::{SpaceChoice, Walk};
use super::source::{self, Place};
use super::walk_answer::{self, Modes};
use super::{Answer, Failure, format};
use crate::capture::live::{HartTranslation, translate_on_hart};
use crate::export::text::{staged_walk_text, walk_text};
use crate::guest::ElfFile;
use crate::link::{HartId, Privilege};
use crate::model::{Accessor, access_answers};
use crate::session::Source;

/// What a translation's words need to know beside it.
struct Walked {
    modes: Modes,
    who: Accessor,
    extensions: Extensions,
}

/// A translation in a space, as the hart would access that runs there, or S-mode where none does.
fn walked_in(snapshot: &Snapshot, space: &Space, address: VirtAddr) -> (Walked, SpaceTranslation) {
    let mut harts = snapshot.harts.iter();
    let hart = harts.find(|hart| space.harts.contains(&hart.id));
    let walked = Walked {
        modes: Modes::of_space(snapshot, space),
        who: hart.map_or_else(Accessor::default, Accessor::of_hart),
        extensions: snapshot.provenance.extensions,
    };
    (walked, snapshot.translate(space, address))
}

pub(super) fn run(options: &Walk) -> Result<Answer, Failure> {
    let elf = source::elf(options.elf.as_deref())?;
    let address = parse_address(&options.va, elf.as_deref())?;
    let (walked, translation) = match Place::chosen(&options.addr, &options.watch, &options.from)? {
        place @ Place::File(_) => {
            let snapshot = source::one_moment(place, None)?;
            let space = source::space_chosen(&snapshot, &options.space)?;
            walked_in(&snapshot, space, address)
        }
        Place::Watch(watch) => {
            let mut opened = source::open_source(&Source::Watch { watch, elf })?;
            let result = walk_running(&mut opened, &options.space, &options.va);
            source::leave(opened);
            result?
        }
        Place::Live(live) => {
            let mut opened = source::open(live, elf)?;
            let result = walk_live(&mut opened, &options.space, &options.va);
            source::leave(opened);
            result?
        }
    };
    let modes = walked.modes;
    let accesses = access_answers(&translation, walked.who, walked.extensions);
    let answer = walk_answer::of(modes, &translation, &accesses);
    format::print(options.format, &answer, || {
        let mut text = match &translation {
            SpaceTranslation::Single(translation) => walk_text(modes.first, translation),
            SpaceTranslation::Staged(staged) => {
                let guest = modes.guest.unwrap_or(TranslationMode::Bare);
                staged_walk_text(modes.first, guest, staged)
            }
        };
        for access in &accesses {
            text.push_str(&format!("{access}\n"));
        }
        text
    })?;
    match translation.outcome() {
        SpaceOutcome::Mapped(_) => Ok(Answer::Yes),
        SpaceOutcome::Fault(_) => Ok(Answer::No),
        SpaceOutcome::Unreadable(at) => Err(Failure::Target(walk_answer::unreadable(at))),
    }
}

/// Through tables that were read twice: entries that are read one after the other need not fit each other.
fn walk_running(
    opened: &mut crate::session::Opened,
    choice: &SpaceChoice,
    address: &str,
) -> Result<(Walked, SpaceTranslation), Failure> {
    let elf = opened.capturer.elf().cloned();
    let address = parse_address(address, elf.as_deref())?;
    let snapshot = source::capture(opened)?;
    source::mention_changing(&snapshot);
    let space = source::space_chosen(&snapshot, choice)?;
    Ok(walked_in(&snapshot, space, address))
}

fn walk_live(
    opened: &mut crate::session::Opened,
    choice: &SpaceChoice,
    address: &str,
) -> Result<(Walked, SpaceTranslation), Failure> {
    // Again, for a symbol: the file may carry several programs, and now it is known which one runs.
    let elf = opened.capturer.elf().cloned();
    let address = parse_address(address, elf.as_deref())?;
    if let Some(name) = &choice.space {
        // Names are the kernel's, which the whole capture asks.
        let stop = opened.stop.clone();
        let captured = opened.capturer.capture(opened.target.as_mut(), stop);
        let snapshot = captured.map_err(Failure::target)?;
        source::mention_changing(&snapshot);
        let space = source::space_named(&snapshot, name)?;
        return Ok(walked_in(&snapshot, space, address));
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
    let (how, registers) = HartTranslation::ask(target, hart).map_err(Failure::target)?;
    let how = how.ok_or_else(|| {
        Failure::Target(format!(
            "the stub does not show satp of {hart}, so its tables are unknown"
        ))
    })?;
    let modes = Modes {
        first: how.first.mode(),
        guest: how.stage.map(|stage| stage.mode()),
    };
    let machine = opened.capturer.machine().clone();
    let translation = translate_on_hart(target, &machine, how, address).map_err(Failure::target)?;
    let processor = opened.capturer.processor(target).map_err(Failure::target)?;
    let is_user = registers.privilege == Some(Privilege::User);
    let walked = Walked {
        modes,
        who: Accessor::new(is_user, registers.get("sstatus").unwrap_or(0)),
        extensions: processor.extensions(Some(&registers)),
    };
    Ok((walked, translation))
}

/// `0x80200000`, `kalloc`, `kalloc+0x10`.
fn parse_address(text: &str, elf: Option<&ElfFile>) -> Result<VirtAddr, Failure> {
    let (base, offset) = text.split_once('+').unwrap_or((text, "0"));
    let bad = |part: &str| {
        Failure::Usage(format!(
            "{part:?} is no address: write hexadecimal such as 0x80200000, or a symbol with --elf"
        ))
    };
    let offset = parse_number(offset).ok_or_else(|| bad(offset))?;
    let base_address = match (parse_number(base), elf) {
        (Some(number), _) => VirtAddr::new(number),
        (None, Some(elf)) => elf.require(base).map_err(Failure::usage)?,
        (None, None) => return Err(bad(base)),
    };
    base_address.checked_add(offset).ok_or_else(|| bad(text))
}

/// A number in hexadecimal, with or without `0x`, as addresses are always written.
fn parse_number(text: &str) -> Option<u64> {
    let lower = text.trim().replace('_', "").to_lowercase();
    let digits = lower.strip_prefix("0x").unwrap_or(&lower);
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A bare word such as `face` is a symbol, not a number.
    let is_number =
        is_hex && (lower.starts_with("0x") || digits.starts_with(|c: char| c.is_ascii_digit()));
    is_number
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
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
