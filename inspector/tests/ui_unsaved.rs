//! Nothing that somebody has written or stepped is lost without a word.

mod ui_support;

use std::path::Path;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use pagescope::model::{History, Selection, Sign, fixture};
use pagescope::session::{Event, WatchAt, WatchSpec};
use pagescope::views::command::{DeskCommand, LookCommand};
use pagescope::views::{FilePurpose, Tab, UiCommand};
use ui_support::guest::stopped;
use ui_support::screens::lecture;
use ui_support::{SIZE, Window, ask, chord, key, offline, press, recording, type_into, until};

const QUESTION: &str = "Save it first?";

fn asks(window: &Window) -> bool {
    window.query_all_by_label(QUESTION).next().is_some()
}

fn is_empty(window: &Window) -> bool {
    window.state().state().snapshot().is_none()
}

fn save(window: &mut Window, path: &Path) {
    ask(
        window,
        UiCommand::File(FilePurpose::SaveRecording, path.into()),
    );
    until(window, "the file is written", |_| path.exists());
    until(window, "that is told", |window| {
        window.state().state().notice.is_some()
    });
}

fn open(window: &mut Window, path: &Path) {
    ask(window, UiCommand::File(FilePurpose::Open, path.into()));
    let name = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    until(window, "the file is there", |window| {
        asks(window) || window.state().state().title == name
    });
}

#[test]
fn a_file_that_nobody_changed_is_left_at_once() {
    let mut window = offline(3);
    chord(&mut window, Modifiers::COMMAND, Key::W);
    assert!(!asks(&window) && is_empty(&window));
}

#[test]
fn what_was_written_is_asked_about_before_it_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.ron");
    let mut window = offline(3);
    key(&mut window, Key::N);
    type_into(&mut window, "Note of step 3", "a thought");
    // The panel is open still, and what is typed counts.
    chord(&mut window, Modifiers::COMMAND, Key::W);
    assert!(asks(&window) && !is_empty(&window));
    press(&mut window, "Stay");
    assert!(!asks(&window) && !is_empty(&window));
    chord(&mut window, Modifiers::COMMAND, Key::W);
    key(&mut window, Key::Escape);
    assert!(!asks(&window) && !is_empty(&window));
    save(&mut window, &path);
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("a thought")
    );
    chord(&mut window, Modifiers::COMMAND, Key::W);
    assert!(!asks(&window) && is_empty(&window));
}

#[test]
fn a_note_that_is_being_typed_is_in_the_file_that_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.ron");
    let mut window = offline(2);
    key(&mut window, Key::N);
    type_into(&mut window, "Note of step 2", "half a sent");
    save(&mut window, &path);
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("half a sent")
    );
    // It is written on, and saved again.
    type_into(&mut window, "Note of step 2", "ence");
    std::fs::remove_file(&path).unwrap();
    save(&mut window, &path);
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("half a sentence")
    );
}

#[test]
fn steps_of_a_guest_are_asked_about_and_can_be_thrown_away() {
    let (mut window, guest) = stopped(SIZE);
    for pages in 2..5 {
        guest.tell(&mut window, [Event::Moment(fixture::pseudos(pages).into())]);
    }
    chord(&mut window, Modifiers::COMMAND, Key::W);
    assert!(asks(&window));
    window.get_by_label_contains("steps are in no file yet");
    press(&mut window, "Leave without saving");
    assert!(!asks(&window) && is_empty(&window));
}

#[test]
fn a_caption_stays_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.ron");
    let mut window = recording(lecture(), SIZE);
    save(&mut window, &other);
    let before = window.state().state().history.notebook().pages().clone();
    ask(&mut window, UiCommand::ShowTab(Tab::Lecture));
    type_into(&mut window, "Caption of step 1", "MINE ALONE");
    open(&mut window, &other);
    assert!(asks(&window), "a caption is written and in no file");
    press(&mut window, "Leave without saving");
    ask(&mut window, UiCommand::ShowTab(Tab::Lecture));
    window.run();
    assert_eq!(*window.state().state().history.notebook().pages(), before);
    let caption = window.get_by_label("Caption of step 1").value();
    assert!(!caption.unwrap_or_default().contains("MINE"));
}

