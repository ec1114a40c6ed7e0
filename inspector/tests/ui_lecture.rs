//! A lecture in the window: shown with a presenter's keys, left as everything was, and written.

mod ui_support;

use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use pagescope::app::App;
use pagescope::model::fixture::several_spaces;
use pagescope::model::{History, Selection, Slide, fixture};
use pagescope::views::command::{LectureCommand, TimeCommand};
use pagescope::views::{Tab, UiCommand};
use pagescope_protocol::snapshot::{LectureView, MAX_CAPTION_BYTES};
use pagescope_protocol::{PhysAddr, VirtAddr};
use ui_support::elsewhere::Elsewhere;
use ui_support::{
    Window, ask, full_screen_asked, key, press, recording, tap, type_over, until, window,
};

/// Three steps: a virtual address, a physical one, what is newest.
fn lecture() -> History {
    let mut history = fixture::history(6);
    let ids: Vec<_> = (0..7).filter_map(|place| history.id_at(place)).collect();
    history.notebook_mut().edit("a lecture", |pages| {
        pages.title = "Pages, one by one".into();
        let mut first = Slide::new(ids[2], "A page is mapped.");
        first.select = Selection::Virtual(VirtAddr::new(0x87ff_5000));
        let mut second = Slide::new(ids[2], "Its frame.\n\nA second paragraph.");
        second.select = Selection::Physical(PhysAddr::new(0x87ff_5000));
        second.view = Some(LectureView::Physical);
        pages.lecture = vec![first, second, Slide::new(ids[5], "And the newest.")];
    });
    history
}

#[test]
fn each_key_of_a_presenter_does_what_it_says() {
    let mut harness = recording(lecture(), [1400.0, 900.0]);
    key(&mut harness, Key::F11);
    harness.get_by_label("Pages, one by one");
    harness.get_by_label("Step 1 of 3");
    harness.get_by_label("Caption: A page is mapped.");
    // What distracts is not there.
    for label in ["Timeline", "Note…", "Address"] {
        assert!(harness.query_by_label(label).is_none(), "{label}");
    }
    for (pressed, step) in [
        (Key::PageDown, 2),
        (Key::Space, 3),
        // Past the end it stays.
        (Key::ArrowRight, 3),
        (Key::PageUp, 2),
        (Key::ArrowLeft, 1),
        (Key::ArrowLeft, 1),
        (Key::End, 3),
        (Key::Home, 1),
        (Key::Enter, 2),
    ] {
        key(&mut harness, pressed);
        harness.get_by_label(&format!("Step {step} of 3"));
    }
    let state = harness.state().state();
    assert_eq!(state.history.cursor(), 2);
    assert_eq!(
        state.selection,
        Selection::Physical(PhysAddr::new(0x87ff_5000))
    );
    key(&mut harness, Key::B);
    harness.get_by_label("Blank. B shows the step again.");
    key(&mut harness, Key::Period);
    assert!(
        harness
            .query_by_label("Blank. B shows the step again.")
            .is_none()
    );
    // A press on the caption goes on.
    harness.get_by_label_contains("Caption: Its frame.").click();
    harness.run();
    harness.get_by_label("Caption: And the newest.");
}

#[test]
fn leaving_puts_everything_back_as_it_was() {
    let mut harness = recording(lecture(), [1400.0, 900.0]);
    let chosen = Selection::Virtual(VirtAddr::new(0x8020_0000));
    for command in [
        UiCommand::Theme(egui::ThemePreference::Dark),
        UiCommand::Zoom(1),
        UiCommand::Seek(4),
        UiCommand::Select(chosen),
        UiCommand::ShowTab(Tab::Regions),
        TimeCommand::CompareWith(Some(1)).into(),
    ] {
        harness.state_mut().queue(command);
    }
    harness.run();
    let facts = |harness: &Window| {
        let state = harness.state().state();
        let theme = harness.ctx.options(|options| options.theme_preference);
        let zoom = (harness.ctx.zoom_factor() * 100.0).round();
        (
            theme,
            zoom,
            state.history.cursor(),
            state.selection,
            state.is_chosen,
            state.tab,
            state.time.base,
        )
    };
    let before = facts(&harness);
    harness.key_press_modifiers(Modifiers::SHIFT, Key::F5);
    harness.run();
    assert_eq!(harness.ctx.theme(), egui::Theme::Light);
    key(&mut harness, Key::ArrowRight);
    assert_ne!(facts(&harness), before);
    assert_eq!(harness.state().state().time.base, None);
    key(&mut harness, Key::Escape);
    assert!(harness.state().state().lecture.show.is_none());
    assert_eq!(facts(&harness), before);
}

