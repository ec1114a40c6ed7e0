//! Lists: one translation, a space's mappings, what changed.

use std::fmt::Write as _;

use pagescope_protocol::coalesce::MappedRange;
use pagescope_protocol::snapshot::MappingList;
use pagescope_protocol::translate::{Outcome, Step, Trail, Translation};
use pagescope_protocol::two_stage::{GuestStep, StagedOutcome, StagedTranslation};
use pagescope_protocol::{PhysAddr, PteKind, TranslationMode};

use super::{WIDTH, plain};
use crate::model::{Difference, size_text};

/// One translation as arithmetic:
///
/// ```text
/// 0x87ff3abc in Sv39: va[2] = 2, va[1] = 63, va[0] = 499, offset 0xabc
///   L2 0x87ffc000 +   2·8 = 0x87ffc010: 0x0000000021fff401  pointer → 0x87ffd000
///   L1 0x87ffd000 +  63·8 = 0x87ffd1f8: 0x0000000021fff801  pointer → 0x87ffe000
///   L0 0x87ffe000 + 499·8 = 0x87ffef98: 0x0000000021ffccc7  leaf → 0x87ff3000, rw---ad, 4 KiB
/// 0x87ff3000 + 0xabc = 0x87ff3abc
/// ```
pub fn walk_text(mode: TranslationMode, translation: &Translation) -> String {
    let address = translation.address;
    let mut text = format!("{address} in {mode}");
    if !translation.trail.is_empty() {
        text.push_str(": ");
        for step in translation.trail.iter() {
            let _ = write!(text, "va[{}] = {}, ", step.level.number(), step.index);
        }
        let size = translation.mapped().map_or(0, |mapped| mapped.page_size);
        let offset = match size {
            0 => address.page_offset(),
            _ => address.as_u64() & (size - 1),
        };
        let _ = write!(text, "offset {offset:#05x}");
    }
    text.push('\n');
    for step in translation.trail.iter() {
        step_line(mode, step, &mut text);
    }
    match translation.outcome {
        Outcome::Mapped(mapped) if mapped.page_size == 0 => {
            let _ = write!(text, "no translation: physical {}", mapped.address);
        }
        Outcome::Mapped(mapped) => {
            let offset = address.as_u64() & (mapped.page_size - 1);
            let page = mapped.address.align_down(mapped.page_size);
            let _ = write!(text, "{page} + {offset:#05x} = {}", mapped.address);
        }
        Outcome::Fault(fault) => {
            let _ = write!(text, "{fault}");
        }
        Outcome::Unreadable(at) => {
            let _ = write!(text, "not known: the entry at {at} could not be read");
        }
    }
    text.push('\n');
    text
}

/// One translation through both stages, the G-stage's steps indented below the first stage's entry
/// that they lead to:
///
/// ```text
/// 0x00001234 in Sv39, through Sv39x4: va[2] = 0, va[1] = 0
///   L2 0x40001000 +   0·8 = 0x40001000: 0x0000000010000801  pointer → 0x40002000
///       L2 0x90000000 +   1·8 = 0x90000008: 0x00000000200000d7  leaf → 0x80000000, rw-u-ad, 1 GiB
///       guest physical 0x40001000 is 0x80001000
///   L1 0x40002000 +   0·8 = 0x40002000: 0x00000000100800c7  leaf → 0x40200000, rw---ad, 2 MiB
///       L2 0x90000000 +   1·8 = 0x90000008: 0x00000000200000d7  leaf → 0x80000000, rw-u-ad, 1 GiB
///       guest physical 0x40002000 is 0x80002000
/// guest physical 0x40201234
///       L2 0x90000000 +   1·8 = 0x90000008: 0x00000000200000d7  leaf → 0x80000000, rw-u-ad, 1 GiB
/// 0x80201234
/// ```
pub fn staged_walk_text(
    first: TranslationMode,
    guest: TranslationMode,
    staged: &StagedTranslation,
) -> String {
    const DEEPER: &str = "    ";
    let mut text = format!("{} in {first}, through {guest}", staged.address);
    for (number, GuestStep { step, .. }) in staged.steps.iter().enumerate() {
        let before = if number == 0 { ": " } else { ", " };
        let _ = write!(text, "{before}va[{}] = {}", step.level.number(), step.index);
    }
    text.push('\n');
    let guest_lines = |trail: &Trail, text: &mut String| {
        for step in trail.iter() {
            text.push_str(DEEPER);
            step_line(guest, step, text);
        }
    };
    for GuestStep { step, guest } in &staged.steps {
        step_line(first, step, &mut text);
        guest_lines(&guest.trail, &mut text);
        if let Some(mapped) = guest.mapped() {
            let _ = writeln!(
                text,
                "{DEEPER}  guest physical {} is {}",
                step.pte_address, mapped.address
            );
        }
    }
    if let Some(last) = &staged.last {
        let guest_address = PhysAddr::new(last.address.as_u64());
        let _ = writeln!(text, "guest physical {guest_address}");
        guest_lines(&last.trail, &mut text);
    }
    let _ = match staged.outcome {
        StagedOutcome::Mapped(mapped) => writeln!(text, "{}", mapped.address),
        other => writeln!(text, "{other}"),
    };
    text
}

