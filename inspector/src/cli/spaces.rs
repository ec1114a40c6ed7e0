//! `pagescope spaces`: the address spaces that there are.

use pagescope_protocol::snapshot::{Snapshot, Space, SpaceKind};
use serde::Serialize;

use super::arguments::Spaces;
use super::source::{self, Place};
use super::{Answer, Failure, format};
use crate::export::text::spaces_text;

#[derive(Debug, Serialize)]
struct SpaceAnswer {
    name: String,
    kind: Option<&'static str>,
    number: Option<u64>,
    /// The harts that run in it now.
    harts: Vec<u32>,
    mode: String,
    asid: u16,
    root: String,
    tables: usize,
    mapped_bytes: u64,
}

pub(super) fn run(options: &Spaces) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?;
    let place = Place::chosen(&options.addr, &options.watch, &options.from)?;
    if options.scan {
        return super::scan::run(place, known, options.format);
    }
    let snapshot = source::one_moment(place, known)?;
    let answer: Vec<SpaceAnswer> = snapshot.spaces.iter().map(space).collect();
    format::print(options.format, &answer, || text(&snapshot))?;
    Ok(Answer::Yes)
}

fn text(snapshot: &Snapshot) -> String {
    match snapshot.spaces.as_slice() {
        [] => "no address space is known: no hart's satp could be read".into(),
        spaces => spaces_text(spaces),
    }
}

fn space(space: &Space) -> SpaceAnswer {
    let bytes = space.mappings.iter().map(|mapping| mapping.size);
    SpaceAnswer {
        name: space.name.clone(),
        kind: space.kind.map(|kind| match kind {
            SpaceKind::Kernel => "kernel",
            SpaceKind::Hart => "hart",
            SpaceKind::Process => "process",
            SpaceKind::Seen => "seen",
            SpaceKind::Found => "found",
            SpaceKind::Guest => "guest",
            SpaceKind::GuestPhysical => "guest physical",
            SpaceKind::Other => "other",
        }),
        number: space.number,
        harts: space.harts.clone(),
        mode: space.mode.to_string(),
        asid: space.asid,
        root: format::hex(space.root.start().as_u64()),
        tables: space.tables.len(),
        mapped_bytes: bytes.fold(0, u64::saturating_add),
    }
}
