//! Physical memory frame by frame, the legend, and the heap counter.

use std::collections::BTreeSet;

use pagescope_protocol::snapshot::{Heap, Snapshot, Space};
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{Level, PAGE_SIZE, VirtAddr};

use super::palette::Palette;
use super::paper::{Anchor, Ink, Paper};
use crate::model::bands::{Band, fresh_ranges};
use crate::model::{BandKind, Difference};

/// Frames in a row of the grid, and rows.
const COLUMNS: usize = 32;
const ROWS: usize = 16;
/// Bytes that the grid shows.
const WINDOW: u64 = 2 << 20;

/// Draws the grid at `[left, top]`, `width` wide. Returns the frame that the chain ends in, and
/// where the grid ends.
pub(super) fn grid(
    paper: &mut Paper,
    colours: &'static Palette,
    [left, top, width]: [f64; 3],
    snapshot: &Snapshot,
    space: Option<(&Space, &Difference, &Translation)>,
    partition: &[Band],
) -> (Option<[f64; 4]>, f64) {
    let target = space
        .and_then(|(_, _, chain)| chain.mapped())
        .map(|mapped| mapped.address.as_u64());
    let ram: Vec<_> = snapshot.ram().filter(|range| !range.is_empty()).collect();
    let in_ram = |address: u64| {
        let at = pagescope_protocol::PhysAddr::new(address);
        ram.iter().find(|range| range.contains(at))
    };
    // The window with the page that the line leads to, else the top of memory.
    let range = target.and_then(in_ram).or(ram.last());
    let title = Ink::words(14.0, colours.text).bold();
    let Some(range) = range else {
        paper.text(left, top, Ink::words(13.0, colours.dim), "No RAM is known.");
        return (None, top + 10.0);
    };
    let last = range.start().as_u64().saturating_add(range.size() - 1);
    let top_window = (last - last % PAGE_SIZE).saturating_sub(WINDOW - PAGE_SIZE);
    let start =
        match target.filter(|target| range.contains(pagescope_protocol::PhysAddr::new(*target))) {
            Some(target) if target < top_window => target - target % WINDOW,
            _ => top_window,
        };
    let is_top = start == top_window;
    let name = if is_top {
        "RAM, top 2 MiB".to_owned()
    } else {
        format!("RAM, 2 MiB from {start:#010x}")
    };
    paper.text(left, top, title, &name);
    let dim = Ink::words(13.0, colours.dim).at(Anchor::End);
    paper.text(left + width, top, dim, "one cell a frame");

    let cell = (width / COLUMNS as f64 * 2.0).floor() / 2.0;
    let origin = [left, top + 12.0];
    let whole = [left, origin[1], cell * COLUMNS as f64, cell * ROWS as f64];
    paper.rect(whole, colours.empty);
    let fresh = space.map_or_else(BTreeSet::new, |(space, difference, _)| {
        fresh_frames(space, difference, start)
    });
    let mut run: Option<(usize, usize, &str)> = None;
    let mut flush = |run: Option<(usize, usize, &str)>| {
        if let Some((first, last, colour)) = run {
            let [x, y, ..] = cell_at(origin, cell, first);
            paper.rect([x, y, cell * (last - first + 1) as f64, cell], colour);
        }
    };
    for index in 0..COLUMNS * ROWS {
        let address = start.saturating_add(index as u64 * PAGE_SIZE);
        let after = partition.partition_point(|band| band.start <= address);
        let kind = after
            .checked_sub(1)
            .map(|place| &partition[place])
            .filter(|band| band.contains(address))
            .map_or(BandKind::Nothing, |band| band.kind);
        let colour = match kind {
            _ if fresh.contains(&address) => colours.fresh,
            BandKind::Free | BandKind::Ram => continue,
            kind => colours.kind(kind),
        };
        match &mut run {
            Some((_, last, same))
                if *same == colour && *last + 1 == index && !index.is_multiple_of(COLUMNS) =>
            {
                *last = index;
            }
            _ => flush(run.replace((index, index, colour))),
        }
    }
    flush(run);
    paper.lattice(origin, cell, [COLUMNS, ROWS], colours.background);
    let ends_in = target
        .and_then(|target| target.checked_sub(start))
        .map(|offset| (offset / PAGE_SIZE) as usize)
        .filter(|index| *index < COLUMNS * ROWS)
        .map(|index| cell_at(origin, cell, index));
    (ends_in, whole[1] + whole[3])
}

