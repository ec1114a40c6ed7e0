//! One image carries every layout: whichever it was written for, `layout=` boots each, and names mean the program
//! that runs.

mod support;

use support::{Machine, pagescope, stderr, stdout};

/// A layout, and an address range that its kalloc lies in.
const LAYOUTS: [(&str, std::ops::Range<u64>); 4] = [
    ("pseudos", 0x8020_0000..0x8040_0000),
    ("hypervisor", 0xffff_ffc0_0020_0000..0xffff_ffc0_0040_0000),
    ("process", 0..0x0020_0000),
    ("nanos", 0x7f00_0000..0x7f20_0000),
];

fn kalloc(machine: &Machine) -> u64 {
    let output = pagescope(&[
        "walk",
        &machine.address(),
        "kalloc",
        "--elf",
        &machine.elf_text(),
        "--format",
        "json",
    ]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let va = answer["va"].as_str().expect("an address");
    u64::from_str_radix(va.trim_start_matches("0x"), 16).expect("hexadecimal")
}

#[test]
fn an_image_written_for_one_layout_boots_every_other() {
    for (written_for, _) in [&LAYOUTS[0], &LAYOUTS[2]] {
        for (booted, place) in &LAYOUTS {
            let append = format!("layout={booted} pace=5");
            let machine = Machine::boot_layout(written_for, &append, 1, false);
            support::console::Console::open(&machine);
            let found = kalloc(&machine);
            assert!(
                place.contains(&found),
                "{written_for} booted as {booted}: kalloc at {found:#x}"
            );
            let output = pagescope(&[
                "step",
                &machine.address(),
                "--elf",
                &machine.elf_text(),
                "--count",
                "3",
            ]);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{booted}: {}",
                stderr(&output)
            );
            assert_eq!(stdout(&output).lines().count(), 3, "{}", stdout(&output));
        }
    }
}
