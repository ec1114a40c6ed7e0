//! Lists: one translation, a space's mappings, what changed.

use std::fmt::Write as _;

use pagescope_protocol::snapshot::Mapping;
use pagescope_protocol::translate::{Outcome, Step, Translation};
use pagescope_protocol::{PteKind, TranslationMode};

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
pub fn map_text(mappings: &[Mapping]) -> String {
    if mappings.is_empty() {
        return "nothing is mapped\n".into();
    }
    let last = |mapping: &Mapping| {
        mapping
            .virt
            .as_u64()
            .wrapping_add(mapping.size.wrapping_sub(1))
    };
    let digits = |value: u64| format!("{value:#010x}").len();
    let widest = mappings
        .iter()
        .map(|mapping| digits(last(mapping)).max(digits(mapping.virt.as_u64())));
    let virt_width = widest.max().unwrap_or(10);
    let phys_width = mappings
        .iter()
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
            format!("{:#010x}", last(mapping)),
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
