//! The whole address range as one strip: where anything is mapped, and which part the virtual map shows. A click or a
//! drag goes there.
//!
//! Addresses are drawn to scale, the lower half above the upper one; the hole between them, which no address lies in, is left
//! out.

use egui::{CornerRadius, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use pagescope_protocol::{TranslationMode, VirtAddr};

use super::paint;
use super::scene::Scene;
use crate::model::frame_cells::telling;
use crate::model::{Band, BandKind, size_text};

/// The strip's width.
pub const WIDTH: f32 = 9.0;

/// The addresses that a mode can translate, as one row without the hole.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Range {
    /// Bytes of the lower part.
    lower: u64,
    /// The first address of the upper part, where there is one.
    upper: Option<u64>,
}

impl Range {
    /// Of `mode`; `None` where nothing is translated.
    pub fn of(mode: TranslationMode) -> Option<Self> {
        let root = mode.root_level()?;
        let whole = mode.table_size(root);
        let half = whole / 2;
        // Where the last address is canonical, the upper half lies at the end of all addresses.
        match mode.is_canonical(VirtAddr::new(u64::MAX)) {
            true => Some(Self {
                lower: half,
                upper: Some(0u64.wrapping_sub(half)),
            }),
            false => Some(Self {
                lower: whole,
                upper: None,
            }),
        }
    }

    /// All bytes.
    pub const fn size(self) -> u64 {
        match self.upper {
            Some(_) => self.lower.saturating_mul(2),
            None => self.lower,
        }
    }

    /// Where `address` lies, from 0 to 1; in the hole, at its edge.
    pub fn part_of(self, address: u64) -> f64 {
        let offset = match self.upper {
            Some(upper) if address >= upper => self.lower + (address - upper),
            _ => address.min(self.lower),
        };
        offset as f64 / self.size() as f64
    }

    /// The address that lies at `part`.
    pub fn address_at(self, part: f64) -> u64 {
        let most = self.size().saturating_sub(4096);
        let offset = ((self.size() as f64 * part.clamp(0.0, 1.0)) as u64).min(most) & !0xfff;
        match (offset.checked_sub(self.lower), self.upper) {
            (Some(rest), Some(upper)) => upper.saturating_add(rest),
            _ => offset,
        }
    }
}

/// The strip's lines, kept as long as they show the same.
#[derive(Debug, Default)]
pub struct Minimap {
    key: Option<(u64, usize)>,
    lines: Vec<Option<BandKind>>,
}

