//! `pagescope map`: a space's mappings, or what lies in physical memory and who maps it.

use pagescope_protocol::snapshot::{Mapping, MappingList, Snapshot, Space};
use pagescope_protocol::{PhysAddr, PhysRange, TranslationMode};
use serde::Serialize;

use super::arguments::{Format, Map};
use super::source::{self, Place};
use super::{Answer, Failure, format};
use crate::export::text::map_text;
use crate::model::{Band, BandKind, named_mappings, physical_bands, size_text};

/// How many addresses are listed for one stretch of physical memory.
const MOST_ALIASES: usize = 4096;

#[derive(Debug, Serialize)]
struct MappingAnswer {
    va: String,
    pa: String,
    size: u64,
    page_size: u64,
    flags: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct PhysicalAnswer {
    pa: String,
    size: u64,
    name: String,
    kind: String,
    mapped_at: Vec<AliasAnswer>,
}

#[derive(Debug, Serialize)]
struct AliasAnswer {
    space: String,
    va: String,
    size: u64,
    flags: String,
}

pub(super) fn run(options: &Map) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?.with_root(&options.space)?;
    let place = Place::chosen(&options.addr, &options.watch, &options.from)?;
    let snapshot = source::one_moment(place, known)?;
    if options.phys {
        let answer = physical(&snapshot);
        format::print(options.format, &answer, || physical_text(&answer))?;
        return Ok(Answer::Yes);
    }
    let space = source::space_chosen(&snapshot, &options.space)?;
    if space.truncated {
        format::tell("these tables are larger than the limits; the list is cut short");
    }
    let unread = space.unread_tables().count();
    if unread > 0 && unread == space.tables.len() {
        return Err(Failure::Target(format!(
            "the root table at {} could not be read: it is not RAM, or not in this file; so nothing is known of \
             what is mapped",
            space.root
        )));
    }
    if unread > 0 {
        format::tell(&format!(
            "{unread} tables could not be read; what they map is missing here"
        ));
    }
    let mappings = named_mappings(&snapshot, space);
    let answer: Vec<MappingAnswer> = mappings.iter().map(answer).collect();
    format::print(options.format, &answer, || space_text(space, &mappings))?;
    if options.space.space.is_none() && options.format == Format::Text {
        mention_others(&snapshot, space);
    }
    Ok(Answer::Yes)
}

/// Says which other spaces there are, where the answer is about one that was not named.
fn mention_others(snapshot: &Snapshot, shown: &Space) {
    let others = snapshot
        .spaces
        .iter()
        .filter(|space| space.name != shown.name);
    let names: Vec<String> = others.map(|space| format!("{:?}", space.name)).collect();
    if !names.is_empty() {
        format::tell(&format!(
            "this is {:?}; with --space: {}",
            shown.name,
            names.join(", ")
        ));
    }
}

fn space_text(space: &Space, mappings: &MappingList) -> String {
    match space.mode {
        TranslationMode::Bare => {
            "translation is off (satp mode Bare): virtual addresses are physical; see --phys".into()
        }
        TranslationMode::Reserved(mode) => format!("satp has the reserved mode {mode}"),
        _ if space.mappings.is_empty() => {
            format!("nothing is mapped: root {} has no leaf", space.root)
        }
        _ => map_text(mappings),
    }
}

fn answer(mapping: Mapping) -> MappingAnswer {
    MappingAnswer {
        va: format::hex(mapping.virt.as_u64()),
        pa: format::hex(mapping.phys.as_u64()),
        size: mapping.size,
        page_size: mapping.page_size,
        flags: mapping.flags.to_string(),
        name: mapping.name,
    }
}

fn physical(snapshot: &Snapshot) -> Vec<PhysicalAnswer> {
    let bands = physical_bands(snapshot);
    let bands = bands.iter().filter(|band| band.kind != BandKind::Nothing);
    bands
        .map(|band| PhysicalAnswer {
            pa: format::hex(band.start),
            size: band.size,
            name: band.name.clone(),
            kind: kind_name(band.kind),
            mapped_at: aliases(snapshot, band),
        })
        .collect()
}

fn kind_name(kind: BandKind) -> String {
    match kind {
        BandKind::Table(level) => format!("{level} table"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The parts of mappings that lead into a band.
fn aliases(snapshot: &Snapshot, band: &Band) -> Vec<AliasAnswer> {
    let Some(range) = PhysRange::new(PhysAddr::new(band.start), band.size) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for space in &snapshot.spaces {
        for mapping in space.mappings.ranges() {
            let first = mapping.phys.max(range.start());
            let past = mapping.phys.as_u64().saturating_add(mapping.size);
            let past = past.min(range.start().as_u64().saturating_add(range.size()));
            let Some(size) = past.checked_sub(first.as_u64()).filter(|size| *size > 0) else {
                continue;
            };
            let offset = first.as_u64() - mapping.phys.as_u64();
            found.push(AliasAnswer {
                space: space.name.clone(),
                va: format::hex(mapping.virt.wrapping_add(offset).as_u64()),
                size,
                flags: mapping.flags.to_string(),
            });
            if found.len() == MOST_ALIASES {
                return found;
            }
        }
    }
    found
}

fn physical_text(answer: &[PhysicalAnswer]) -> String {
    let mut lines = Vec::new();
    for part in answer {
        let label = if part.name.is_empty() {
            &part.kind
        } else {
            &part.name
        };
        lines.push(format!(
            "{:>18}  {:>9}  {label}",
            part.pa,
            size_text(part.size)
        ));
        for alias in &part.mapped_at {
            let size = size_text(alias.size);
            lines.push(format!(
                "{:18}  {:9}    ← {} {} {size} ({})",
                "", "", alias.va, alias.flags, alias.space
            ));
        }
    }
    lines.join("\n")
}
