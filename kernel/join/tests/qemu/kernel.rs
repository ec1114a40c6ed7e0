//! The self-test, the command line, the console.

use crate::machine::rsp::Debugger;
use crate::machine::{Machine, address_of};
use pagescope_protocol::info::{
    self, InfoBlock, InfoPointer, Region, SpaceRecord, TraceEvent, name_text, trace_kind,
};

use crate::machine::selftest::assert_passed;

#[test]
fn the_selftest_passes() {
    for arguments in [&[][..], &["-smp", "4"]] {
        let (output, status) = Machine::boot("selftest", arguments).end();
        assert_passed(&output, "pool");
        assert!(status.success(), "{status}");
    }
}

/// S0.1 asks for 128 MiB. With more, everything else still holds.
#[test]
fn the_selftest_fails_where_there_is_more_memory() {
    let (output, status) = Machine::boot("selftest", &["-m", "256M"]).end();
    assert!(
        output.contains("FAIL S0.1 the device tree has 0x10000000 bytes of RAM"),
        "{output}"
    );
    assert!(output.contains("selftest: 15 passed, 1 failed"), "{output}");
    assert!(!status.success(), "{status}");
}

/// Also after the heap has been used, with pages freed and a 2 MiB boundary crossed.
#[test]
fn the_selftest_passes_on_a_used_heap() {
    let mut machine = Machine::boot("pace=0", &[]);
    machine.expect("\n> ");
    // One of the pages in between has become the L0 of the second 2 MiB, another took its place.
    let answer = machine.ask("kalloc 600");
    assert!(answer.contains("kalloc(608) = 0x87d9e000"), "{answer}");
    assert!(machine.ask("kfree 40").contains("heap counter"));
    machine.type_line("selftest");
    let (output, status) = machine.end();
    assert_passed(&output, "pool");
    assert!(status.success(), "{status}");
}

#[test]
fn what_it_does_not_have_is_refused_by_name() {
    for (command_line, message) in [
        (
            "layout=nonsense",
            "unknown layout=nonsense; this kernel has: pseudos",
        ),
        (
            "tables=nonsense",
            "unknown tables=nonsense; this kernel has: pool, self-leaf, mirror, demand",
        ),
        ("pace=fast", "pace=fast: expected milliseconds"),
    ] {
        let (output, status) = Machine::boot(command_line, &[]).end();
        assert!(output.contains(message), "{output}");
        assert!(
            !output.contains("the supervisor program starts"),
            "{output}"
        );
        assert_eq!(status.code(), Some(2));
    }
    let (output, status) = Machine::boot("", &["-m", "64M"]).end();
    assert!(output.contains("give QEMU -m 128M"), "{output}");
    assert_eq!(status.code(), Some(2));
}

/// Where the region of this name begins, by what `info` says.
fn address_in(name: &str, answer: &str) -> u64 {
    let is_named = |line: &&str| line.split_whitespace().nth(1) == Some(name);
    let line = answer.lines().find(is_named);
    let digits = line.and_then(|line| line.trim().strip_prefix("0x")?.split("..").next());
    u64::from_str_radix(digits.expect(answer), 16).expect("hexadecimal digits")
}

