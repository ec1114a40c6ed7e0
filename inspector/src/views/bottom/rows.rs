//! What the lists of regions and events share: a box to filter by, column titles, rows that are pressed.

use egui::{
    Align, Button, Label, Layout, Rect, Response, RichText, ScrollArea, Sense, TextEdit, Ui,
    UiBuilder, vec2,
};

use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// The height of a row.
pub(super) const ROW: f32 = 18.0;
/// The height of what stands over the rows.
const HEAD: f32 = 24.0;

/// A column of a list.
#[derive(Clone, Copy)]
pub(super) struct Column {
    /// Its title.
    pub(super) title: &'static str,
    /// Its width; the last column gets the rest.
    pub(super) width: f32,
    /// Whether numbers stand in it.
    pub(super) is_numbers: bool,
}

/// What a row shows.
pub(super) struct Row {
    /// A word for each column.
    pub(super) words: Vec<String>,
    /// Whether it is told quietly.
    pub(super) is_dim: bool,
    /// Whether it is what is selected.
    pub(super) is_selected: bool,
}

/// A list in `rect`.
pub(super) struct List<'a> {
    /// For egui, and the accessible name.
    pub(super) name: &'static str,
    /// The columns.
    pub(super) columns: &'a [Column],
    /// How many rows there are.
    pub(super) count: usize,
    /// The place of the column that the rows are sorted by, and whether downwards.
    pub(super) sorted: Option<(usize, bool)>,
}

/// What was done to a list.
#[derive(Default)]
pub(super) struct Done {
    /// The column whose title was pressed.
    pub(super) title: Option<usize>,
    /// The row that was pressed.
    pub(super) row: Option<usize>,
    /// The row that the mouse rests on.
    pub(super) hovered: Option<usize>,
}