impl Minimap {
    /// Draws the strip into `rect`; the address to go to, where one is wanted.
    pub fn show(
        &mut self,
        ui: &Ui,
        rect: Rect,
        view: Option<(u64, u64)>,
        scene: &Scene<'_>,
    ) -> Option<u64> {
        let range = Range::of(scene.derived.mode())?;
        let height = rect.height().max(1.0) as usize;
        let key = (scene.derived.generation, height);
        if self.key != Some(key) {
            self.key = Some(key);
            self.lines = lines(&scene.derived.virtual_bands, range, height);
        }
        let palette = scene.palette;
        let painter = ui.painter();
        painter.rect_filled(rect, CornerRadius::same(2), palette.empty);
        for (line, kind) in self.lines.iter().enumerate() {
            let Some(kind) = kind else { continue };
            // A page among half a terabyte is a line of two points all the same.
            let top = rect.top() + line as f32;
            let mark = Rect::from_min_size(pos2(rect.left(), top), vec2(rect.width(), 2.0));
            painter.rect_filled(mark.intersect(rect), 0.0, palette.band_fill(*kind));
        }
        if range.upper.is_some() {
            let stroke = Stroke::new(1.0, palette.dim);
            painter.hline(rect.x_range(), rect.center().y.round(), stroke);
        }
        let y_of = |address: u64| rect.top() + (range.part_of(address) as f32) * rect.height();
        if let Some((first, last)) = view {
            let (top, bottom) = (y_of(first), y_of(last));
            let middle = (top + bottom) / 2.0;
            let window = Rect::from_x_y_ranges(
                rect.x_range(),
                top.min(middle - 2.0)..=bottom.max(middle + 2.0),
            );
            let stroke = Stroke::new(1.5, palette.selection);
            let window = window.expand2(vec2(1.5, 1.0));
            painter.rect_stroke(window, CornerRadius::same(2), stroke, StrokeKind::Inside);
        }
        if let Some(virt) = scene.derived.focus.virt {
            let y = y_of(virt.as_u64());
            let tick = Stroke::new(2.0, palette.selection);
            painter.hline(rect.right()..=rect.right() + 3.0, y, tick);
        }
        let id = ui.scope_id().with("minimap");
        let sense = match scene.is_picture {
            true => Sense::hover(),
            false => Sense::click_and_drag(),
        };
        let response = ui.interact(rect.expand2(vec2(2.0, 0.0)), id, sense);
        paint::name_canvas(&response, || {
            format!("Minimap of all {}", size_text(range.size()))
        });
        let part = |y: f32| f64::from((y - rect.top()) / rect.height().max(1.0));
        let pressed = response.is_pointer_button_down_on();
        let wanted = response
            .interact_pointer_pos()
            .filter(|_| pressed)
            .map(|at| range.address_at(part(at.y)));
        if let Some(at) = response.hover_pos() {
            let line = size_text(range.size() / height as u64);
            let address = range.address_at(part(at.y));
            response.on_hover_ui_at_pointer(|ui| {
                ui.label(format!(
                    "All {} of addresses, {line} a line",
                    size_text(range.size())
                ));
                ui.monospace(format!("{address:#x}"));
                if !scene.is_picture {
                    ui.label("Click or drag to go there.");
                }
            });
        }
        wanted
    }
}

/// The most telling kind in each line of the strip.
fn lines(bands: &[Band], range: Range, height: usize) -> Vec<Option<BandKind>> {
    let mut lines: Vec<Option<BandKind>> = vec![None; height];
    let place = |address: u64| {
        let line = (range.part_of(address) * height as f64) as usize;
        line.min(height.saturating_sub(1))
    };
    for band in bands.iter().filter(|band| band.is_something()) {
        for line in &mut lines[place(band.start)..=place(band.last()).max(place(band.start))] {
            if line.is_none_or(|known| telling(band.kind) > telling(known)) {
                *line = Some(band.kind);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Difference, fixture, virtual_bands};

    #[test]
    fn sv39_has_two_halves_of_256_gib_and_nothing_between_them() {
        let range = Range::of(TranslationMode::Sv39).unwrap();
        assert_eq!(range.size(), 512 << 30);
        assert_eq!(range.part_of(0), 0.0);
        assert_eq!(range.part_of(0xffff_ffc0_0000_0000), 0.5);
        assert_eq!(range.address_at(0.5), 0xffff_ffc0_0000_0000);
        assert_eq!(range.address_at(1.0), 0xffff_ffff_ffff_f000);
        assert_eq!(Range::of(TranslationMode::Bare), None);
        let small = Range::of(TranslationMode::Sv32).unwrap();
        assert_eq!(small.size(), 4 << 30);
        assert_eq!(small.address_at(1.0), 0xffff_f000);
    }

    #[test]
    fn a_page_is_seen_among_half_a_terabyte() {
        let snapshot = fixture::pseudos(4);
        let mut bands = virtual_bands(&snapshot, &snapshot.spaces[0], &Difference::default());
        let mut page = bands
            .iter()
            .find(|band| band.is_something())
            .cloned()
            .unwrap();
        (page.start, page.size) = (200 << 30, 4096);
        bands.push(page);
        let range = Range::of(TranslationMode::Sv39).unwrap();
        let lines = lines(&bands, range, 600);
        let marked: Vec<usize> = (0..600).filter(|line| lines[*line].is_some()).collect();
        assert_eq!(marked, [0, 1, 2, 234]);
    }
}
