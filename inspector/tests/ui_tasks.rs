//! Three tasks for somebody who knows paging and has never seen the tool, done with what can be read on the screen and
//! nothing else: each step presses or types into something that is found by the words on it.

mod ui_support;

use egui::Key;
use egui_kittest::kittest::Queryable as _;
use pagescope::model::fixture;
use ui_support::{SIZE, Window, key, press, recording};

/// Scrolls there, as one does who reads on, and presses it.
fn reach(harness: &mut Window, label: &str) {
    harness.get_by_label(label).scroll_to_me();
    harness.run();
    press(harness, label);
}

/// Types into the box that says `Address`, and presses Enter.
fn look_up(harness: &mut Window, text: &str) {
    reach(harness, "Address");
    harness.get_by_label("Address").type_text(text);
    harness.run();
    key(harness, Key::Enter);
}

/// The stack overflowed to 0x80216ff8: why does that fault, and where does the stack begin?
#[test]
fn why_is_an_address_not_mapped() {
    let mut harness = recording(fixture::history(4), SIZE);
    look_up(&mut harness, "0x80216ff8");
    harness.get_by_label("Not mapped: the L0 entry is invalid.");
    harness.get_by_label_contains(
        "The first missing entry is L0[22] of the table 0x87ff9000: V is clear, so nothing is mapped in the 4 KiB from \
         0x80216000.",
    );
    // What would have to be written, and what is mapped next to it.
    harness.get_by_label("the entry to write");
    harness.get_by_label("mapped above, from");
    reach(&mut harness, "0x80217000");
    harness.get_by_label("Leaf in L0, entry 23");
    harness.get_by_label("stack");
}

/// A new page table appeared in step 12: which one, and for which addresses?
#[test]
fn which_table_appeared_in_step_12() {
    // The heap crosses into the next 2 MiB in this recording.
    let mut harness = recording(fixture::history_from(492, 16), SIZE);
    harness.get_by_label_contains("Step 12: ").click();
    harness.run();
    harness.get_by_label_contains("+ L0 table").click();
    harness.run();
    harness.get_by_label("L0 table at 0x87ff8000");
    harness.get_by_label_contains("Translates 2 MiB from 0x87c00000.");
    // Its own history says the same.
    harness.get_by_label("became the L0 table for 0x87c00000");
}

/// Which addresses reach the frame 0x87003000?
#[test]
fn which_addresses_reach_a_frame() {
    let mut history = pagescope::model::History::new();
    history.push(std::sync::Arc::new(fixture::several_spaces()));
    let mut harness = recording(history, SIZE);
    look_up(&mut harness, "p:0x87003000");
    harness.get_by_label("Who maps frame 0x87003000");
    harness.get_by_label("0x140000000");
    harness.get_by_label("No other mapping in this space.");
    harness.get_by_label("No other space leads to it.");
}