fn cell_at([left, top]: [f64; 2], cell: f64, index: usize) -> [f64; 4] {
    let (column, row) = ((index % COLUMNS) as f64, (index / COLUMNS) as f64);
    [
        left + column * cell,
        top + row * cell,
        cell - 1.0,
        cell - 1.0,
    ]
}

/// The frames of the window that new or changed leaves lead to.
fn fresh_frames(space: &Space, difference: &Difference, start: u64) -> BTreeSet<u64> {
    let mut frames = BTreeSet::new();
    for (first, last) in fresh_ranges(space, difference) {
        // A new superpage that covers the whole window is all of it; more need not be looked at.
        let pages = ((last - first) / PAGE_SIZE).min(WINDOW / PAGE_SIZE * 512);
        let Some(mapping) = space.mapping_of(VirtAddr::new(first)) else {
            continue;
        };
        let Some(phys) = mapping.translate(VirtAddr::new(first)) else {
            continue;
        };
        let phys = phys.align_down(PAGE_SIZE).as_u64();
        let from = phys.max(start);
        let to = phys
            .saturating_add(pages * PAGE_SIZE)
            .min(start.saturating_add(WINDOW - PAGE_SIZE));
        let mut at = from;
        while at <= to {
            frames.insert(at);
            let Some(next) = at.checked_add(PAGE_SIZE) else {
                break;
            };
            at = next;
        }
    }
    frames
}

/// What the colours mean, each with its letter.
pub(super) fn legend(
    paper: &mut Paper,
    colours: &'static Palette,
    [left, top, width]: [f64; 3],
    root: Option<Level>,
) {
    let mut items: Vec<(&str, &str, String)> = Vec::new();
    for (kind, name) in [
        (BandKind::Code, "code"),
        (BandKind::ReadOnly, "read-only"),
        (BandKind::Data, "data, heap"),
        (BandKind::Stack, "stack"),
        (BandKind::Device, "device"),
        (BandKind::HeapCounter, "counter"),
    ] {
        items.push((colours.kind(kind), Palette::letter(kind), name.into()));
    }
    let levels = Level::ALL
        .into_iter()
        .filter(|level| *level <= root.unwrap_or(Level::L2));
    for level in levels.rev() {
        let kind = BandKind::Table(level);
        items.push((
            colours.kind(kind),
            Palette::letter(kind),
            format!("{level} table"),
        ));
    }
    items.push((colours.fresh, "+", "new".into()));
    items.push((colours.alarm, "!", "W and X".into()));
    items.push(("url(#guard)", "", "guard".into()));
    let columns = items.len().div_ceil(3);
    let step = width / columns as f64;
    for (number, (fill, letter, name)) in items.iter().enumerate() {
        let x = left + (number % columns) as f64 * step;
        let y = top + (number / columns) as f64 * 20.0;
        paper.rect([x, y, 14.0, 14.0], fill);
        let colour = if *letter == "+" {
            "#10161c"
        } else {
            colours.on_colour
        };
        paper.text(
            x + 7.0,
            y + 11.2,
            Ink::numbers(10.5, colour).bold().at(Anchor::Middle),
            letter,
        );
        let words = Ink::words(11.5, colours.dim);
        paper.text(x + 19.0, y + 11.4, words, name);
    }
}

/// The heap counter, large.
pub(super) fn counter(
    paper: &mut Paper,
    colours: &'static Palette,
    area: [f64; 4],
    heap: Option<Heap>,
) {
    let [left, top, width, _] = area;
    paper.card(area, colours.panel, colours.edge);
    let dim = Ink::words(13.0, colours.dim);
    let Some(heap) = heap else {
        paper.text(
            left + 14.0,
            top + 31.0,
            dim,
            "This guest publishes no heap counter.",
        );
        return;
    };
    paper.text(
        left + 14.0,
        top + 32.0,
        Ink::words(14.0, colours.text),
        "Heap counter",
    );
    let address = Ink::numbers(12.0, colours.dim).at(Anchor::End);
    let large = Ink::words(32.0, colours.counter).bold();
    // Hostile numbers have twenty digits.
    let number = large.fit(&heap.counter.to_string(), width - 130.0);
    paper.text(left + 114.0, top + 38.0, large, &number);
    let right = left + width - 14.0;
    let room = width - 142.0 - large.width(&number);
    if dim.width("pages handed out") < room {
        paper.text(right, top + 24.0, dim.at(Anchor::End), "pages handed out");
        paper.text(
            right,
            top + 42.0,
            address,
            &heap.counter_address.to_string(),
        );
    }
}
