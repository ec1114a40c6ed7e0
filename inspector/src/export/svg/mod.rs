//! The layout as a slide: virtual addresses, page tables, physical memory, and one unbroken line
//! through all three.
//!
//! ```text
//!  ┌ guest, layout, stop ───────────────────────────────────────┐
//!  │ VIRTUAL        L2 ▦ ──▶ L1 ▦ ──▶ L0 ▦       PHYSICAL       │
//!  │ bands          the walk       all tables,   bands          │
//!  │                what changed   self-map      frames, legend │
//!  └────────────────────────────────────────────────────────────┘
//! ```
//!
//! The picture has a fixed size, and at most a few hundred elements whatever the guest holds: runs
//! of cells are one rectangle, bands that do not fit are folded, names are cut where they end.

mod cards;
mod chain;
mod column;
mod frames;
mod lines;
mod palette;
mod paper;
mod self_map;
mod walk;

use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::{Snapshot, Space};
use pagescope_protocol::translate::Translation;

use crate::model::bands::physical_partition;
use crate::model::{Difference, SpaceTables, fold_scattered, physical_bands, virtual_bands};
use palette::Palette;
pub(crate) use paper::escaped;
use paper::{Anchor, Ink, Paper};

/// Width and height of the drawing.
const SIZE: [f64; 2] = [1600.0, 900.0];

/// The tables' part.
const TABLES: [f64; 2] = [440.0, 690.0];
/// How much of it the walk and the changes take, below the cards; the list of tables has the rest.
const WALK: f64 = 240.0;
/// Where physical memory begins, and how wide its part is.
const PHYSICAL: [f64; 2] = [1194.0, 368.0];
/// Under the columns' titles.
const TOP: f64 = 116.0;
/// Where everything but the last line ends.
const BOTTOM: f64 = 866.0;

/// The colours to draw in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// For projectors and paper.
    #[default]
    Light,
    /// For dark rooms.
    Dark,
    /// For a page of the browser, whose variables say what each colour is.
    Page,
}

/// The variables of [`Theme::Page`], for light and for dark.
pub(crate) fn page_colours() -> (String, String) {
    (
        palette::variables(Theme::Light),
        palette::variables(Theme::Dark),
    )
}

/// Width and height of [`picture_svg`].
pub(crate) const fn picture_size() -> [f64; 2] {
    SIZE
}

/// The drawing of `snapshot`, with the tables and the map of `space`; what `difference` says to be
/// new stands out.
pub fn layout_svg(
    snapshot: &Snapshot,
    space: Option<&Space>,
    difference: &Difference,
    theme: Theme,
) -> String {
    layout_svg_at(snapshot, space, difference, theme, None)
}

/// The same, its line through the address `at`; through what is newest where there is none.
pub fn layout_svg_at(
    snapshot: &Snapshot,
    space: Option<&Space>,
    difference: &Difference,
    theme: Theme,
    at: Option<VirtAddr>,
) -> String {
    let colours = Palette::of(theme);
    let mut paper = Paper::new();
    open(&mut paper, colours, snapshot);
    paint(&mut paper, colours, snapshot, space, difference, at);
    paper.raw(format_args!("</svg>"));
    paper.finish()
}

/// What stands inside of the drawing, without the element around it and without its patterns.
pub(crate) fn picture_svg(
    snapshot: &Snapshot,
    space: Option<&Space>,
    difference: &Difference,
    theme: Theme,
    at: Option<VirtAddr>,
) -> String {
    let colours = Palette::of(theme);
    let mut paper = Paper::new();
    paint(&mut paper, colours, snapshot, space, difference, at);
    paper.finish()
}

fn paint(
    paper: &mut Paper,
    colours: &'static Palette,
    snapshot: &Snapshot,
    space: Option<&Space>,
    difference: &Difference,
    at: Option<VirtAddr>,
) {
    let [width, height] = SIZE;
    paper.rect([0.0, 0.0, width, height], colours.background);
    title(paper, colours, snapshot, space);
    heads(paper, colours);
    let partition = physical_partition(snapshot);
    let chain =
        space.and_then(|space| Some((space, chain::selected(snapshot, space, difference, at)?)));
    let ends_in = physical(
        paper,
        colours,
        snapshot,
        difference,
        chain.as_ref(),
        &partition,
    );
    match (&chain, space) {
        (Some((space, chain)), _) => {
            let tables = cards::Tables {
                space,
                difference,
                partition: &partition,
                chain,
                facts: &SpaceTables::new(space),
            };
            translated(paper, colours, snapshot, &tables, ends_in);
        }
        (None, Some(space)) => {
            let mode = format!("{} does not translate: mode {}.", space.name, space.mode);
            untranslated(
                paper,
                colours,
                &mode,
                "Virtual addresses are physical ones.",
            );
        }
        (None, None) => {
            let why = "No hart's satp could be read.";
            untranslated(paper, colours, "No address space is known.", why);
        }
    }
    foot(paper, colours, snapshot, space);
}

