//! `pagescope diff`: what changed between two snapshots.

use std::path::Path;

use serde::Serialize;

use super::arguments::Diff;
use super::source::{self, Place};
use super::{Answer, Failure, format};
use crate::export::text::{difference_text, space_difference_text};
use crate::model::space_difference::{DifferentRange, SpaceDifference};
use crate::model::{Change, ChangeKind, Difference};

#[derive(Debug, Serialize)]
struct ChangeAnswer {
    kind: ChangeKind,
    what: &'static str,
    text: String,
}

pub(super) fn run(options: &Diff) -> Result<Answer, Failure> {
    match (&options.after, options.space.as_slice()) {
        (None, [one, other]) => spaces(options, one, other),
        (Some(after), _) => moments(options, Path::new(&options.before), after),
        (None, _) => Err(Failure::Usage(
            "name a second file to compare with, or two spaces of the first: --space \"hart 0\" --space \"hart 1\""
                .into(),
        )),
    }
}

/// What changed from one file to another.
fn moments(options: &Diff, before: &Path, after: &Path) -> Result<Answer, Failure> {
    let before_path = before;
    let before = source::history(before)?;
    let before = before
        .moments()
        .first()
        .map(|moment| moment.snapshot.clone());
    let before = before
        .ok_or_else(|| Failure::Usage(format!("{} holds no moment", before_path.display())))?;
    let after = source::last_moment(after)?;
    let difference = Difference::between(&before, &after);
    let answer: Vec<ChangeAnswer> = difference.changes.iter().map(change).collect();
    format::print(options.format, &answer, || match difference.is_empty() {
        true => "no difference".into(),
        false => difference_text(&difference),
    })?;
    let is_no = options.exit_code && !difference.is_empty();
    Ok(if is_no { Answer::No } else { Answer::Yes })
}

#[derive(Debug, Serialize)]
struct RangeAnswer {
    va: String,
    size: u64,
    /// `only_one`, `only_other`, `frame`, `flags`, `frame_and_flags`.
    what: &'static str,
    name: String,
    /// Whether the frames do not lie beside each other: then the first one stands below.
    scattered: bool,
    /// What each of the two spaces has there.
    sides: [Option<SideAnswer>; 2],
}

#[derive(Debug, Serialize)]
struct SideAnswer {
    space: String,
    pa: String,
    flags: String,
}

#[derive(Debug, Serialize)]
struct SpacesAnswer {
    spaces: [String; 2],
    summary: String,
    /// Why the answer is not whole: a space is not translated, or was not read whole. Null where it is.
    unknown: Option<String>,
    ranges: Vec<RangeAnswer>,
}

/// How two spaces of one moment differ.
fn spaces(options: &Diff, one: &str, other: &str) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?;
    let snapshot = source::one_moment(Place::parse(&options.before, &options.from)?, known)?;
    let one = source::space_named(&snapshot, one)?;
    let other = source::space_named(&snapshot, other)?;
    let difference = SpaceDifference::between(&snapshot, one, other);
    let ranges = difference.ranges.iter();
    let answer = SpacesAnswer {
        spaces: [one.name.clone(), other.name.clone()],
        summary: difference.summary(),
        unknown: difference.unknown.clone(),
        ranges: ranges
            .map(|range| range_answer(&difference, range))
            .collect(),
    };
    format::print_nested(options.format, &answer, 4, || {
        space_difference_text(&difference)
    })?;
    match (options.exit_code, &difference.unknown) {
        (true, Some(why)) => Err(Failure::Target(format!(
            "whether the two differ is not known: {why}"
        ))),
        (true, None) if !difference.ranges.is_empty() => Ok(Answer::No),
        _ => Ok(Answer::Yes),
    }
}

fn range_answer(difference: &SpaceDifference, range: &DifferentRange) -> RangeAnswer {
    let side = |place: usize| {
        let side = range.sides[place]?;
        Some(SideAnswer {
            space: difference.names[place].clone(),
            pa: format::hex(side.phys.as_u64()),
            flags: side.flags.to_string(),
        })
    };
    RangeAnswer {
        va: format::hex(range.start),
        size: range.size,
        what: range.kind.word(),
        name: range.name.clone(),
        scattered: range.is_scattered,
        sides: [side(0), side(1)],
    }
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
