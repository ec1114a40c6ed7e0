//! Parts of the window drawn alone, for pictures: the same views, laid out for a slide.

use egui::{Rect, Ui, vec2};

use super::Views;
use super::columns::{Columns, MARGIN};
use super::command::UiCommand;
use super::paint;
use super::scene::{Anchors, Scene};
use super::state::State;
use super::theme;

/// A part of the window that a picture can be made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ViewPart {
    /// The three maps, and the line through them.
    #[default]
    Whole,
    /// What addresses mean.
    Virtual,
    /// How they are translated.
    Tables,
    /// Where bytes live.
    Physical,
    /// All frames, one by one.
    Frames,
    /// What is selected.
    Detail,
    /// What each stop changed.
    Timeline,
}

impl ViewPart {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Whole,
        Self::Virtual,
        Self::Tables,
        Self::Physical,
        Self::Frames,
        Self::Detail,
        Self::Timeline,
    ];

    /// What it is called.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Whole => "Whole picture",
            Self::Virtual => "Virtual map",
            Self::Tables => "Page tables",
            Self::Physical => "Physical map",
            Self::Frames => "Frame grid",
            Self::Detail => "Detail",
            Self::Timeline => "Timeline",
        }
    }
}

impl Views {
    /// Draws one part, for a picture. Whether something of it is still being worked out.
    pub fn show_part(&mut self, ui: &mut Ui, state: &State, part: ViewPart) -> bool {
        // Nobody presses anything in a picture.
        self.with_scene(ui, state, true, |views, ui, scene, out| {
            views.part(ui, scene, part, out);
        });
        self.derived.is_behind()
    }

    fn part(&mut self, ui: &mut Ui, scene: &Scene<'_>, part: ViewPart, out: &mut Vec<UiCommand>) {
        let all = ui.max_rect();
        let inner = all.shrink2(vec2(MARGIN, 12.0));
        let mut anchors = Anchors::default();
        match part {
            ViewPart::Whole => {
                // Nothing beside it takes width.
                let columns = Columns::alone(all.width(), all.height());
                let maps = all.with_max_y(all.bottom() - CAPTION);
                let mut place = ui.new_child(egui::UiBuilder::new().max_rect(maps));
                self.picture(&mut place, &columns, scene, out);
                let line = inner.with_min_y(maps.bottom()).with_max_y(all.bottom());
                caption(ui, line, scene);
            }
            ViewPart::Virtual => {
                let column = centred(inner, 520.0, f32::INFINITY);
                self.virtual_map.show(ui, column, scene, &mut anchors, out);
            }
            ViewPart::Tables => self.page_tables.show(ui, inner, scene, &mut anchors, out),
            ViewPart::Physical => {
                let column = centred(inner, 560.0, f32::INFINITY);
                let maps = &mut self.physical_map;
                maps.show(ui, column, scene, &mut anchors, out);
            }
            ViewPart::Frames => {
                self.physical_map.show_frames(ui, inner, scene, out);
            }
            ViewPart::Detail => {
                let column = centred(inner, 640.0, f32::INFINITY);
                let mut place = ui.new_child(egui::UiBuilder::new().max_rect(column));
                self.detail.show(&mut place, scene, out);
            }
            ViewPart::Timeline => {
                let strip = centred(inner, f32::INFINITY, 320.0);
                let mut place = ui.new_child(egui::UiBuilder::new().max_rect(strip));
                self.bottom.show_timeline(&mut place, scene, out);
            }
        }
    }
}

/// The middle of `rect`, at most this wide and high: a column stays a column on a wide slide.
fn centred(rect: Rect, width: f32, height: f32) -> Rect {
    let size = rect.size().min(vec2(width, height));
    Rect::from_center_size(rect.center(), size)
}

/// The height of the line under a picture.
const CAPTION: f32 = 30.0;

/// Under a picture: which moment it is, and what is selected.
fn caption(ui: &Ui, rect: Rect, scene: &Scene<'_>) {
    let Some(moment) = scene.state.moment() else {
        return;
    };
    let step = scene.state.history.cursor();
    let stop = &moment.snapshot.stop;
    let words = match scene.state.space() {
        Some(space) => format!("Step {step}: {stop} · {} {}", space.name, space.mode),
        None => format!("Step {step}: {stop}"),
    };
    let focus = &scene.derived.focus;
    let selected = match (focus.virt, focus.phys) {
        (Some(virt), Some(phys)) => format!("selected: {virt} → {phys}"),
        (Some(virt), None) => format!("selected: {virt}, not mapped"),
        (None, Some(phys)) => format!("selected: physical {phys}"),
        (None, None) => String::new(),
    };
    let half = rect.center().x;
    let (painter, dim) = (ui.painter(), scene.palette.dim);
    let font = theme::words(theme::BODY);
    let left = rect.with_max_x(half - 8.0);
    paint::line(painter, left, egui::Align::Min, &words, font, dim);
    let right = rect.with_min_x(half + 8.0);
    let font = theme::numbers(theme::NUMBERS);
    paint::line(painter, right, egui::Align::Max, &selected, font, dim);
}
