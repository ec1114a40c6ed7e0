//! Ribbons from ranges of virtual addresses to the frames that they lead to, behind the cards of the tables: of the
//! selected range, or of all that is in view. Their number is bounded by the points of the two columns, however many
//! mappings there are.

mod stations;

use std::collections::BTreeMap;

use egui::{Color32, Mesh, Painter, Rect, Shape, pos2};
use pagescope_protocol::snapshot::Space;
use pagescope_protocol::{PAGE_SIZE, VirtAddr};

use super::band_column::ColumnCache;
use super::scene::Scene;
use super::theme;
use crate::model::{Band, BandKind};

use stations::span_of;
pub use stations::{Station, paint as paint_stations, stations};

/// Most mappings of one band that are looked at: evenly spread over it.
const MOST_OF_BAND: usize = 48;
/// Ends within this many points of each other are one.
const STEP: f32 = 4.0;
/// Most ribbons: more of them are a wall.
const MOST: usize = 256;
/// Most bands that are looked at: a column has no more lines.
const MOST_BANDS: usize = 700;
/// Points along a ribbon.
const SEGMENTS: usize = 16;

/// A ribbon: its upper and lower edge at each end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ribbon {
    /// At the virtual column.
    pub from: (f32, f32),
    /// At the physical one.
    pub to: (f32, f32),
    /// What it leads to.
    pub kind: BandKind,
    /// What of guest physical memory it passes through, of a guest's first stage.
    pub station: Option<Station>,
}

impl Ribbon {
    fn take_in(&mut self, other: &Self) {
        self.station = match (self.station, other.station) {
            (Some(one), Some(two)) => Some(Station {
                first: one.first.min(two.first),
                last: one.last.max(two.last),
            }),
            (one, two) => one.or(two),
        };
        let wider = |one: (f32, f32), two: (f32, f32)| (one.0.min(two.0), one.1.max(two.1));
        self.from = wider(self.from, other.from);
        self.to = wider(self.to, other.to);
    }
}

/// The two columns that ribbons hang between.
pub struct Ends<'a> {
    /// Virtual addresses.
    pub virt: &'a ColumnCache,
    /// Physical memory.
    pub phys: &'a ColumnCache,
}

/// The ribbons of what is in view.
pub fn ribbons(ends: &Ends<'_>, scene: &Scene<'_>) -> Vec<Ribbon> {
    let derived = scene.derived;
    let Some(space) = scene.state.space() else {
        return Vec::new();
    };
    let stage = scene
        .state
        .snapshot()
        .and_then(|snapshot| snapshot.guest_stage_of(space));
    let mut found: BTreeMap<(i32, i32), Ribbon> = BTreeMap::new();
    let mut add = |virt: u64, phys: u64, size: u64, kind: BandKind, station: Option<Station>| {
        let rest = size.saturating_sub(1);
        let from = ends
            .virt
            .on_screen(&derived.virtual_bands, virt, virt.saturating_add(rest));
        let to = ends
            .phys
            .on_screen(&derived.physical_bands, phys, phys.saturating_add(rest));
        let (Some(from), Some(to)) = (from, to) else {
            return;
        };
        let key = ((from.0 / STEP) as i32, (to.0 / STEP) as i32);
        let ribbon = Ribbon {
            from,
            to,
            kind,
            station,
        };
        found
            .entry(key)
            .and_modify(|known| known.take_in(&ribbon))
            .or_insert(ribbon);
    };
    let stretches: Vec<(u64, u64)> = match (scene.state.look.shows_all_ribbons, derived.focus.virt)
    {
        (true, _) => match ends.virt.in_view(&derived.virtual_bands) {
            Some(view) => vec![view],
            None => Vec::new(),
        },
        (false, _) if !derived.marks.virt.is_empty() => {
            derived.marks.virt.iter().copied().take(64).collect()
        }
        (false, Some(virt)) => {
            let page = virt.as_u64() & !(PAGE_SIZE - 1);
            vec![(page, page | (PAGE_SIZE - 1))]
        }
        (false, None) => Vec::new(),
    };
    for (start, last) in stretches {
        let bands = &derived.virtual_bands;
        let from = bands.partition_point(|band| band.last() < start);
        let until = bands.partition_point(|band| band.start <= last);
        let in_view = bands.get(from..until.max(from)).unwrap_or(&[]);
        // More bands than lines: of those that share a line one stands for all.
        let stride = in_view.len().div_ceil(MOST_BANDS).max(1);
        for band in in_view
            .iter()
            .step_by(stride)
            .filter(|band| band.is_something())
        {
            let (first, end) = (band.start.max(start), band.last().min(last));
            if scene.is_dimmed(&scene.seen(band)) || first > end {
                continue;
            }
            match band.phys {
                // The band knows what the machine's memory is; its mappings say what the guest takes for that.
                Some(phys) if space.through.is_some() => {
                    let mappings = space.mappings.ranges_from(VirtAddr::new(first));
                    let mappings = mappings.take_while(|one| one.virt.as_u64() <= end);
                    for mapping in mappings.take(MOST_OF_BAND) {
                        let begins = mapping.virt.as_u64();
                        let ends = begins.saturating_add(mapping.size.saturating_sub(1));
                        let (from, to) = (begins.max(first), ends.min(end));
                        let guest = mapping.phys.as_u64().saturating_add(from - begins);
                        let station = Station {
                            first: guest,
                            last: guest.saturating_add(to - from),
                        };
                        let phys = phys.as_u64().saturating_add(from - band.start);
                        add(from, phys, to - from + 1, kind_of(band), Some(station));
                    }
                }
                Some(phys) => {
                    let phys = phys.as_u64().saturating_add(first - band.start);
                    add(first, phys, end - first + 1, kind_of(band), None);
                }
                None => {
                    let pages = (end - first) / PAGE_SIZE + 1;
                    let apart = pages.div_ceil(MOST_OF_BAND as u64) * PAGE_SIZE;
                    let mut at = first;
                    while at <= end {
                        if let Some(mapping) = space.mappings.ranges_from(VirtAddr::new(at)).next()
                        {
                            let offset = at.saturating_sub(mapping.virt.as_u64());
                            let phys = mapping.phys.as_u64().saturating_add(offset);
                            let guest = Station {
                                first: phys,
                                last: phys.saturating_add(PAGE_SIZE - 1),
                            };
                            let through = |stage: &Space| {
                                let found = stage.translate(VirtAddr::new(phys)).mapped()?;
                                Some((found.address.as_u64(), Some(guest)))
                            };
                            let (phys, station) = match space.through.is_some() {
                                false => (phys, None),
                                true => match stage.and_then(through) {
                                    Some(there) => there,
                                    None => (u64::MAX, Some(guest)),
                                },
                            };
                            add(at, phys, PAGE_SIZE, kind_of(band), station);
                        }
                        let Some(next) = at.checked_add(apart) else {
                            break;
                        };
                        at = next;
                    }
                }
            }
        }
    }
    let mut step = 1;
    while found.len() > MOST {
        step *= 2;
        found = coarser(found, step);
    }
    found.into_values().collect()
}

