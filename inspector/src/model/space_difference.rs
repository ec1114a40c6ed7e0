//! How two address spaces of one moment differ: where only one of them maps something, or the two map
//! different frames, or with different permissions.
//!
//! ```text
//!  one    ──A──  ──B──  ──C──          alike     A, B to the same frame with the same permissions
//!  other  ──A──  ──B'─         ──D──   differs   B' another frame, C only here, D only there
//! ```
//!
//! Accessed and dirty are not compared: the hardware sets them as a space is used. Neither is the size of
//! the leaves: it does not change what an address means.

use std::collections::BTreeSet;

use pagescope_protocol::snapshot::{RegionSpace, Snapshot, Space};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysAddr};

use super::bands::virtual_partition;
use super::{Band, BandKind, Difference, size_text, virtual_bands};

/// What is left of a page in which a region ends is called.
const REST_OF_PAGE: &str = "rest of the page";

/// Most regions that the summary names.
const MOST_NAMES: usize = 6;

/// How a stretch differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DifferentKind {
    /// Only the first space maps it.
    OnlyOne,
    /// Only the second space maps it.
    OnlyOther,
    /// To different frames.
    Frame,
    /// With different permissions.
    Flags,
    /// Both.
    FrameAndFlags,
}

impl DifferentKind {
    /// Its name in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnlyOne => "only_one",
            Self::OnlyOther => "only_other",
            Self::Frame => "frame",
            Self::Flags => "flags",
            Self::FrameAndFlags => "frame_and_flags",
        }
    }

    /// What is said of it beside what a space has there.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OnlyOne | Self::OnlyOther => "only here",
            Self::Frame => "other frame",
            Self::Flags => "other permissions",
            Self::FrameAndFlags => "other frame, other permissions",
        }
    }

    /// A sign that tells them apart without colour, beside the first and the second space.
    pub const fn signs(self) -> [&'static str; 2] {
        match self {
            Self::OnlyOne => ["+", "−"],
            Self::OnlyOther => ["−", "+"],
            Self::Frame | Self::Flags | Self::FrameAndFlags => ["≠", "≠"],
        }
    }
}

/// What one space has at a stretch's first address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Side {
    /// Where it leads.
    pub phys: PhysAddr,
    /// What may be done there.
    pub flags: LeafFlags,
}

/// A stretch in which the spaces differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DifferentRange {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// How.
    pub kind: DifferentKind,
    /// What is there, by the kernel's regions or what the frames are; empty where nothing is known.
    pub name: String,
    /// What each space has at its first address; `None` where it maps nothing.
    pub sides: [Option<Side>; 2],
    /// Whether the frames of one of them do not lie beside each other.
    pub is_scattered: bool,
}

/// A stretch in which the spaces are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlikeRange {
    /// First address.
    pub start: u64,
    /// Its last address: its end may be 2^64.
    pub last: u64,
    /// How many of its bytes both map; the others neither does.
    pub mapped: u64,
    /// The regions that neither maps, by name, each once: guards, and what is kept free. At most one more than
    /// are told.
    pub unmapped: Vec<String>,
}

impl AlikeRange {
    /// It in words: what is mapped, and behind it the regions that are not, if any is known.
    pub fn words(&self) -> (String, String) {
        let shown = self.unmapped.len().min(MOST_NAMES);
        let more = if self.unmapped.len() > shown {
            ", …"
        } else {
            ""
        };
        let names = self.unmapped[..shown].join(", ") + more;
        match (self.mapped, names.as_str()) {
            (0, "") => ("alike: neither maps anything".into(), names),
            (0, _) => ("alike: neither maps".into(), names),
            (mapped, _) => {
                let names = match names.as_str() {
                    "" => names,
                    names => format!("neither maps {names}"),
                };
                (
                    format!("alike: {} mapped in both", size_text(mapped)),
                    names,
                )
            }
        }
    }
}

/// A stretch of either sort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ComparisonRow<'a> {
    /// The spaces are alike there.
    Alike(&'a AlikeRange),
    /// They differ.
    Different(&'a DifferentRange),
}

/// Two spaces compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpaceDifference {
    /// The spaces' names.
    pub names: [String; 2],
    /// Where they differ, in address order.
    pub ranges: Vec<DifferentRange>,
    /// Everything else, in address order; two of them have a difference between.
    pub alike: Vec<AlikeRange>,
    /// A space that is not translated through tables, or was not read whole: the answer is not whole either.
    pub unknown: Option<String>,
}