#[test]
fn the_console_drives_the_kernel() {
    let mut machine = Machine::boot("pace=0", &[]);
    machine.expect("\n> ");

    let answer = machine.ask("kalloc 3");
    for line in [
        "kalloc(8) = 0x87ff6000",
        "kalloc(9) = 0x87ff5000",
        "kalloc(10) = 0x87ff4000",
    ] {
        assert!(answer.contains(line), "{answer}");
    }
    let answer = machine.ask("kfree 0x87ff5000");
    assert!(answer.contains("heap counter 10"), "{answer}");
    assert!(
        machine
            .ask("kfree 0x87ff5000")
            .contains("0x87ff5000 is free already")
    );
    assert!(machine.ask("kfree 0x87ffe000").contains("is a page table"));
    assert!(
        machine
            .ask("kfree 0x80200000")
            .contains("is not a page of the heap")
    );
    assert!(
        machine
            .ask("kfree 0x1000")
            .contains("0x00001000 is not a page of the heap")
    );
    assert!(machine.ask("kfree 0").contains("a count from 1 on"));
    assert!(machine.ask("kalloc").contains("kalloc(10) = 0x87ff5000"));

    let answer = machine.ask("touch 0x123456789");
    assert!(
        answer.contains("load: load page fault (scause 13) at 0x123456789"),
        "{answer}"
    );
    assert!(
        machine
            .ask("touch 0x87ff6008")
            .contains("store: 0x00 at 0x87ff6008")
    );
    let answer = machine.ask("map 0x100000000 0x87ff6000");
    assert!(
        answer.contains("0x100000000 -> 0x87ff6000, 2 new tables"),
        "{answer}"
    );
    assert!(
        machine
            .ask("touch 0x100000008")
            .contains("store: 0x00 at 0x100000008")
    );
    assert!(
        machine
            .ask("map 0x100000000")
            .contains("is mapped already, to 0x87ff6000")
    );
    assert!(
        machine
            .ask("lookup 0x100000000")
            .contains("0x100000000 -> 0x87ff6000 rw---ad")
    );
    assert!(
        machine
            .ask("unmap 0x100000000")
            .contains("is not mapped any more")
    );
    assert!(machine.ask("touch 0x100000008").contains("load page fault"));
    assert!(
        machine
            .ask("map 0x4000000000")
            .contains("is not an Sv39 address")
    );
    assert!(
        machine
            .ask("map 0x87000000")
            .contains("lies in the heap's own window")
    );

    // What the kernel itself lives by is neither taken away nor laid open.
    let guard = address_in("guard", &machine.ask("info"));
    for (line, answer) in [
        ("unmap 0x80210000", "lies in .text"),
        ("unmap 0x10000000", "lies in UART0"),
        ("map 0x80200000", "lies in .text"),
        (&format!("map {guard:#x}"), "lies in the stack's guard"),
        (
            "map 0x100000000 0x87ffc000",
            "0x87ffc000 is a page table, or in reserve to become one",
        ),
        (
            "map 0x100000000 0x87fff000",
            "0x87fff000 is the heap counter's page",
        ),
        (
            "map 0x100000000 0x80200000",
            "0x80200000 is a part of the kernel's image",
        ),
        ("lookup 0x100000000", "0x100000000: "),
    ] {
        let found = machine.ask(line);
        assert!(found.contains(answer), "{line}: {found}");
    }

    for (line, cause, words) in [
        (
            "fault null",
            "load page fault (scause 13) at 0x00000000",
            "load from 0x00000000 in zero page: not mapped",
        ),
        (
            "fault null-write",
            "store page fault (scause 15) at 0x00000000",
            "store to 0x00000000 in zero page: not mapped",
        ),
        (
            "fault null-call",
            "instruction page fault (scause 12) at 0x00000000",
            "execution of 0x00000000 in zero page: not mapped",
        ),
        (
            "fault guard",
            "store page fault (scause 15)",
            " in guard: not mapped",
        ),
        (
            "fault text",
            "store page fault (scause 15) at 0x80200000",
            "store to 0x80200000 in .text: it cannot be written (r-x--ad)",
        ),
        (
            "fault rodata",
            "store page fault (scause 15)",
            " in .rodata: it cannot be written (r----ad)",
        ),
        (
            "fault execute",
            "instruction page fault (scause 12)",
            " in .data: it cannot be executed (rw---ad)",
        ),
        (
            "fault noncanonical",
            "load page fault (scause 13) at 0x4000000000",
            "not a canonical Sv39 address",
        ),
    ] {
        let answer = machine.ask(line);
        assert!(answer.contains(cause), "{line}: {answer}");
        assert!(answer.contains(words), "{line}: {answer}");
    }
    let answer = machine.ask("fault machine");
    for part in [
        "load page fault (scause 13) at 0x80000000",
        "0x10001000 -> 0x80000000",
        "load access fault (scause 5) at 0x10001000",
    ] {
        assert!(answer.contains(part), "{answer}");
    }
    assert!(machine.ask("lookup 0x10001000").contains("0x10001000: "));
    // PMP protects the machine program even where the tables lead there.
    machine.ask("map 0x100000000 0x80000000");
    let answer = machine.ask("touch 0x100000000");
    assert!(
        answer.contains("load access fault (scause 5) at 0x100000000"),
        "{answer}"
    );

    assert!(
        machine
            .ask("heap")
            .contains("kalloc in kalloc at most 1 deep")
    );
    assert!(
        machine
            .ask("tables")
            .contains("L2 0x87ffc000  from 0x0000000000000000")
    );
    assert!(
        machine
            .ask("info")
            .contains("0x80000000..0x80200000  machine program")
    );
    assert!(machine.ask("help").contains("poweroff"));
    assert!(
        machine
            .ask("frobnicate")
            .contains("no command `frobnicate`; `help` lists them")
    );
    assert!(
        machine
            .ask("touch nowhere")
            .contains("`nowhere` is no number")
    );

    machine.type_line("poweroff");
    let (_, status) = machine.end();
    assert!(status.success(), "{status}");
}

