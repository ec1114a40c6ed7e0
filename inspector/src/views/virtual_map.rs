//! The virtual map: what the addresses of the space mean, long nothing folded.

use egui::{Rect, RichText, Ui};
use pagescope_protocol::snapshot::RegionSpace;
use pagescope_protocol::{Level, PAGE_SIZE, VirtAddr};

use super::band_column::{BandColumn, BarSide, Clicked, ColumnCache, Label};
use super::camera::MapId;
use super::command::UiCommand;
use super::minimap::{self, Minimap};
use super::paint;
use super::scene::{Anchors, Scene};
use crate::model::{Band, BandKind, Selection, Stretch, size_text};

/// What the virtual map keeps from frame to frame.
#[derive(Debug, Default)]
pub struct VirtualMap {
    /// The column.
    pub column: ColumnCache,
    minimap: Minimap,
}

impl VirtualMap {
    /// Draws the virtual map into `rect`.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        anchors: &mut Anchors,
        out: &mut Vec<UiCommand>,
    ) {
        let title = match scene.derived.mode().is_guest_stage() {
            true => "Guest physical",
            false => "Virtual",
        };
        let about = match (
            scene.derived.is_behind(),
            scene.derived.mode().is_guest_stage(),
        ) {
            (true, _) => "catching up…",
            (false, true) => "what a guest has",
            (false, false) => "what addresses mean",
        };
        let list = paint::column_title(ui, rect, title, scene.remark(about));
        let bands = &scene.derived.virtual_bands;
        if bands.is_empty() {
            let text = if scene.derived.is_behind() {
                "Working out what a quarter of a million mappings and more lead to…"
            } else if scene.state.is_translating() {
                "This space maps nothing."
            } else {
                "Every virtual address is its own physical address."
            };
            let galley = ui.painter().layout(
                text.into(),
                super::theme::words(super::theme::BODY),
                scene.palette.dim,
                list.width() - 12.0,
            );
            ui.painter().galley(list.min, galley, scene.palette.dim);
            return;
        }
        let strip = list.with_max_x(list.left() + minimap::WIDTH);
        let view = self.column.in_view(bands);
        if let Some(address) = self.minimap.show(ui, strip, view, scene) {
            self.column.go_to(bands, address);
        }
        let list = list.with_min_x(strip.right() + 9.0);
        let label = |band: &Band| label(band, scene);
        let page_label = |band: &Band, page: u64| page_label(band, page, scene);
        let hover = |band: &Band, page: u64, ui: &mut Ui| hover(band, page, scene, ui);
        let column = BandColumn {
            map: MapId::Virtual,
            name: match scene.derived.unsettled.len() {
                0 => format!("Virtual map, {} bands", bands.len()),
                moving => format!(
                    "Virtual map, {} bands, {moving} stretches moving",
                    bands.len()
                ),
            },
            bands,
            side: BarSide::Right,
            bar: (rect.width() * 0.34).clamp(48.0, 130.0),
            row_min: 17.0,
            selected: scene.derived.focus.virt.map(VirtAddr::as_u64),
            marked: &scene.derived.marks.virt,
            hovered: scene.derived.hover.virt.map(VirtAddr::as_u64),
            hover_marked: &scene.derived.hover_marks.virt,
            label: &label,
            page_label: &page_label,
            hover: &hover,
        };
        let outcome = column.show(ui, list, scene, &mut self.column);
        anchors.virtual_band = outcome.anchor;
        if let Some(page) = outcome.pointed {
            scene.point(Selection::Virtual(VirtAddr::new(page)));
        }
        match outcome.clicked {
            Some(Clicked::Page(page)) => {
                out.push(UiCommand::Select(Selection::Virtual(VirtAddr::new(page))));
            }
            Some(Clicked::Whole(start, size)) => {
                out.push(UiCommand::Select(Selection::Range(Stretch {
                    space: RegionSpace::Virtual,
                    start,
                    size,
                })));
            }
            None => {}
        }
    }
}

/// What a superpage is: `2 MiB page (L1)`; nothing of a page.
fn superpage(leaf_size: u64, scene: &Scene<'_>) -> Option<String> {
    if leaf_size <= PAGE_SIZE {
        return None;
    }
    let mode = scene.derived.mode();
    let levels = [Level::L1, Level::L2, Level::L3, Level::L4];
    let root = mode.root_level()?;
    let mut levels = levels.into_iter().filter(|level| *level <= root);
    let level = levels.find(|level| mode.entry_size(*level) == leaf_size);
    let size = size_text(leaf_size);
    Some(match level {
        Some(level) => format!("{size} page ({level})"),
        // Svnapot: several entries that say they are one.
        None => format!("{size} page (N)"),
    })
}