/// The same ribbons, those that begin and end close to each other as one.
fn coarser(found: BTreeMap<(i32, i32), Ribbon>, step: i32) -> BTreeMap<(i32, i32), Ribbon> {
    let mut merged: BTreeMap<(i32, i32), Ribbon> = BTreeMap::new();
    for ((from, to), ribbon) in found {
        merged
            .entry((from / step * step, to / step * step))
            .and_modify(|known| known.take_in(&ribbon))
            .or_insert(ribbon);
    }
    merged
}

fn kind_of(band: &Band) -> BandKind {
    match band.kind {
        BandKind::Free | BandKind::Ram => BandKind::Data,
        kind => kind,
    }
}

/// Paints `ribbons` between the two columns, from `left` to `right`; those of a guest through their stations in
/// `middle`.
pub fn paint(
    painter: &Painter,
    ribbons: &[Ribbon],
    [left, right]: [f32; 2],
    middle: Rect,
    scene: &Scene<'_>,
) {
    let stations = stations(ribbons);
    // Many ribbons over each other stay something to see through.
    let strength = (2.4 / (ribbons.len().max(1) as f32).sqrt()).clamp(0.08, 0.30);
    let mut mesh = Mesh::default();
    for ribbon in ribbons {
        let color = scene.palette.band(ribbon.kind);
        let color = theme::mix(Color32::TRANSPARENT, color, strength);
        match ribbon.station {
            None => add_ribbon(&mut mesh, (ribbon.from, ribbon.to), [left, right], color),
            Some(station) => {
                let y = middle.top()..=middle.bottom();
                let at = span_of(station, &stations, y);
                let x = middle.center().x;
                add_ribbon(&mut mesh, (ribbon.from, at), [left, x], color);
                add_ribbon(&mut mesh, (at, ribbon.to), [x, right], color);
            }
        }
    }
    painter.add(Shape::mesh(mesh));
}

type Edges = (f32, f32);

fn add_ribbon(
    mesh: &mut Mesh,
    (from, to): (Edges, Edges),
    [left, right]: [f32; 2],
    color: Color32,
) {
    let thick = |(top, bottom): (f32, f32)| (top, bottom.max(top + 1.5));
    let (from, to) = (thick(from), thick(to));
    let first = mesh.vertices.len() as u32;
    for step in 0..=SEGMENTS {
        let part = step as f32 / SEGMENTS as f32;
        // Level at both ends, as the line of the selection is.
        let swing = part * part * (3.0 - 2.0 * part);
        let x = left + (right - left) * part;
        mesh.colored_vertex(pos2(x, from.0 + (to.0 - from.0) * swing), color);
        mesh.colored_vertex(pos2(x, from.1 + (to.1 - from.1) * swing), color);
    }
    for step in 0..SEGMENTS as u32 {
        let at = first + step * 2;
        mesh.add_triangle(at, at + 1, at + 2);
        mesh.add_triangle(at + 1, at + 2, at + 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ribbons_close_to_each_other_become_one_and_none_is_lost() {
        let ribbon = |at: i32| Ribbon {
            from: (at as f32 * STEP, at as f32 * STEP + 1.0),
            to: (0.0, 5.0),
            kind: BandKind::Data,
            station: None,
        };
        let many: BTreeMap<_, _> = (0..1000).map(|at| ((at, 0), ribbon(at))).collect();
        let merged = coarser(many, 4);
        assert_eq!(merged.len(), 250);
        assert_eq!(merged[&(0, 0)].from, (0.0, 3.0 * STEP + 1.0));
        assert_eq!(merged[&(996, 0)].from.1, 999.0 * STEP + 1.0);
    }
}
