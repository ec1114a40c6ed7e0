//! `pagescope regions`: the named stretches of memory, mapped or not.

use pagescope_protocol::snapshot::RegionSpace;
use serde::Serialize;

use super::arguments::Regions;
use super::source::{self, Place};
use super::{Answer, Failure, format};
use crate::export::text::regions_text;
use crate::model::region_rows::{RegionRow, region_rows};

#[derive(Debug, Serialize)]
struct RegionAnswer {
    start: String,
    size: u64,
    /// `virtual` or `physical`.
    space: &'static str,
    kind: &'static str,
    name: String,
    /// The only space in which it counts; null where it counts in every one.
    owner: Option<String>,
    tag: String,
    description: String,
    /// `yes`, `partly`, `no`, or `unknown` where its space is not known.
    mapped: &'static str,
    mapped_bytes: u64,
}

pub(super) fn run(options: &Regions) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?;
    let place = Place::chosen(&options.addr, &options.watch, &options.from)?;
    let snapshot = source::one_moment(place, known)?;
    let named = options.space.as_deref();
    let space = named
        .map(|name| source::space_named(&snapshot, name))
        .transpose()?;
    let shown = space.or_else(|| snapshot.space_of_hart(0).or(snapshot.spaces.first()));
    let mut rows = region_rows(&snapshot, shown);
    if let Some(space) = space {
        rows.retain(|row| row.region.counts_in(&space.name));
    }
    let answer: Vec<RegionAnswer> = rows.iter().map(answer).collect();
    format::print(options.format, &answer, || match rows.as_slice() {
        [] => "no regions are known: this kernel publishes none, and no ELF was named".into(),
        rows => regions_text(rows),
    })?;
    Ok(Answer::Yes)
}

fn answer(row: &RegionRow<'_>) -> RegionAnswer {
    let region = row.region;
    RegionAnswer {
        start: format::hex(region.start),
        size: region.size,
        space: match region.space {
            RegionSpace::Physical => "physical",
            RegionSpace::Virtual => "virtual",
        },
        kind: region.kind.name(),
        name: region.name.clone(),
        owner: region.owner.clone(),
        tag: region.tag.clone(),
        description: region.description.clone(),
        mapped: row.mapped.word(),
        mapped_bytes: row.mapped_bytes,
    }
}
