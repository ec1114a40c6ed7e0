//! A space as the documents draw it: which regions there are, in which order, who may do what there.
//!
//! ```text
//!   +----------------------------------+ 0x80200000
//!   | .text                            | kernel r-x  user ---  mapped, 4 KiB pages
//!   +----------------------------------+
//!   | guard                            | not mapped
//!   +----------------------------------+
//! ```
//!
//! Nothing in it depends on how large the compiler made something or how long the guest has run, so two
//! exports can be compared as text: no sizes, and addresses only of regions that are placed by rule. Those
//! are devices, the heap counter, a cpu struct, a linear map, the machine program; and of the others what
//! begins at a multiple of 2 MiB.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pagescope_protocol::coalesce::MappedRange;
use pagescope_protocol::snapshot::{Region, RegionKind, RegionSpace, Snapshot, Space};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, VirtAddr};

use super::{column, plain};
use crate::model::bands::virtual_partition;
use crate::model::{Band, BandKind, Difference, size_text, virtual_bands};

/// Columns of a box's inside.
const BOX_WIDTH: usize = 34;

/// The most boxes; a hostile guest can have millions of mappings.
const BOX_LIMIT: usize = 400;

/// What begins at a multiple of this was put there.
const PLACED: u64 = 2 << 20;

/// Which end of memory stands at the top.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// The lowest address.
    #[default]
    LowFirst,
    /// The highest address.
    HighFirst,
}

/// A box.
struct Row {
    name: String,
    notes: Vec<String>,
    start: u64,
    /// Whether `start` stands at its border.
    is_placed: bool,
}

/// What a stretch of the virtual map belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Region(usize),
    /// Mapped, and no region speaks of it.
    Unnamed,
    /// What is left of a page in which a region ends.
    RestOfPage,
    Unmapped,
    NonCanonical,
    Unread,
}

/// The schematic drawing of `space`.
pub fn schematic_text(snapshot: &Snapshot, space: &Space, order: Order) -> String {
    let mut text = String::new();
    if let Some(kernel) = &snapshot.kernel {
        let _ = writeln!(
            text,
            "layout {}, tables: {}",
            plain(&kernel.layout, 24),
            plain(&kernel.strategy, 24)
        );
    }
    let physical = physical_rows(snapshot);
    if !physical.is_empty() {
        text.push_str("\nPhysical memory, by the kernel's regions\n\n");
        draw(physical, order, &mut text);
    }
    let _ = writeln!(
        text,
        "\nVirtual memory of {:?}, {}\n",
        plain(&space.name, 32),
        space.mode
    );
    if space.mode.root_level().is_none() {
        text.push_str("  There are no page tables: virtual addresses are physical ones.\n");
        return text;
    }
    draw(virtual_rows(snapshot, space), order, &mut text);
    let uses_user = space
        .mappings
        .iter()
        .any(|mapping| mapping.flags.contains(LeafFlags::USER));
    if uses_user {
        text.push_str(
            "\n  kernel SUM: loads and stores only with sstatus.SUM set, and no fetches at all\n",
        );
    }
    text
}

fn draw(mut rows: Vec<Row>, order: Order, text: &mut String) {
    let more = rows.len().saturating_sub(BOX_LIMIT);
    rows.truncate(BOX_LIMIT);
    if order == Order::HighFirst {
        rows.reverse();
    }
    let border = "-".repeat(BOX_WIDTH);
    let mark = |row: Option<&Row>| match row {
        Some(row) if row.is_placed => format!(" {:#010x}", row.start),
        _ => String::new(),
    };
    for (place, row) in rows.iter().enumerate() {
        // A border's address is the start of the box that lies above it in memory.
        let above = match order {
            Order::LowFirst => Some(row),
            Order::HighFirst => place.checked_sub(1).map(|place| &rows[place]),
        };
        let _ = writeln!(text, "  +{border}+{}", mark(above));
        let lines = row.notes.len().max(1);
        for line in 0..lines {
            let name = if line == 0 { row.name.as_str() } else { "" };
            let note = row.notes.get(line).map_or("", String::as_str);
            let drawn = format!("  | {} | {note}", column(name, BOX_WIDTH - 2));
            let _ = writeln!(text, "{}", drawn.trim_end());
        }
    }
    let last = match order {
        Order::LowFirst => None,
        Order::HighFirst => rows.last(),
    };
    let _ = writeln!(text, "  +{border}+{}", mark(last));
    if more > 0 {
        let _ = writeln!(text, "  … {more} further stretches …");
    }
}

