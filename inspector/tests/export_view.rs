//! Pictures of the window's views: every view, in both themes, from a fixture.

use pagescope::export::png::png_from_svg;
use pagescope::export::view::{Picture, view_png, view_svg};
use pagescope::model::{Selection, fixture};
use pagescope::session::Connection;
use pagescope::views::ViewPart;
use pagescope::views::state::State;
use pagescope_protocol::VirtAddr;

fn state() -> State {
    let mut state = State::new("lecture.ron".into(), fixture::history(11), Connection::None);
    state.selection = Selection::Virtual(VirtAddr::new(0x87ff_3000));
    state
}

fn svg(part: ViewPart, is_dark: bool) -> String {
    let picture = Picture {
        part,
        is_dark,
        ..Picture::default()
    };
    view_svg(&state(), &picture).expect("it has pixels")
}

/// All text that stands in the drawing.
fn words(svg: &str) -> String {
    let document = roxmltree::Document::parse(svg).expect("it is XML");
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    let texts: Vec<&str> = texts.filter_map(|node| node.text()).collect();
    texts.join("\n")
}

#[test]
fn every_view_is_drawn_and_refers_to_nothing_outside() {
    for (part, expected) in [
        (
            ViewPart::Whole,
            &["Virtual", "Page tables", "Physical", "0x87ff3000"][..],
        ),
        (ViewPart::Virtual, &["Virtual", "UART0", "rw-"]),
        (ViewPart::Tables, &["Page tables", "0x87ffc000"]),
        (ViewPart::Physical, &["Physical", "UART0"]),
        (ViewPart::Frames, &["Frames"]),
        (ViewPart::Detail, &["0x87ff3000"]),
        (ViewPart::Timeline, &["kalloc"]),
    ] {
        for is_dark in [false, true] {
            let svg = svg(part, is_dark);
            let words = words(&svg);
            for word in expected {
                assert!(words.contains(word), "{part:?}: no {word} in\n{words}");
            }
            let document = roxmltree::Document::parse(&svg).expect("it is XML");
            for node in document.descendants() {
                for attribute in node.attributes().filter(|one| one.name() == "href") {
                    assert!(attribute.value().starts_with("data:image/png;base64,"));
                }
            }
            let urls = svg.matches("url(").count();
            let own = svg.matches("url(#").count() + svg.matches("url(data:font/").count();
            assert_eq!(urls, own, "{part:?}");
            let rest = svg.replace("http://www.w3.org/", "");
            assert!(!rest.contains("http"), "{part:?}");
        }
    }
}

#[test]
fn a_picture_has_the_size_that_was_asked_for() {
    let picture = Picture {
        size: [800, 450],
        ..Picture::default()
    };
    let png = view_png(&state(), &picture).expect("a picture");
    // Width and height stand in the header (PNG specification, section 11.2.2).
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("4 bytes"));
    assert_eq!((side(16), side(20)), (800, 450));
    for size in [[0, 450], [800, 20_000]] {
        let picture = Picture { size, ..picture };
        let error = view_svg(&state(), &picture).expect_err("no picture");
        assert!(error.to_string().contains("cannot be made"), "{error}");
    }
}

/// What a guest names is text, and stays text.
#[test]
fn names_cannot_become_elements() {
    let mut snapshot = fixture::pseudos(3);
    let mut regions = snapshot.regions.to_vec();
    for region in &mut regions {
        region.name = "<script>&\"'\u{1}".into();
    }
    snapshot.regions = regions.into();
    let mut history = pagescope::model::History::new();
    history.push(std::sync::Arc::new(snapshot));
    let state = State::new("<b>".into(), history, Connection::None);
    let svg = view_svg(&state, &Picture::default()).expect("a picture");
    let document = roxmltree::Document::parse(&svg).expect("it is XML");
    assert!(
        !document
            .descendants()
            .any(|node| node.has_tag_name("script") || node.has_tag_name("b"))
    );
    png_from_svg(&svg, 0.25).expect("it is drawn");
}

/// Nothing but a background is drawn where nothing is open, and nothing panics.
#[test]
fn nothing_open_is_an_empty_picture() {
    let state = State::new(
        String::new(),
        pagescope::model::History::new(),
        Connection::None,
    );
    for part in ViewPart::ALL {
        let picture = Picture {
            part,
            ..Picture::default()
        };
        let svg = view_svg(&state, &picture).expect("a picture");
        roxmltree::Document::parse(&svg).expect("it is XML");
    }
}

/// What a drawing names it carries, whole pictures staying small enough to be mailed.
#[test]
fn a_picture_carries_its_typefaces() {
    for part in ViewPart::ALL {
        let svg = svg(part, false);
        let document = roxmltree::Document::parse(&svg).expect("it is XML");
        let style = document
            .descendants()
            .find(|node| node.has_tag_name("style"));
        let rules = style.and_then(|node| node.text()).expect("a style");
        let weights: Vec<String> = document
            .descendants()
            .filter(|node| node.has_tag_name("text"))
            .map(|node| {
                let weight = node.attribute("font-weight").unwrap_or("400");
                let family = match node.attribute("font-family") {
                    Some(family) if family.contains("JetBrains") => "JetBrains Mono",
                    _ => "Inter",
                };
                format!("font-family:'{family}';font-weight:{weight};src:url(data:")
            })
            .collect();
        for wanted in &weights {
            assert!(rules.contains(wanted), "{part:?}: {wanted}");
        }
        assert!(rules.len() < 160_000, "{part:?}: {} bytes", rules.len());
    }
}
