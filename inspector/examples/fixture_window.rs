//! The window on a made-up guest, without QEMU: for working on views, and for looking at them.
//!
//! ```text
//! cargo run --example fixture_window -- [--steps N] [--pages N] [--light] [--size 1440x900]
//!     [--live | --bare | --unreadable | --lost | --connecting | --empty] [--select 0x87ff3000]
//!     [--spaces [--space "hart 1"] [--compare "hart 1"]] [--tab Regions]
//!     [--mode Sv32|Sv48|Sv57 | --guest | --large]
//!     [--tables pool|self-leaf|mirror|demand] [--broken] [--table 0x87ffd000] [--check]
//! ```

#[path = "../tests/table_fixtures/mod.rs"]
mod table_fixtures;

use std::sync::{Arc, OnceLock};

use pagescope::app::{self, App, Link};
use pagescope::model::{History, Selection, fixture};
use pagescope::session::{Command, Connection, Event};
use pagescope::views::{Tab, UiCommand};
use pagescope_protocol::{LeafFlags, Level, PhysAddr, PhysPage, TranslationMode, VirtAddr};
use table_fixtures::{Built, Strategy};

fn main() -> Result<(), eframe::Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let number = |name: &str, default: u64| {
        value(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (pages, steps) = (number("--pages", 0), number("--steps", 12));
    let mut app = if has("--empty") {
        App::offline(History::new(), "")
    } else if has("--unreadable") {
        let mut snapshot = fixture::pseudos(steps);
        for space in &mut snapshot.spaces {
            space.tables.edit(|tables| {
                for table in tables.iter_mut().filter(|table| table.level == Level::L0) {
                    Arc::make_mut(table).entries = None;
                }
            });
        }
        let mut history = History::new();
        history.push(Arc::new(snapshot));
        App::offline(history, "damaged.ron")
    } else if has("--large") {
        large(number("--pages", 262_144))
    } else if has("--spaces") {
        let mut history = History::new();
        history.push(Arc::new(fixture::several_spaces()));
        App::offline(history, "spaces.ron")
    } else if let Some(mode) = value("--mode").and_then(|name| TranslationMode::from_name(&name)) {
        let mut history = History::new();
        history.push(Arc::new(fixture::in_mode(mode)));
        App::offline(history, "mode.ron")
    } else if has("--guest") {
        let mut history = History::new();
        history.push(Arc::new(fixture::hypervisor_guest()));
        App::offline(history, "guest.ron")
    } else if has("--bare") {
        let mut history = History::new();
        history.push(Arc::new(fixture::bare()));
        App::offline(history, "reset.ron")
    } else if let Some(name) = value("--tables") {
        built(&name, steps, has("--broken"))
    } else if has("--live") || has("--lost") || has("--connecting") {
        live(pages, steps, has("--lost"), has("--connecting"))
    } else {
        App::offline(fixture::history_from(pages, steps), "fixture.ron")
    };
    if has("--light") {
        app.queue(UiCommand::Theme(egui::ThemePreference::Light));
    } else {
        app.queue(UiCommand::Theme(egui::ThemePreference::Dark));
    }
    if let Some(address) = value("--select") {
        app.queue(UiCommand::GoTo(address));
    }
    if let Some(address) = value("--table") {
        let digits = address.trim_start_matches("0x");
        let number = u64::from_str_radix(digits, 16).unwrap_or(0) >> 12;
        let frame = PhysPage::from_truncated(number);
        let tables = app.state().space().map(|space| space.tables.clone());
        let table = tables.iter().flatten().find(|table| table.frame == frame);
        let level = table.map_or(Level::L0, |table| table.level);
        app.queue(UiCommand::Select(Selection::Table { level, frame }));
    }
    if let Some(name) = value("--space") {
        app.queue(UiCommand::ChooseSpace(name));
    }
    if let Some(name) = value("--compare") {
        app.queue(UiCommand::Compare(Some(name)));
    }
    if let Some(name) = value("--tab") {
        let tab = Tab::ALL.into_iter().find(|tab| tab.name() == name);
        app.queue(UiCommand::ShowTab(tab.unwrap_or_default()));
    }
    if has("--check") {
        app.queue(UiCommand::ShowTab(Tab::Check));
    }
    if let Some((width, height)) = value("--size").and_then(|size| {
        let (width, height) = size.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    }) {
        app.on_create(move |ctx| {
            let size = egui::vec2(width, height);
            ctx.send_viewport_cmd(egui::ViewportCommand::InnerSize(size));
        });
    }
    app::run(app)
}

/// Scattered pages of two kinds beside the usual ones, more of them than are assessed within a frame.
fn large(pages: u64) -> App {
    let mut snapshot = fixture::pseudos(12);
    snapshot.spaces[0].mappings.edit(|mappings| {
        let model = mappings[0].clone();
        for number in 0..pages {
            let mut page = model.clone();
            page.virt = VirtAddr::new(0x1_0000_0000 + (number + number / 1000 * 7) * 4096);
            page.phys = PhysAddr::new(0x8000_0000 + number * 7919 % 32_768 * 4096);
            (page.size, page.page_size) = (4096, 4096);
            if number / 300 % 3 == 0 {
                page.flags -= LeafFlags::WRITE;
            }
            mappings.push(page);
        }
        mappings.sort_by_key(|mapping| mapping.virt);
    });
    let mut history = History::new();
    history.push(Arc::new(snapshot));
    App::offline(history, "large.ron")
}

/// Tables of one strategy, built by hand; broken ones have something for the check to find.
fn built(name: &str, pages: u64, is_broken: bool) -> App {
    let known = Strategy::ALL.into_iter().find(|s| s.name() == name);
    let mut tables = Built::new(known.unwrap_or(Strategy::Pool), pages);
    if is_broken {
        let l1 = tables.table_of(0x8020_0000, 1);
        let root = tables.root;
        tables.set(l1, 100, table_fixtures::leaf(0x80001, table_fixtures::RW));
        tables.map(0x9000_0000, l1, table_fixtures::RW);
        tables.map(0x9000_1000, root, table_fixtures::R);
        tables.facts.reserve_low = 1;
    }
    let mut history = History::new();
    history.push(Arc::new(tables.snapshot()));
    App::offline(history, format!("{name}.ron"))
}

/// A guest that answers as the fixture would.
fn live(pages: u64, steps: u64, is_lost: bool, is_silent: bool) -> App {
    let (commands, asked) = crossbeam_channel::bounded(16);
    let (events, received) = crossbeam_channel::bounded(64);
    let link = Link {
        commands,
        events: received,
        cancel: pagescope::link::Cancel::new(),
    };
    let window: Arc<OnceLock<egui::Context>> = Arc::default();
    let woken = Arc::clone(&window);
    let say = move |event: Event| {
        // The window may be closed by now.
        let _ = events.send(event);
        if let Some(ctx) = woken.get() {
            ctx.request_repaint();
        }
    };
    std::thread::spawn(move || {
        if is_silent {
            while asked.recv().is_ok() {}
            return;
        }
        let target = "127.0.0.1:1234 · QEMU 10.0 · mapped RAM · capture 0.08 ms";
        say(Event::Target(target.into()));
        say(Event::StepSymbol(Some("kalloc".into())));
        say(Event::FreeSymbol(Some("kfree".into())));
        let (input, typed) = pagescope::session::ConsoleInput::channel();
        say(Event::ConsoleInput(Ok(input)));
        say(Event::Console("hello from the guest\nready> ".into()));
        // What is typed comes back, as a guest echoes it.
        let echo = say.clone();
        std::thread::spawn(move || {
            while let Ok(bytes) = typed.recv() {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                echo(Event::Console(format!("{text}ready> ")));
            }
        });
        let mut done = pages;
        for moment in fixture::history_from(pages, steps).moments() {
            say(Event::Moment(Arc::clone(&moment.snapshot)));
        }
        done += steps;
        let state = if is_lost {
            let why = "the guest closed the connection (QEMU ended?).".into();
            Connection::Lost { why }
        } else {
            Connection::Stopped
        };
        say(Event::Connection(state));
        while let Ok(command) = asked.recv() {
            match command {
                Command::StepCall { count, .. } => {
                    for _ in 0..count {
                        done += 1;
                        let snapshot = Arc::new(fixture::pseudos(done));
                        say(Event::Moment(snapshot));
                    }
                }
                Command::ReadFrame(frame) => {
                    let bytes = Some(Arc::new([0x5a; 4096]));
                    say(Event::Frame(frame, bytes));
                }
                Command::Resume => {
                    say(Event::Connection(Connection::Running));
                }
                Command::Pause | Command::Reconnect => {
                    say(Event::Connection(Connection::Stopped));
                }
                Command::Detach => break,
                Command::RunUntil(_) => {
                    done += 1;
                    say(Event::Moment(Arc::new(fixture::pseudos(done))));
                }
                Command::FindLine(address) => {
                    say(Event::Line(address, Some("kernel/kalloc.rs:70".into())));
                }
                // What it does not imitate.
                _ => {}
            }
        }
    });
    let mut app = App::live(link, "fixture");
    app.on_create(move |ctx| {
        let _ = window.set(ctx.clone());
    });
    app
}