/// The space and the hart that were looked at, and what was compared.
#[test]
fn leaving_goes_back_to_the_space_and_the_hart() {
    let mut history = History::new();
    history.push(Arc::new(several_spaces()));
    let id = history.id_at(0).expect("a moment");
    history.notebook_mut().edit("a lecture", |pages| {
        let mut slide = Slide::new(id, "The first hart.");
        slide.space = Some("hart 0".into());
        pages.lecture = vec![slide];
    });
    let mut harness = recording(history, [1400.0, 900.0]);
    ask(&mut harness, UiCommand::ChooseHart(1));
    ask(&mut harness, UiCommand::Compare(Some("hart 0".into())));
    let facts = |harness: &Window| {
        let state = harness.state().state();
        let space = state.space().map(|space| space.name.clone());
        (state.hart, space, state.compared.clone())
    };
    let before = facts(&harness);
    let looked_at = (1, Some("hart 1".to_owned()), Some("hart 0".to_owned()));
    assert_eq!(before, looked_at);
    key(&mut harness, Key::F11);
    assert_eq!(facts(&harness), (0, Some("hart 0".into()), None));
    key(&mut harness, Key::Escape);
    assert_eq!(facts(&harness), before);
}

/// What lies over the window, or goes on by itself, would be in the lecture's way.
#[test]
fn a_lecture_begins_with_nothing_in_its_way() {
    let mut harness = recording(lecture(), [1400.0, 900.0]);
    for command in [
        UiCommand::Seek(0),
        UiCommand::ToggleHelp,
        TimeCommand::EditNote(true).into(),
        TimeCommand::Play(true).into(),
        LectureCommand::Present.into(),
    ] {
        harness.state_mut().queue(command);
    }
    harness.run();
    let state = harness.state().state();
    assert!(!state.help && state.time.note.is_none());
    assert_eq!(state.time.plays, None);
    harness.get_by_label("Caption: A page is mapped.");
}

#[test]
fn a_caption_without_end_is_not_kept() {
    let mut harness = recording(lecture(), [1400.0, 900.0]);
    let long = "x".repeat(MAX_CAPTION_BYTES + 1);
    ask(&mut harness, LectureCommand::Caption(0, long));
    harness.get_by_label_contains("The caption is too long: 16 KiB at most");
    let pages = harness.state().state().history.notebook().pages();
    assert_eq!(&*pages.lecture[0].caption, "A page is mapped.");
}

/// A lecture has the whole screen, and gives it back as it was.
#[test]
fn a_lecture_fills_the_screen_and_leaves_it_as_it_was() {
    for was_full in [false, true] {
        for leaves in [Key::Escape, Key::F11] {
            let mut harness = recording(lecture(), [1400.0, 900.0]);
            let root = egui::ViewportId::ROOT;
            let screen = harness.input_mut().viewports.entry(root).or_default();
            screen.fullscreen = Some(was_full);
            harness.run();
            tap(&mut harness, Modifiers::NONE, Key::F11);
            assert_eq!(full_screen_asked(&mut harness), [true]);
            let screen = harness.input_mut().viewports.entry(root).or_default();
            screen.fullscreen = Some(true);
            key(&mut harness, Key::ArrowRight);
            tap(&mut harness, Modifiers::NONE, leaves);
            assert_eq!(full_screen_asked(&mut harness), [was_full]);
            assert!(harness.state().state().lecture.show.is_none());
        }
    }
}

#[test]
fn the_list_of_keys_has_those_of_lecture_mode() {
    let mut harness = recording(lecture(), [1400.0, 900.0]);
    key(&mut harness, Key::F1);
    for (keys, about) in [
        ("Right, Down, Space, Enter, PageDown", "The next step."),
        ("Left, Up, Backspace, PageUp", "The step before."),
        ("B, the dot", "A blank screen, and the picture again."),
        ("Esc, F11", "Leave the lecture."),
    ] {
        harness.get_by_label(keys);
        harness.get_by_label(about);
    }
}

/// From the tab, by the path that is typed where the desktop has no dialog.
#[test]
fn a_lecture_is_written_as_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    let mut app = App::offline(lecture(), "lecture.ron");
    Elsewhere::default().around(&mut app);
    let mut harness = window(app, [1400.0, 900.0]);
    press(&mut harness, "Lecture");
    press(&mut harness, "HTML…");
    until(&mut harness, "the path is asked for", |window| {
        window.query_by_label("Path").is_some()
    });
    type_over(&mut harness, "Path", &page.display().to_string());
    press(&mut harness, "Save");
    until(&mut harness, "it is written", |window| {
        window.query_by_label_contains("Saved ").is_some()
    });
    assert!(harness.query_by_label("Path").is_none());
    let text = std::fs::read_to_string(&page).expect("the page");
    assert!(text.starts_with("<!doctype html>"), "{}", &text[..60]);
    for words in [
        "Pages, one by one",
        "A page is mapped.",
        "Its frame.",
        "A second paragraph.",
        "And the newest.",
    ] {
        assert!(text.contains(words), "{words}");
    }
    // A picture for each step.
    assert_eq!(text.matches("<svg class=\"picture\"").count(), 3);
}

