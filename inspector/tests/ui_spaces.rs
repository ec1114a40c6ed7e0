//! Several address spaces in the window: chosen, listed, compared, without a display.

mod ui_support;

use egui_kittest::kittest::Queryable as _;
use pagescope::model::fixture::{CPU_STRUCT, several_spaces};
use pagescope::model::{Selection, fixture};
use pagescope::views::{Tab, UiCommand};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::{RegionSpace, Snapshot};
use ui_support::{SIZE, Window, ask, moment, selection};

const SIZES: [[f32; 2]; 3] = [[900.0, 600.0], [1000.0, 700.0], [1440.0, 900.0]];

fn spaces() -> Window {
    moment(several_spaces(), SIZE)
}

fn space(harness: &Window) -> String {
    let space = harness.state().state().space();
    space.map_or_else(String::new, |space| space.name.clone())
}

/// All spaces are in the list, those that no hart runs in too; the hart follows.
#[test]
fn every_space_can_be_chosen() {
    let mut harness = spaces();
    assert_eq!(space(&harness), "hart 0");
    harness.get_by_label("Address space, hart 0").click();
    harness.run();
    harness.get_by_label("hart 0, hart 0 runs in it");
    harness.get_by_label("hart 1, hart 1 runs in it").click();
    harness.run();
    assert_eq!(space(&harness), "hart 1");
    assert_eq!(harness.state().state().hart, 1, "the hart follows");
    harness.get_by_label("Address space, hart 1").click();
    harness.run();
    harness.get_by_label("process 3 init, no hart now").click();
    harness.run();
    assert_eq!(space(&harness), "process 3 init");
    assert_eq!(harness.state().state().hart, 1, "no hart runs there");
    harness.get_by_label("Hart, no hart");
    // And the other way round: a hart's space comes with it.
    ask(&mut harness, UiCommand::ChooseHart(0));
    assert_eq!(space(&harness), "hart 0");
}

/// Esc closes the menu that is open, and only then does what is behind it hear of it.
#[test]
fn escape_is_the_open_menus_first() {
    let mut harness = spaces();
    let at = Selection::Virtual(VirtAddr::new(CPU_STRUCT));
    ask(&mut harness, UiCommand::Select(at));
    harness.get_by_label("Address space, hart 0").click();
    harness.run();
    harness.get_by_label("hart 1, hart 1 runs in it");
    harness.key_press(egui::Key::Escape);
    harness.run();
    assert!(
        harness
            .query_by_label("hart 1, hart 1 runs in it")
            .is_none()
    );
    assert_eq!(selection(&harness), at);
    harness.key_press(egui::Key::Escape);
    harness.run();
    assert_eq!(selection(&harness), Selection::Nothing);
}

/// Pressing a region selects it where it counts, and chooses that space.
#[test]
fn a_region_is_selected_everywhere() {
    let mut harness = moment(several_spaces(), [1440.0, 1300.0]);
    ask(&mut harness, UiCommand::ShowTab(Tab::Regions));
    harness
        .get_by_label_contains("cpu struct, cpu struct, every space")
        .click();
    harness.run();
    let starts_at = |harness: &Window| match selection(harness) {
        Selection::Range(stretch) => stretch.start,
        other => panic!("{other:?}"),
    };
    assert_eq!(starts_at(&harness), CPU_STRUCT);
    harness.get_by_label_contains("= 0x87003000 + 0x000");
    harness
        .get_by_label_contains("user text, user, process 3 init")
        .click();
    harness.run();
    assert_eq!(space(&harness), "process 3 init");
    assert_eq!(starts_at(&harness), CPU_STRUCT + 0x10000);
    harness
        .get_by_label_contains("guard, guard, physical")
        .click();
    harness.run();
    assert!(matches!(
        selection(&harness),
        Selection::Range(stretch) if stretch.space == RegionSpace::Physical
    ));
}