fn is_placed(region: &Region) -> bool {
    match region.kind {
        RegionKind::Device
        | RegionKind::HeapCounter
        | RegionKind::Cpu
        | RegionKind::LinearMap
        | RegionKind::Machine => true,
        _ => region.start.is_multiple_of(PLACED),
    }
}

/// The physical regions that belong to no one space, lowest first.
fn physical_rows(snapshot: &Snapshot) -> Vec<Row> {
    let regions = snapshot.regions.iter();
    let mut regions: Vec<&Region> = regions
        .filter(|region| region.space == RegionSpace::Physical && region.owner.is_none())
        .collect();
    regions.sort_by_key(|region| (region.start, u64::MAX - region.size));
    let row = |region: &Region| Row {
        name: region.name.clone(),
        notes: about(region).into_iter().collect(),
        start: region.start,
        is_placed: is_placed(region),
    };
    regions.into_iter().map(row).collect()
}

/// What a region is for, and where it came from.
fn about(region: &Region) -> Option<String> {
    let words = match (region.description.as_str(), region.tag.as_str()) {
        ("", "") => return None,
        ("", tag) => format!("[{tag}]"),
        (about, "") => about.to_owned(),
        (about, tag) => format!("{about} [{tag}]"),
    };
    Some(plain(&words, 58))
}

/// The space's regions, mapped or not, and what is between them, lowest first.
fn virtual_rows(snapshot: &Snapshot, space: &Space) -> Vec<Row> {
    let bands = virtual_bands(snapshot, space, &Difference::default());
    let regions = virtual_partition(snapshot, space);
    let parts = bands.iter().map(|band| part_of(snapshot, &regions, band));
    let parts: Vec<Part> = parts.collect();
    let mut rows = Vec::new();
    let mut from = 0;
    while from < bands.len() {
        let part = parts[from];
        let same = parts[from..].iter().take_while(|next| **next == part);
        let end = from + same.count();
        if part != Part::RestOfPage {
            rows.push(row(snapshot, space, part, &bands[from..end]));
        }
        from = end;
    }
    rows
}

fn part_of(snapshot: &Snapshot, regions: &[Band], band: &Band) -> Part {
    match band.kind {
        BandKind::NonCanonical => return Part::NonCanonical,
        BandKind::Nothing => return Part::Unmapped,
        BandKind::Unread => return Part::Unread,
        _ => {}
    }
    let after = regions.partition_point(|region| region.start <= band.start);
    let here = after.checked_sub(1).map(|place| &regions[place]);
    let here = here.filter(|region| region.contains(band.start));
    if let Some(place) = here.and_then(|region| region.region).or(band.region) {
        return Part::Region(place);
    }
    if !band.start.is_multiple_of(PAGE_SIZE) && band.flags.is_some() {
        return Part::RestOfPage;
    }
    // A table's window, or a page of the heap: the physical region that it is a part of.
    let Some(phys) = band.phys.map(|phys| phys.as_u64()) else {
        return Part::Unnamed;
    };
    let regions = snapshot.regions.iter().enumerate();
    let around = regions.filter(|(_, region)| {
        region.space == RegionSpace::Physical
            && region.start <= phys
            && region.last().is_some_and(|last| phys <= last)
    });
    let smallest = around.min_by_key(|(_, region)| region.size);
    smallest.map_or(Part::Unnamed, |(place, _)| Part::Region(place))
}

