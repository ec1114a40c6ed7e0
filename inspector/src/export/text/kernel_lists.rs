//! Lists of what the kernel says: its spaces, its regions, its trace; and two spaces compared.

use std::fmt::Write as _;

use pagescope_protocol::snapshot::{Space, TraceEvent, TraceKind};

use super::{column, plain};
use crate::model::region_rows::RegionRow;
use crate::model::size_text;
use crate::model::space_difference::SpaceDifference;

/// The widest column of names.
const NAME_WIDTH: usize = 32;

/// How wide a column must be for these words.
fn width<'a>(words: impl Iterator<Item = &'a str>, least: usize) -> usize {
    let longest = words.map(|word| word.chars().count()).max().unwrap_or(0);
    longest.clamp(least, NAME_WIDTH)
}

/// The spaces, a line each:
///
/// ```text
/// process 3 init  Sv39  ASID 3      root 0x87ff1000  12 tables  hart 0
/// process 4 loop  Sv39  ASID 4      root 0x87fe0000  11 tables  no hart now
/// ```
pub fn spaces_text(spaces: &[Space]) -> String {
    let names = width(spaces.iter().map(|space| space.name.as_str()), 8);
    let mut text = String::new();
    for space in spaces {
        let harts: Vec<String> = space.harts.iter().map(u32::to_string).collect();
        let harts = match harts.len() {
            0 => "no hart now".into(),
            1 => format!("hart {}", harts[0]),
            _ => format!("harts {}", harts.join(", ")),
        };
        let name = column(&space.name, names);
        if space.mode.root_level().is_none() {
            let _ = writeln!(text, "{name}  {}  {harts}", space.mode);
            continue;
        }
        let _ = writeln!(
            text,
            "{name}  {}  ASID {:<5}  root {}  {:>4} tables  {harts}",
            space.mode,
            space.asid,
            space.root,
            space.tables.len(),
        );
    }
    text
}

/// The regions, a line each:
///
/// ```text
/// physical     0x80200000    208 KiB  code    mapped    .text   the kernel's instructions
/// ```
pub fn regions_text(rows: &[RegionRow<'_>]) -> String {
    let places = width(rows.iter().map(RegionRow::place_words), 8);
    let names = width(rows.iter().map(|row| row.region.name.as_str()), 6);
    let tags = width(rows.iter().map(|row| row.region.tag.as_str()), 0);
    let mut text = String::new();
    for row in rows {
        let region = row.region;
        let line = format!(
            "{}  {:>18}  {:>9}  {}  {:<8}  {}  {}  {}",
            column(row.place_words(), places),
            format!("{:#010x}", region.start),
            size_text(region.size),
            column(region.kind.name(), 12),
            match row.mapped.word() {
                "yes" => "mapped",
                "no" => "unmapped",
                other => other,
            },
            column(&region.name, names),
            column(&region.tag, tags),
            plain(&region.description, 48),
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Trace events, a line each:
///
/// ```text
///   17  hart 0  map      0x87ff3000 → 0x87ff3000  4 KiB  rw---ad  kernel  by kalloc+0x4c
/// ```
pub fn trace_text<'a>(events: impl Iterator<Item = &'a TraceEvent> + Clone) -> String {
    let spaces = width(events.clone().filter_map(|event| event.space.as_deref()), 0);
    let mut text = String::new();
    for event in events {
        let size = match event.size {
            0 => String::new(),
            size => size_text(size),
        };
        let flags = event.flags.map(|flags| flags.to_string());
        let line = format!(
            "{:>6}  hart {}  {:<7}  {}  {:>8}  {:<7}  {}  {}",
            event.sequence,
            event.hart,
            event.kind.name(),
            column(&event_place(event), 40),
            size,
            flags.unwrap_or_default(),
            column(event.space.as_deref().unwrap_or(""), spaces),
            plain(&caller(event), 60),
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// What an event was done to, and what more it says: `0x87ff3000 → 0x87ff3000`.
pub fn event_place(event: &TraceEvent) -> String {
    let address = format!("{:#010x}", event.address);
    match event.kind {
        TraceKind::Map => format!("{address} → {:#010x}", event.argument),
        TraceKind::Kalloc => format!("{address}, counter {}", event.argument),
        // What it leaves of the counter is not told.
        TraceKind::Kfree => address,
        TraceKind::Fault => format!("{address}, scause {}", event.argument),
        TraceKind::Spawn | TraceKind::Exit => format!("process {}", event.argument),
        TraceKind::Switch if event.address == 0 => String::new(),
        _ if event.argument != 0 => format!("{address}, {:#x}", event.argument),
        _ => address,
    }
}

/// Who called: `by kalloc+0x4c`, or the address; empty where that is 0.
fn caller(event: &TraceEvent) -> String {
    match (event.symbol.as_str(), event.caller.as_u64()) {
        ("", 0) => String::new(),
        ("", address) => format!("by {address:#010x}"),
        (symbol, _) => format!("by {symbol}"),
    }
}

/// How two spaces differ:
///
/// ```text
/// hart 0 and hart 1 differ in 1 region: cpu struct
///
///   ≠ 0xffffffc040000000  12 KiB  cpu struct  other frame: 0x87ff0000 and 0x87fe0000
/// ```
pub fn space_difference_text(difference: &SpaceDifference) -> String {
    let mut text = format!("{}\n", plain(&difference.summary(), 400));
    if !difference.ranges.is_empty() {
        text.push('\n');
    }
    let names = difference.ranges.iter().map(|range| range.name.as_str());
    let names = width(names, 4);
    for range in &difference.ranges {
        let _ = writeln!(
            text,
            "  {} {:>18}  {:>9}  {}  {}",
            range.kind.signs()[0],
            format!("{:#010x}", range.start),
            size_text(range.size),
            column(&range.name, names),
            plain(&range.words(&difference.names), 120),
        );
    }
    text
}
