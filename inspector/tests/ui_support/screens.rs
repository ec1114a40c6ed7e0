//! Everything that the window can show, one after the other: each tab, each menu opened, each dialog, lecture mode.

use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use pagescope::app::App;
use pagescope::link::local::LocalGuest;
use pagescope::link::{PhysicalAccess, WayOffer};
use pagescope::model::fixture::several_spaces;
use pagescope::model::{History, Selection, fixture};
use pagescope::session::{Connection, ConsoleInput, Event, FollowReport, Rate};
use pagescope::views::command::{
    DeskCommand, GuestCommand, LectureCommand, LookCommand, TimeCommand,
};
use pagescope::views::{FilePurpose, Tab, UiCommand};
use pagescope_protocol::snapshot::Watch;
use pagescope_protocol::{Level, PhysAddr, PhysPage, VirtAddr};

use super::elsewhere::Elsewhere;
use super::guest::stopped;
use super::{SIZE, Window, ask, chord, moment, offline, press, recording, until, window};

/// What `look` is given for each screen: what it is called, and the window that shows it.
pub(crate) fn everywhere(mut look: impl FnMut(&str, &mut Window)) {
    tabs(&mut look);
    menus(&mut look);
    questions(&mut look);
    paths(&mut look);
    rest(&mut look);
}

/// Things that are told of in different ways.
fn selections() -> [Selection; 5] {
    let root = PhysPage::new(0x87ffc).expect("a page");
    [
        Selection::Nothing,
        Selection::Virtual(VirtAddr::new(0x87ff_3008)),
        Selection::Virtual(VirtAddr::new(0x8021_6000)),
        Selection::Physical(PhysAddr::new(0x87ff_3000)),
        Selection::Table {
            level: Level::L2,
            frame: root,
        },
    ]
}

/// A lecture of two steps, with a note and a bookmark.
pub(crate) fn lecture() -> History {
    let mut history = fixture::history(4);
    let ids = [1, 3].map(|place| history.id_at(place).expect("a moment"));
    history.notebook_mut().edit("a lecture", |pages| {
        pages.title = "Pages, one by one".into();
        pages.bookmarks.insert(ids[0], "the first".into());
        for id in ids {
            pages.notes.insert(id, "Look here.".into());
            let slide = pagescope::model::Slide::new(id, "Look here.");
            pages.lecture.push(slide);
        }
    });
    history
}

fn tabs(look: &mut impl FnMut(&str, &mut Window)) {
    let (mut live, guest) = stopped(SIZE);
    let (input, _typed) = ConsoleInput::channel();
    let mut snapshot = fixture::pseudos(4);
    snapshot.watches.push(Watch {
        name: "ticks".into(),
        address: PhysAddr::new(0x87ff_3000),
        value: Some(7),
        bytes: 8,
    });
    guest.tell(
        &mut live,
        [
            Event::ConsoleInput(Ok(input)),
            Event::Console("> ready\n".into()),
            Event::Log("connected".into()),
            Event::Moment(Arc::new(snapshot)),
        ],
    );
    let mut file = recording(lecture(), SIZE);
    let mut spaces = moment(several_spaces(), SIZE);
    for tab in Tab::ALL {
        for (what, window) in [
            ("a file", &mut file),
            ("a guest", &mut live),
            ("several spaces", &mut spaces),
        ] {
            ask(window, UiCommand::ShowTab(tab));
            for selection in selections() {
                ask(window, UiCommand::Select(selection));
                look(&format!("{}, {what}, {selection:?}", tab.name()), window);
            }
        }
    }
    ask(&mut file, UiCommand::ShowTab(Tab::Timeline));
    ask(&mut file, TimeCommand::List(true));
    look("list of steps", &mut file);
    ask(&mut file, TimeCommand::List(false));
    ask(&mut file, UiCommand::Seek(0));
    look("the first step", &mut file);
    ask(&mut file, TimeCommand::CompareWith(Some(3)));
    look("two steps compared", &mut file);
    let other = "process 3 init".to_owned();
    ask(&mut spaces, UiCommand::Compare(Some(other)));
    look("two spaces compared", &mut spaces);
}

fn menus(look: &mut impl FnMut(&str, &mut Window)) {
    let file = || recording(lecture(), SIZE);
    for label in [
        "File ▾",
        "View ▾",
        "More ways to step",
        "Plot ▾",
        "Speed: 2 steps a second",
        "Bookmarks 1 ▾",
        "Hart, hart 0",
        "Address space, hart 0",
    ] {
        let mut window = file();
        press(&mut window, label);
        look(&format!("menu {label}"), &mut window);
    }
    let mut narrow = recording(lecture(), [1000.0, 700.0]);
    look("a narrow window", &mut narrow);
    press(&mut narrow, "More ▾");
    look("menu More", &mut narrow);
    let mut spaces = moment(several_spaces(), SIZE);
    press(&mut spaces, "View ▾");
    press(&mut spaces, "Compare with…");
    look("menu Compare with", &mut spaces);

    let (mut live, guest) = stopped(SIZE);
    let way = |way, why_not: Option<&str>, is_used| WayOffer {
        way,
        why_not: why_not.map(str::to_owned),
        is_used,
    };
    let ways = vec![
        way(PhysicalAccess::MappedRam, Some("No file"), false),
        way(PhysicalAccess::GdbPort, None, true),
    ];
    guest.tell(&mut live, [Event::Ways(ways)]);
    for label in ["More ways to step", "File ▾", "Memory: gdb port ▾"] {
        press(&mut live, label);
        look(&format!("menu {label}, a guest"), &mut live);
        chord(&mut live, Modifiers::NONE, Key::Escape);
    }
    let followed = FollowReport {
        rate: Some(Rate::default()),
        ..FollowReport::default()
    };
    let running = Event::Connection(Connection::Running);
    guest.tell(&mut live, [running, Event::Follow(followed)]);
    look("a guest that is followed", &mut live);
    press(&mut live, "How often to look, 10 Hz");
    look("menu How often to look", &mut live);
}

