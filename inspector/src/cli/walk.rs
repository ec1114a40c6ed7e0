//! `pagescope walk`: one translation, every step of every stage.

use pagescope_protocol::TranslationMode;
use pagescope_protocol::VirtAddr;
use pagescope_protocol::access::Extensions;
use pagescope_protocol::snapshot::{Snapshot, Space, SpaceOutcome, SpaceTranslation};

use super::arguments::{SpaceChoice, Walk};
use super::source::{self, Place, parse_address};
use super::walk_answer::{self, Modes};
use super::{Answer, Failure, format};
use crate::capture::live::{HartTranslation, translate_on_hart};
use crate::export::text::{staged_walk_text, walk_text};
use crate::link::{HartId, Privilege};
use crate::model::{Accessor, access_answers};

/// What a translation's words need to know beside it.
struct Walked {
    modes: Modes,
    who: Accessor,
    extensions: Extensions,
}

/// A translation in a space, as the hart would access that runs there, or S-mode where none does.
fn walked_in(snapshot: &Snapshot, space: &Space, address: VirtAddr) -> (Walked, SpaceTranslation) {
    let walked = Walked {
        modes: Modes::of_space(snapshot, space),
        who: Accessor::in_space(snapshot, space),
        extensions: snapshot.provenance.extensions,
    };
    (walked, snapshot.translate(space, address))
}

pub(super) fn run(options: &Walk) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?
        .with_root(&options.space)?
        .with_lines();
    // A file that lies elsewhere than it is linked is known to do so once the guest is there.
    let address = parse_address(&options.va, known.elf.as_deref())?;
    let mut lies_there = String::new();
    let (walked, translation) = match Place::chosen(&options.addr, &options.watch, &options.from)? {
        place @ Place::File(_) => {
            let snapshot = source::one_moment(place, source::Known::default())?;
            let space = source::space_chosen(&snapshot, &options.space)?;
            walked_in(&snapshot, space, address)
        }
        Place::Watch(watch) => {
            let mut opened = source::open_source(&known.look_on(watch))?;
            let result = walk_running(&mut opened, &options.space, &options.va);
            source::leave(opened);
            result?
        }
        Place::Live(live) => {
            let mut opened = source::open(live, known)?;
            let result = walk_live(&mut opened, &options.space, &options.va);
            let elf = opened.capturer.elf().map(AsRef::as_ref);
            if let Ok(address) = parse_address(&options.va, elf) {
                let at = [address.as_u64()];
                lies_there = opened.capturer.knowledge().places(elf, &at).concat();
            }
            source::leave(opened);
            result?
        }
    };
    let modes = walked.modes;
    let accesses = access_answers(&translation, walked.who, walked.extensions);
    let mut answer = walk_answer::of(modes, &translation, &accesses);
    answer.place = Some(lies_there.clone()).filter(|place| !place.is_empty());
    let head = match lies_there.as_str() {
        "" => String::new(),
        place => format!("{place}\n"),
    };
    format::print(options.format, &answer, || {
        let mut text = head;
        text.push_str(&match &translation {
            SpaceTranslation::Single(translation) => walk_text(modes.first, translation),
            SpaceTranslation::Staged(staged) => {
                let guest = modes.guest.unwrap_or(TranslationMode::Bare);
                staged_walk_text(modes.first, guest, staged)
            }
        });
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
    if choice.space.is_some() || choice.root.is_some() {
        // Names are the kernel's, which the whole capture asks.
        let stop = opened.stop.clone();
        let captured = opened.capturer.capture(opened.target.as_mut(), stop);
        let snapshot = captured.map_err(Failure::target)?;
        source::mention_changing(&snapshot);
        let space = source::space_chosen(&snapshot, choice)?;
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
