//! What the window remembers from one time to the next: sizes of panels, theme, scale, the tab, files that were open.
//!
//! A small RON file in the desktop's folder for settings. Whatever stands in it, the window opens: what cannot be read
//! or makes no sense is as on the first day. It is written whole or not at all, on a thread of its own, and only when
//! something has changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use egui::ThemePreference;
use serde::{Deserialize, Serialize};

use super::App;
use crate::export::file::write_atomically;
use crate::views::Tab;
use crate::views::state::{Panels, RECENT};

/// The most bytes that are read.
const MOST_BYTES: u64 = 64 << 10;
/// The most entries of the address box that are remembered.
const ENTERED: usize = 20;
/// How small and how large everything may be drawn.
pub(super) const ZOOM: std::ops::RangeInclusive<f32> = 0.5..=3.0;
/// Panels that are smaller or larger than this are not believed; the window's own limits come on top.
const PANEL: std::ops::RangeInclusive<f32> = 100.0..=4000.0;

/// What is remembered.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Remembered {
    theme: String,
    zoom: Option<f32>,
    tab: String,
    detail: Option<f32>,
    bottom: Option<f32>,
    recent: Vec<PathBuf>,
    entered: Vec<String>,
}

/// Where it is kept, and what was written there last.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    last: Remembered,
    /// The turn of the newest text that was written.
    pen: Arc<Mutex<u64>>,
    turn: u64,
}

impl Memory {
    /// What a job of writing holds while it writes, and its turn.
    fn next_turn(&mut self) -> (Arc<Mutex<u64>>, u64) {
        self.turn += 1;
        (Arc::clone(&self.pen), self.turn)
    }
}

impl Remembered {
    /// What the file says; nothing where it is missing or damaged.
    fn read(path: &Path) -> Self {
        let is_small = std::fs::metadata(path).is_ok_and(|file| file.len() <= MOST_BYTES);
        let text = is_small
            .then(|| std::fs::read_to_string(path).ok())
            .flatten();
        let Some(text) = text else {
            return Self::default();
        };
        let read: Self = ron::from_str(&text)
            .inspect_err(
                |error| tracing::warn!(%error, path = %path.display(), "settings are not read"),
            )
            .unwrap_or_default();
        read.checked()
    }

    /// Without what makes no sense.
    fn checked(mut self) -> Self {
        let panel = |size: Option<f32>| size.filter(|size| PANEL.contains(size));
        self.zoom = self.zoom.filter(|zoom| ZOOM.contains(zoom));
        self.detail = panel(self.detail);
        self.bottom = panel(self.bottom);
        self.recent.truncate(RECENT);
        self.entered.truncate(ENTERED);
        self.entered
            .retain(|text| text.len() <= crate::model::expression::MAX_TEXT);
        self
    }
}

const THEMES: [(&str, ThemePreference); 3] = [
    ("system", ThemePreference::System),
    ("dark", ThemePreference::Dark),
    ("light", ThemePreference::Light),
];

impl App {
    /// Remembers in this file from now on, and takes up what it says.
    pub fn remember_in(&mut self, path: PathBuf) {
        let read = Remembered::read(&path);
        let desk = &mut self.state.desk;
        desk.panels = Panels {
            detail: read.detail,
            bottom: read.bottom,
        };
        for file in read.recent.iter().rev() {
            desk.remember_file(file.clone());
        }
        desk.entered.clone_from(&read.entered);
        let mut tabs = Tab::ALL.into_iter();
        if let Some(tab) = tabs.find(|tab| tab.name() == read.tab) {
            self.state.tab = tab;
        }
        let theme = THEMES.iter().find(|(name, _)| *name == read.theme);
        let (zoom, theme) = (read.zoom, theme.map(|(_, theme)| *theme));
        self.on_create(move |ctx| {
            if let Some(theme) = theme {
                ctx.set_theme(theme);
            }
            if let Some(zoom) = zoom {
                ctx.set_zoom_factor(zoom);
            }
        });
        self.memory = Some(Memory {
            path,
            last: read,
            pen: Arc::default(),
            turn: 0,
        });
    }

