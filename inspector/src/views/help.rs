//! The keys: what each does, by what it is about.

use egui::{Align2, Context, Grid, Key, Modifiers, RichText, ScrollArea, Ui, Window, vec2};

use super::actions::{self, Group, Keys, PRESENTER_KEYS};
use super::command::UiCommand;
use super::theme;

/// Keys that are egui's own.
const OTHER_KEYS: [(&str, &str); 1] = [("Tab, Space", "Go to the next control, press it.")];

/// The width of one column of keys.
const COLUMN: f32 = 470.0;
const GAP: f32 = 28.0;
const KEYS_WIDTH: f32 = 118.0;

/// Shows the keys over the window.
pub fn show(ctx: &Context, out: &mut Vec<UiCommand>) {
    let mut is_open = true;
    let screen = ctx.content_rect().size();
    let has_two = screen.x > 2.0 * COLUMN + GAP + 60.0;
    let column = COLUMN.min(screen.x - 60.0);
    let height = screen.y - 110.0;
    Window::new("Keys")
        .open(&mut is_open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, egui::Vec2::ZERO)
        .show(ctx, |ui| {
            ui.spacing_mut().interact_size.y = 16.0;
            // A window measures itself once: without a least height it would stay as low as an empty one.
            ScrollArea::vertical()
                .max_height(height)
                .min_scrolled_height(height)
                .show(ui, |ui| match has_two {
                    true => {
                        ui.horizontal_top(|ui| {
                            ui.spacing_mut().item_spacing.x = GAP;
                            ui.vertical(|ui| {
                                of_group(ui, Group::Guest, column);
                                of_group(ui, Group::Time, column);
                                presenter(ui, column);
                            });
                            ui.vertical(|ui| {
                                of_group(ui, Group::Look, column);
                                of_group(ui, Group::Lecture, column);
                                of_group(ui, Group::Desk, column);
                            });
                        });
                    }
                    false => {
                        for group in Group::ALL {
                            of_group(ui, group, column);
                        }
                        presenter(ui, column);
                    }
                });
        });
    if !is_open {
        out.push(UiCommand::ToggleHelp);
    }
}

fn of_group(ui: &mut Ui, group: Group, width: f32) {
    let actions = actions::all().filter(|it| it.group == group && !it.keys.is_empty());
    let own = actions.map(|action| (action.keys_text(), action.about));
    let others = OTHER_KEYS.map(|(keys, about)| (keys.to_owned(), about));
    let others = others.into_iter().filter(|_| group == Group::Desk);
    keys(ui, group.name(), width, own.chain(others));
}

fn presenter(ui: &mut Ui, width: f32) {
    let rows = PRESENTER_KEYS.iter().map(|row| {
        let names: Vec<String> = row.keys.iter().map(|key| name_of(*key)).collect();
        (names.join(", "), row.about)
    });
    keys(ui, "While a lecture is shown", width, rows);
}

fn name_of(key: Key) -> String {
    match key {
        Key::Period => "the dot".into(),
        key => Keys::always(Modifiers::NONE, key).text(),
    }
}

fn keys<'a>(ui: &mut Ui, heading: &str, width: f32, rows: impl Iterator<Item = (String, &'a str)>) {
    ui.add_space(6.0);
    ui.label(RichText::new(heading).font(theme::strong(theme::BODY)));
    Grid::new(heading)
        .num_columns(2)
        .spacing([14.0, 4.0])
        .show(ui, |ui| {
            for (keys, about) in rows {
                let wrapped = |ui: &mut Ui, width: f32, text: RichText| {
                    ui.scope(|ui| {
                        ui.set_width(width);
                        ui.add(egui::Label::new(text).wrap());
                    });
                };
                let font = theme::numbers(theme::NUMBERS);
                wrapped(ui, KEYS_WIDTH, RichText::new(keys).font(font));
                wrapped(ui, width - KEYS_WIDTH - 14.0, RichText::new(about));
                ui.end_row();
            }
        });
    ui.allocate_space(vec2(width, 2.0));
}
