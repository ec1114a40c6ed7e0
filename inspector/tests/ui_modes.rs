//! The window, the drawings and the command line on guests in every mode, without a display and without
//! QEMU.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod ui_support;

use std::process::Command;

use egui_kittest::kittest::Queryable as _;
use pagescope::export::svg::{Theme, layout_svg};
use pagescope::export::text::layout_text;
use pagescope::model::fixture::{
    REFUSED, REFUSED_TABLE, guest_in, hypervisor_guest, in_mode, kernel_at,
};
use pagescope::model::{Difference, Selection};
use pagescope::views::UiCommand;
use pagescope_protocol::snapshot::{Snapshot, text};
use pagescope_protocol::{TranslationMode, VirtAddr};
use ui_support::{SIZE, Window, ask, moment};

const SIZES: [[f32; 2]; 2] = [[1440.0, 900.0], [1000.0, 700.0]];

const FIRST_STAGES: [TranslationMode; 4] = [
    TranslationMode::Sv32,
    TranslationMode::Sv39,
    TranslationMode::Sv48,
    TranslationMode::Sv57,
];

fn select(harness: &mut Window, address: u64) {
    let at = Selection::Virtual(VirtAddr::new(address));
    ask(harness, UiCommand::Select(at));
}

/// Each level's card has as many cells as its mode's tables have entries.
#[test]
fn cards_have_the_modes_entries() {
    for size in SIZES {
        for mode in FIRST_STAGES {
            let mut harness = moment(in_mode(mode), size);
            select(&mut harness, kernel_at(mode).as_u64() + (64 << 20) + 0x123);
            let app = harness.state();
            let space = app.state().space().unwrap();
            let tables: Vec<String> = (space.tables.iter())
                .filter(|table| {
                    space
                        .translate(VirtAddr::new(kernel_at(mode).as_u64() + (64 << 20)))
                        .trail
                        .iter()
                        .any(|step| step.table == table.frame)
                })
                .map(|table| {
                    format!(
                        "Entries of the {} table {}, {} of {} valid",
                        table.level,
                        table.frame,
                        table.valid_entries(),
                        mode.entries(table.level)
                    )
                })
                .collect();
            assert_eq!(
                tables.len(),
                usize::from(mode.root_level().unwrap().number()) + 1
            );
            for name in tables {
                harness.get_by_label(&name);
            }
        }
    }
}

/// The walk's arithmetic and the entry's bits are the mode's own.
#[test]
fn the_walk_is_told_with_the_modes_sizes() {
    let mut harness = moment(in_mode(TranslationMode::Sv32), SIZE);
    select(
        &mut harness,
        kernel_at(TranslationMode::Sv32).as_u64() + (64 << 20),
    );
    // Two levels, entries of four bytes.
    assert_eq!(harness.get_all_by_label_contains("·4 → ").count(), 2);
    harness.get_by_label_contains("PPN, bits 31–10");
    let mut harness = moment(in_mode(TranslationMode::Sv57), SIZE);
    select(
        &mut harness,
        kernel_at(TranslationMode::Sv57).as_u64() + (64 << 20),
    );
    assert_eq!(harness.get_all_by_label_contains("·8 → ").count(), 5);
    harness.get_by_label_contains("PPN, bits 53–10");
}

/// A guest's walk shows both stages; the line ends in the machine's memory.
#[test]
fn a_guest_is_followed_through_both_stages() {
    for size in SIZES {
        let mut harness = moment(hypervisor_guest(), size);
        let virt = kernel_at(TranslationMode::Sv39).as_u64() + (64 << 20);
        select(&mut harness, virt);
        harness.get_by_label("Address space, hart 0 guest");
        harness.get_by_label_contains("gpa guest physical 0x80a00000");
        // Three steps of the guest's, each with two of the G-stage's, and two more for the address.
        assert_eq!(harness.get_all_by_label_contains("g2 0x").count(), 4);
        assert_eq!(harness.get_all_by_label_contains("g1 0x").count(), 4);
        harness.get_by_label_contains("= 0x84a00000");
        select(&mut harness, REFUSED);
        harness.get_by_label_contains("Guest-page fault at guest physical 0xc0000000");
        select(&mut harness, REFUSED_TABLE);
        harness.get_by_label_contains("to read the first stage's L0 entry");
        // The guest's physical map, in which all is the guest's: from its own four-frame root.
        harness
            .state_mut()
            .queue(UiCommand::ChooseSpace("VMID 3 physical".into()));
        harness.run();
        let root = harness.state().state().space().unwrap().root;
        harness.get_by_label_contains(&format!("Entries of the L2 table {root}, 2 of 2048 valid"));
    }
}

/// The drawings name the mode's own sizes, and are whole for every mode.
#[test]
fn drawings_of_every_mode() {
    let mut snapshots: Vec<(Snapshot, &str)> = Vec::new();
    for mode in FIRST_STAGES {
        let covers = match mode {
            TranslationMode::Sv32 => "of 1024",
            _ => "of 512",
        };
        snapshots.push((in_mode(mode), covers));
    }
    snapshots.push((hypervisor_guest(), "of 512"));
    snapshots.push((
        guest_in(TranslationMode::Sv32, TranslationMode::Sv32x4),
        "of 1024",
    ));
    for (snapshot, covers) in snapshots {
        for space in &snapshot.spaces {
            let drawing = layout_svg(&snapshot, Some(space), &Difference::default(), Theme::Dark);
            assert!(resvg::usvg::Tree::from_str(&drawing, &Default::default()).is_ok());
            if !space.mode.is_guest_stage() {
                assert!(drawing.contains(covers), "{}", space.mode);
            } else {
                let entries = space.mode.entries(space.mode.root_level().unwrap());
                assert!(drawing.contains(&format!("of {entries}")), "{}", space.mode);
            }
            let words = layout_text(&snapshot, Some(space));
            assert!(words.contains(&space.mode.to_string()), "{words}");
        }
    }
}

/// `walk` on a file follows both stages, and says each step of each.
#[test]
fn walk_in_a_file_follows_both_stages() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.ron");
    std::fs::write(&file, text::snapshot_to_text(&hypervisor_guest())).unwrap();
    let walk = |address: u64, format: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_pagescope"))
            .arg("walk")
            .arg(&file)
            .args([
                &format!("{address:#x}"),
                "--space",
                "hart 0 guest",
                "--format",
                format,
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let virt = kernel_at(TranslationMode::Sv39).as_u64() + (64 << 20);
    let (code, json) = walk(virt, "json");
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code, Some(0), "{json}");
    assert_eq!(answer["pa"], "0x84a00000");
    assert_eq!(answer["gpa"], "0x80a00000");
    assert_eq!(answer["stage"], "both");
    assert_eq!(answer["g_mode"], "Sv39x4");
    let steps = answer["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    for step in steps {
        assert_eq!(step["stage"], "first");
        assert_eq!(step["g_steps"].as_array().unwrap().len(), 2, "{step}");
        assert_eq!(step["g_steps"][1]["kind"], "leaf");
    }
    assert_eq!(answer["g_steps"].as_array().unwrap().len(), 2);
    let (code, json) = walk(REFUSED_TABLE, "json");
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &answer["mapped"]),
        (Some(1), &serde_json::Value::Bool(false))
    );
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("guest physical 0xc0001000"), "{reason}");
    assert_eq!(answer["steps"].as_array().unwrap().len(), 2);
    let (_, words) = walk(virt, "text");
    assert!(words.contains("in Sv39, through Sv39x4"), "{words}");
    assert!(words.contains("guest physical 0x80a00000"), "{words}");
}