/// Closing the window in a lecture is leaving it: the next window is not light and large because of it.
#[test]
fn a_lecture_s_theme_and_scale_are_not_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("window.ron");
    std::fs::write(&settings, "(theme: \"dark\", zoom: Some(1.2))").expect("written");
    let mut app = App::offline(lecture(), "lecture.ron");
    app.remember_in(settings.clone());
    let mut harness = window(app, [1400.0, 900.0]);
    harness.key_press_modifiers(Modifiers::SHIFT, Key::F5);
    harness.run();
    assert_eq!(harness.ctx.theme(), egui::Theme::Light);
    // Something else to remember, so that it is written.
    harness.state_mut().queue(UiCommand::ShowTab(Tab::Regions));
    harness.run();
    let written = || std::fs::read_to_string(&settings).unwrap_or_default();
    until(&mut harness, "the tab is remembered", |_| {
        written().contains("Regions")
    });
    let text = written();
    assert!(text.contains("dark") && text.contains("1.2"), "{text}");
}

#[test]
fn a_recording_with_notes_is_a_lecture() {
    let mut history = fixture::history(4);
    let id = history.id_at(3).unwrap();
    history.notebook_mut().edit("a note", |pages| {
        pages.notes.insert(id, "The only one.".into());
    });
    let mut harness = recording(history, [1400.0, 900.0]);
    key(&mut harness, Key::F11);
    harness.get_by_label("Caption: The only one.");
    harness.get_by_label("Step 1 of 1");
}

#[test]
fn without_notes_it_is_said_what_to_do() {
    let mut harness = recording(fixture::history(4), [1400.0, 900.0]);
    key(&mut harness, Key::F11);
    harness.get_by_label_contains("There is no lecture yet. Write notes with N");
}

#[test]
fn a_caption_of_any_length_stays_in_its_band() {
    let mut history = lecture();
    history.notebook_mut().edit("long", |pages| {
        pages.lecture[0].caption = "A long sentence about page tables. ".repeat(400).into();
    });
    let mut harness = recording(history, [1000.0, 700.0]);
    key(&mut harness, Key::F11);
    let band = harness.get_by_label_contains("Caption: A long").rect();
    let height = 700.0 / harness.ctx.zoom_factor();
    assert!(band.height() <= height * 0.37, "{band} of {height}");
    assert!(band.bottom() <= height + 1.0);
}

#[test]
fn a_lecture_is_written_step_by_step() {
    let mut harness = recording(fixture::history(4), [1400.0, 900.0]);
    press(&mut harness, "Lecture");
    let title = harness.get_by_label("Title of the lecture");
    title.focus();
    harness.run();
    harness
        .get_by_label("Title of the lecture")
        .type_text("Mine");
    harness.run();
    key(&mut harness, Key::Enter);
    press(&mut harness, "Add this step");
    let chosen = Selection::Virtual(VirtAddr::new(0x8020_0000));
    harness.state_mut().queue(UiCommand::Seek(1));
    harness.state_mut().queue(UiCommand::Select(chosen));
    harness.run();
    press(&mut harness, "Add this step");
    let caption = harness.get_by_label("Caption of step 2");
    caption.click();
    harness.run();
    harness
        .get_by_label("Caption of step 2")
        .type_text("The kernel's code.");
    harness.run();
    // It counts when another step is chosen.
    press(&mut harness, "Lecture step 1: step 4 · no caption yet");
    harness
        .get_by_label("Lecture step 2: step 1 · The kernel's code.")
        .click();
    harness.run();
    press(&mut harness, "Move the step back");
    let pages = harness.state().state().history.notebook().pages().clone();
    assert_eq!(pages.title, "Mine");
    let captions: Vec<&str> = pages.lecture.iter().map(|it| it.caption.as_ref()).collect();
    assert_eq!(captions, ["The kernel's code.", ""]);
    assert_eq!(pages.lecture[0].select, chosen);
    let steps = |harness: &Window| {
        let history = &harness.state().state().history;
        history.notebook().pages().lecture.len()
    };
    press(&mut harness, "Take the step away");
    assert_eq!(steps(&harness), 1);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run();
    assert_eq!(steps(&harness), 2);
    // The moment and the selection that are looked at now.
    harness.state_mut().queue(LectureCommand::Choose(0).into());
    let other = Selection::Physical(PhysAddr::new(0x87ff_f000));
    harness.state_mut().queue(UiCommand::Seek(3));
    harness.state_mut().queue(UiCommand::Select(other));
    harness.run();
    press(&mut harness, "Show what is selected");
    let history = &harness.state().state().history;
    let slide = &history.notebook().pages().lecture[0];
    assert_eq!(
        (slide.select, history.place_of(slide.moment)),
        (other, Some(3))
    );
}
