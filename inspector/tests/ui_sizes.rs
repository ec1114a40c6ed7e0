//! Every view at every size, in both themes and at 2.5 times the scale: no text is cut off without a sign of it, and no
//! text lies on another. Read from what is painted, so nobody has to look at pictures to know.

mod ui_support;

use egui::Rect;
use pagescope::app::App;
use pagescope::model::{History, Selection, fixture};
use pagescope::views::command::DeskCommand;
use pagescope::views::{Tab, UiCommand};
use pagescope_protocol::VirtAddr;
use ui_support::painted::{Painted, painted};
use ui_support::{Window, sized, window_as};

/// Windows in points, with the scale at which they are drawn: the last one is 2560×1440 at 2.5×.
const SIZES: [([f32; 2], f32); 4] = [
    ([1000.0, 700.0], 1.0),
    ([1400.0, 900.0], 1.0),
    ([2560.0, 1440.0], 1.0),
    ([1024.0, 576.0], 2.5),
];

fn window(app: App, (size, scale): ([f32; 2], f32)) -> Window {
    let builder = sized(size).with_pixels_per_point(scale);
    window_as(builder.with_max_steps(30), app)
}

/// What is wrong with the texts of one frame.
fn faults(harness: &Window) -> Vec<String> {
    faults_of(&painted(harness))
}

fn faults_of(texts: &[Painted]) -> Vec<String> {
    let mut faults = Vec::new();
    for text in texts {
        let cut =
            (text.place.right() - text.clip.right()).max(text.clip.left() - text.place.left());
        if cut > 1.5 {
            faults.push(format!(
                "cut by {cut:.0}: {:?} at {:?}",
                text.words, text.place
            ));
        }
    }
    for (at, one) in texts.iter().enumerate() {
        for other in &texts[at + 1..] {
            // What can be seen of both; a line's height has room above and below its letters.
            let seen = |text: &Painted| {
                text.place
                    .shrink2(egui::vec2(1.0, 3.0))
                    .intersect(text.clip)
            };
            let both = seen(one).intersect(seen(other));
            if both.is_positive() && both.width() > 1.5 && both.height() > 1.5 {
                faults.push(format!(
                    "{:?} lies on {:?} at {:?}",
                    one.words, other.words, both
                ));
            }
        }
    }
    faults
}

#[test]
fn what_is_wrong_is_found() {
    let harness = window(
        App::offline(fixture::history(4), "lecture.ron"),
        ([1000.0, 700.0], 1.0),
    );
    let mut texts = painted(&harness);
    assert!(texts.len() > 80, "{}", texts.len());
    assert_eq!(faults_of(&texts), [""; 0]);
    // One that lies on its neighbour, and one that its frame cuts.
    let place = texts[10].place;
    texts.push(Painted {
        words: "on it".into(),
        place: place.translate(egui::vec2(3.0, 2.0)),
        clip: Rect::EVERYTHING,
    });
    texts[20].clip.max.x = texts[20].place.right() - 5.0;
    let found = faults_of(&texts);
    assert!(
        found.iter().any(|fault| fault.contains("on it")),
        "{found:#?}"
    );
    assert!(
        found.iter().any(|fault| fault.contains("cut by 5")),
        "{found:#?}"
    );
}

#[test]
fn no_text_is_cut_off_or_lies_on_another() {
    let mut found = Vec::new();
    for size in SIZES {
        for theme in [egui::ThemePreference::Dark, egui::ThemePreference::Light] {
            let mut harness = window(App::offline(fixture::history(4), "lecture.ron"), size);
            harness.state_mut().queue(UiCommand::Theme(theme));
            for tab in Tab::ALL {
                harness.state_mut().queue(UiCommand::ShowTab(tab));
                // At the end, and in the past, which has a way back.
                for (place, selection) in [
                    (usize::MAX, Selection::Virtual(VirtAddr::new(0x87ff_3008))),
                    (1, Selection::Virtual(VirtAddr::new(0x8021_6000))),
                ] {
                    harness.state_mut().queue(UiCommand::Seek(place));
                    harness.state_mut().queue(UiCommand::Select(selection));
                    harness.run();
                    let name = tab.name();
                    found.extend(
                        faults(&harness)
                            .into_iter()
                            .map(|fault| format!("{size:?} {name}: {fault}")),
                    );
                }
            }
            let mut first = window(App::offline(History::new(), ""), size);
            first.state_mut().queue(UiCommand::Theme(theme));
            first.run();
            found.extend(
                faults(&first)
                    .into_iter()
                    .map(|fault| format!("{size:?} first screen: {fault}")),
            );
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{} faults: {found:#?}", found.len());
}

#[test]
fn the_palette_cuts_no_text_off() {
    for size in SIZES {
        let mut harness = window(App::offline(fixture::history(4), "lecture.ron"), size);
        let before = painted(&harness).len();
        harness
            .state_mut()
            .queue(UiCommand::Desk(DeskCommand::TogglePalette));
        harness.run();
        // What lies under it is covered, so only its own texts are looked at.
        let own = painted(&harness).split_off(before);
        for text in own {
            assert!(
                text.place.right() <= text.clip.right() + 1.5,
                "{size:?} {:?}",
                text.words
            );
        }
    }
}
