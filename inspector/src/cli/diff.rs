//! `pagescope diff`: what changed between two snapshots.

use serde::Serialize;

use super::arguments::Diff;
use super::{Answer, Failure, format, source};
use crate::export::text::difference_text;
use crate::model::{Change, ChangeKind, Difference};

#[derive(Debug, Serialize)]
struct ChangeAnswer {
    kind: ChangeKind,
    what: &'static str,
    text: String,
}

pub(super) fn run(options: &Diff) -> Result<Answer, Failure> {
    let before = source::history(&options.before)?;
    let before = before
        .moments()
        .first()
        .map(|moment| moment.snapshot.clone());
    let before = before
        .ok_or_else(|| Failure::Usage(format!("{} holds no moment", options.before.display())))?;
    let after = source::last_moment(&options.after)?;
    let difference = Difference::between(&before, &after);
    let answer: Vec<ChangeAnswer> = difference.changes.iter().map(change).collect();
    format::print(options.format, &answer, || match difference.is_empty() {
        true => "no difference".into(),
        false => difference_text(&difference),
    })?;
    let is_no = options.exit_code && !difference.is_empty();
    Ok(if is_no { Answer::No } else { Answer::Yes })
}

fn change(change: &Change) -> ChangeAnswer {
    let what = match change {
        Change::Table { .. } => "table",
        Change::Entry { .. } => "entry",
        Change::HeapCounter { .. } => "heap_counter",
        Change::Root { .. } => "root",
    };
    ChangeAnswer {
        kind: change.kind(),
        what,
        text: change.to_string(),
    }
}