/// What could not be replaced is not taken from the reserve; freed pages and empty tables serve.
#[test]
fn freed_memory_serves_the_next_map() {
    let mut machine = Machine::boot("pace=0", &[]);
    machine.expect("\n> ");
    assert!(machine.ask("kalloc 40000").contains("out of memory"));
    // The reserve is full, but what it gave could not be replaced.
    let refused = "2 pages are needed for new tables and 0 are in reserve: memory is used up";
    let answer = machine.ask("map 0x100000000 0x87ff6000");
    assert!(answer.contains(refused), "{answer}");
    assert!(machine.ask("kfree 2").contains("kfree("));
    let answer = machine.ask("map 0x100000000 0x87ff6000");
    assert!(answer.contains("2 new tables"), "{answer}");
    assert!(machine.ask("map 0x140000000 0x87ff6000").contains(refused));
    // So do tables that have become empty.
    assert!(
        machine
            .ask("unmap 0x100000000")
            .contains("not mapped any more")
    );
    let answer = machine.ask("map 0x140000000 0x87ff6000");
    assert!(
        answer.contains("0x140000000 -> 0x87ff6000, 2 new tables"),
        "{answer}"
    );
    let answer = machine.ask("heap");
    assert!(
        answer.contains("never fewer than 2; the mark is 2"),
        "{answer}"
    );
    // What was handed out once is mapped for good, freed or not: the self-test says what it lacks.
    machine.ask("kfree 40000");
    assert!(
        machine
            .ask("selftest")
            .contains("selftest needs 1024 pages that were never handed out; 0 are left")
    );
}

#[test]
fn other_harts_start_and_stop() {
    let mut machine = Machine::boot("pace=0", &["-smp", "4"]);
    machine.expect("\n> ");
    for _ in 0..3 {
        assert!(machine.ask("harts").contains("3 other harts have answered"));
    }
}

