//! The named stretches of memory, to be sorted, filtered, and pressed: each is selected where it counts.

use egui::{Rect, RichText, Ui};
use pagescope_protocol::snapshot::{RegionSpace, Snapshot};

use super::rows::{Column, List, Row, as_text, filter_line};
use crate::model::region_rows::{Mapped, RegionRow};
use crate::model::{Selection, Stretch, size_text};
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// What the rows are sorted by: the columns, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum By {
    Name,
    Kind,
    Place,
    #[default]
    Start,
    Size,
    Mapped,
    Tag,
    Description,
}

const COLUMNS: [(By, &str); 8] = [
    (By::Name, "Name"),
    (By::Kind, "Kind"),
    (By::Place, "Counts in"),
    (By::Start, "Start"),
    (By::Size, "Size"),
    (By::Mapped, "Mapped"),
    (By::Tag, "Tag"),
    (By::Description, "What for"),
];

/// What the list keeps from frame to frame.
#[derive(Default)]
pub(super) struct Regions {
    filter: String,
    by: By,
    is_downwards: bool,
}

impl Regions {
    /// Draws the list into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let Some(snapshot) = scene.state.snapshot() else {
            return empty(ui, rect, scene, "Nothing is open.");
        };
        if snapshot.regions.is_empty() {
            let words = "No region has a name here. A kernel of ours publishes its regions; of any other, \
                         the sections of its ELF are listed: attach with --elf FILE.";
            return empty(ui, rect, scene, words);
        }
        let mut rows = scene.derived.region_rows(snapshot);
        let all = rows.len();
        let has_tags = rows.iter().any(|row| !row.region.tag.is_empty());
        rows.retain(|row| row.matches(&self.filter));
        self.sort(&mut rows);
        let changing = snapshot.kernel.as_ref().map_or(0, |kernel| kernel.changing);
        let note = match (rows.len(), changing) {
            (0, _) => format!("none of {all} regions has these words"),
            (_, 1..) => "the kernel was changing these at this moment".into(),
            (shown, _) if shown == all => format!("{all} regions"),
            (shown, _) => format!("{shown} of {all} regions"),
        };
        let (copies, rest) = filter_line(ui, rect, "regions", &mut self.filter, &note, scene);
        if copies {
            ui.copy_text(as_text(rows.iter().map(words)));
        }
        let columns = columns(rest.width(), has_tags);
        let list = List {
            name: "regions",
            columns: &columns,
            count: rows.len(),
            sorted: Some((self.by as usize, self.is_downwards)),
        };
        let selected = selected(scene);
        let row = |index: usize| {
            let row: &RegionRow<'_> = &rows[index];
            Row {
                words: words(row),
                is_dim: row.mapped == Mapped::No,
                is_selected: selected(row),
            }
        };
        let hover = |index: usize, ui: &mut Ui| hover(&rows[index], ui);
        let copy = |index: usize| {
            vec![
                ("Copy address", format!("{:#x}", rows[index].region.start)),
                ("Copy name", rows[index].region.name.clone()),
                ("Copy row", words(&rows[index]).join("\t")),
            ]
        };
        let done = list.show(ui, rest, scene, row, hover, copy);
        if let Some((by, _)) = done.title.and_then(|place| COLUMNS.get(place)) {
            self.is_downwards = self.by == *by && !self.is_downwards;
            self.by = *by;
        }
        if let Some(row) = done.hovered.and_then(|index| rows.get(index)) {
            scene.point(whole(row));
        }
        if let Some(row) = done.row.and_then(|index| rows.get(index)) {
            select(snapshot, row, out);
        }
    }

    fn sort(&self, rows: &mut [RegionRow<'_>]) {
        let key = |row: &RegionRow<'_>| {
            let region = row.region;
            match self.by {
                By::Name => (0, region.name.to_lowercase()),
                By::Kind => (0, region.kind.name().into()),
                By::Place => (0, row.place_words().to_lowercase()),
                By::Start => (region.start, String::new()),
                By::Size => (region.size, String::new()),
                By::Mapped => (row.mapped as u64, String::new()),
                By::Tag => (0, region.tag.to_lowercase()),
                By::Description => (0, region.description.to_lowercase()),
            }
        };
        rows.sort_by_cached_key(|row| (key(row), row.region.start, row.place));
        if self.is_downwards {
            rows.reverse();
        }
    }
}

