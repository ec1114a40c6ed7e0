//! What the palette offers: all actions, and the places that have a name.

use pagescope_protocol::snapshot::RegionSpace;
use pagescope_protocol::{Level, PhysPage, VirtAddr};

use crate::model::expression::{describe, evaluate};
use crate::model::{Selection, size_text};
use crate::views::actions;
use crate::views::command::{Tab, UiCommand};
use crate::views::state::State;

/// Most places of one sort that are looked through for a text: a recording has 10,000 steps.
const MOST_MOMENTS: usize = 1 << 16;
/// Most symbols that are offered for a text.
const MOST_SYMBOLS: usize = 200;

/// Something that can be chosen.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) title: String,
    pub(super) about: String,
    pub(super) group: &'static str,
    pub(super) keys: String,
    pub(super) why_not: Option<String>,
    pub(super) command: UiCommand,
}

impl Entry {
    fn new(group: &'static str, title: String, about: String, command: UiCommand) -> Self {
        Self {
            title,
            about,
            group,
            keys: String::new(),
            why_not: None,
            command,
        }
    }
}

/// Everything that can be done.
pub(super) fn entries(state: &State) -> Vec<Entry> {
    let actions = actions::all().map(|action| Entry {
        title: action.title(state).into_owned(),
        about: action.about.to_owned(),
        group: action.group.name(),
        keys: action.keys_text(),
        why_not: (action.why_not)(state),
        command: (action.command)(state),
    });
    // The palette is open already.
    let is_other = |entry: &Entry| {
        entry.command != UiCommand::Desk(crate::views::command::DeskCommand::TogglePalette)
    };
    let mut entries: Vec<Entry> = actions.filter(is_other).collect();
    let Some(snapshot) = state.snapshot() else {
        return entries;
    };
    for tab in Tab::ALL {
        entries.push(Entry::new(
            "Panel",
            format!("Show {}", tab.name()),
            String::new(),
            UiCommand::ShowTab(tab),
        ));
    }
    for space in &snapshot.spaces {
        entries.push(Entry::new(
            "Space",
            format!("Look at space {}", space.name),
            format!("{}, root {}", space.mode, space.root),
            UiCommand::ChooseSpace(space.name.clone()),
        ));
    }
    for hart in &snapshot.harts {
        let at = hart.pc.map_or_else(String::new, |pc| format!("pc {pc}"));
        entries.push(Entry::new(
            "Hart",
            format!("Look at hart {}", hart.id),
            at,
            UiCommand::ChooseHart(hart.id),
        ));
    }
    entries
}

/// The places whose names have something of `query` in them: steps, bookmarks, notes, regions, devices, symbols.
pub(super) fn places(query: &str, state: &State, tables: &[(Level, PhysPage)]) -> Vec<Entry> {
    let Some(scope) = state.scope(tables) else {
        return Vec::new();
    };
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let fits = |name: &str| {
        let name = name.to_lowercase();
        words.iter().all(|word| name.contains(word.as_str()))
    };
    let mut entries = Vec::new();
    let moments = state.history.moments().iter().enumerate();
    for (place, moment) in moments.take(MOST_MOMENTS) {
        let title = format!("Go to step {place}: {}", moment.snapshot.stop);
        if fits(&title) {
            let command = UiCommand::Seek(place);
            entries.push(Entry::new("Step", title, String::new(), command));
        }
    }
    entries.extend(written(state).filter(|entry| fits(&entry.title)));
    let goes = |name: &str, about: String, group| {
        let selection = evaluate(&format!("\"{name}\""), &scope).ok()?.selection();
        let title = format!("Go to {name}");
        (selection != Selection::Nothing)
            .then(|| Entry::new(group, title, about, UiCommand::Select(selection)))
    };
    for region in scope.snapshot.regions.iter() {
        if fits(&region.name) {
            let which = match region.space {
                RegionSpace::Virtual => "",
                RegionSpace::Physical => "p:",
            };
            let about = format!("{which}{:#x}, {}", region.start, size_text(region.size));
            entries.extend(goes(&region.name, about, "Region"));
        }
    }
    for device in scope.snapshot.physical.iter() {
        if fits(&device.name) {
            let about = format!("p:{}, {}", device.start, size_text(device.size));
            entries.extend(goes(&device.name, about, "Memory"));
        }
    }
    let symbols = scope.symbols_here().filter(|symbol| fits(&symbol.name));
    for symbol in symbols.take(MOST_SYMBOLS) {
        let at = Selection::Virtual(VirtAddr::new(symbol.address));
        entries.push(Entry::new(
            "Symbol",
            format!("Go to {}", symbol.name),
            format!("{:#x}", symbol.address),
            UiCommand::Select(at),
        ));
    }
    entries
}

/// What somebody has written beside moments: bookmarks and notes.
fn written(state: &State) -> impl Iterator<Item = Entry> {
    let history = &state.history;
    let pages = history.notebook().pages();
    let bookmarks = pages.bookmarks.iter().filter_map(|(id, name)| {
        let place = history.place_of(*id)?;
        let (title, about) = match name.trim() {
            "" => (format!("Go to bookmark at step {place}"), String::new()),
            name => (format!("Go to bookmark {name}"), format!("step {place}")),
        };
        let command = UiCommand::Seek(place);
        Some(Entry::new("Bookmark", title, about, command))
    });
    let notes = pages.notes.iter().filter_map(|(id, note)| {
        let place = history.place_of(*id)?;
        let mut lines = note.trim().lines();
        let title = format!("Go to step {place}: note {}", lines.next()?);
        let more = lines.next().unwrap_or_default().to_owned();
        Some(Entry::new("Note", title, more, UiCommand::Seek(place)))
    });
    bookmarks.chain(notes)
}

/// What was typed as an address, if it is one.
pub(super) fn expression(
    query: &str,
    state: &State,
    tables: &[(Level, PhysPage)],
) -> Option<Entry> {
    let scope = state.scope(tables)?;
    let value = evaluate(query, &scope).ok()?;
    let meaning = describe(&value, &scope);
    Some(Entry::new(
        "Address",
        format!("Go to {}", meaning.value),
        meaning.words,
        UiCommand::GoTo(query.trim().to_owned()),
    ))
}
