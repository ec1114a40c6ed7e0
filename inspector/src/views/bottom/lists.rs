//! What the tabs of lines share: lines of which only those that are seen are made, and words where there are none.

use egui::text::LayoutJob;
use egui::{Color32, Rect, ScrollArea, TextFormat, Ui, UiBuilder, vec2};

use crate::views::scene::Scene;
use crate::views::theme;

/// The height of a line.
pub(super) const LINE: f32 = 16.0;
/// The room at the right that text leaves to the scroll bar.
const SCROLL_BAR: f32 = 12.0;

pub(super) fn child(ui: &mut Ui, rect: Rect, name: &str) -> Ui {
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(name));
    child.set_clip_rect(rect.intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(0.0, 0.0);
    child
}

/// Words in the place of a list that has nothing.
pub(super) fn empty(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, words: &str) {
    let galley = ui.painter().layout(
        words.into(),
        theme::words(theme::BODY),
        scene.palette.dim,
        rect.width(),
    );
    ui.painter().galley(rect.min, galley, scene.palette.dim);
}

/// Lines of text.
pub(super) struct Lines<'a> {
    /// For egui.
    pub(super) name: &'static str,
    /// The lines.
    pub(super) lines: &'a [&'a str],
    /// What is marked in them, in lower case; empty marks nothing.
    pub(super) marked: &'a str,
    /// The line to scroll to.
    pub(super) to: Option<usize>,
    /// Whether the end is kept in sight.
    pub(super) follows: bool,
    /// Which lines, by number, are less than the others, and drawn so.
    pub(super) is_quiet: &'a dyn Fn(usize) -> bool,
}

impl Lines<'_> {
    /// Draws the lines that are seen; what is longer than a line goes on in the next.
    pub(super) fn show(&self, ui: &mut Ui, rect: Rect, scene: &Scene<'_>) {
        let mut child = child(ui, rect, self.name);
        let font = theme::numbers(theme::NUMBERS);
        let advance = ui.ctx().fonts_mut(|fonts| fonts.glyph_width(&font, 'm'));
        let columns = ((rect.width() - SCROLL_BAR) / advance.max(1.0)) as usize;
        let rows = rows(self.lines, columns.max(20));
        let mut area = ScrollArea::vertical()
            .id_salt(self.name)
            .auto_shrink(false)
            .stick_to_bottom(self.follows);
        if let Some(line) = self.to {
            let row = rows.partition_point(|(of, _)| *of < line);
            let offset = row as f32 * LINE - rect.height() / 2.0;
            area = area.vertical_scroll_offset(offset.max(0.0));
        }
        area.show_rows(&mut child, LINE, rows.len(), |ui, range| {
            for (line, text) in &rows[range] {
                let ink = match (self.is_quiet)(*line) {
                    true => scene.palette.dim,
                    false => scene.palette.text,
                };
                let job = marked(text, self.marked, ink, scene);
                ui.add(egui::Label::new(job).extend());
            }
        });
    }
}

/// The lines in pieces of at most `columns` characters, each with the number of its line.
fn rows<'a>(lines: &[&'a str], columns: usize) -> Vec<(usize, &'a str)> {
    let mut rows = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        let mut rest = *line;
        while let Some((end, _)) = rest.char_indices().nth(columns) {
            let (piece, more) = rest.split_at(end);
            rows.push((number, piece));
            rest = more;
        }
        rows.push((number, rest));
    }
    rows
}

/// The line with what is looked for in another colour.
fn marked(line: &str, word: &str, ink: Color32, scene: &Scene<'_>) -> LayoutJob {
    let plain = TextFormat::simple(theme::numbers(theme::NUMBERS), ink);
    let mut job = LayoutJob::default();
    let lower = line.to_lowercase();
    // Lower case of some letters has other lengths; then nothing is marked.
    if word.is_empty() || lower.len() != line.len() {
        job.append(line, 0.0, plain);
        return job;
    }
    let mut mark = plain.clone();
    mark.background = scene.palette.fresh;
    mark.color = scene.palette.ink_on(scene.palette.fresh);
    let mut at = 0;
    for (place, found) in lower.match_indices(word) {
        let end = place + found.len();
        let (Some(before), Some(hit)) = (line.get(at..place), line.get(place..end)) else {
            break;
        };
        job.append(before, 0.0, plain.clone());
        job.append(hit, 0.0, mark.clone());
        at = end;
    }
    job.append(line.get(at..).unwrap_or_default(), 0.0, plain);
    job
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn long_lines_go_on_in_the_next_row_and_nothing_is_lost() {
        let lines = [
            "short",
            "",
            "0123456789",
            "01234567890",
            "äöüß".repeat(6).leak(),
        ];
        let rows = rows(&lines, 10);
        let of = |line: usize| -> Vec<&str> {
            let pieces = rows.iter().filter(|(number, _)| *number == line);
            pieces.map(|(_, text)| *text).collect()
        };
        assert_eq!(of(0), ["short"]);
        assert_eq!(of(1), [""]);
        assert_eq!(of(2), ["0123456789"]);
        assert_eq!(of(3), ["0123456789", "0"]);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(of(number).concat(), *line);
            assert!(of(number).iter().all(|piece| piece.chars().count() <= 10));
        }
    }
}