/// The columns: a tag's only where a region has one.
fn columns(width: f32, has_tags: bool) -> [Column; 8] {
    // Names get what is left of a narrow place, words about them what is left of a wide one.
    let name = (width * 0.17).clamp(84.0, 190.0);
    let tag = if has_tags { 84.0 } else { 0.0 };
    let widths = [name, 94.0, 104.0, 138.0, 66.0, 62.0, tag, 0.0];
    let mut columns = COLUMNS.map(|(_, title)| Column {
        title,
        width: 0.0,
        is_numbers: false,
    });
    for (column, wide) in columns.iter_mut().zip(widths) {
        column.width = wide;
    }
    columns[By::Start as usize].is_numbers = true;
    columns
}

fn words(row: &RegionRow<'_>) -> Vec<String> {
    let region = row.region;
    vec![
        region.name.clone(),
        region.kind.name().into(),
        row.place_words().into(),
        format!("{:#010x}", region.start),
        size_text(region.size),
        row.mapped.word().into(),
        region.tag.clone(),
        region.description.clone(),
    ]
}

/// Whether a row is what is selected.
fn selected(scene: &Scene<'_>) -> impl Fn(&RegionRow<'_>) -> bool {
    let selection = scene.state.selection;
    let space = scene.state.space().map(|space| space.name.clone());
    move |row| {
        let region = row.region;
        let counts = || space.as_ref().is_some_and(|name| region.counts_in(name));
        match (selection, region.space) {
            (Selection::Range(_), RegionSpace::Virtual) => selection == whole(row) && counts(),
            (Selection::Range(_), RegionSpace::Physical) => selection == whole(row),
            (Selection::Virtual(at), RegionSpace::Virtual) => {
                at.as_u64() == region.start && counts()
            }
            (Selection::Physical(at), RegionSpace::Physical) => at.as_u64() == region.start,
            _ => false,
        }
    }
}

/// Selects a region, in the space in which it counts.
fn select(snapshot: &Snapshot, row: &RegionRow<'_>, out: &mut Vec<UiCommand>) {
    let region = row.region;
    if region.space == RegionSpace::Virtual {
        let owner = region.owner.as_deref();
        if let Some(owner) = owner.and_then(|name| snapshot.space_named(name)) {
            out.push(UiCommand::ChooseSpace(owner.name.clone()));
        }
    }
    out.push(UiCommand::Select(whole(row)));
}

/// All of a region: every view marks it.
fn whole(row: &RegionRow<'_>) -> Selection {
    Selection::Range(Stretch {
        space: row.region.space,
        start: row.region.start,
        size: row.region.size.max(1),
    })
}

fn hover(row: &RegionRow<'_>, ui: &mut Ui) {
    let region = row.region;
    ui.label(RichText::new(&region.name).strong());
    if !region.description.is_empty() {
        ui.label(&region.description);
    }
    let last = region.last().unwrap_or(u64::MAX);
    ui.monospace(format!("{:#x} – {last:#x}", region.start));
    let place = match region.space {
        RegionSpace::Physical => "physical addresses".to_owned(),
        RegionSpace::Virtual => match &region.owner {
            Some(owner) => format!("virtual addresses of {owner}"),
            None => "virtual addresses of every space".to_owned(),
        },
    };
    ui.label(format!("{}, {place}", size_text(region.size)));
    ui.label(match row.mapped {
        Mapped::No => "not mapped".into(),
        Mapped::Yes => "mapped".into(),
        Mapped::Partly => format!("{} of it mapped", size_text(row.mapped_bytes)),
        Mapped::Unknown => "its space is not known here".to_owned(),
    });
    if !region.tag.is_empty() {
        ui.label(format!("from {}", region.tag));
    }
}

fn empty(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, words: &str) {
    let response = ui.interact(rect, ui.scope_id().with("no regions"), egui::Sense::hover());
    paint::name_canvas(&response, || words.to_owned());
    let font = theme::words(theme::BODY);
    let color = scene.palette.dim;
    let galley = ui.painter().layout(words.into(), font, color, rect.width());
    ui.painter().galley(rect.min, galley, color);
}