fn row(snapshot: &Snapshot, space: &Space, part: Part, bands: &[Band]) -> Row {
    let start = bands.first().map_or(0, |band| band.start);
    let region = match part {
        Part::Region(place) => snapshot.regions.get(place),
        _ => None,
    };
    let name = match (part, region) {
        (_, Some(region)) => region.name.clone(),
        (Part::Unmapped, _) => "… unmapped …".into(),
        (Part::NonCanonical, _) => "… no valid addresses …".into(),
        (Part::Unread, _) => "… its table could not be read …".into(),
        _ => "(no name)".into(),
    };
    let mut notes = Vec::new();
    if !matches!(part, Part::Unmapped | Part::NonCanonical | Part::Unread) {
        notes.push(state(space, bands));
        notes.extend(region.and_then(about));
    }
    // Where a page of a physical region is mapped says nothing about where the region begins.
    let begins_here = region.is_some_and(|region| match region.space {
        RegionSpace::Virtual => region.start == start,
        RegionSpace::Physical => {
            let phys = bands.first().and_then(|band| band.phys);
            phys.is_some_and(|phys| phys.as_u64() == region.start)
        }
    });
    Row {
        name,
        notes,
        start,
        is_placed: begins_here && region.is_some_and(is_placed),
    }
}

/// Who may do what in these bands, and how they are mapped.
fn state(space: &Space, bands: &[Band]) -> String {
    let mapped: Vec<&Band> = bands.iter().filter(|band| band.flags.is_some()).collect();
    if mapped.is_empty() {
        return "not mapped".into();
    }
    let flags: BTreeSet<LeafFlags> = mapped.iter().filter_map(|band| band.flags).collect();
    let rights = rights(&flags);
    let sizes: BTreeSet<u64> = mapped
        .iter()
        .flat_map(|band| leaves(space, band))
        .map(|mapping| mapping.page_size)
        .collect();
    let sizes: Vec<String> = sizes.into_iter().map(size_text).collect();
    let how = if mapped.len() == bands.len() {
        "mapped"
    } else {
        "partly mapped"
    };
    format!("{}  {how}, {} pages", rights, sizes.join(" and "))
}

/// Who may do what: `kernel r-- and rw-  user ---  global`.
fn rights(all: &BTreeSet<LeafFlags>) -> String {
    let letters = |of_user: bool| -> BTreeSet<String> {
        all.iter()
            .filter(|flags| flags.contains(LeafFlags::USER) == of_user)
            .map(|flags| flags.to_string().chars().take(3).collect())
            .collect()
    };
    let words = |letters: BTreeSet<String>| letters.into_iter().collect::<Vec<_>>().join(" and ");
    let (kernel, user) = (letters(false), letters(true));
    let is_global = |flags: &LeafFlags| flags.contains(LeafFlags::GLOBAL);
    let global = match (all.iter().all(is_global), all.iter().any(is_global)) {
        (true, _) => "  global",
        (false, true) => "  partly global",
        (false, false) => "",
    };
    match (kernel.is_empty(), user.is_empty()) {
        (_, true) => format!("kernel {}  user ---{global}", words(kernel)),
        (true, false) => format!("kernel SUM  user {}{global}", words(user)),
        (false, false) => format!(
            "kernel {}, SUM  user {}{global}",
            words(kernel),
            words(user)
        ),
    }
}

/// The mappings that a band shows.
fn leaves(space: &Space, band: &Band) -> impl Iterator<Item = MappedRange> {
    let (first, last) = (band.start, band.last());
    let from = space.mappings.ranges_from(VirtAddr::new(first));
    from.skip_while(move |mapping| {
        let size = mapping.size.saturating_sub(1);
        mapping.virt.as_u64().saturating_add(size) < first
    })
    .take_while(move |mapping| mapping.virt.as_u64() <= last)
}