fn questions(look: &mut impl FnMut(&str, &mut Window)) {
    let (mut live, _guest) = stopped(SIZE);
    ask(&mut live, UiCommand::Guest(GuestCommand::ToggleRunUntil));
    look("run until", &mut live);
    press(&mut live, "Mapped where, in any space");
    look("run until, where", &mut live);

    let mut picture = offline(4);
    ask(&mut picture, UiCommand::Guest(GuestCommand::ToggleExport));
    look("export picture", &mut picture);
    press(&mut picture, "View, Whole picture");
    look("export picture, view", &mut picture);

    let mut file = recording(lecture(), SIZE);
    ask(&mut file, TimeCommand::AskBase(true));
    look("compare with step", &mut file);
    ask(&mut file, TimeCommand::AskBase(false));
    ask(&mut file, TimeCommand::EditNote(true));
    look("note", &mut file);
    ask(&mut file, TimeCommand::EditNote(false));
    ask(&mut file, UiCommand::ToggleHelp);
    look("keys", &mut file);
    ask(&mut file, UiCommand::ToggleHelp);
    ask(&mut file, UiCommand::Desk(DeskCommand::TogglePalette));
    look("palette", &mut file);
    file.get_by_label("Find a command").type_text("step");
    file.run();
    look("palette, found", &mut file);
}

/// The path for each purpose, on a desktop that has no dialog.
fn paths(look: &mut impl FnMut(&str, &mut Window)) {
    let export = |purpose| UiCommand::Guest(GuestCommand::Export(purpose));
    for (command, purpose) in [
        (UiCommand::Open, FilePurpose::Open),
        (UiCommand::SaveSnapshot, FilePurpose::SaveSnapshot),
        (UiCommand::SaveRecording, FilePurpose::SaveRecording),
        (LectureCommand::ExportHtml.into(), FilePurpose::ExportHtml),
        (export(FilePurpose::ExportSvg), FilePurpose::ExportSvg),
        (export(FilePurpose::ExportPng), FilePurpose::ExportPng),
        (export(FilePurpose::ExportText), FilePurpose::ExportText),
        (
            export(FilePurpose::ExportSchematic),
            FilePurpose::ExportSchematic,
        ),
    ] {
        let mut app = App::offline(lecture(), "lecture.ron");
        Elsewhere::default().around(&mut app);
        let mut window = window(app, SIZE);
        ask(&mut window, command);
        until(&mut window, "the path is asked for", |window| {
            window.state().state().prompt == Some(purpose)
        });
        look(&format!("path for {purpose:?}"), &mut window);
    }
}

fn rest(look: &mut impl FnMut(&str, &mut Window)) {
    let mut app = App::offline(History::new(), "");
    let found = LocalGuest {
        pid: 1,
        address: "127.0.0.1:4321".parse().expect("an address"),
        command: "qemu-system-riscv64 -s".into(),
    };
    Elsewhere::with([found]).around(&mut app);
    let mut first = window(app, SIZE);
    until(&mut first, "a guest is found", |window| {
        window.state().state().desk.guests.is_some()
    });
    look("first screen", &mut first);
    for label in ["File ▾", "View ▾"] {
        press(&mut first, label);
        look(&format!("first screen, menu {label}"), &mut first);
        chord(&mut first, Modifiers::NONE, Key::Escape);
    }

    let mut shown = recording(lecture(), SIZE);
    ask(&mut shown, LectureCommand::Present);
    look("lecture mode", &mut shown);
    ask(&mut shown, LectureCommand::Blank);
    look("lecture mode, blank", &mut shown);

    let mut busy = super::guest::live(SIZE);
    look("a guest that has not answered", &mut busy.0);
    let (mut lost, guest) = stopped(SIZE);
    let why = "the guest closed the connection.".to_owned();
    for (what, connection) in [
        ("running", Connection::Running),
        (
            "busy",
            Connection::Busy {
                what: "stepping".into(),
            },
        ),
        ("detached", Connection::Detached),
        ("lost", Connection::Lost { why }),
    ] {
        guest.tell(&mut lost, [Event::Connection(connection)]);
        look(&format!("a guest that is {what}"), &mut lost);
    }
    let mut filtered = offline(2);
    ask(&mut filtered, UiCommand::GoTo("nowhere".into()));
    let stack = LookCommand::Filter(Some(pagescope::model::Sign::Stack));
    ask(&mut filtered, UiCommand::Look(stack));
    look("a notice and a filter", &mut filtered);
}