    /// Writes what has changed, once nothing is being dragged any more.
    pub(super) fn remember(&mut self, ctx: &egui::Context) {
        if self.settles > 0 {
            self.settles -= 1;
            ctx.request_repaint();
            return;
        }
        let Some(memory) = &self.memory else { return };
        if ctx.input(|input| input.pointer.any_down()) {
            return;
        }
        let now = self.to_remember(ctx);
        if now == memory.last {
            return;
        }
        if let Ok(text) = ron::ser::to_string_pretty(&now, ron::ser::PrettyConfig::default()) {
            let Some(memory) = &mut self.memory else {
                return;
            };
            let path = memory.path.clone();
            let (pen, turn) = memory.next_turn();
            self.files.run_quietly(move || {
                // Each has a thread of its own; an older one that is late writes nothing.
                let mut written = pen.lock().unwrap_or_else(PoisonError::into_inner);
                if *written > turn {
                    return;
                }
                *written = turn;
                if let Some(folder) = path.parent()
                    && let Err(error) = std::fs::create_dir_all(folder)
                {
                    tracing::warn!(%error, "settings are not kept");
                    return;
                }
                if let Err(error) = write_atomically(&path, text.as_bytes()) {
                    tracing::warn!(%error, "settings are not kept");
                }
            });
        }
        if let Some(memory) = &mut self.memory {
            memory.last = now;
        }
    }

    fn to_remember(&self, ctx: &egui::Context) -> Remembered {
        // A lecture has its own theme and scale, and gives them back: closing the window in it is leaving it.
        let (chosen, zoom) = match &self.state.lecture.show {
            Some(show) => (show.before.theme, show.before.zoom),
            None => (
                ctx.options(|options| options.theme_preference),
                ctx.zoom_factor(),
            ),
        };
        let theme = THEMES.iter().find(|(_, theme)| *theme == chosen);
        let desk = &self.state.desk;
        let entered = desk.entered.len().saturating_sub(ENTERED);
        Remembered {
            theme: theme.map_or_else(String::new, |(name, _)| (*name).to_owned()),
            zoom: ((zoom - 1.0).abs() > 0.01).then_some(zoom),
            tab: self.state.tab.name().to_owned(),
            detail: desk.panels.detail,
            bottom: desk.panels.bottom,
            recent: desk.recent.clone(),
            entered: desk.entered[entered..].to_vec(),
        }
    }
}

/// Where this desktop keeps a program's settings; `None` where it says nothing about that.
pub fn settings_file() -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = if cfg!(target_os = "macos") {
        folder("HOME")?.join("Library/Application Support")
    } else if cfg!(windows) {
        folder("APPDATA")?
    } else {
        folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?
    };
    Some(base.join("pagescope").join("window.ron"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_as_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("window.ron");
        assert_eq!(Remembered::read(&path), Remembered::default());
        for text in [
            "",
            "(",
            "(zoom: Some(\"x\"))",
            "[1, 2]",
            "\u{0}",
            "(theme: 5)",
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Remembered::read(&path), Remembered::default(), "{text:?}");
        }
        std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
        assert_eq!(Remembered::read(&path), Remembered::default());
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(Remembered::read(&path), Remembered::default());
    }

    #[test]
    fn what_makes_no_sense_is_left_out_and_the_rest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("window.ron");
        let text =
            "(zoom: Some(NaN), detail: Some(-5), bottom: Some(300), tab: \"Regions\", newer: 3)";
        std::fs::write(&path, text).unwrap();
        let read = Remembered::read(&path);
        assert_eq!(
            (read.zoom, read.detail, read.bottom),
            (None, None, Some(300.0))
        );
        assert_eq!(read.tab, "Regions");
    }
}