impl SpaceDifference {
    /// Compares two spaces of `snapshot`.
    pub fn between(snapshot: &Snapshot, one: &Space, other: &Space) -> Self {
        let mut difference = Self {
            names: [one.name.clone(), other.name.clone()],
            ranges: Vec::new(),
            alike: Vec::new(),
            unknown: [one, other].into_iter().find_map(unknown),
        };
        if [one, other]
            .iter()
            .any(|space| space.mode.root_level().is_none())
        {
            return difference;
        }
        let maps = [one, other].map(|space| virtual_bands(snapshot, space, &Difference::default()));
        let regions = [one, other].map(|space| virtual_partition(snapshot, space));
        let mapped = maps.iter().flatten().filter(|band| band.flags.is_some());
        let mapped: BTreeSet<usize> = mapped.filter_map(|band| band.region).collect();
        let mut cuts = BTreeSet::new();
        for band in maps.iter().chain(&regions).flatten() {
            cuts.insert(band.start);
            cuts.extend(band.last().checked_add(1));
        }
        let cuts: Vec<u64> = cuts.into_iter().collect();
        for (place, start) in cuts.iter().copied().enumerate() {
            let last = cuts.get(place + 1).map_or(u64::MAX, |next| next - 1);
            let bands = [0, 1].map(|side| band_at(&maps[side], start));
            let name = || {
                // A space that maps something there knows best what it is.
                let mut order = [0, 1];
                order.sort_by_key(|side: &usize| {
                    let band: Option<&Band> = bands[*side];
                    band.is_none_or(|band| band.flags.is_none())
                });
                let region = order.into_iter().find_map(|side| {
                    let band = band_at(&regions[side], start)?;
                    let region = snapshot.regions.get(band.region?)?;
                    (region.space == RegionSpace::Virtual).then(|| region.name.clone())
                });
                let named = bands
                    .into_iter()
                    .flatten()
                    .find(|band| !band.name.is_empty());
                region
                    .or_else(|| (!start.is_multiple_of(PAGE_SIZE)).then(|| REST_OF_PAGE.to_owned()))
                    .or_else(|| Some(named?.name.clone()))
                    .unwrap_or_default()
            };
            // A region that is mapped elsewhere is not one that neither maps.
            let unmapped = bands.into_iter().flatten().find(|band| {
                matches!(band.kind, BandKind::Guard | BandKind::Reserved)
                    && !band.name.is_empty()
                    && !band.region.is_some_and(|region| mapped.contains(&region))
            });
            let unmapped = unmapped.map(|band| band.name.as_str());
            let sides = bands.map(|band| side(band?, start));
            difference.add(start, last, sides, unmapped, name);
        }
        difference
    }

    fn add(
        &mut self,
        start: u64,
        last: u64,
        sides: [Option<Side>; 2],
        unmapped: Option<&str>,
        name: impl FnOnce() -> String,
    ) {
        // From a cut to the one before the next: never all 2^64.
        let size = (last - start).saturating_add(1);
        let Some(kind) = kind(sides) else {
            let mapped = if sides[0].is_some() { size } else { 0 };
            let goes_on = matches!(
                self.alike.last(), Some(before) if before.last.checked_add(1) == Some(start)
            );
            if !goes_on {
                self.alike.push(AlikeRange {
                    start,
                    last,
                    mapped: 0,
                    unmapped: Vec::new(),
                });
            }
            let Some(alike) = self.alike.last_mut() else {
                return;
            };
            alike.last = last;
            alike.mapped = alike.mapped.saturating_add(mapped);
            let is_new = |name: &&str| !alike.unmapped.iter().any(|known| known == name);
            if alike.unmapped.len() <= MOST_NAMES
                && let Some(name) = unmapped.filter(|_| sides[0].is_none()).filter(is_new)
            {
                alike.unmapped.push(name.to_owned());
            }
            return;
        };
        let range = DifferentRange {
            start,
            size,
            kind,
            name: name(),
            sides,
            is_scattered: false,
        };
        match self.ranges.last_mut() {
            Some(before) if before.goes_on(&range) => {
                before.is_scattered |= !before.leads_on(&range);
                before.size += size;
            }
            _ => self.ranges.push(range),
        }
    }

