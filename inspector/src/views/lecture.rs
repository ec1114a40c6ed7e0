//! A lecture as it is shown: the caption in large type under the picture, and nothing else.
//!
//! ```text
//!  ┌ The self-map bootstrap                    kalloc(8) → 0x87ff6000   3 of 8 ┐
//!  │                     virtual      tables      physical                     │
//!  ├───────────────────────────────────────────────────────────────────────────┤
//!  │ The caption: plain text, as large as there is room for.                   │
//!  └───────────────────────────────────────────────────────────────────────────┘
//! ```

use std::sync::Arc;

use egui::{
    Align, Color32, CornerRadius, FontId, Frame, Galley, Layout, Margin, Order, Panel, Rect,
    RichText, ScrollArea, Sense, Ui, pos2, vec2,
};

use super::columns::MARGIN;
use super::command::{LectureCommand, LookCommand, UiCommand};
use super::paint;
use super::scene::Scene;
use super::state::Show;
use super::theme::{self, Palette};

/// The sizes of the caption's letters, the largest that fits is taken.
const SIZES: [f32; 5] = [24.0, 21.0, 18.0, 16.0, 14.0];
/// How much of the window's height the caption may take.
const MOST: f32 = 0.36;
/// What stands around the caption.
const FRAME: egui::Vec2 = vec2(40.0, 16.0);
const HEAD: f32 = 38.0;

/// Draws head and caption; the rest is for the picture.
pub fn show(ui: &mut Ui, show: &Show, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let bar = Frame::NONE
        .fill(palette.panel)
        .inner_margin(Margin::symmetric(MARGIN as i8, 0));
    Panel::top("lecture head")
        .exact_size(HEAD)
        .frame(bar)
        .show(ui, |ui| head(ui, show, scene));
    let text = show.slide().map_or("", |slide| slide.caption.as_ref());
    let width = ui.available_width() - 2.0 * FRAME.x;
    let most = ui.ctx().content_rect().height() * MOST;
    let galley = caption(ui, text, width, most - 2.0 * FRAME.y, palette);
    let height = (galley.size().y + 2.0 * FRAME.y).clamp(84.0, most);
    Panel::bottom("lecture caption")
        .exact_size(height.round())
        .frame(Frame::NONE.fill(palette.panel))
        .show(ui, |ui| foot(ui, &galley, text, scene, out));
}

/// The caption, in the largest letters that let it fit.
fn caption(ui: &Ui, text: &str, width: f32, height: f32, palette: &Palette) -> Arc<Galley> {
    let layout = |size: f32| {
        let font: FontId = theme::words(size);
        ui.painter()
            .layout(text.to_owned(), font, palette.text, width.max(100.0))
    };
    let fits = SIZES.iter().map(|size| layout(*size));
    let mut last = layout(SIZES[SIZES.len() - 1]);
    for galley in fits {
        if galley.size().y <= height {
            last = galley;
            break;
        }
    }
    last
}

fn head(ui: &mut Ui, show: &Show, scene: &Scene<'_>) {
    let palette = scene.palette;
    let state = scene.state;
    let title = match state.history.notebook().pages().title.as_str() {
        "" => state.title.as_str(),
        title => title,
    };
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let words = format!("{} of {}", show.step + 1, show.slides.len());
        let of = ui.label(RichText::new(&words).font(theme::strong(16.0)));
        of.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::Label, true, format!("Step {words}"))
        });
        ui.add_space(16.0);
        if let Some(heap) = state.snapshot().and_then(|snapshot| snapshot.heap) {
            let words = format!("heap counter {}", heap.counter);
            let text = RichText::new(words).font(theme::strong(15.0));
            ui.label(text.color(palette.counter));
            ui.add_space(12.0);
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.label(RichText::new(title).font(theme::strong(18.0)));
            ui.add_space(12.0);
            let stop = state.snapshot().map_or("", |snapshot| &snapshot.stop);
            let text = RichText::new(stop).font(theme::numbers(14.0));
            ui.add(egui::Label::new(text.color(palette.dim)).truncate());
        });
    });
}

/// The caption's band: pressing it goes on.
fn foot(
    ui: &mut Ui,
    galley: &Arc<Galley>,
    text: &str,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let all = ui.max_rect();
    ui.painter()
        .hline(all.x_range(), all.top() + 0.5, (1.0, palette.edge));
    let stripe = Rect::from_min_size(all.min, vec2(7.0, all.height()));
    ui.painter()
        .rect_filled(stripe, CornerRadius::ZERO, palette.accent());
    let id = ui.scope_id().with("caption");
    let response = ui.interact(all, id, Sense::click());
    response.widget_info(|| {
        let name = format!("Caption: {text}");
        egui::WidgetInfo::labeled(egui::Role::Button, true, name)
    });
    let words = "Click, Right or Space: on. Right click, Shift+click or Left: back. Esc: leave.";
    let response = response.on_hover_text(words);
    if response.clicked() || response.secondary_clicked() {
        out.push(turn(ui));
    }
    let inner = all.shrink2(FRAME);
    if galley.size().y <= inner.height() + 1.0 {
        let top = inner.center().y - galley.size().y / 2.0;
        let at = pos2(inner.left(), top.max(inner.top()));
        ui.painter().galley(at, Arc::clone(galley), palette.text);
        return;
    }
    // Longer than any band: it is scrolled.
    let mut child = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(inner)
            .id_salt("long caption"),
    );
    ScrollArea::vertical().show(&mut child, |ui| {
        let (rect, _) = ui.allocate_exact_size(galley.size(), Sense::hover());
        ui.painter()
            .galley(rect.min, Arc::clone(galley), palette.text);
    });
}

/// What a click asks for: on; with Shift or the other button, back.
fn turn(ui: &Ui) -> UiCommand {
    let is_back = ui.input(|input| input.modifiers.shift || input.pointer.secondary_clicked());
    LectureCommand::StepBy(if is_back { -1 } else { 1 }).into()
}

/// A click anywhere on the picture turns the page, unless it was on an entry of the legend. It selects nothing:
/// what is selected is the lecture's to say.
pub fn turn_pages(ui: &Ui, asked: Vec<UiCommand>, out: &mut Vec<UiCommand>) {
    let is_filter =
        |command: &UiCommand| matches!(command, UiCommand::Look(LookCommand::Filter(_)));
    let is_clicked = ui.rect_contains_pointer(ui.max_rect())
        && ui.input(|input| input.pointer.primary_clicked() || input.pointer.secondary_clicked());
    if is_clicked && !asked.iter().any(is_filter) {
        out.push(turn(ui));
    }
    let is_selecting = |command: &UiCommand| {
        matches!(
            command,
            UiCommand::Select(_) | UiCommand::Look(LookCommand::Camera(_))
        )
    };
    out.extend(asked.into_iter().filter(|command| !is_selecting(command)));
}

/// Covers everything.
pub fn blank(ui: &Ui) {
    let layer = egui::LayerId::new(Order::Foreground, egui::Id::unique("blank"));
    let painter = ui.ctx().layer_painter(layer);
    let all = ui.ctx().content_rect();
    painter.rect_filled(all, CornerRadius::ZERO, Color32::BLACK);
    let response = ui.interact(all, ui.scope_id().with("blank"), Sense::hover());
    paint::name_canvas(&response, || "Blank. B shows the step again.".into());
}
