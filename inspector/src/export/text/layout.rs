//! The whole memory layout as a drawing: physical memory, the page tables as a tree, the virtual
//! map.

use std::fmt::Write as _;

use pagescope_protocol::PAGE_SIZE;
use pagescope_protocol::snapshot::{Snapshot, Space};

use super::{WIDTH, boxes, plain, tree};
use crate::model::bands::READ_AS_PAGES;
use crate::model::{
    Band, BandKind, Difference, fold_scattered, physical_bands, size_text, virtual_bands,
};

/// Columns of a box's inside.
const BOX_WIDTH: usize = 34;

/// The most boxes in one map; a hostile guest can have millions of mappings.
const BOX_LIMIT: usize = 120;

/// The drawing of `snapshot` with the tables and the map of `space`.
pub fn layout_text(snapshot: &Snapshot, space: Option<&Space>) -> String {
    let mut text = String::new();
    heading(snapshot, space, &mut text);
    title("Physical memory: where bytes live", &mut text);
    let bands = physical_bands(snapshot);
    if bands.is_empty() {
        text.push_str("  nothing is known of it\n");
    }
    boxes::draw(&rows(snapshot, &bands, false), BOX_WIDTH, &mut text);
    let Some(space) = space else {
        text.push_str("\nNo address space is known: no hart's satp could be read.\n");
        return text;
    };
    if space.mode.root_level().is_none() {
        let _ = write!(
            text,
            "\n{}: mode {}.\nThere are no page tables: virtual addresses are physical ones.\n",
            plain(&space.name, 24),
            space.mode,
        );
        return text;
    }
    title("Page tables: how addresses are translated", &mut text);
    tree::draw(snapshot, space, &mut text);
    title("Virtual memory: what addresses mean", &mut text);
    let bands = fold_scattered(virtual_bands(snapshot, space, &Difference::default()));
    boxes::draw(&rows(snapshot, &bands, true), BOX_WIDTH, &mut text);
    if space.truncated {
        text.push_str("\nThis is not all: a limit cut the tables or the mappings short.\n");
    }
    text
}

fn title(text: &str, to: &mut String) {
    let _ = write!(to, "\n{text}\n{}\n\n", "-".repeat(text.chars().count()));
}

fn heading(snapshot: &Snapshot, space: Option<&Space>, text: &mut String) {
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let line = format!("{name:<13} {}", plain(value, WIDTH - 14));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    };
    let provenance = &snapshot.provenance;
    let guest = [&provenance.guest, &provenance.machine].map(String::as_str);
    line("guest", &join(&guest, " on "));
    if let Some(kernel) = &snapshot.kernel {
        let layout = format!("{}, tables by strategy {}", kernel.layout, kernel.strategy);
        line("layout", &layout);
    }
    if let Some(heap) = snapshot.heap {
        let freed = match heap.freed {
            0 => String::new(),
            freed => format!("; {freed} freed and waiting"),
        };
        let counter = format!(
            "{} pages handed out{freed} (at {})",
            heap.counter, heap.counter_address
        );
        line("heap counter", &counter);
    }
    if let Some(space) = space {
        let root = match space.mode.root_level() {
            Some(_) => format!(", root table {}", space.root),
            None => String::new(),
        };
        line("space", &format!("{}: {}{root}", space.name, space.mode));
    }
    line("stop", &snapshot.stop);
    line("captured", &provenance.captured_at);
    for warning in &snapshot.warnings {
        line("warning", warning);
    }
    for note in snapshot.notes.lines() {
        line("note", note);
    }
}

fn join(parts: &[&str], with: &str) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(with)
}