/// What a page leads to; of a superpage, what it is and its frames, a line each.
fn page_label(band: &Band, page: u64, scene: &Scene<'_>) -> String {
    if let (Some(superpage), Some(phys)) = (superpage(band.leaf_size, scene), band.phys) {
        // The leaf's frames, all of them: the band may have a part of it.
        let first = phys.wrapping_add(page - band.start).as_u64() & !(band.leaf_size - 1);
        let last = first.saturating_add(band.leaf_size - 1);
        let [first, last] = [first, last].map(|at| at / PAGE_SIZE);
        return format!("{superpage}\nframes {first:#x}–{last:#x}");
    }
    let at = match band.phys {
        Some(phys) => Some(phys.wrapping_add(page - band.start)),
        None => scene.state.space().and_then(|space| {
            let mapped = space.translate(VirtAddr::new(page)).mapped()?;
            Some(mapped.address)
        }),
    };
    at.map_or_else(|| "unmapped".into(), |at| format!("→ {at}"))
}

fn label(band: &Band, scene: &Scene<'_>) -> Label {
    let palette = scene.palette;
    let address = format!("{:#010x}", band.start);
    match band.kind {
        BandKind::Nothing => Label {
            name: format!("{} unmapped", size_text(band.size)),
            short: Some(size_text(band.size)),
            detail: String::new(),
            color: palette.dim,
            is_thing: false,
        },
        BandKind::Unread => Label {
            name: format!("? {} could not be read", size_text(band.size)),
            short: Some("? unreadable".into()),
            detail: String::new(),
            color: palette.text,
            is_thing: false,
        },
        BandKind::NonCanonical => Label {
            name: "non-canonical hole".into(),
            short: Some("no addresses".into()),
            detail: String::new(),
            color: palette.dim,
            is_thing: false,
        },
        BandKind::Guard => Label {
            name: format!("{}, unmapped", name_of(band)),
            short: Some(name_of(band)),
            detail: String::new(),
            color: palette.danger,
            is_thing: false,
        },
        BandKind::Reserved => Label {
            name: format!("{}, unmapped", name_of(band)),
            short: Some(name_of(band)),
            detail: address,
            color: palette.dim,
            is_thing: true,
        },
        _ => Label {
            name: name_of(band),
            short: band.short_name(),
            detail: if band.kind == BandKind::Heap && band.size > PAGE_SIZE {
                band.amount()
            } else {
                address
            },
            color: palette.text,
            is_thing: true,
        },
    }
}

fn name_of(band: &Band) -> String {
    if !band.name.is_empty() {
        return band.name.clone();
    }
    match band.kind {
        BandKind::Guard => "guard".into(),
        _ => size_text(band.size),
    }
}

/// Most windows that are listed over a band.
const MOST_WINDOWS: u64 = 16;

/// Whose the windows in a band of several are.
fn windows(band: &Band, scene: &Scene<'_>, ui: &mut Ui) {
    let pages = band.size / PAGE_SIZE;
    if !matches!(band.kind, BandKind::Table(_)) || pages < 2 {
        return;
    }
    let Some(space) = scene.state.space() else {
        return;
    };
    for page in 0..pages.min(MOST_WINDOWS) {
        let virt = VirtAddr::new(band.start + page * PAGE_SIZE);
        let Some(mapped) = space.translate(virt).mapped() else {
            continue;
        };
        let table = scene.derived.part_of(mapped.address.as_u64());
        let name = table.map_or("", |table| table.name.as_str());
        ui.monospace(format!("{virt} → {name} {}", mapped.address));
    }
    if pages > MOST_WINDOWS {
        ui.label(format!("… and {} more", pages - MOST_WINDOWS));
    }
}

fn hover(band: &Band, page: u64, scene: &Scene<'_>, ui: &mut Ui) {
    let title = match band.kind {
        BandKind::Nothing => "Nothing is mapped here".into(),
        BandKind::NonCanonical => "No address: bits above the translated ones differ".into(),
        BandKind::Unread => "The table of these addresses could not be read".into(),
        BandKind::Guard if band.name.is_empty() => "guard".into(),
        _ => name_of(band),
    };
    ui.label(RichText::new(title).strong());
    super::band_column::about(band, scene, ui);
    match band.kind {
        BandKind::Guard => ui.label("Never mapped: an access faults"),
        BandKind::Reserved => ui.label("Kept for this, and not mapped now"),
        BandKind::Unread => ui.label("Whether anything is mapped here is not known"),
        _ => ui.response(),
    };
    ui.monospace(format!("{:#x} – {:#x}", band.start, band.last()));
    ui.label(match superpage(band.leaf_size, scene) {
        Some(superpage) if band.size < band.leaf_size => {
            format!("{}, a part of a {superpage}", size_text(band.size))
        }
        Some(superpage) => {
            let leaves = super::band_stack::leaves_of(band);
            format!("{}, {leaves} × {superpage}", size_text(band.size))
        }
        None => size_text(band.size),
    });
    match (band.flags, band.phys) {
        (Some(flags), Some(phys)) => {
            ui.monospace(format!("{flags} → {phys}"));
        }
        (Some(flags), None) => {
            ui.monospace(format!("{flags}, frames here and there"));
        }
        (None, _) => {}
    }
    windows(band, scene, ui);
    if super::band_column::is_unsettled(band, scene) {
        ui.label("Hatched: it was moving while it was read, and may be half old and half new.");
    }
    if band.is_something() && band.size > PAGE_SIZE {
        ui.label(format!(
            "A click selects the page at {page:#x}, with Shift all of it; a double click zooms there."
        ));
    }
}