fn step_line(mode: TranslationMode, step: &Step, text: &mut String) {
    let Step {
        level,
        table,
        index,
        pte_address,
        pte,
        kind,
    } = *step;
    let entry_bytes = mode.entry_bytes();
    let _ = write!(
        text,
        "  {level} {table} + {index:>3}·{entry_bytes} = {pte_address}: {pte}  {}",
        kind.name()
    );
    let _ = match kind {
        PteKind::Pointer(next) => write!(text, " → {next}"),
        PteKind::Leaf(leaf) => {
            write!(
                text,
                " → {}, {}, {}",
                leaf.page,
                leaf.flags,
                size_text(leaf.size)
            )
        }
        PteKind::Reserved(why) => write!(text, ": {why}"),
        PteKind::Invalid => Ok(()),
    };
    text.push('\n');
}

/// A space's mappings, one a line, under a heading.
pub fn map_text(mappings: &MappingList) -> String {
    if mappings.is_empty() {
        return "nothing is mapped\n".into();
    }
    let last = |mapping: MappedRange| {
        mapping
            .virt
            .as_u64()
            .wrapping_add(mapping.size.wrapping_sub(1))
    };
    let digits = |value: u64| format!("{value:#010x}").len();
    let widest = mappings
        .ranges()
        .map(|mapping| digits(last(mapping)).max(digits(mapping.virt.as_u64())));
    let virt_width = widest.max().unwrap_or(10);
    let phys_width = mappings
        .ranges()
        .map(|mapping| mapping.phys.to_string().len())
        .max()
        .unwrap_or(10);
    let mut text = format!(
        "{:<virt_width$}  {:<virt_width$}  {:<phys_width$}  {:>8}  {:<7}  {:<7}  name\n",
        "virtual", "last byte", "physical", "size", "pages", "flags",
    );
    for mapping in mappings {
        let line = format!(
            "{:<virt_width$}  {:<virt_width$}  {:<phys_width$}  {:>8}  {:<7}  {:<7}  ",
            mapping.virt.to_string(),
            format!("{:#010x}", last(MappedRange::from(&mapping))),
            mapping.phys.to_string(),
            size_text(mapping.size),
            size_text(mapping.page_size),
            mapping.flags.to_string(),
        );
        let room = WIDTH.saturating_sub(line.chars().count()).max(16);
        let line = line + &plain(&mapping.name, room);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What changed, in one line and then one change a line.
pub fn difference_text(difference: &Difference) -> String {
    if difference.is_empty() {
        return "nothing changed\n".into();
    }
    let mut text = String::new();
    let summary = difference.summary();
    if !summary.is_empty() && difference.changes.len() > 1 {
        text.push_str(&summary);
        text.push_str("\n\n");
    }
    for change in &difference.changes {
        text.push_str(&plain(&change.to_string(), 4 * WIDTH));
        text.push('\n');
    }
    text
}
