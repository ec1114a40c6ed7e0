//! The colours, from one place. Each means one thing, and a letter says the same.

use pagescope_protocol::Level;

use super::Theme;
use crate::model::BandKind;

/// One theme's colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) background: &'static str,
    pub(super) panel: &'static str,
    pub(super) edge: &'static str,
    pub(super) text: &'static str,
    pub(super) dim: &'static str,
    /// An empty cell of a table, a frame that is not handed out.
    pub(super) empty: &'static str,
    pub(super) code: &'static str,
    pub(super) read_only: &'static str,
    pub(super) data: &'static str,
    pub(super) device: &'static str,
    pub(super) stack: &'static str,
    pub(super) alarm: &'static str,
    pub(super) fresh: &'static str,
    pub(super) counter: &'static str,
    /// From L0 to L4.
    pub(super) levels: [&'static str; 5],
    /// On a coloured surface.
    pub(super) on_colour: &'static str,
    /// The line of the selection, where it is in no level's colour.
    pub(super) line: &'static str,
}

const LIGHT: Palette = Palette {
    background: "#fbfaf7",
    panel: "#ffffff",
    edge: "#d9d6cd",
    text: "#1c232b",
    dim: "#6c7681",
    empty: "#eceae4",
    code: "#d0861b",
    read_only: "#5c8fc9",
    data: "#4f9c36",
    device: "#b5557f",
    stack: "#2f8f6f",
    alarm: "#d6362a",
    fresh: "#ffd400",
    counter: "#c99700",
    levels: ["#138a80", "#3465d0", "#8d4fc4", "#a04a86", "#6a5acd"],
    on_colour: "#ffffff",
    line: "#e0b400",
};

const DARK: Palette = Palette {
    background: "#0e1318",
    panel: "#141b22",
    edge: "#26323e",
    text: "#dbe4ec",
    dim: "#7b8a99",
    empty: "#1c2630",
    code: "#f2b35d",
    read_only: "#a9c7e8",
    data: "#8fce7a",
    device: "#d58fb0",
    stack: "#6fb7a0",
    alarm: "#ff6b5e",
    fresh: "#fff27a",
    counter: "#ffd166",
    levels: ["#5fd1c9", "#7aa2f7", "#c792ea", "#e08fd0", "#9d8ff0"],
    on_colour: "#10161c",
    line: "#fff27a",
};

/// Every colour is a variable of the page's.
const PAGE: Palette = Palette {
    background: "var(--background)",
    panel: "var(--panel)",
    edge: "var(--edge)",
    text: "var(--text)",
    dim: "var(--dim)",
    empty: "var(--empty)",
    code: "var(--code)",
    read_only: "var(--read-only)",
    data: "var(--data)",
    device: "var(--device)",
    stack: "var(--stack)",
    alarm: "var(--alarm)",
    fresh: "var(--fresh)",
    counter: "var(--counter)",
    levels: [
        "var(--level0)",
        "var(--level1)",
        "var(--level2)",
        "var(--level3)",
        "var(--level4)",
    ],
    on_colour: "var(--on-colour)",
    line: "var(--line)",
};

/// What the variables of a page are in `theme`, as declarations.
pub(super) fn variables(theme: Theme) -> String {
    let of = Palette::of(theme);
    let pairs = PAGE.all().into_iter().zip(of.all());
    let declarations = pairs.map(|(variable, colour)| {
        let name = variable.trim_start_matches("var(").trim_end_matches(')');
        format!("{name}:{colour}")
    });
    declarations.collect::<Vec<_>>().join(";")
}

impl Palette {
    /// Every colour, always in the same order.
    fn all(&self) -> [&'static str; 21] {
        let [level0, level1, level2, level3, level4] = self.levels;
        [
            self.background,
            self.panel,
            self.edge,
            self.text,
            self.dim,
            self.empty,
            self.code,
            self.read_only,
            self.data,
            self.device,
            self.stack,
            self.alarm,
            self.fresh,
            self.counter,
            level0,
            level1,
            level2,
            level3,
            level4,
            self.on_colour,
            self.line,
        ]
    }

    pub(super) const fn of(theme: Theme) -> &'static Self {
        match theme {
            Theme::Light => &LIGHT,
            Theme::Dark => &DARK,
            Theme::Page => &PAGE,
        }
    }

    pub(super) const fn level(&self, level: Level) -> &'static str {
        self.levels[level as usize]
    }

    /// What a band of this kind is filled with.
    pub(super) const fn kind(&self, kind: BandKind) -> &'static str {
        match kind {
            BandKind::Code => self.code,
            BandKind::ReadOnly => self.read_only,
            BandKind::Data | BandKind::Heap => self.data,
            BandKind::Device => self.device,
            BandKind::Stack => self.stack,
            BandKind::WriteExecute => self.alarm,
            BandKind::Table(level) => self.level(level),
            BandKind::HeapCounter => self.counter,
            BandKind::Machine => self.dim,
            BandKind::Guard => "url(#guard)",
            BandKind::Free | BandKind::Ram => self.empty,
            BandKind::Reserved | BandKind::Nothing | BandKind::NonCanonical | BandKind::Unread => {
                "url(#nothing)"
            }
        }
    }

    /// The letter for whoever does not see the colour.
    pub(super) const fn letter(kind: BandKind) -> &'static str {
        match kind {
            BandKind::Code => "X",
            BandKind::ReadOnly => "R",
            BandKind::Data | BandKind::Heap => "W",
            BandKind::Device => "D",
            BandKind::Stack => "S",
            BandKind::WriteExecute => "!",
            BandKind::HeapCounter => "C",
            BandKind::Machine => "M",
            BandKind::Table(Level::L0) => "0",
            BandKind::Table(Level::L1) => "1",
            BandKind::Table(Level::L2) => "2",
            BandKind::Table(Level::L3) => "3",
            BandKind::Table(Level::L4) => "4",
            BandKind::Guard
            | BandKind::Free
            | BandKind::Ram
            | BandKind::Reserved
            | BandKind::Nothing
            | BandKind::NonCanonical => "",
            BandKind::Unread => "?",
        }
    }
}
