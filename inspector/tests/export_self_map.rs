//! The self-map in exported pictures and drawings: which leaf makes which table reachable, and
//! where, for each of the four strategies; and nothing of it over anything else.

mod table_fixtures;

use std::sync::Arc;

use pagescope::export::svg::{Theme, layout_svg};
use pagescope::export::text::layout_text;
use pagescope::model::{Difference, SpaceTables};
use pagescope_protocol::snapshot::Snapshot;
use resvg::usvg::{self, fontdb::Database};
use table_fixtures::{Built, Strategy, va};

/// Where the list of tables begins.
const LIST_LEFT: f32 = 690.0;
const LIST_RIGHT: f32 = 1130.0;

fn picture(snapshot: &Snapshot, difference: &Difference) -> String {
    layout_svg(snapshot, snapshot.spaces.first(), difference, Theme::Light)
}

/// A picture of a step, in which there is a change to show.
fn step(strategy: Strategy) -> String {
    let [before, after] = [3, 4].map(|pages| Built::new(strategy, pages).snapshot());
    picture(&after, &Difference::between(&before, &after))
}

/// The list's lines, each as its words from left to right.
fn list(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("XML");
    let number = |node: &roxmltree::Node<'_, '_>, name| -> f32 {
        let value = node.attribute(name).expect("a place");
        value.parse().expect("a number")
    };
    let mut words: Vec<(f32, f32, String)> = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .map(|node| {
            let text = node.text().unwrap_or_default().to_owned();
            (number(&node, "y"), number(&node, "x"), text)
        })
        .filter(|(y, x, _)| *y > 600.0 && (LIST_LEFT..=LIST_RIGHT).contains(x))
        .collect();
    words.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).expect("numbers"));
    let mut lines: Vec<(f32, String)> = Vec::new();
    for (y, _, text) in words {
        match lines.last_mut() {
            Some((at, line)) if *at == y => {
                line.push(' ');
                line.push_str(&text);
            }
            _ => lines.push((y, text)),
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

fn assert_list(svg: &str, wanted: &[String]) {
    let lines = list(svg);
    for wanted in wanted {
        assert!(lines.contains(wanted), "{wanted:?} is not in {lines:#?}");
    }
}

/// A line of the list.
fn line(level: u32, frame: u64, used: usize, leaf: &str, at: u64) -> String {
    format!("L{level} {:#x} {used} ← {leaf} {at:#010x}", frame << 12)
}

fn used(built: &Built, frame: u64) -> usize {
    let words = &built.frames[&frame];
    words.iter().filter(|word| **word & 1 == 1).count()
}

/// The root, the L1 of RAM's GiB, and the L0 of its top 2 MiB.
fn chain(built: &Built) -> [u64; 3] {
    let l1 = built.get(built.root, 2) >> 10;
    [built.root, l1, built.get(l1, 63) >> 10]
}

#[test]
fn s0_6_in_the_pool_all_leaves_stand_in_one_table() {
    let built = Built::new(Strategy::Pool, 3);
    let [root, l1, l0] = chain(&built);
    let svg = picture(&built.snapshot(), &Difference::default());
    let of = |frame: u64| format!("L0 {:#x}[{}]", l0 << 12, frame & 511);
    let own = format!("its own [{}]", l0 & 511);
    assert_list(
        &svg,
        &[
            "Self-map 6 frames, 24 KiB: each with one window".into(),
            "table used ← leaf that makes it reachable at address".into(),
            line(2, root, used(&built, root), &of(root), root << 12),
            "the root, covers 512 GiB from 0x00000000".into(),
            line(1, l1, used(&built, l1), &of(l1), l1 << 12),
            "covers 1 GiB from 0x80000000".into(),
            line(0, l0, used(&built, l0), &own, l0 << 12),
        ],
    );
}

#[test]
fn a_self_leaf_is_each_tables_own() {
    let built = Built::new(Strategy::SelfLeaf, 3);
    let [root, l1, l0] = chain(&built);
    let svg = picture(&built.snapshot(), &Difference::default());
    let own = "its own [510]";
    assert_list(
        &svg,
        &[
            line(2, root, used(&built, root), own, va(511, 511, 510)),
            line(1, l1, used(&built, l1), own, va(511, 2, 510)),
            line(0, l0, used(&built, l0), own, va(2, 63, 510)),
        ],
    );
    assert!(
        !svg.contains("superpage"),
        "what is a window on purpose is not told as a fault"
    );
}

#[test]
fn a_mirrors_leaves_stand_in_its_own_tables() {
    for strategy in [Strategy::Mirror, Strategy::Demand] {
        let built = Built::new(strategy, 3);
        let [root, l1, l0] = chain(&built);
        let [mr, m0_511, q0] = built.mirror();
        let m0 = built.get(mr, 2) >> 10;
        let of = |table: u64, index: usize| format!("L0 {:#x}[{index}]", table << 12);
        let row = |level, frame, leaf: &str, at| line(level, frame, used(&built, frame), leaf, at);
        let svg = picture(&built.snapshot(), &Difference::default());
        assert_list(
            &svg,
            &[
                "Self-map 11 frames, 44 KiB: each with one window".into(),
                row(2, root, &of(q0, 510), va(511, 510, 510)),
                row(1, l1, &of(q0, 2), va(511, 510, 2)),
                row(0, l0, &of(m0, 63), va(511, 2, 63)),
                row(1, mr, &of(q0, 511), va(511, 510, 511)),
                row(0, m0, &of(m0_511, 2), va(511, 511, 2)),
                row(0, q0, &of(m0_511, 510), va(511, 511, 510)),
                row(0, m0_511, "its own [511]", va(511, 511, 511)),
            ],
        );
    }
}

/// The points at which dashed lines end; the last one drawn explains the others.
fn dashes(svg: &str) -> Vec<[f32; 2]> {
    let document = roxmltree::Document::parse(svg).expect("XML");
    let ends = document
        .descendants()
        .filter(|node| node.attribute("stroke-dasharray").is_some());
    ends.map(|node| {
        let way = node.attribute("d").expect("a way");
        let (_, end) = way.rsplit_once('L').expect("a last point");
        let (x, y) = end.split_once(' ').expect("two numbers");
        [x, y].map(|number| number.parse().expect("a number"))
    })
    .collect()
}

#[test]
fn dashed_lines_lead_to_leaves_that_are_drawn() {
    // Cards begin at 440, 682 and 924, and a cell is 11 wide.
    let [l2, l1, l0, sample] = dashes(&step(Strategy::Pool))[..] else {
        panic!("three lines and what they mean");
    };
    assert!(l2[0] > 924.0 && sample[1] < 116.0);
    assert_eq!([l1[0] - l2[0], l0[0] - l1[0]], [11.0, 11.0]);

    let [l2, l1, l0, _] = dashes(&step(Strategy::SelfLeaf))[..] else {
        panic!("three lines and what they mean");
    };
    assert!(l2[0] < 682.0, "the root's own");
    assert_eq!([l1[0] - l2[0], l0[0] - l1[0]], [242.0, 242.0]);
    assert_eq!([l1[1], l0[1]], [l2[1], l2[1]]);

    for strategy in [Strategy::Mirror, Strategy::Demand] {
        assert_eq!(dashes(&step(strategy)), [[0.0; 2]; 0], "{strategy:?}");
    }
}

#[test]
fn the_large_tables_say_where_they_are_written() {
    for strategy in Strategy::ALL {
        let svg = step(strategy);
        let snapshot = Built::new(strategy, 4).snapshot();
        let tables = SpaceTables::new(&snapshot.spaces[0]);
        for frame in chain(&Built::new(strategy, 4)) {
            let frame = pagescope_protocol::PhysPage::from_truncated(frame);
            let window = tables.get(frame).and_then(|facts| facts.window());
            let at = window.expect("a window").virt;
            let says = format!("at {at}</text>");
            assert!(svg.contains(&says), "{strategy:?}: {says}");
        }
    }
}

/// Each table without a window, or with one that is not sound, says so.
#[test]
fn what_is_wrong_is_said_in_words() {
    let mut built = Built::new(Strategy::Pool, 3);
    let [root, l1, l0] = chain(&built);
    built.set(l0, (root & 511) as usize, 0);
    built.set(
        l0,
        (l1 & 511) as usize,
        table_fixtures::leaf(l1, table_fixtures::R),
    );
    let svg = picture(&built.snapshot(), &Difference::default());
    let lines = list(&svg);
    for wanted in [
        "6 frames, 24 KiB: 5 with a window, 4 sound".to_owned(),
        format!("L2 {:#x} 2 ← no leaf leads to it no window", root << 12),
        "read-only".into(),
    ] {
        assert!(
            lines.iter().any(|line| line.contains(&wanted)),
            "{wanted:?} is not in {lines:#?}"
        );
    }
}

/// More tables than there is room for: the last line says how many are not listed.
#[test]
fn many_tables_are_counted() {
    let mut built = Built::new(Strategy::SelfLeaf, 3);
    for gib in 10..20 {
        let frame = built.alloc();
        built.map(gib << 30, frame, table_fixtures::RW);
    }
    let lines = list(&picture(&built.snapshot(), &Difference::default()));
    // A title, what the columns are, 13 of 26 tables.
    assert_eq!(lines.len(), 16, "{lines:#?}");
    assert_eq!(lines.last().map(String::as_str), Some("… and 13 more"));
}

fn options() -> usvg::Options<'static> {
    let mut fonts = Database::new();
    for bytes in [
        include_bytes!("../../assets/fonts/Inter-Regular.otf").as_slice(),
        include_bytes!("../../assets/fonts/Inter-SemiBold.otf"),
        include_bytes!("../../assets/fonts/JetBrainsMono-Regular.ttf"),
        include_bytes!("../../assets/fonts/JetBrainsMono-Bold.ttf"),
    ] {
        fonts.load_font_data(bytes.to_vec());
    }
    usvg::Options {
        font_family: "Inter".into(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    }
}

/// Every text of the picture, and the box around its letters.
fn boxes(group: &usvg::Group, found: &mut Vec<(String, usvg::Rect)>) {
    for node in group.children() {
        match node {
            usvg::Node::Group(group) => boxes(group, found),
            usvg::Node::Text(text) => {
                let chunks = text.chunks().iter().map(|chunk| chunk.text());
                let letters = text.flattened().abs_bounding_box();
                found.push((chunks.collect(), letters));
            }
            _ => {}
        }
    }
}

#[test]
fn no_text_is_cut_or_lies_over_another() {
    let options = options();
    for strategy in Strategy::ALL {
        let still = picture(&Built::new(strategy, 4).snapshot(), &Difference::default());
        for svg in [step(strategy), still] {
            let tree = usvg::Tree::from_str(&svg, &options).expect("a drawing");
            let mut texts = Vec::new();
            boxes(tree.root(), &mut texts);
            assert!(texts.len() > 100, "{}", texts.len());
            for (place, (text, letters)) in texts.iter().enumerate() {
                assert!(!text.ends_with('…') || text.starts_with('…'), "{text:?}");
                assert!(
                    letters.left() >= 0.0 && letters.right() <= 1600.0,
                    "{text:?}"
                );
                let is_below = letters.top() > 600.0 && letters.bottom() < 870.0;
                if is_below && (440.0..LIST_LEFT).contains(&letters.left()) {
                    assert!(letters.right() <= 680.0, "{text:?} leaves the walk");
                }
                if is_below && (LIST_LEFT..LIST_RIGHT).contains(&letters.left()) {
                    assert!(letters.right() <= LIST_RIGHT, "{text:?} leaves the list");
                }
                for (other, letters_of_other) in &texts[place + 1..] {
                    let apart = letters.right() <= letters_of_other.left()
                        || letters_of_other.right() <= letters.left()
                        || letters.bottom() <= letters_of_other.top()
                        || letters_of_other.bottom() <= letters.top();
                    assert!(apart, "{strategy:?}: {text:?} lies over {other:?}");
                }
            }
        }
    }
}

#[test]
fn a_window_in_the_virtual_column_has_a_short_name() {
    for strategy in Strategy::ALL {
        let svg = step(strategy);
        for name in [">root window<", ">L1 window<", ">L0 window<"] {
            assert!(svg.contains(name), "{strategy:?}: {name}");
        }
    }
}

/// In characters, too: each table's window is a box of its own.
#[test]
fn the_text_drawing_tells_every_window() {
    for strategy in Strategy::ALL {
        let snapshot = Built::new(strategy, 4).snapshot();
        let space = &snapshot.spaces[0];
        let text = layout_text(&snapshot, Some(space));
        let lines: Vec<&str> = text.lines().collect();
        for facts in &SpaceTables::new(space).tables {
            let frame = facts.frame();
            let name = match facts.table.parent {
                None => format!("| window of root {} {frame} ", facts.level()),
                Some(_) => format!("| window of {} {frame} ", facts.level()),
            };
            let at = lines.iter().position(|line| line.contains(&name));
            let at = at.unwrap_or_else(|| panic!("{strategy:?}: {name} is not in\n{text}"));
            let virt = facts.window().expect("a window").virt.to_string();
            assert!(lines[at - 1].ends_with(&virt), "{strategy:?}: {name}");
        }
    }
}
