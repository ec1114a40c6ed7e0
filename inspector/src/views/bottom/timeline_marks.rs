//! The marks of bookmarks and notes on the timeline.

use egui::{CornerRadius, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};

use super::timeline::Lanes;
use super::timeline_layout::Axis;
use crate::model::History;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;

/// Marks that stand closer than this become one.
const APART: f32 = 9.0;

/// A mark, or as many as share a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    /// The moment; the first of several.
    pub(super) place: usize,
    /// The bookmark's name.
    pub(super) bookmark: Option<String>,
    /// The note's beginning.
    pub(super) note: Option<String>,
    /// How many more there are.
    pub(super) others: usize,
}

/// The marks on the part of the axis that is drawn.
pub(super) fn of(history: &History, axis: &Axis) -> Vec<Mark> {
    let visible = axis.visible();
    let ends = (
        history.id_at(visible.start),
        history.id_at(visible.end.saturating_sub(1)),
    );
    let (Some(first), Some(last)) = ends else {
        return Vec::new();
    };
    let pages = history.notebook().pages();
    let bookmarks = pages.bookmarks.range(first..=last).map(|(id, _)| *id);
    let notes = pages.notes.range(first..=last).map(|(id, _)| *id);
    let mut ids: Vec<_> = bookmarks.chain(notes).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut marks: Vec<Mark> = Vec::new();
    for id in ids {
        let Some(place) = history.place_of(id) else {
            continue;
        };
        if let Some(last) = marks.last_mut()
            && axis.x_of(place) - axis.x_of(last.place) < APART
        {
            last.others += 1;
            continue;
        }
        let note = pages.notes.get(&id);
        marks.push(Mark {
            place,
            bookmark: pages.bookmarks.get(&id).map(|name| name.as_ref().into()),
            note: note.map(|note| note.chars().take(300).collect()),
            others: 0,
        });
    }
    marks
}

impl Mark {
    /// What it says, in a line.
    fn name(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(
            self.bookmark
                .as_ref()
                .map(|name| format!("Bookmark {name}")),
        );
        parts.extend(self.note.is_some().then(|| "Note".to_owned()));
        let others = match self.others {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        format!("{}, step {}{others}", parts.join(" and "), self.place)
    }
}

/// Draws the marks; one that is pressed is gone to.
pub(super) fn show(
    ui: &Ui,
    marks: &[Mark],
    axis: &Axis,
    lanes: &Lanes,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    for mark in marks {
        let center = pos2(axis.x_of(mark.place), lanes.marks);
        let area = Rect::from_center_size(center, vec2(APART + 2.0, 16.0));
        let id = ui.scope_id().with(("mark", mark.place));
        let response = ui.interact(area, id, Sense::click());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, mark.name()));
        let color = match response.hovered() {
            true => palette.text,
            false => palette.accent(),
        };
        let painter = ui.painter();
        if mark.bookmark.is_some() {
            // A flag on its pole.
            let foot = center + vec2(-3.0, 6.0);
            painter.line_segment([foot, foot - vec2(0.0, 13.0)], Stroke::new(1.5, color));
            let top = foot - vec2(0.0, 13.0);
            let flag = vec![top, top + vec2(8.0, 3.5), top + vec2(0.0, 7.0)];
            painter.add(Shape::convex_polygon(flag, color, Stroke::NONE));
        }
        if mark.note.is_some() {
            // A sheet with two lines, beside the pole where there is one.
            let size = vec2(7.0, 8.0);
            let at = match mark.bookmark {
                Some(_) => center + vec2(2.5, 3.0),
                None => center + vec2(0.0, 1.0),
            };
            let sheet = Rect::from_center_size(at, size);
            painter.rect_filled(sheet, CornerRadius::same(1), palette.text);
            for line in [2.5, 5.0] {
                let y = sheet.top() + line;
                let stroke = Stroke::new(1.0, palette.panel);
                painter.hline(sheet.left() + 1.5..=sheet.right() - 1.5, y, stroke);
            }
        }
        if response.clicked() {
            out.push(UiCommand::Seek(mark.place));
        }
        response.on_hover_ui(|ui| {
            ui.strong(mark.name());
            if let Some(note) = &mark.note {
                ui.label(note);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn marks_that_share_a_place_become_one() {
        let mut history = fixture::history(40);
        let ids: Vec<_> = [3, 4, 30]
            .iter()
            .filter_map(|it| history.id_at(*it))
            .collect();
        history.notebook_mut().edit("marks", |pages| {
            pages.bookmarks.insert(ids[0], "new table".into());
            pages.notes.insert(ids[1], "Look here.".into());
            pages.notes.insert(ids[2], "And here.".into());
        });
        let wide = of(&history, &Axis::new(41, None, 0.0, 4000.0));
        assert_eq!(
            wide.iter().map(|it| it.place).collect::<Vec<_>>(),
            [3, 4, 30]
        );
        assert_eq!(wide[0].name(), "Bookmark new table, step 3");
        let narrow = of(&history, &Axis::new(41, None, 0.0, 200.0));
        assert_eq!(narrow.len(), 2);
        assert_eq!(narrow[0].name(), "Bookmark new table, step 3, and 1 more");
    }
}