    /// All stretches in address order.
    pub fn rows(&self) -> Vec<ComparisonRow<'_>> {
        let alike = self.alike.iter().map(ComparisonRow::Alike);
        let mut rows: Vec<ComparisonRow<'_>> = alike
            .chain(self.ranges.iter().map(ComparisonRow::Different))
            .collect();
        rows.sort_by_key(|row| match row {
            ComparisonRow::Alike(alike) => alike.start,
            ComparisonRow::Different(range) => range.start,
        });
        rows
    }

    /// The regions in which the two differ, by name, each once; an unnamed stretch by its address.
    pub fn regions(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let ranges = self.ranges.iter();
        let named = ranges.filter(|range| range.name != REST_OF_PAGE);
        let named = named.map(|range| match range.name.as_str() {
            "" => format!("{:#x}", range.start),
            name => name.to_owned(),
        });
        named.filter(|name| seen.insert(name.clone())).collect()
    }

    /// The answer in a sentence: "hart 0 and hart 1 differ in 1 region: cpu struct".
    pub fn summary(&self) -> String {
        let [one, other] = &self.names;
        let regions = self.regions();
        let mut words = match regions.len() {
            0 if self.alike.is_empty() => format!("{one} and {other} cannot be compared"),
            0 => format!("{one} and {other} map the same"),
            count => {
                let what = if count == 1 { "region" } else { "regions" };
                let shown = count.min(MOST_NAMES);
                let more = match count - shown {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let names = regions[..shown].join(", ");
                format!("{one} and {other} differ in {count} {what}: {names}{more}")
            }
        };
        if let Some(unknown) = &self.unknown {
            words.push_str("; ");
            words.push_str(unknown);
        }
        words
    }
}

impl DifferentRange {
    /// Its last address.
    pub const fn last(&self) -> u64 {
        self.start.wrapping_add(self.size.wrapping_sub(1))
    }

    /// How it differs, in words, with the names of the spaces.
    pub fn words(&self, names: &[String; 2]) -> String {
        let [one, other] = names;
        match (self.kind, self.sides) {
            (DifferentKind::OnlyOne, _) => format!("only in {one}"),
            (DifferentKind::OnlyOther, _) => format!("only in {other}"),
            (DifferentKind::Frame, [Some(here), Some(there)]) if self.is_scattered => {
                format!(
                    "other frames: from {} and {} on, scattered",
                    here.phys, there.phys
                )
            }
            (DifferentKind::Frame, [Some(here), Some(there)]) => {
                format!("other frame: {} and {}", here.phys, there.phys)
            }
            (DifferentKind::Flags, [Some(here), Some(there)]) => {
                format!("other permissions: {} and {}", here.flags, there.flags)
            }
            (_, [Some(here), Some(there)]) => format!(
                "other frame and permissions: {} {} and {} {}",
                here.phys, here.flags, there.phys, there.flags
            ),
            _ => String::new(),
        }
    }

    fn goes_on(&self, next: &Self) -> bool {
        let flags = |side: Option<Side>| side.map(|side| side.flags);
        let same_flags = |side: usize| flags(self.sides[side]) == flags(next.sides[side]);
        self.last().checked_add(1) == Some(next.start)
            && self.size.checked_add(next.size).is_some()
            && (self.kind, &self.name) == (next.kind, &next.name)
            && same_flags(0)
            && same_flags(1)
    }

    /// Whether the frames of `next` lie behind these in both spaces.
    fn leads_on(&self, next: &Self) -> bool {
        let sides = self.sides.into_iter().zip(next.sides);
        sides.into_iter().all(|pair| match pair {
            (Some(here), Some(there)) => here.phys.checked_add(self.size) == Some(there.phys),
            _ => true,
        })
    }
}

fn unknown(space: &Space) -> Option<String> {
    if space.mode.root_level().is_none() {
        return Some(format!(
            "{} is not translated (mode {})",
            space.name, space.mode
        ));
    }
    let unread = space.unread_tables().count();
    if unread > 0 {
        return Some(format!(
            "{unread} of the tables of {} could not be read",
            space.name
        ));
    }
    space
        .truncated
        .then(|| format!("a limit cut {} short", space.name))
}

/// The band that `address` lies in.
fn band_at(bands: &[Band], address: u64) -> Option<&Band> {
    let after = bands.partition_point(|band| band.start <= address);
    let band = &bands[after.checked_sub(1)?];
    band.contains(address).then_some(band)
}

/// What a mapped band has at `address`.
fn side(band: &Band, address: u64) -> Option<Side> {
    // What a recursive root shows as pages has no one address: its first page's stands for it.
    let phys = band.phys.unwrap_or_default();
    Some(Side {
        phys: phys.wrapping_add(address - band.start),
        flags: band.flags?,
    })
}

fn kind(sides: [Option<Side>; 2]) -> Option<DifferentKind> {
    match sides {
        [None, None] => None,
        [Some(_), None] => Some(DifferentKind::OnlyOne),
        [None, Some(_)] => Some(DifferentKind::OnlyOther),
        [Some(one), Some(other)] => {
            let set_by_use = LeafFlags::ACCESSED | LeafFlags::DIRTY;
            let same_flags = one.flags | set_by_use == other.flags | set_by_use;
            match (one.phys == other.phys, same_flags) {
                (true, true) => None,
                (false, true) => Some(DifferentKind::Frame),
                (true, false) => Some(DifferentKind::Flags),
                (false, false) => Some(DifferentKind::FrameAndFlags),
            }
        }
    }
}
