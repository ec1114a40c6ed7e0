//! What the views read of the window itself: panels, recent files, the palette of commands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pagescope_protocol::{Level, PhysPage};

use super::State;
use crate::link::local::LocalGuest;
use crate::model::expression::{ExpressionError, Scope, evaluate};
use crate::model::{Selection, Symbols};

/// Texts of the address box that are kept.
const ENTERED: usize = 50;
/// Source lines that are kept.
const LINES: usize = 1024;

/// State of the window itself: panels, recent files, the palette of commands.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeskState {
    /// The names in the guest's ELF.
    pub symbols: Arc<Symbols>,
    /// Whether the palette of commands is open.
    pub has_palette: bool,
    /// What was typed into the address box, the newest last.
    pub entered: Vec<String>,
    /// Files that were open, the newest first.
    pub recent: Vec<PathBuf>,
    /// How large the panels were made.
    pub panels: Panels,
    /// What would be lost, where it is asked whether it may be.
    pub asks_leave: Option<String>,
    /// The guests of this machine that can be attached to; `None` while they are looked for.
    pub guests: Option<Vec<LocalGuest>>,
    lines: BTreeMap<u64, SourceLine>,
}

/// How large the panels were made; `None` where nobody has moved them.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Panels {
    /// The width of the detail pane.
    pub detail: Option<f32>,
    /// The height of what stands under the picture.
    pub bottom: Option<f32>,
}

/// Files that are remembered.
pub const RECENT: usize = 10;

/// Where an address comes from in the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceLine {
    /// Asked for, not here yet.
    Asked,
    /// The debug information tells of none.
    Unknown,
    /// `kalloc.rs:70`.
    Known(String),
}

impl DeskState {
    /// Remembers that this file was open.
    pub fn remember_file(&mut self, path: PathBuf) {
        self.recent.retain(|known| *known != path);
        self.recent.insert(0, path);
        self.recent.truncate(RECENT);
    }

    /// Remembers what was typed into the address box.
    pub fn remember_entered(&mut self, text: &str) {
        let text = text.trim();
        self.entered.retain(|known| known != text);
        if self.entered.len() >= ENTERED {
            self.entered.remove(0);
        }
        self.entered.push(text.to_owned());
    }

    /// The source line of an address, if it was ever asked for.
    pub fn line(&self, address: u64) -> Option<&SourceLine> {
        self.lines.get(&address)
    }

    /// Remembers the source line of an address.
    pub fn remember_line(&mut self, address: u64, line: SourceLine) {
        if self.lines.len() >= LINES && !self.lines.contains_key(&address) {
            self.lines.pop_first();
        }
        self.lines.insert(address, line);
    }

    /// The names are others now, and so are the lines.
    pub fn set_symbols(&mut self, symbols: Arc<Symbols>) {
        self.symbols = symbols;
        self.lines.clear();
    }

    /// Forgets the lines that were asked for and never came.
    pub fn forget_questions(&mut self) {
        self.lines.retain(|_, line| *line != SourceLine::Asked);
    }
}

impl State {
    /// What a text means that somebody typed; `None` where there is no moment to look it up in.
    pub fn looked_up(&self, text: &str) -> Option<Result<Selection, ExpressionError>> {
        let scope = self.scope(&[])?;
        Some(evaluate(text, &scope).map(|value| value.selection()))
    }

    /// What names mean at the moment being looked at; `tables` are those on the way that is selected.
    pub fn scope<'a>(&'a self, tables: &'a [(Level, PhysPage)]) -> Option<Scope<'a>> {
        Some(Scope {
            snapshot: self.snapshot()?,
            space: self.space(),
            hart: self.hart().map_or(self.hart, |hart| hart.id),
            symbols: &self.desk.symbols,
            tables,
        })
    }
}