/// The box to filter by and a button that copies the list; gives whether that was pressed, and the rest of
/// `rect`.
pub(super) fn filter_line(
    ui: &mut Ui,
    rect: Rect,
    name: &str,
    filter: &mut String,
    words: &str,
    scene: &Scene<'_>,
) -> (bool, Rect) {
    let head = rect.with_max_y(rect.top() + HEAD);
    let mut line = ui.new_child(
        UiBuilder::new()
            .max_rect(head)
            .id_salt((name, "filter"))
            .layout(Layout::left_to_right(Align::Center)),
    );
    line.spacing_mut().item_spacing.x = 8.0;
    let edit = TextEdit::singleline(filter)
        .id_salt((name, "filter box"))
        .desired_width((rect.width() * 0.3).clamp(110.0, 240.0))
        .hint_text("Filter")
        .align(egui::Align2::LEFT_CENTER)
        .margin(vec2(6.0, 2.0));
    let response = line.add(edit);
    let label = format!("Filter {name}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, &label));
    let copy = line.add(Button::new("Copy").small());
    let label = format!("Copy {name}");
    copy.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
    let copy = copy.on_hover_text("The rows that are shown, to the clipboard");
    let text = RichText::new(words)
        .font(theme::words(12.0))
        .color(scene.palette.dim);
    line.add(Label::new(text).truncate());
    (copy.clicked(), rect.with_min_y(head.bottom() + 5.0))
}

impl List<'_> {
    /// Draws the titles and the rows that are seen.
    pub(super) fn show(
        &self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        row: impl Fn(usize) -> Row,
        hover: impl Fn(usize, &mut Ui),
        copy: impl Fn(usize) -> Vec<(&'static str, String)>,
    ) -> Done {
        let mut done = Done::default();
        let head = rect.with_max_y(rect.top() + ROW);
        for (place, cell) in self.cells(head) {
            let column = self.columns[place];
            let id = ui.scope_id().with((self.name, "title", place));
            let is_sorted = self.sorted.is_some();
            let sense = match is_sorted {
                true => Sense::click(),
                false => Sense::hover(),
            };
            let response = ui.interact(cell, id, sense);
            let mark = match self.sorted {
                Some((by, false)) if by == place => " ▲",
                Some((by, true)) if by == place => " ▼",
                _ => "",
            };
            let color = if is_sorted && (response.hovered() || response.has_focus()) {
                scene.palette.text
            } else {
                scene.palette.dim
            };
            let words = format!("{}{mark}", column.title);
            paint::line(
                ui.painter(),
                cell,
                Align::Min,
                &words,
                theme::words(11.0),
                color,
            );
            // A heading that sorts nothing is words alone.
            response.widget_info(|| match is_sorted {
                true => {
                    let name = format!("Sort {} by {}", self.name, column.title);
                    egui::WidgetInfo::labeled(egui::Role::Button, true, name)
                }
                false => egui::WidgetInfo::labeled(egui::Role::Label, true, column.title),
            });
            if response.clicked() {
                done.title = Some(place);
            }
        }
        let list = rect.with_min_y(head.bottom() + 2.0);
        let mut child = ui.new_child(UiBuilder::new().max_rect(list).id_salt(self.name));
        child.set_clip_rect(list.intersect(ui.clip_rect()));
        child.spacing_mut().item_spacing = vec2(0.0, 0.0);
        ScrollArea::vertical()
            .id_salt(self.name)
            .auto_shrink(false)
            .show_rows(&mut child, ROW, self.count, |ui, range| {
                for index in range {
                    let response = self.row(ui, list.width(), &row(index), scene);
                    if response.clicked() {
                        done.row = Some(index);
                    }
                    if response.hovered() {
                        done.hovered = Some(index);
                    }
                    response.context_menu(|ui| {
                        for (name, text) in copy(index) {
                            if ui.button(name).clicked() {
                                ui.copy_text(text);
                                ui.close();
                            }
                        }
                    });
                    response.on_hover_ui(|ui| hover(index, ui));
                }
            });
        done
    }

    fn row(&self, ui: &mut Ui, width: f32, row: &Row, scene: &Scene<'_>) -> Response {
        let palette = scene.palette;
        let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
        if row.is_selected || response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, 3.0, palette.raised);
        }
        for (place, cell) in self.cells(rect) {
            let font = if self.columns[place].is_numbers {
                theme::numbers(11.5)
            } else {
                theme::words(12.0)
            };
            let color = if row.is_dim {
                palette.dim
            } else {
                palette.text
            };
            let word = row.words.get(place).map_or("", String::as_str);
            paint::line(ui.painter(), cell, Align::Min, word, font, color);
        }
        if response.has_focus() {
            let stroke = egui::Stroke::new(1.0, palette.selection);
            let inside = rect.shrink(0.5);
            ui.painter()
                .rect_stroke(inside, 3.0, stroke, egui::StrokeKind::Inside);
        }
        response.widget_info(|| {
            let words: Vec<&str> = row
                .words
                .iter()
                .map(String::as_str)
                .filter(|word| !word.is_empty())
                .collect();
            egui::WidgetInfo::selected(egui::Role::Button, true, row.is_selected, words.join(", "))
        });
        response
    }

    /// The places of a row's cells.
    fn cells(&self, row: Rect) -> impl Iterator<Item = (usize, Rect)> {
        let last = self.columns.len().saturating_sub(1);
        let mut x = row.left() + 4.0;
        self.columns
            .iter()
            .enumerate()
            .filter_map(move |(place, column)| {
                let wide = if place == last {
                    row.right() - x
                } else {
                    column.width - 8.0
                };
                let cell = row.with_min_x(x).with_max_x((x + wide).min(row.right()));
                x += column.width;
                (cell.width() > 8.0).then_some((place, cell))
            })
    }
}

/// Rows as text that a spreadsheet takes: columns apart by tabs.
pub(super) fn as_text(rows: impl Iterator<Item = Vec<String>>) -> String {
    let lines: Vec<String> = rows.map(|words| words.join("\t")).collect();
    lines.join("\n")
}
