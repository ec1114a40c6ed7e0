//! QEMU's own dumps of our kernel against the guest that they were made of.

mod support;

use std::sync::Arc;

use pagescope::capture::Capturer;
use pagescope::guest::ElfFile;
use pagescope::link::{DumpOptions, DumpTarget, LinkError};
use pagescope_protocol::PhysAddr;
use pagescope_protocol::snapshot::{Snapshot, Space};
use support::{Machine, monitor, pagescope, stderr, stdout};

/// Opens a dump and captures it, as the commands do.
fn captured(options: &DumpOptions, machine: &Machine) -> Arc<Snapshot> {
    let mut target = DumpTarget::open(options).expect("it is a dump");
    let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));
    let mut capturer = Capturer::new(&mut target, Some(elf)).expect("it can be read");
    let captured = capturer.capture(&mut target, "test");
    captured.expect("it can be captured")
}

/// The spaces, without what their mappings are called: a dump does not tell which devices there are.
fn spaces(snapshot: &Snapshot) -> Vec<Space> {
    let mut spaces: Vec<Space> = snapshot.spaces.to_vec();
    for space in &mut spaces {
        space.mappings = space.mappings.named(|_| Default::default());
    }
    spaces
}

/// The same tables, the same mappings, the same numbers of the kernel; of the same harts.
fn compare(live: &Snapshot, dumped: &Snapshot) {
    assert_eq!(spaces(dumped), spaces(live));
    assert_eq!(dumped.regions, live.regions);
    assert_eq!(dumped.kernel, live.kernel);
    assert_eq!(dumped.heap, live.heap);
    assert_eq!(dumped.trace, live.trace);
    let pcs = |snapshot: &Snapshot| -> Vec<_> {
        let harts = snapshot.harts.iter();
        harts.map(|hart| (hart.id, hart.pc, hart.satp)).collect()
    };
    assert_eq!(pcs(dumped), pcs(live));
}

#[test]
fn a_dump_shows_what_the_guest_showed() {
    for (layout, harts) in [("pseudos", 1), ("hypervisor", 4)] {
        let machine = Machine::boot_layout(layout, "pace=1", harts, true);
        let (mut target, mut capturer, _) = machine.attach_booted();
        let live = capturer.capture(&mut target, "test").expect("a capture");
        let core = machine.file("dump.elf");
        monitor(
            &mut target,
            &format!("dump-guest-memory {}", core.display()),
        );
        let image = machine.file("ram.bin");
        // Quoted, or the monitor divides by the path.
        let save = format!("pmemsave 0x80000000 0x8000000 \"{}\"", image.display());
        monitor(&mut target, &save);

        let satps = live
            .harts
            .iter()
            .map(|hart| hart.satp.map_or(0, |satp| satp.bits()));
        let mut options = DumpOptions {
            path: core,
            ram_base: None,
            satps: satps.collect(),
        };
        let dumped = captured(&options, &machine);
        compare(&live, &dumped);
        assert_eq!(dumped.provenance.link, "dump");
        assert!(dumped.provenance.machine.contains("core dump"));

        options.path = image;
        options.ram_base = Some(PhysAddr::new(0x8000_0000));
        let raw = captured(&options, &machine);
        assert_eq!(spaces(&raw), spaces(&live));
        assert_eq!(raw.kernel, live.kernel);
    }
}

#[test]
fn the_commands_take_a_dump() {
    let machine = Machine::boot("pace=1", true);
    let (mut target, mut capturer, _) = machine.attach_booted();
    let live = capturer.capture(&mut target, "test").expect("a capture");
    let core = machine.file("dump.elf");
    monitor(
        &mut target,
        &format!("dump-guest-memory {}", core.display()),
    );
    let satp = live.harts[0].satp.expect("satp is known").bits();
    let satp = format!("{satp:#x}");
    let (core, elf) = (core.to_string_lossy().into_owned(), machine.elf_text());
    drop(target);

    let ask = |words: &[&str]| {
        let output = pagescope(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        stdout(&output)
    };
    let from_dump = ask(&[
        "map", &core, "--satp", &satp, "--elf", &elf, "--format", "json",
    ]);
    let from_guest = ask(&["map", &machine.address(), "--elf", &elf, "--format", "json"]);
    assert_eq!(from_dump, from_guest);
    let walk = ask(&["walk", &core, "kalloc", "--satp", &satp, "--elf", &elf]);
    assert!(walk.contains("0x8"), "{walk}");
    ask(&["spaces", &core, "--satp", &satp]);
    ask(&["check", &core, "--satp", &satp]);
    let snapshot = machine.file("dump.ron").to_string_lossy().into_owned();
    ask(&["snapshot", &core, "--satp", &satp, "-o", &snapshot]);
    let drawn = ask(&["export", &core, "--satp", &satp, "--text"]);
    assert!(drawn.contains("Sv39"), "{drawn}");
    // The kernel says itself where it lies: what is told beside that is not used, and said not to be.
    let told = ["--elf", &elf, "--load-offset", "0x200000"];
    let output = pagescope(&[&["map", &core, "--satp", &satp][..], &told].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("--load-offset is not used"));
    // The kernel publishes its spaces, so they are known without satp too.
    ask(&["map", &core, "--space", &live.spaces[0].name]);

    let refused = |words: &[&str], word: &str| {
        let output = pagescope(words);
        assert!(!output.status.success(), "{words:?}");
        assert!(
            stderr(&output).contains(word),
            "{word}: {}",
            stderr(&output)
        );
    };
    refused(&["step", &core, "--elf", &elf], "stepping needs a guest");
    refused(&["map", &core, "--satp", "x"], "hexadecimal");
    let twice = ["map", &core, "--satp", &satp, "--satp", &satp];
    refused(&twice, "--satp is given 2 times: once for each hart");
    refused(&["map", &core, "--memory", "gdb"], "for guests");
    refused(&["map", &elf], "no core");
    let ram = machine.guest.ram_file().expect("RAM lies in a file");
    refused(&["map", &ram.to_string_lossy()], "--ram-base");
}

/// The forms that are not read say so, with what to do.
#[test]
fn compressed_dumps_are_refused() {
    let machine = Machine::boot("pace=1", true);
    let (mut target, _, _) = machine.attach_booted();
    let path = machine.file("dump.kdump");
    let said = monitor(
        &mut target,
        &format!("dump-guest-memory -z {}", path.display()),
    );
    if !path.exists() {
        // A QEMU without zlib does not write it.
        assert!(said.contains("Error"), "{said}");
        return;
    }
    let options = DumpOptions {
        path,
        ram_base: None,
        satps: Vec::new(),
    };
    let error = DumpTarget::open(&options).expect_err("it is compressed");
    assert!(matches!(error, LinkError::Dump { .. }));
    assert!(error.to_string().contains("without -z"), "{error}");
}