/// What the inspector relies on, read as the inspector reads it: physically, from the ELF's entry.
#[test]
fn the_information_block_is_found_and_filled_in() {
    let socket = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("info.sock");
    let port = format!("unix:{},server=on,wait=off", socket.display());
    let mut machine = Machine::boot("pace=0", &["-gdb", &port]);
    machine.expect("\n> ");
    machine.ask("kalloc 3");
    machine.ask("map 0x100000000 0x87ff6000");
    let mut debugger = Debugger::connect(&socket);
    debugger.physical();
    let pointer = debugger.bytes(0x8000_0000 + info::POINTER_OFFSET, 16);
    let pointer = InfoPointer::parse(&pointer).expect("the pointer is at the entry");
    let block = debugger.bytes(pointer.block, InfoBlock::SIZE);
    let block = InfoBlock::parse(&block).expect("the block is where the pointer says");
    assert_eq!(name_text(&block.layout), "pseudos");
    assert_eq!(name_text(&block.strategy), "pool");
    assert_eq!((block.ram_start, block.ram_size), (0x8000_0000, 128 << 20));
    assert_eq!(
        (block.heap_counter, block.heap_top),
        (0x87ff_fff8, 0x87ff_e000)
    );
    // 8 at boot, 3 asked for, 2 that filled the reserve up after the map.
    assert_eq!(debugger.word(block.heap_counter), 13);
    assert_eq!((block.heap_next, block.freed_pages), (0x87ff_1000, 0));
    assert_eq!((block.reserve, block.reserve_low), (2, 2));
    assert_eq!((block.kalloc_depth_max, block.map_calls), (1, 1));
    assert_eq!(block.machine_table_traps, 0);
    assert!(block.machine_other_traps > 0);

    let regions = debugger.bytes(block.regions, block.region_count as usize * Region::SIZE);
    let regions: Vec<Region> = regions
        .chunks(Region::SIZE)
        .filter_map(Region::parse)
        .collect();
    let names: Vec<&str> = regions
        .iter()
        .map(|region| name_text(&region.name))
        .collect();
    let expected = [
        "zero page",
        "UART0",
        "PCI ECAM",
        "machine program",
        ".text",
        ".rodata",
        ".data",
        ".bss",
        "guard",
        "stack",
        "heap",
        "heap counter",
    ];
    assert_eq!(names, expected);
    for pair in regions.windows(2) {
        assert!(
            pair[0].address + pair[0].size <= pair[1].address,
            "{pair:?}"
        );
    }
    assert_eq!(regions[10].address, block.heap_bottom);
    let described = |region: &Region| !name_text(&region.description).is_empty();
    assert!(regions.iter().all(described), "{regions:?}");

    let spaces = debugger.bytes(block.spaces, block.space_count as usize * SpaceRecord::SIZE);
    let spaces: Vec<SpaceRecord> = spaces
        .chunks(SpaceRecord::SIZE)
        .filter_map(SpaceRecord::parse)
        .collect();
    let [kernel] = spaces[..] else {
        panic!("{spaces:?}");
    };
    assert_eq!(name_text(&kernel.name), "kernel");
    assert_eq!(kernel.satp, 8 << 60 | 0x87ff_c000 >> 12);
    assert_eq!(block.changing, 0);

    let trace = debugger.bytes(block.trace, block.trace_count as usize * TraceEvent::SIZE);
    let events: Vec<TraceEvent> = trace
        .chunks(TraceEvent::SIZE)
        .filter_map(TraceEvent::parse)
        .collect();
    let kinds: Vec<(u64, u64)> = events
        .iter()
        .map(|event| (event.kind, event.address))
        .collect();
    let expected = [
        (trace_kind::KALLOC, 0x87ff_6000),
        (trace_kind::KALLOC, 0x87ff_5000),
        (trace_kind::KALLOC, 0x87ff_4000),
        (trace_kind::MAP, 0x1_0000_0000),
        (trace_kind::KALLOC, 0x87ff_3000),
        (trace_kind::KALLOC, 0x87ff_2000),
    ];
    assert_eq!(kinds, expected);
    let text = regions[4].address..regions[4].address + regions[4].size;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.sequence, number as u64);
        assert!(text.contains(&event.caller), "{event:?}");
    }
}

#[test]
fn an_unexpected_fault_is_reported_and_stops_the_hart() {
    let mut machine = Machine::boot("pace=0", &[]);
    machine.expect("\n> ");
    machine.type_line("crash");
    let report = machine.expect("hart 0 has stopped");
    for part in [
        "load page fault",
        "scause 0x000000000000000d",
        "sepc   0x00000000802",
        "stval  0x0000000000000010",
    ] {
        assert!(report.contains(part), "{report}");
    }
}