/// The rows' first words, from the top down.
fn names(harness: &Window) -> Vec<String> {
    let known: Vec<String> = several_spaces()
        .regions
        .iter()
        .map(|region| format!("{}, {}, ", region.name, region.kind.name()))
        .collect();
    let mut rows: Vec<(f32, String)> = Vec::new();
    for name in &known {
        for node in harness.query_all_by_label_contains(name) {
            rows.push((node.rect().top(), name.clone()));
        }
    }
    // "stack guard, guard, " has "guard, guard, " in it: of two names at one place the longer one is meant.
    let key = |row: &(f32, String)| (row.0 as i32, usize::MAX - row.1.len());
    rows.sort_by_key(key);
    rows.dedup_by_key(|row| row.0 as i32);
    let first = |(_, name): (f32, String)| name.split(", ").next().map(str::to_owned);
    rows.into_iter().filter_map(first).collect()
}

#[test]
fn regions_are_sorted_and_filtered() {
    let mut harness = moment(several_spaces(), [1440.0, 1300.0]);
    ask(&mut harness, UiCommand::ShowTab(Tab::Regions));
    assert_eq!(names(&harness)[0], "zero page", "by address at first");
    harness.get_by_label("Sort regions by Name").click();
    harness.run();
    let sorted = names(&harness);
    let mut expected = sorted.clone();
    expected.sort_by_key(|name| name.to_lowercase());
    assert_eq!(sorted, expected);
    assert!(sorted.len() > 8, "{sorted:?}");
    harness.get_by_label("Sort regions by Name").click();
    harness.run();
    expected.reverse();
    assert_eq!(names(&harness), expected, "downwards");
    for column in [
        "Kind",
        "Counts in",
        "Start",
        "Size",
        "Mapped",
        "Tag",
        "What for",
    ] {
        let label = format!("Sort regions by {column}");
        harness.get_by_label(&label).click();
        harness.run();
    }
    harness.get_by_label("Filter regions").focus();
    harness.run();
    harness.get_by_label("Filter regions").type_text("BRK");
    harness.run();
    assert_eq!(names(&harness), ["user heap"]);
    harness.get_by_label("Copy regions").click();
    // What is copied is said in one frame alone.
    let copied = (0..4).any(|_| {
        harness.step();
        let commands = &harness.output().platform_output.commands;
        commands.iter().any(|command| {
            matches!(command, egui::OutputCommand::CopyText(text) if text.starts_with("user heap\treserved\t"))
        })
    });
    assert!(copied);
}

/// Tab goes from row to row, and Space presses one.
#[test]
fn a_region_is_reached_by_the_keyboard() {
    let mut harness = spaces();
    ask(&mut harness, UiCommand::ShowTab(Tab::Regions));
    harness.get_by_label_contains("zero page, guard").focus();
    harness.run();
    harness.key_press(egui::Key::Space);
    harness.run();
    assert!(matches!(selection(&harness), Selection::Range(stretch) if stretch.start == 0));
    assert_eq!(space(&harness), "process 3 init");
}

#[test]
fn the_trace_is_newest_first_and_selects() {
    let mut harness = spaces();
    ask(&mut harness, UiCommand::ShowTab(Tab::Trace));
    let top = |label: &str| harness.get_by_label_contains(label).rect().top();
    assert!(top("5, 1, fault") < top("0, 0, kalloc"));
    let row = "2, 0, map, 0x140000000 → 0x87013000, 4 KiB, rw---ad, hart 1, map_cpu+0x1c";
    harness.get_by_label(row).click();
    harness.run();
    assert_eq!(space(&harness), "hart 1");
    let at = Selection::Virtual(VirtAddr::new(CPU_STRUCT));
    assert_eq!(selection(&harness), at);
    harness.get_by_label("Filter trace").focus();
    harness.run();
    harness.get_by_label("Filter trace").type_text("spawn");
    harness.run();
    harness.get_by_label_contains("3, 1, spawn, process 3");
    assert!(harness.query_by_label_contains("2, 0, map").is_none());
}

