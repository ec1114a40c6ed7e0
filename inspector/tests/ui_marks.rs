//! What the maps tell apart, and that resting on a row anywhere marks its address in all of them.

mod ui_support;

use std::sync::Arc;

use egui_kittest::kittest::Queryable as _;
use pagescope::export::view::{Picture, view_svg};
use pagescope::model::{BandKind, Difference, Selection, fixture, virtual_bands};
use pagescope::session::{Connection, Event};
use pagescope::views::{Tab, UiCommand, ViewPart};
use pagescope_protocol::snapshot::{RegionSpace, Snapshot};
use pagescope_protocol::{Level, PhysAddr, VirtAddr};
use ui_support::{SIZE, Window, moment, recording};

/// The tables of the last level could not be read.
fn unread() -> Snapshot {
    let mut snapshot = fixture::pseudos(4);
    for space in &mut snapshot.spaces {
        space.tables.edit(|tables| {
            for table in tables.iter_mut().filter(|table| table.level == Level::L0) {
                Arc::make_mut(table).entries = None;
            }
        });
        // As a capture of such tables has it.
        let unread: Vec<_> = space.tables.iter().cloned().collect();
        space.mappings.edit(|mappings| {
            mappings.retain(|mapping| {
                let is_under = |table: &Arc<pagescope_protocol::snapshot::Table>| {
                    let from = table.covers_from.as_u64();
                    table.level == Level::L0
                        && (from..from + (2 << 20)).contains(&mapping.virt.as_u64())
                };
                !unread.iter().any(is_under)
            });
        });
    }
    snapshot
}

#[test]
fn what_could_not_be_read_is_not_said_to_be_unmapped() {
    let snapshot = unread();
    let bands = virtual_bands(&snapshot, &snapshot.spaces[0], &Difference::default());
    for table in snapshot.spaces[0].unread_tables() {
        let at = table.covers_from.as_u64();
        let band = bands.iter().find(|band| band.contains(at));
        assert_eq!(
            band.map(|band| band.kind),
            Some(BandKind::Unread),
            "{at:#x}"
        );
    }
    // Each address is in one band, and each band begins where the one before it ends.
    assert_eq!(bands.first().map(|band| band.start), Some(0));
    for pair in bands.windows(2) {
        assert_eq!(pair[0].last().wrapping_add(1), pair[1].start);
    }
    let mut harness = moment(snapshot, SIZE);
    harness.get_by_label("Legend: unreadable").click();
    harness.run();
    harness.get_by_label("Only unreadable is bright");
    let picture = Picture {
        part: ViewPart::Virtual,
        ..Picture::default()
    };
    let svg = view_svg(harness.state().state(), &picture).expect("it has pixels");
    assert!(svg.contains("could not be read"), "it is said in the map");
}

#[test]
fn a_picture_that_is_older_than_the_guest_says_so() {
    let mut harness = recording(fixture::history(4), SIZE);
    let stale = |harness: &Window| harness.query_by_label("Legend: stale").is_some();
    let mut say = |connection: Connection| {
        harness.state_mut().take(Event::Connection(connection));
        harness.run();
        let picture = Picture::default();
        let svg = view_svg(harness.state().state(), &picture).expect("it has pixels");
        let is_said = svg.contains("~ stale");
        assert_eq!(is_said, stale(&harness));
        is_said
    };
    assert!(!say(Connection::Stopped));
    assert!(say(Connection::Running));
    assert!(!say(Connection::Stopped));
    let why = "the guest closed the connection".into();
    assert!(say(Connection::Lost { why }));
    // What somebody looks back at is not older than it says.
    harness.state_mut().queue(UiCommand::Seek(1));
    harness
        .state_mut()
        .take(Event::Connection(Connection::Running));
    harness.run();
    assert!(!stale(&harness));
}

/// Rests on the row that begins with `label`; what is marked then.
fn rest_on(harness: &mut Window, tab: Tab, label: &str) -> Selection {
    harness.state_mut().queue(UiCommand::ShowTab(tab));
    harness.run();
    harness.remove_cursor();
    harness.run();
    assert_eq!(harness.state().state().look.hover, Selection::Nothing);
    harness
        .get_all_by_label_contains(label)
        .next()
        .unwrap_or_else(|| panic!("{tab:?} has no {label}"))
        .hover();
    harness.run();
    harness.state().state().look.hover
}

#[test]
fn resting_on_a_row_marks_its_address_in_all_maps() {
    let snapshot = fixture::several_spaces();
    let hart = snapshot.harts[0].clone();
    let value = |name: &str| {
        let mut registers = hart.registers.iter();
        let found = registers.find(|register| register.name == name);
        found.expect("a register").value
    };
    let watch = snapshot.watches[0].clone();
    let mut harness = moment(snapshot, SIZE);
    let at = |address: u64| Selection::Virtual(VirtAddr::new(address));
    let sp = value("sp");
    assert_eq!(
        rest_on(&mut harness, Tab::Registers, &format!("sp {sp:#x}")),
        at(sp)
    );
    let satp = rest_on(&mut harness, Tab::Registers, "satp 0x");
    assert!(matches!(satp, Selection::Physical(_)), "{satp:?}");
    let watched = rest_on(&mut harness, Tab::Watches, &format!("Watch {}", watch.name));
    assert_eq!(watched, Selection::Physical(watch.address));
    let pc = hart.pc.expect("it has one");
    let shown = rest_on(&mut harness, Tab::Harts, &format!("hart {}, ", hart.id));
    assert_eq!(shown, Selection::Virtual(pc));
    let region = rest_on(&mut harness, Tab::Regions, ", 0x8");
    assert!(matches!(region, Selection::Range(_)), "{region:?}");
    let event = rest_on(&mut harness, Tab::Trace, "0, 0, kalloc");
    assert!(matches!(event, Selection::Virtual(_)), "{event:?}");
}

#[test]
fn a_note_marks_the_address_that_it_speaks_of() {
    let mut history = fixture::history(4);
    let id = history.id_at(4).expect("a moment");
    history.notebook_mut().edit("a note", |pages| {
        let note = "Look at (p:0x87ff9000), the frame of kalloc.";
        pages.notes.insert(id, note.into());
    });
    let mut harness = recording(history, SIZE);
    let marked = rest_on(&mut harness, Tab::Timeline, "Note: Look at");
    assert_eq!(marked, Selection::Physical(PhysAddr::new(0x87ff_9000)));
}

#[test]
fn a_row_of_a_comparison_marks_its_range() {
    let mut harness = moment(fixture::several_spaces(), SIZE);
    let other = harness.state().state().snapshot().expect("one").spaces[1]
        .name
        .clone();
    harness.state_mut().queue(UiCommand::Compare(Some(other)));
    harness.run();
    let marked = rest_on(&mut harness, Tab::Timeline, " at 0x");
    assert!(
        matches!(marked, Selection::Range(stretch) if stretch.space == RegionSpace::Virtual),
        "{marked:?}"
    );
}