/// With the kernel's constants gone, already the report of the first fault faults: its words are
/// among them. The hart stops there, and what lies around the handler's stack is not overwritten.
#[test]
fn a_fault_in_the_trap_handler_stops_the_hart() {
    const L0_OF_THE_KERNEL: u64 = 0x87ff_9000;
    const SP: u8 = 2;
    let socket = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("nested.sock");
    let port = format!("unix:{},server=on,wait=off", socket.display());
    let mut machine = Machine::boot("pace=0", &["-gdb", &port]);
    machine.expect("\n> ");
    let answer = machine.ask("info");
    let pages = [".rodata", ".data"].map(|name| address_in(name, &answer) >> 12);
    let mut debugger = Debugger::connect(&socket);
    // By kalloc's first instruction the line has been read; the mapping that kalloc is called for, and
    // the fence after it, are still to come.
    machine.type_line("map 0x100000000");
    debugger.run_to(address_of("kalloc"));
    debugger.physical();
    for page in pages[0]..pages[1] {
        let entry = L0_OF_THE_KERNEL + page % 512 * 8;
        assert_eq!(debugger.word(entry) >> 10, page);
        debugger.store(entry, 0);
    }
    debugger.virtually();
    debugger.run_to(address_of("trap_in_trap"));
    let sp = debugger.register(SP);
    // It stays there: the machine does not get anywhere else, and the stack does not grow.
    for _ in 0..3 {
        debugger.run_to(address_of("trapped_in_trap"));
        assert_eq!(debugger.register(SP), sp);
    }
    // And it has said so, without its constants.
    machine.expect("kernel: a trap where none can be handled; the hart waits for a debugger\n");
}

/// Left alone it works, until three quarters of memory are handed out; then it gives back, and
/// goes on calling kalloc.
#[test]
fn left_alone_the_kernel_works() {
    let mut machine = Machine::boot("pace=1", &[]);
    machine.expect("\n> ");
    let counter = |machine: &mut Machine| -> u64 {
        let answer = machine.ask("heap");
        let words = answer.split("heap counter ").nth(1).unwrap();
        words.split(' ').next().unwrap().parse().unwrap()
    };
    let first = counter(&mut machine);
    while counter(&mut machine) == first {}

    machine.ask("pace 0");
    let second = counter(&mut machine);
    assert!(second > first, "{first}, {second}");
    assert_eq!(counter(&mut machine), second);

    machine.ask("kalloc 24600");
    let third = counter(&mut machine);
    machine.ask("pace 1");
    while counter(&mut machine) >= third {}
    // Down to one quarter takes hundreds of ticks, not tens of thousands; then it climbs again.
    while counter(&mut machine) > 9000 {}
    let fourth = counter(&mut machine);
    while counter(&mut machine) <= fourth {}
    let (_, status) = {
        machine.type_line("poweroff");
        machine.end()
    };
    assert!(status.success(), "{status}");
}

/// What a debugger sees that stops at kalloc's entry and at its return address: each call descends
/// by one page and counts one, and one new table appears in all of RAM's, at the 2 MiB boundary.
#[test]
fn stepping_kalloc_is_even_across_the_boundary() {
    const A0: u8 = 10;
    const RA: u8 = 1;
    const COUNTER: u64 = 0x87ff_fff8;
    const L1: u64 = 0x87ff_d000;
    let kalloc = address_of("kalloc");
    let socket = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("stepping.sock");
    let port = format!("unix:{},server=on,wait=off", socket.display());
    let _machine = Machine::boot("", &["-S", "-gdb", &port]);
    let mut debugger = Debugger::connect(&socket);
    let mut before: Option<(u64, u64)> = None;
    let mut tables = 0;
    let mut new_tables = Vec::new();
    for _ in 0..600 {
        debugger.run_to(kalloc);
        let return_address = debugger.register(RA);
        debugger.run_to(return_address);
        let (page, counter) = (debugger.register(A0), debugger.word(COUNTER));
        match before {
            None => assert_eq!((page, counter), (0x87ff_6000, 9)),
            Some(before) => assert_eq!((page, counter), (before.0 - 4096, before.1 + 1)),
        }
        let now = debugger.valid_entries(L1);
        if before.is_some() && now != tables {
            assert_eq!(now, tables + 1);
            new_tables.push(page);
        }
        (before, tables) = (Some((page, counter)), now);
    }
    assert_eq!(new_tables, [0x87df_f000]);
}
