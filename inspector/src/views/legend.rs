//! What the colours mean, with a letter for each: for those who do not see the colours, and for
//! projectors that do not show them. A click on an entry draws it alone bright, and says so.

use egui::{Align, Color32, CornerRadius, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::command::{LookCommand, UiCommand};
use super::paint;
use super::scene::Scene;
use super::theme::{self, Palette};
use crate::model::{BandKind, Sign};
use pagescope_protocol::Level;

const ROW: f32 = 18.0;
const SQUARE: f32 = 19.0;
const GAP: f32 = 10.0;

fn color(sign: Sign, palette: &Palette) -> Color32 {
    match sign {
        Sign::Code => palette.code,
        Sign::ReadOnly => palette.read_only,
        Sign::Data => palette.data,
        Sign::Stack => palette.stack,
        Sign::Device => palette.device,
        Sign::Table(level) => palette.level(level),
        Sign::Window => theme::mix(palette.level(Level::L1), palette.background, 0.35),
        Sign::Machine => palette.machine,
        Sign::Shared => theme::mix(palette.data, palette.background, 0.4),
        Sign::Fresh => palette.fresh,
        Sign::WriteExecute => palette.band(BandKind::WriteExecute),
        Sign::Forbidden | Sign::Unsure | Sign::Unread | Sign::Stale => palette.raised,
    }
}

/// What there is to explain, and that the picture is old where it is.
fn signs(scene: &Scene<'_>) -> Vec<Sign> {
    let mut signs = scene.derived.signs.clone();
    signs.extend(scene.state.is_behind().then_some(Sign::Stale));
    signs
}

/// Where the meaning of a sign is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Words {
    /// Beside its letter.
    Beside,
    /// When the mouse rests on its letter: where there is no room.
    OnHover,
}

/// Where each entry stands: how far from the left, and in which row; and how many rows there are.
fn places(ui: &Ui, width: f32, words: Words, scene: &Scene<'_>) -> (Vec<(f32, usize, f32)>, usize) {
    let font = theme::words(theme::SMALL);
    let (mut x, mut row) = (0.0, 0);
    let places = signs(scene)
        .iter()
        .map(|sign| {
            let wide = match words {
                Words::Beside => SQUARE + paint::width(ui.painter(), sign.name(), font.clone()),
                Words::OnHover => 13.0,
            };
            if x > 0.0 && x + wide > width {
                x = 0.0;
                row += 1;
            }
            let place = (x, row, wide);
            x += wide + GAP;
            place
        })
        .collect();
    (places, row + 1)
}

/// The height that the legend takes in `width`.
pub fn height(ui: &Ui, width: f32, words: Words, scene: &Scene<'_>) -> f32 {
    let filter = f32::from(u8::from(scene.state.look.filter.is_some()));
    places(ui, width, words, scene).1 as f32 * ROW + filter * (ROW + 4.0)
}

/// Draws the legend into `rect`.
pub fn show(ui: &mut Ui, rect: Rect, words: Words, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let chosen = scene.state.look.filter;
    let mut entries = rect;
    if let Some(sign) = chosen {
        filter_line(ui, rect.with_max_y(rect.top() + ROW), sign, scene, out);
        entries = rect.with_min_y(rect.top() + ROW + 4.0);
    }
    let (places, _) = places(ui, rect.width(), words, scene);
    for (sign, (x, row, wide)) in signs(scene).iter().zip(places) {
        let top = entries.top() + row as f32 * ROW;
        let place = Rect::from_min_size(pos2(rect.left() + x, top), vec2(wide, ROW));
        let id = ui.scope_id().with(("legend", sign.name()));
        let response = ui.interact(place, id, Sense::click());
        let is_chosen = chosen == Some(*sign);
        let is_off = chosen.is_some() && !is_chosen;
        let painter = ui.painter();
        if response.hovered() || is_chosen || response.has_focus() {
            let edge = if is_chosen {
                palette.selection
            } else {
                palette.edge
            };
            painter.rect(
                place.expand2(vec2(3.0, -1.0)),
                CornerRadius::same(4),
                palette.raised,
                Stroke::new(1.0, edge),
                StrokeKind::Inside,
            );
        }
        let center = pos2(place.left() + 6.5, place.center().y);
        let fill = match is_off {
            true => theme::mix(color(*sign, palette), palette.panel, 0.7),
            false => color(*sign, palette),
        };
        paint::letter_square(painter, center, sign.letter(), fill, palette);
        let hatched = match sign {
            Sign::Forbidden => Some((palette.danger, 5.0)),
            Sign::Unsure => Some((palette.danger.gamma_multiply(0.7), 5.0)),
            Sign::Unread => Some((palette.dim, 5.0)),
            Sign::Stale => Some((palette.edge, 8.0)),
            _ => None,
        };
        if let Some((ink, spacing)) = hatched {
            let square = Rect::from_center_size(center, vec2(13.0, 13.0));
            paint::hatch(painter, square, ink, spacing);
        }
        if words == Words::Beside {
            let text = place.with_min_x(place.left() + SQUARE);
            let font = theme::words(theme::SMALL);
            let ink = if is_chosen { palette.text } else { palette.dim };
            paint::line(painter, text, Align::Min, sign.name(), font, ink);
        }
        response.widget_info(|| {
            let name = format!("Legend: {}", sign.name());
            egui::WidgetInfo::selected(egui::Role::Button, true, is_chosen, name)
        });
        if response.clicked() {
            let filter = (!is_chosen).then_some(*sign);
            out.push(UiCommand::Look(LookCommand::Filter(filter)));
        }
        response.on_hover_ui(|ui| {
            if words == Words::OnHover {
                ui.strong(sign.name());
            }
            ui.label(sign.about());
            ui.label(match is_chosen {
                true => "A click shows everything again.",
                false => "A click draws everything else pale.",
            });
        });
    }
}

/// Says what alone is bright, with the way back.
fn filter_line(ui: &mut Ui, rect: Rect, sign: Sign, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let mut child = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect)
            .id_salt("filter")
            .layout(egui::Layout::right_to_left(Align::Center)),
    );
    child.spacing_mut().button_padding = vec2(6.0, 1.0);
    child.spacing_mut().interact_size.y = ROW;
    let mut words = rect;
    if !scene.is_picture {
        let small = egui::RichText::new("Show all").size(11.0);
        let button = child.add(egui::Button::new(small));
        button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Show all"));
        if button
            .on_hover_text("Draw everything bright again (Esc)")
            .clicked()
        {
            out.push(UiCommand::Look(LookCommand::Filter(None)));
        }
        words = rect.with_max_x(child.min_rect().left() - 6.0);
    }
    let text = format!("Only {} is bright", sign.name());
    let font = theme::strong(theme::SMALL);
    let response = ui.interact(words, ui.scope_id().with("filter words"), Sense::hover());
    paint::name_canvas(&response, || text.clone());
    paint::line(
        ui.painter(),
        words,
        Align::Min,
        &text,
        font,
        scene.palette.text,
    );
}