/// What each band's box says. Address order is from top to bottom.
fn rows(snapshot: &Snapshot, bands: &[Band], is_virtual: bool) -> Vec<boxes::Row> {
    let shown = bands.len().min(BOX_LIMIT);
    let mut rows: Vec<boxes::Row> = bands[..shown]
        .iter()
        .map(|band| boxes::Row {
            start: band.start,
            end: band.last().checked_add(1),
            lines: vec![inside(snapshot, band, is_virtual)],
            note: if is_virtual {
                virtual_note(band)
            } else {
                physical_note(snapshot, band)
            },
            is_gap: matches!(
                band.kind,
                BandKind::Nothing | BandKind::NonCanonical | BandKind::Unread | BandKind::Free
            ),
        })
        .collect();
    if let Some(rest) = bands.get(shown) {
        rows.push(boxes::Row {
            start: rest.start,
            end: bands.last().and_then(|band| band.last().checked_add(1)),
            lines: vec![format!("… {} further stretches …", bands.len() - shown)],
            note: String::new(),
            is_gap: true,
        });
    }
    rows
}

fn inside(snapshot: &Snapshot, band: &Band, is_virtual: bool) -> String {
    let amount = size_text(band.size);
    let name = band.name.strip_suffix(READ_AS_PAGES);
    let name = or(name.unwrap_or(&band.name), kind_word(band.kind));
    match band.kind {
        BandKind::Nothing if is_virtual => format!("… {amount} unmapped …"),
        BandKind::Nothing => format!("… {amount} of nothing …"),
        BandKind::NonCanonical => "… no valid addresses …".into(),
        BandKind::Unread => format!("… {amount} whose table could not be read …"),
        BandKind::Free => format!("… {amount} free …"),
        BandKind::Guard => format!("{name} (never mapped)"),
        BandKind::Reserved if is_virtual => format!("{name}: {amount} (unmapped)"),
        BandKind::HeapCounter => match snapshot.heap {
            Some(heap) => format!("heap counter = {}", heap.counter),
            None => "heap counter".into(),
        },
        BandKind::Table(_) if name.starts_with("window") => name.to_owned(),
        BandKind::Table(level) if name.contains(&level.to_string()) => {
            let tables = if band.size > PAGE_SIZE {
                "tables"
            } else {
                "table"
            };
            format!("{name} {tables}: {}", band.amount())
        }
        _ => format!("{name}: {}", band.amount()),
    }
}

fn or<'a>(name: &'a str, else_name: &'a str) -> &'a str {
    if name.is_empty() { else_name } else { name }
}

const fn kind_word(kind: BandKind) -> &'static str {
    match kind {
        BandKind::Code => "code",
        BandKind::ReadOnly => "read-only",
        BandKind::Data => "data",
        BandKind::WriteExecute => "writable code",
        BandKind::Device => "device",
        BandKind::Stack => "stack",
        BandKind::Guard => "guard",
        BandKind::Table(_) => "page tables",
        BandKind::HeapCounter => "heap counter",
        BandKind::Heap => "heap",
        BandKind::Machine => "machine program",
        BandKind::Free => "free",
        BandKind::Ram => "RAM",
        BandKind::Reserved => "reserved",
        BandKind::Nothing => "nothing",
        BandKind::NonCanonical => "not canonical",
        BandKind::Unread => "not readable",
    }
}

fn physical_note(snapshot: &Snapshot, band: &Band) -> String {
    match (band.kind, snapshot.heap) {
        (BandKind::Device, _) => "device".into(),
        (BandKind::HeapCounter, Some(heap)) => format!("at {}", heap.counter_address),
        // The heap is where the free pages end: one box below the other says it grows down.
        (BandKind::Free, Some(heap)) => format!("kalloc takes from the end: {} is next", heap.next),
        _ => String::new(),
    }
}

/// Flags, and where it leads when that is elsewhere.
fn virtual_note(band: &Band) -> String {
    let (Some(flags), Some(phys)) = (band.flags, band.phys) else {
        let pages = band.name.strip_suffix(READ_AS_PAGES);
        return match (pages, band.flags) {
            (Some(_), Some(flags)) => format!("{flags}{READ_AS_PAGES}"),
            (None, Some(flags)) => format!("{flags} → scattered frames"),
            _ => String::new(),
        };
    };
    let target = if phys.as_u64() == band.start {
        "itself".to_owned()
    } else {
        phys.to_string()
    };
    format!("{flags} → {target}")
}
