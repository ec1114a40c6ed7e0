//! What is selected as a few lines of text, to be copied into a mail or a question.

use std::fmt::Write as _;

use pagescope_protocol::snapshot::{Snapshot, Space};
use pagescope_protocol::translate::Outcome;

use super::{Focus, entry_words, size_text};

/// The selection in plain text; empty where nothing is selected.
pub fn summary(snapshot: &Snapshot, space: Option<&Space>, focus: &Focus) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{words}");
    };
    if let Some(stretch) = focus.stretch {
        let which = match stretch.space {
            pagescope_protocol::snapshot::RegionSpace::Virtual => "virtual",
            pagescope_protocol::snapshot::RegionSpace::Physical => "physical",
        };
        line(format_args!(
            "{which} {:#x} to {:#x}, {}",
            stretch.start,
            stretch.last(),
            size_text(stretch.size)
        ));
    }
    if let Some((level, frame)) = focus.table {
        line(format_args!("{level} table {frame}"));
    }
    if let Some(virt) = focus.virt {
        let space = space.map_or_else(String::new, |space| {
            format!(" in {} ({}, root {})", space.name, space.mode, space.root)
        });
        line(format_args!("virtual {virt}{space}"));
    }
    for step in &focus.steps {
        line(format_args!(
            "{}  {} + {}·{} = {} → {:#x}  {}",
            step.level,
            step.table,
            step.index,
            space.map_or(8, |space| space.mode.entry_bytes()),
            step.pte_address,
            step.pte.bits(),
            entry_words::title_of(step.kind).to_lowercase()
        ));
    }
    match focus.outcome {
        Some(Outcome::Mapped(mapped)) => line(format_args!(
            "physical {}  {}  {} leaf",
            mapped.address,
            mapped.flags,
            size_text(mapped.page_size)
        )),
        Some(Outcome::Fault(fault)) => line(format_args!("{fault}")),
        Some(Outcome::Unreadable(at)) => line(format_args!("the entry at {at} could not be read")),
        None => {
            if let Some(phys) = focus.phys {
                line(format_args!("physical {phys}"));
            }
        }
    }
    if !text.is_empty() && !snapshot.stop.is_empty() {
        let _ = writeln!(text, "at: {}", snapshot.stop);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReverseIndex, Selection, fixture};
    use pagescope_protocol::VirtAddr;

    #[test]
    fn a_walk_as_text() {
        let snapshot = fixture::pseudos(4);
        let space = &snapshot.spaces[0];
        let index = ReverseIndex::new(space);
        let text = |selection| {
            let focus = Focus::resolve(Some(space), &index, selection);
            summary(&snapshot, Some(space), &focus)
        };
        let lines = text(Selection::Virtual(VirtAddr::new(0x87ff_3008)));
        assert!(lines.starts_with("virtual 0x87ff3008 in "), "{lines}");
        assert!(
            lines.contains("L2  0x87ffc000 + 2·8 = 0x87ffc010 → 0x21fff401  pointer"),
            "{lines}"
        );
        assert!(
            lines.contains("physical 0x87ff3008  rw---ad  4 KiB leaf"),
            "{lines}"
        );
        assert_eq!(text(Selection::Nothing), "");
        let missing = text(Selection::Virtual(VirtAddr::new(0x8021_6000)));
        assert!(missing.contains("not mapped"), "{missing}");
    }
}