#[test]
fn another_file_is_looked_at_with_fresh_eyes() {
    let mut window = offline(3);
    ask(&mut window, UiCommand::GoTo("0x87ff7000".into()));
    ask(
        &mut window,
        UiCommand::Look(LookCommand::Filter(Some(Sign::Fresh))),
    );
    ask(
        &mut window,
        UiCommand::Desk(DeskCommand::OpenLecture("self-map")),
    );
    until(&mut window, "the lecture", |window| {
        window.state().state().lecture.show.is_some()
    });
    let state = window.state().state();
    assert_eq!(state.look.filter, None);
    assert!(!state.look.can_go_back());
    assert!(state.log.lines().is_empty() && state.guest.watches.is_empty());
}

#[test]
fn a_lecture_is_drawn_without_the_filter_and_gives_it_back() {
    let mut window = recording(lecture(), SIZE);
    let filter = Some(Sign::Fresh);
    ask(&mut window, UiCommand::Look(LookCommand::Filter(filter)));
    key(&mut window, Key::F11);
    assert_eq!(window.state().state().look.filter, None);
    key(&mut window, Key::Escape);
    assert_eq!(window.state().state().look.filter, filter);
}

#[test]
fn n_gives_the_note_the_keyboard_again() {
    let mut window = offline(2);
    key(&mut window, Key::N);
    assert!(window.get_by_label("Note of step 2").is_focused());
    // A press on the map takes it.
    window
        .state_mut()
        .queue(UiCommand::Select(Selection::Nothing));
    window.get_by_label("Note of step 2").type_text("x");
    window.run();
    window.ctx.memory_mut(|memory| memory.stop_text_input());
    window.run();
    assert!(!window.get_by_label("Note of step 2").is_focused());
    key(&mut window, Key::N);
    assert!(window.get_by_label("Note of step 2").is_focused());
}

#[test]
fn a_number_that_cannot_be_watched_stands_in_nobodys_way() {
    let (mut window, guest) = stopped(SIZE);
    let watch = |name: &str| WatchSpec {
        name: name.into(),
        at: WatchAt::Symbol(name.into()),
        bytes: 8,
    };
    guest.tell(&mut window, [Event::Watching(vec![watch("known")])]);
    assert_eq!(window.state().state().guest.watches.len(), 1);
    ask(&mut window, UiCommand::ShowTab(Tab::Watches));
    window.state_mut().queue(UiCommand::Guest(
        pagescope::views::command::GuestCommand::AddWatch(watch("nosuchsymbol")),
    ));
    window.run();
    // What the session took is what is watched.
    guest.tell(&mut window, [Event::Watching(vec![watch("known")])]);
    let names: Vec<_> = window
        .state()
        .state()
        .guest
        .watches
        .iter()
        .map(|watch| watch.name.clone())
        .collect();
    assert_eq!(names, ["known"]);
}

#[test]
fn no_history_is_no_question() {
    let mut window = ui_support::window(pagescope::app::App::offline(History::new(), ""), SIZE);
    chord(&mut window, Modifiers::COMMAND, Key::W);
    assert!(!asks(&window));
}

#[test]
fn closing_the_window_asks_about_what_was_written_and_not_where_the_program_is_told_to_end() {
    use pagescope::link::Cancel;
    let ends = Cancel::new();
    let mut app = pagescope::app::App::offline(fixture::history(2), "lecture.ron");
    app.ends_with(ends.clone());
    let mut window = ui_support::window(app, SIZE);
    close(&mut window);
    assert!(!asks(&window), "nothing was written");
    key(&mut window, Key::N);
    type_into(&mut window, "Note of step 2", "a thought");
    assert!(close(&mut window), "it is not closed yet");
    assert!(asks(&window));
    press(&mut window, "Stay");
    ends.cancel();
    assert!(!close(&mut window));
    assert!(!asks(&window));
}

/// Asks the window to close, as the desktop does; whether it refuses.
fn close(window: &mut Window) -> bool {
    let root = egui::ViewportId::ROOT;
    let input = window.input_mut();
    let viewport = input.viewports.entry(root).or_default();
    viewport.events.push(egui::ViewportEvent::Close);
    window.step();
    let output = window.output().viewport_output.get(&root);
    let refuses = output.is_some_and(|output| {
        output
            .commands
            .contains(&egui::ViewportCommand::CancelClose)
    });
    let viewport = window.input_mut().viewports.entry(root).or_default();
    viewport.events.clear();
    window.run();
    refuses
}
