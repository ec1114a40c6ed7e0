//! Our own guest's console and watched numbers, through the window's command path.

mod support;

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use pagescope::session::{
    Command, Connection, ConsoleInput, Demo, Event, Session, Source, WatchAt, WatchSpec,
};
use support::{HANG_GUARD, folder, kernel_in};

/// What is typed arrives while the link waits for what it causes: kfree is stepped, and then called.
#[test]
fn a_guest_is_typed_at_while_a_step_waits() {
    let folder = folder();
    let kernel = fs::read(kernel_in(folder.path())).expect("the kernel");
    let demo = Demo {
        kernel: kernel.into(),
        append: "pace=0".into(),
        harts: 1,
    };
    let session = Session::start(Source::Demo(demo), Arc::new(|| {})).expect("a thread");
    let deadline = Instant::now() + HANG_GUARD;
    let send = |command| session.commands.send(command).expect("it takes commands");
    let input: RefCell<Option<ConsoleInput>> = RefCell::new(None);
    let said = RefCell::new(String::new());
    let next = || loop {
        match session.events.recv_deadline(deadline).expect("an event") {
            Event::ConsoleInput(given) => {
                *input.borrow_mut() = Some(given.expect("our guest has a console"));
            }
            Event::Console(text) => said.borrow_mut().push_str(&text),
            Event::Failed(why) | Event::Connection(Connection::Lost { why }) => panic!("{why}"),
            Event::Moment(snapshot) => break snapshot,
            _ => {}
        }
    };
    let booted = next();
    let heap = booted.heap.expect("our kernel has a heap");

    // The kernel's own counter, by its physical address, and a number that is nowhere.
    let watch = |name: &str, at, bytes| WatchSpec {
        name: name.into(),
        at,
        bytes,
    };
    send(Command::Watch(vec![
        watch("mine", WatchAt::Physical(heap.counter_address), 8),
        watch("byte", WatchAt::Physical(heap.counter_address), 1),
        watch(
            "nowhere",
            WatchAt::Virtual(pagescope_protocol::VirtAddr::new(0x7000_0000)),
            4,
        ),
        watch("code", WatchAt::Symbol("kalloc".into()), 4),
    ]));
    let watching = next();
    let value = |name: &str, snapshot: &pagescope_protocol::snapshot::Snapshot| {
        let found = snapshot.watches.iter().find(|watch| watch.name == name);
        found.expect("it is watched").value
    };
    assert_eq!(value("mine", &watching), Some(heap.counter));
    assert_eq!(value("byte", &watching), Some(heap.counter & 0xff));
    assert_eq!(value("nowhere", &watching), None);
    assert!(value("code", &watching).is_some_and(|word| word != 0));

    let step = |symbol: &str| Command::StepCall {
        symbol: symbol.into(),
        count: 1,
    };
    let typed = |text: &[u8]| {
        let input = input.borrow();
        let input = input
            .as_ref()
            .expect("the console came before the first moment");
        input.type_bytes(text).expect("it is taken");
    };
    send(step("kalloc"));
    typed(b"kalloc\n");
    let allocated = next();
    assert!(allocated.stop.starts_with("kalloc("), "{}", allocated.stop);
    assert_eq!(value("mine", &allocated), Some(heap.counter + 1));
    send(step("kfree"));
    typed(b"kfree\n");
    let freed = next();
    assert!(freed.stop.starts_with("kfree(0x"), "{}", freed.stop);
    let said = said.borrow();
    assert!(said.contains("kalloc"), "the console echoes: {said}");
}