fn open(paper: &mut Paper, colours: &'static Palette, snapshot: &Snapshot) {
    let [width, height] = SIZE;
    paper.raw(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-family="Inter,'Helvetica Neue',Arial,sans-serif">"#
    ));
    let name = format!("Memory layout of {}: {}", guest(snapshot), snapshot.stop);
    paper.raw(format_args!("<title>{}</title>", escaped(&name)));
    paper.raw(format_args!(
        r#"<defs><pattern id="nothing" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="{}"/><circle cx="2" cy="2" r="0.8" fill="{}"/></pattern><pattern id="guard" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="{}"/><rect width="2.4" height="7" fill="{}"/></pattern></defs>"#,
        colours.background, colours.edge, colours.background, colours.alarm,
    ));
}

fn guest(snapshot: &Snapshot) -> &str {
    match snapshot.provenance.guest.as_str() {
        "" => "an unnamed guest",
        name => name,
    }
}

fn title(paper: &mut Paper, colours: &'static Palette, snapshot: &Snapshot, space: Option<&Space>) {
    paper.rect([0.0, 0.0, SIZE[0], 58.0], colours.panel);
    paper.rect([0.0, 58.0, SIZE[0], 1.0], colours.edge);
    let strong = Ink::words(22.0, colours.text).bold();
    let layout = snapshot
        .kernel
        .as_ref()
        .map(|kernel| match kernel.strategy.as_str() {
            "" => kernel.layout.clone(),
            strategy => format!("{}, {strategy}", kernel.layout),
        });
    let name = strong.fit(layout.as_deref().unwrap_or(guest(snapshot)), 380.0);
    paper.text(36.0, 37.0, strong, &name);
    let dim = Ink::words(15.0, colours.dim);
    let mut at = 36.0 + strong.width(&name) + 18.0;
    if layout.is_some() {
        let name = dim.fit(guest(snapshot), 240.0);
        paper.text(at, 37.0, dim, &name);
        at += dim.width(&name) + 24.0;
    }
    let right = PHYSICAL[0] + PHYSICAL[1];
    let counter = Ink::words(20.0, colours.counter).bold().at(Anchor::End);
    let mut room = right;
    if let Some(heap) = snapshot.heap {
        let count = counter.fit(&format!("heap counter {}", heap.counter), 420.0);
        paper.text(right, 37.0, counter, &count);
        room -= counter.width(&count) + 24.0;
    }
    if let Some(space) = space {
        let ink = Ink::words(15.0, colours.dim).at(Anchor::End);
        let root = match space.mode.root_level() {
            Some(_) => format!("{} {}", space.mode, space.root),
            None => space.mode.to_string(),
        };
        let text = ink.fit(&format!("{}: {root}", space.name), 300.0);
        paper.text(room, 37.0, ink, &text);
        room -= ink.width(&text) + 24.0;
    }
    if !snapshot.stop.is_empty() {
        paper.raw(format_args!(
            r#"<circle cx="{:.1}" cy="31.5" r="5.5" fill="{}"/>"#,
            at + 5.0,
            colours.counter,
        ));
        let ink = Ink::words(17.0, colours.text);
        paper.text(
            at + 18.0,
            37.0,
            ink,
            &ink.fit(&snapshot.stop, (room - at - 18.0).max(0.0)),
        );
    }
}

fn heads(paper: &mut Paper, colours: &'static Palette) {
    for (left, name, after, says) in [
        (36.0, "Virtual", 76.0, "what addresses mean"),
        (TABLES[0], "Page tables", 116.0, "how they are translated"),
        (PHYSICAL[0], "Physical", 88.0, "where bytes live"),
    ] {
        paper.text(left, 92.0, Ink::words(17.0, colours.text).bold(), name);
        paper.text(left + after, 92.0, Ink::words(14.0, colours.dim), says);
    }
}

