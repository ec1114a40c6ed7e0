//! The slide: always XML that renders, with nothing of a guest's taken for markup; few elements
//! whatever the guest holds.

#[path = "../../protocol/tests/support/arbitrary.rs"]
mod arbitrary;

use std::sync::Arc;

use pagescope::export::png::{PngError, png_from_svg};
use pagescope::export::svg::{Theme, layout_svg};
use pagescope::model::{Difference, fixture};
use pagescope_protocol::snapshot::{Mapping, Snapshot};
use pagescope_protocol::{PhysAddr, VirtAddr};
use proptest::prelude::*;

/// More elements than any drawing has.
const ELEMENT_LIMIT: usize = 3000;

fn elements(svg: &str) -> usize {
    let document = roxmltree::Document::parse(svg).expect("the drawing is XML");
    let count = document
        .descendants()
        .filter(roxmltree::Node::is_element)
        .count();
    assert!(count < ELEMENT_LIMIT, "{count} elements");
    for node in document.descendants().filter(|node| node.is_text()) {
        let parent = node
            .parent()
            .map(|parent| parent.tag_name().name().to_owned());
        let only_space = node.text().is_some_and(|text| text.trim().is_empty());
        assert!(only_space || matches!(parent.as_deref(), Some("text" | "title")));
    }
    count
}

fn texts(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("the drawing is XML");
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    texts
        .filter_map(|node| node.text().map(str::to_owned))
        .collect()
}

fn step(before: u64, theme: Theme) -> String {
    let [before, after] = [before, before + 1].map(fixture::pseudos);
    let difference = Difference::between(&before, &after);
    layout_svg(&after, after.spaces.first(), &difference, theme)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_snapshot_is_drawn(
        before in arbitrary::snapshot(),
        after in arbitrary::snapshot(),
        of_another in any::<bool>(),
        dark in any::<bool>(),
    ) {
        let difference = Difference::between(&before, &after);
        let space = if of_another { before.spaces.first() } else { after.spaces.first() };
        let theme = if dark { Theme::Dark } else { Theme::Light };
        elements(&layout_svg(&after, space, &difference, theme));
    }
}

#[test]
fn a_step_is_told_in_one_line_from_address_to_frame() {
    let svg = step(11, Theme::Light);
    elements(&svg);
    let texts = texts(&svg);
    for wanted in [
        "kalloc(19) → 0x87feb000",
        "pseudos, pool",
        "heap counter 20",
        "va[2] = 2",
        "va[1] = 63",
        "va[0] = 491",
        "6 frames, 24 KiB: each with one window",
        "+ L0[491] → 0x87feb000 rw---ad",
        "RAM, top 2 MiB",
        "kalloc(19)",
    ] {
        assert!(
            texts.iter().any(|text| text == wanted),
            "{wanted:?} is not in {texts:#?}"
        );
    }
    // Four curves: into the root, into L1, into L0, into the frame.
    assert_eq!(svg.matches("stroke-linecap").count(), 4);
}

#[test]
fn the_first_page_of_a_new_table_is_new() {
    let texts = texts(&step(503, Theme::Dark));
    for wanted in ["va[1] = 62", "va[0] = 511", "+ L0 table 0x87ff8000", "new"] {
        assert!(
            texts.iter().any(|text| text == wanted),
            "{wanted:?} is not in {texts:#?}"
        );
    }
}

#[test]
fn names_of_a_guest_are_no_markup() {
    let hostile = "<script>&amp;\"'\u{0}\u{1b}\u{202e}]]></text>";
    let mut snapshot = fixture::pseudos(3);
    snapshot.stop = hostile.into();
    snapshot.provenance.guest = hostile.into();
    snapshot.notes = hostile.into();
    for region in &mut snapshot.regions {
        region.name = hostile.into();
    }
    let svg = layout_svg(
        &snapshot,
        snapshot.spaces.first(),
        &Difference::default(),
        Theme::Light,
    );
    elements(&svg);
    assert!(!svg.contains("<script"));
    assert!(
        texts(&svg)
            .iter()
            .any(|text| text.starts_with("<script>&amp;\"'··"))
    );
}

#[test]
fn names_do_not_overlap_addresses() {
    let mut snapshot = fixture::pseudos(3);
    for region in &mut snapshot.regions {
        region.name = "a_section_with_a_name_that_never_ends".repeat(3);
    }
    let svg = layout_svg(
        &snapshot,
        snapshot.spaces.first(),
        &Difference::default(),
        Theme::Light,
    );
    let names = texts(&svg);
    let names: Vec<_> = names
        .iter()
        .filter(|text| text.starts_with("a_section"))
        .collect();
    assert!(names.len() > 4);
    assert!(
        names
            .iter()
            .all(|text| text.ends_with('…') && text.chars().count() < 25),
        "{names:?}"
    );
}

#[test]
fn what_is_not_known_is_said() {
    let bare = fixture::bare();
    let svg = layout_svg(
        &bare,
        bare.spaces.first(),
        &Difference::default(),
        Theme::Dark,
    );
    let said = texts(&svg);
    assert!(
        said.contains(&"Virtual addresses are physical ones.".to_owned()),
        "{said:#?}"
    );
    assert!(said.contains(&"This guest publishes no heap counter.".to_owned()));
    let svg = layout_svg(
        &Snapshot::default(),
        None,
        &Difference::default(),
        Theme::Light,
    );
    let said = texts(&svg);
    assert!(
        said.contains(&"No address space is known.".to_owned()),
        "{said:#?}"
    );
    assert!(said.contains(&"No RAM is known.".to_owned()));
}

/// A hundred thousand mappings, a mapping of everything, and tables without end.
#[test]
fn a_hostile_space_costs_no_more_than_any() {
    let mut snapshot = fixture::pseudos(3);
    let flags = snapshot.spaces[0].mappings.first().unwrap().flags;
    let mapping = |virt: u64, size: u64| Mapping {
        virt: VirtAddr::new(virt),
        phys: PhysAddr::new(virt),
        size,
        page_size: 4096,
        flags,
        name: String::new(),
    };
    let space = &mut snapshot.spaces[0];
    space.mappings = (0..100_000)
        .map(|page| mapping(page * 8192, 4096))
        .chain([mapping(1 << 38, 1 << 62)])
        .collect();
    for _ in 0..12 {
        let tables = space.tables.iter().chain(&space.tables);
        space.tables = tables.map(Arc::clone).collect();
    }
    let svg = layout_svg(
        &snapshot,
        snapshot.spaces.first(),
        &Difference::default(),
        Theme::Light,
    );
    elements(&svg);
}

#[test]
fn a_drawing_becomes_a_picture() {
    for theme in [Theme::Light, Theme::Dark] {
        let png = png_from_svg(&step(11, theme), 0.5).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((side(16), side(20)), (800, 450));
        if let Ok(folder) = std::env::var("PAGESCOPE_PICTURES") {
            let picture = png_from_svg(&step(503, theme), 1.0).unwrap();
            std::fs::write(format!("{folder}/{theme:?}.png"), picture).unwrap();
        }
    }
    let svg = step(11, Theme::Light);
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e9] {
        assert!(
            matches!(png_from_svg(&svg, scale), Err(PngError::Size { .. })),
            "{scale}"
        );
    }
    assert!(matches!(
        png_from_svg("no picture", 1.0),
        Err(PngError::Svg(_))
    ));
}