/// A column that no region has a word for leaves its room to the others.
#[test]
fn an_empty_column_is_not_there() {
    let titles = |snapshot: Snapshot| {
        let mut harness = moment(snapshot, [1000.0, 700.0]);
        ask(&mut harness, UiCommand::ShowTab(Tab::Regions));
        let tag = harness.query_by_label("Sort regions by Tag").is_some();
        let what_for = harness.get_by_label("Sort regions by What for").rect();
        (tag, what_for.left())
    };
    let mut snapshot = several_spaces();
    let (has_tag, with_tag) = titles(snapshot.clone());
    snapshot
        .regions
        .iter_mut()
        .for_each(|region| region.tag.clear());
    let (has_none, without) = titles(snapshot);
    assert!(has_tag && !has_none);
    assert!(without < with_tag - 50.0, "{without} {with_tag}");
}

#[test]
fn lists_with_nothing_in_them_say_why() {
    let mut snapshot = fixture::pseudos(1);
    snapshot.regions.clear();
    let mut harness = moment(snapshot, [1000.0, 700.0]);
    ask(&mut harness, UiCommand::ShowTab(Tab::Regions));
    harness.get_by_label_contains("attach with --elf FILE");
    ask(&mut harness, UiCommand::ShowTab(Tab::Trace));
    harness.get_by_label_contains("This kernel publishes no trace");
}

#[test]
fn two_spaces_are_compared() {
    let mut harness = spaces();
    harness.get_by_label("View ▾").click();
    harness.run();
    harness.get_by_label_contains("Compare with…").click();
    harness.run();
    harness.get_by_label("hart 1").click();
    harness.run();
    harness.get_by_label("hart 0 and hart 1 differ in 1 region: cpu struct");
    harness.get_by_label_contains("mapped in both");
    harness.get_by_label("alike: neither maps stack guard");
    let row = "cpu struct at 0x140000000, other frame: 0x87003000 and 0x87013000";
    harness.get_by_label(row).click();
    harness.run();
    let at = Selection::Virtual(VirtAddr::new(CPU_STRUCT));
    assert_eq!(selection(&harness), at);
    harness.get_by_label("Swap").click();
    harness.run();
    harness.get_by_label("hart 1 and hart 0 differ in 1 region: cpu struct");
    // Another space to look at is compared with the same one.
    ask(
        &mut harness,
        UiCommand::ChooseSpace("process 3 init".into()),
    );
    harness.get_by_label("process 3 init and hart 0 differ in 2 regions: cpu struct, user text");
    harness.get_by_label_contains("only in process 3 init");
    harness.key_press(egui::Key::Escape);
    harness.run();
    assert!(harness.state().state().compared.is_none());
    assert_eq!(selection(&harness), at, "Esc left the comparison alone");
    harness.get_by_label_contains("Virtual map, ");
}

/// A window that nothing happens to is not drawn again, whatever it shows; and nothing is off the edge.
#[test]
fn all_of_it_fits_and_rests() {
    for size in SIZES {
        let mut harness = moment(several_spaces(), size);
        for tab in [Tab::Regions, Tab::Trace] {
            ask(&mut harness, UiCommand::ShowTab(tab));
            assert!(harness.run() <= 2, "{size:?} {tab:?}");
            let [width, height] = size;
            let name = tab.name().to_lowercase();
            for label in [format!("Filter {name}"), format!("Copy {name}")] {
                let rect = harness.get_by_label(&label).rect();
                assert!(
                    rect.right() <= width && rect.bottom() <= height,
                    "{label} {size:?}"
                );
            }
            let heap = harness.get_by_label_contains("Heap counter 12").rect();
            assert!(heap.bottom() <= height, "{size:?}");
        }
        ask(
            &mut harness,
            UiCommand::Compare(Some("process 3 init".into())),
        );
        assert!(harness.run() <= 2, "{size:?}");
        let leave = harness.get_by_label("Leave the comparison").rect();
        assert!(leave.right() <= size[0], "{size:?}");
    }
}

/// A space that goes while it is looked at or compared leaves a window that still draws.
#[test]
fn a_space_that_goes_is_no_trouble() {
    let mut harness = spaces();
    ask(&mut harness, UiCommand::ChooseSpace("nowhere".into()));
    assert_eq!(space(&harness), "hart 0");
    ask(&mut harness, UiCommand::Compare(Some("nowhere".into())));
    harness.get_by_label_contains("Virtual map, ");
    ask(&mut harness, UiCommand::Compare(Some("hart 0".into())));
    harness.get_by_label_contains("Virtual map, ");
}
