//! What happened to a frame from moment to moment: handed out and taken back, mapped and unmapped, made a page table.
//!
//! Read from what each moment changed, so it costs what changed and not what there is.

use pagescope_protocol::snapshot::TraceKind;
use pagescope_protocol::{Level, PAGE_SIZE, PhysPage, Pte, PteKind, TranslationMode};

use super::{Change, ChangeKind, History};

/// Something that happened to a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameMoment {
    /// The moment's place.
    pub moment: usize,
    /// What happened.
    pub words: String,
}

/// What happened to `frame` up to the moment that is looked at, the last of it first.
pub fn frame_history(history: &History, frame: PhysPage) -> Vec<FrameMoment> {
    let mut found = Vec::new();
    let mut is_out = None;
    let mut last_event = None;
    let moments = history.moments().iter().enumerate();
    for (place, moment) in moments.take(history.cursor() + 1) {
        let mut say = |words: String| {
            found.push(FrameMoment {
                moment: place,
                words,
            });
        };
        let snapshot = &moment.snapshot;
        if let Some(heap) = snapshot.heap {
            let number = heap.index_of(frame.start());
            match (is_out, number) {
                (None, Some(number)) => {
                    say(format!("page {number} of the heap since the first moment"));
                }
                (Some(false), Some(number)) => say(format!("handed out, as page {number}")),
                (Some(true), None) => say("taken back".into()),
                _ => {}
            }
            is_out = Some(number.is_some());
        }
        // The kernel's own account, as far as its ring still holds it.
        let seen = last_event;
        let is_as_before = place > 0 && {
            let before = &history.moments()[place - 1].snapshot;
            snapshot.trace.is_shared_with(&before.trace)
        };
        let events = snapshot.trace.iter().filter(|_| !is_as_before);
        for event in events {
            let is_new = seen.is_none_or(|seen| event.sequence > seen);
            last_event = last_event.max(Some(event.sequence));
            if !is_new || PhysPage::from_truncated(event.address / PAGE_SIZE) != frame {
                continue;
            }
            let caller = match event.symbol.as_str() {
                "" => event.caller.to_string(),
                symbol => symbol.to_owned(),
            };
            match event.kind {
                TraceKind::Kalloc => say(format!("kalloc returned it to {caller}")),
                TraceKind::Kfree => say(format!("{caller} gave it to kfree")),
                _ => {}
            }
        }
        for change in &moment.difference.changes {
            if let Some(words) = about(change, frame) {
                say(words);
            }
        }
    }
    found.reverse();
    found
}

/// What `change` says of `frame`.
fn about(change: &Change, frame: PhysPage) -> Option<String> {
    match change {
        Change::Table {
            kind,
            level,
            frame: table,
            covers_from,
        } if *table == frame => Some(match kind {
            ChangeKind::Added => format!("became the {level} table for {covers_from}"),
            ChangeKind::Removed => format!("is no {level} table any more"),
            ChangeKind::Changed => return None,
        }),
        Change::Entry {
            mode,
            level,
            before,
            after,
            virt,
            ..
        } => {
            let leads = |pte| leads_to(*mode, pte, *level, frame);
            match (leads(*before), leads(*after)) {
                (None, Some(offset)) => Some(format!("mapped at {}", virt.wrapping_add(offset))),
                (Some(offset), None) => Some(format!("unmapped at {}", virt.wrapping_add(offset))),
                (Some(offset), Some(_)) if before != after => Some(format!(
                    "other flags at {}: {}",
                    virt.wrapping_add(offset),
                    after.flags()
                )),
                _ => None,
            }
        }
        _ => None,
    }
}

/// How far into the leaf `frame` lies, where the entry is a leaf that maps it.
fn leads_to(mode: TranslationMode, pte: Pte, level: Level, frame: PhysPage) -> Option<u64> {
    let PteKind::Leaf(leaf) = mode.classify(pte, level) else {
        return None;
    };
    let offset = frame.start().checked_offset_from(leaf.page.start())?;
    (offset < leaf.size).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn a_page_is_handed_out_and_mapped() {
        let history = fixture::history(4);
        let frame = PhysPage::new(0x87ff4).unwrap();
        let words: Vec<(usize, String)> = frame_history(&history, frame)
            .into_iter()
            .map(|at| (at.moment, at.words))
            .collect();
        assert_eq!(
            words,
            [
                (3, "mapped at 0x87ff4000".to_owned()),
                (3, "handed out, as page 10".to_owned())
            ]
        );
        let never = PhysPage::new(0x84000).unwrap();
        assert_eq!(frame_history(&history, never), []);
        let root = PhysPage::new(0x87ffc).unwrap();
        assert_eq!(frame_history(&history, root).len(), 1);
    }

    #[test]
    fn a_page_that_becomes_a_table_says_so() {
        let history = fixture::history_from(502, 4);
        let tables = history.moments().iter().flat_map(|moment| {
            let changes = moment.difference.changes.iter();
            changes.filter_map(|change| match change {
                Change::Table { frame, .. } => Some(*frame),
                _ => None,
            })
        });
        let table = tables.last().unwrap();
        let found = frame_history(&history, table);
        assert!(
            found[0].words.starts_with("became the L0 table for"),
            "{found:?}"
        );
    }
}