/// The column of physical memory. Returns the frame that the chain ends in, and the point where a
/// line can end that leads elsewhere.
fn physical(
    paper: &mut Paper,
    colours: &'static Palette,
    snapshot: &Snapshot,
    difference: &Difference,
    chain: Option<&(&Space, Translation)>,
    partition: &[crate::model::Band],
) -> Option<[f64; 4]> {
    let [left, width] = PHYSICAL;
    let target = chain
        .and_then(|(_, chain)| chain.mapped())
        .map(|mapped| mapped.address.as_u64());
    let place = column::Place {
        top: TOP,
        bottom: 520.0,
        left,
        width: 92.0,
        names: left + 106.0,
        addresses: left + width,
        nothing: "nothing",
    };
    let bands = physical_bands(snapshot);
    let band = column::draw(paper, colours, &place, &bands, target);
    let space = chain.map(|(space, chain)| (*space, difference, chain));
    let (frame, end) = frames::grid(
        paper,
        colours,
        [left, 546.0, width],
        snapshot,
        space,
        partition,
    );
    let root = chain.and_then(|(space, _)| space.mode.root_level());
    frames::legend(paper, colours, [left, (end + 10.0).max(744.0), width], root);
    frames::counter(
        paper,
        colours,
        [left, BOTTOM - 54.0, width, 54.0],
        snapshot.heap,
    );
    frame.or(band)
}

fn translated(
    paper: &mut Paper,
    colours: &'static Palette,
    snapshot: &Snapshot,
    tables: &cards::Tables<'_>,
    ends_in: Option<[f64; 4]>,
) {
    let bands = fold_scattered(virtual_bands(snapshot, tables.space, tables.difference));
    let place = column::Place {
        top: TOP,
        bottom: BOTTOM,
        left: 292.0,
        width: 92.0,
        names: 36.0,
        addresses: 280.0,
        nothing: "unmapped",
    };
    let from = column::draw(
        paper,
        colours,
        &place,
        &bands,
        Some(tables.chain.address.as_u64()),
    );
    let [left, width] = TABLES;
    let place = cards::Place {
        left,
        top: 146.0,
        width,
    };
    let (cards, end) = tables.cards(paper, colours, &place);
    lines::windows(paper, colours, &cards, tables.facts);
    let top = end + 14.0;
    let height = BOTTOM - top;
    walk::draw(paper, colours, [left, top, WALK, height], tables);
    let list = [left + WALK + 10.0, top, width - WALK - 10.0, height];
    self_map::draw(paper, colours, list, tables);
    lines::selection(paper, colours, tables.chain, from, &cards, ends_in);
}

fn untranslated(paper: &mut Paper, colours: &'static Palette, first: &str, second: &str) {
    let [left, width] = TABLES;
    let area = [left, 146.0, width, 200.0];
    paper.card(area, "url(#nothing)", colours.edge);
    let strong = Ink::words(17.0, colours.text).bold().at(Anchor::Middle);
    let dim = Ink::words(15.0, colours.dim).at(Anchor::Middle);
    let middle = left + width / 2.0;
    paper.text(middle, 240.0, strong, &strong.fit(first, width - 40.0));
    paper.text(middle, 266.0, dim, second);
}

fn foot(paper: &mut Paper, colours: &'static Palette, snapshot: &Snapshot, space: Option<&Space>) {
    let provenance = &snapshot.provenance;
    let parts = [
        &provenance.machine,
        &provenance.link,
        &provenance.tool,
        &provenance.captured_at,
    ];
    let parts: Vec<&str> = parts
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let dim = Ink::words(11.5, colours.dim);
    paper.text(36.0, 888.0, dim, &dim.fit(&parts.join(" · "), 1000.0));
    let right = PHYSICAL[0] + PHYSICAL[1];
    if space.is_some_and(|space| space.truncated) {
        let cut = "A limit cut the tables or the mappings short: this is not all.";
        paper.text(
            right,
            888.0,
            Ink::words(11.5, colours.alarm).at(Anchor::End),
            cut,
        );
    } else if let Some(warning) = snapshot.warnings.first() {
        let alarm = Ink::words(11.5, colours.alarm).at(Anchor::End);
        paper.text(right, 888.0, alarm, &alarm.fit(warning, 500.0));
    } else if let Some(note) = snapshot.notes.lines().next() {
        paper.text(right, 888.0, dim.at(Anchor::End), &dim.fit(note, 500.0));
    }
}
