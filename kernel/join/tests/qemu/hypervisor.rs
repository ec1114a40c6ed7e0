//! The hypervisor layout: its self-test, its harts, its faults.

use crate::machine::Machine;
use crate::machine::rsp::Debugger;

/// What needs other harts, and how many the self-test says that it needs.
const OF_SEVERAL_HARTS: [(&str, &str); 2] =
    [("S2.7", "-smp 2 or more"), ("S2.13", "-smp 4 or more")];

/// Boots it with this command line on so many harts, and waits for the prompt.
fn boot(command_line: &str, harts: &str) -> Machine {
    let command_line = format!("layout=hypervisor pace=0 {command_line}");
    let mut machine = Machine::boot(&command_line, &["-smp", harts]);
    machine.expect(&format!("{harts} harts run\n> "));
    machine
}

fn assert_passed(output: &str, harts: u32) {
    let mut passed = 0;
    for number in 1..=13 {
        let id = format!("S2.{number}");
        let several = OF_SEVERAL_HARTS.iter().find(|(known, _)| *known == id);
        let line = match several {
            Some((_, needed)) if harts == 1 => format!("SKIP {id} is about {needed}"),
            _ => format!("PASS {id}"),
        };
        passed += u32::from(line.starts_with("PASS"));
        let found = output.lines().any(|found| found == line);
        assert!(found, "no `{line}` on {harts} harts in:\n{output}");
    }
    assert!(!output.contains("FAIL"), "{output}");
    let summary = format!("selftest: {passed} passed, 0 failed");
    assert!(output.contains(&summary), "no `{summary}` in:\n{output}");
}

#[test]
fn the_hypervisors_selftest_passes() {
    for harts in [4, 1] {
        let arguments = ["-smp", &harts.to_string()];
        let machine = Machine::boot("layout=hypervisor selftest", &arguments);
        let (output, status) = machine.end();
        assert_passed(&output, harts);
        assert!(status.success(), "{status}");
    }
}

/// Also where memory has been used, and harts have faulted.
#[test]
fn the_hypervisors_selftest_passes_on_a_used_machine() {
    let mut machine = boot("", "4");
    machine.ask("kalloc 700");
    machine.ask("kfree 40");
    machine.ask("fault guard 3");
    machine.type_line("selftest");
    let (output, status) = machine.end();
    assert_passed(&output, 4);
    assert!(status.success(), "{status}");
}

/// S2.13: four harts, 100,000 kallocs and kfrees each; no page twice, none lost.
#[test]
fn s2_13_four_harts_lose_nothing() {
    let mut machine = boot("", "4");
    let before = machine.ask("heap");
    let answer = machine.ask("stress 100000");
    assert!(
        answer.contains("stress: 4 harts, 400000 kallocs, 400000 kfrees"),
        "{answer}"
    );
    assert!(answer.contains("; 0 errors"), "{answer}");
    let count = |text: &str, word: &str| -> u64 {
        let rest = text.split(word).nth(1).expect(text).trim_start();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect(text)
    };
    let after = machine.ask("heap");
    for word in ["heap counter", "in the list"] {
        assert_eq!(count(&before, word), count(&after, word), "{after}");
    }
    let handed_over = count(&answer, "400000 kfrees,");
    assert!(handed_over >= 4000, "{answer}");
}

/// Each kind that can happen here, on a hart that is not the console's, which goes on.
#[test]
fn faults_are_reported_in_words_that_name_the_region_and_survived() {
    let mut machine = boot("", "4");
    for (kind, report) in [
        ("null-read", "load from 0x00000000 in null page: not mapped"),
        ("null-write", "store to 0x00000000 in null page: not mapped"),
        (
            "null-call",
            "execution of 0x00000000 in null page: not mapped",
        ),
        ("guard", "in guard: not mapped: the L0 entry is invalid"),
        (
            "text",
            "store to 0xffffffc000200000 in .text: it cannot be written (r-x-gad)",
        ),
        ("rodata", "in .rodata: it cannot be written (r---gad)"),
        (
            "image",
            "store to 0xffffffe000200000 in linear map: it cannot be written (r---gad)",
        ),
        ("data", "in .data: it cannot be executed (rw--gad)"),
        (
            "linear",
            "execution of 0xffffffe000200000 in linear map: it cannot be executed (r---gad)",
        ),
        (
            "identity",
            "load from 0x80200000, which is in no region: not mapped",
        ),
        (
            "machine",
            "load from 0xffffffe000000000 in linear map: not mapped",
        ),
        (
            "noncanonical",
            "load from 0x8000000000, which is in no region: not a canonical Sv39 address",
        ),
    ] {
        for hart in [0, 2] {
            let answer = machine.ask(&format!("fault {kind} {hart}"));
            let said = format!("hart {hart}: ");
            let line = answer.lines().find(|line| line.starts_with(&said));
            let line = line.unwrap_or_else(|| panic!("{kind}: {answer}"));
            assert!(line.contains(report), "{kind}: {line}");
            let goes_on = format!("hart {hart} goes on");
            assert!(answer.contains(&goes_on), "{kind}: {answer}");
        }
    }
    let answer = machine.ask("fault guard 7");
    assert!(answer.contains("hart 7 does not run"), "{answer}");
    // All of them still work.
    let answer = machine.ask("stress 100");
    assert!(answer.contains("4 harts, 400 kallocs"), "{answer}");
}

/// A fault that nobody expects stops the hart, and no other: those that are left work, and wait for it no more.
#[test]
fn a_hart_that_faults_stops_and_no_other() {
    let mut machine = boot("", "4");
    let before = machine.ask("map 0x100000000");
    assert!(before.contains("on 4 harts"), "{before}");
    let said = machine.ask("crash 2");
    for line in [
        "hart 2: load from 0x00000010 in null page",
        "hart 2 has stopped",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let said = machine.ask("crash 2");
    assert!(said.contains("hart 2 does not run"), "{said}");
    let said = machine.ask("stress 1000");
    assert!(
        said.contains("3 harts, 3000 kallocs, 3000 kfrees") && said.contains("; 0 errors"),
        "{said}"
    );
    let said = machine.ask("touch 0x100000000");
    for hart in [0, 1, 3] {
        let line = format!("hart {hart} loads 0xa5");
        assert!(said.contains(&line), "{said}");
    }
    assert!(!said.contains("hart 2"), "{said}");
    let said = machine.ask("unmap 0x100000000");
    assert!(said.contains("on 3 harts"), "{said}");
    let said = machine.ask("touch 0x100000000");
    assert_eq!(said.matches("load page fault").count(), 3, "{said}");
    let said = machine.ask("map 0x100000000");
    assert!(said.contains("on 3 harts"), "{said}");
    // The console's own, too.
    machine.type_line("crash");
    let said = machine.expect("hart 0 has stopped");
    assert!(
        said.contains("hart 0: load from 0x00000010 in null page"),
        "{said}"
    );
    assert!(said.contains("scause 0x000000000000000d"), "{said}");
}

/// What is mapped on every hart is unmapped on every hart: those that have it in their TLB fence.
#[test]
fn unmapping_reaches_every_hart() {
    let mut machine = boot("", "4");
    let before = counter(&mut machine);
    let answer = machine.ask("map 0x100000000");
    assert!(answer.contains("on 4 harts"), "{answer}");
    let phys = answer.split("-> 0x8").nth(1).expect(&answer);
    let digits: String = phys.chars().take_while(char::is_ascii_hexdigit).collect();
    let refused = machine.ask(&format!("kfree 0xffffffe00{digits}"));
    assert!(refused.contains("unmap 0x100000000 first"), "{refused}");
    let answer = machine.ask("touch 0x100000000");
    assert_eq!(answer.matches("loads 0xa5").count(), 4, "{answer}");
    let again = machine.ask("map 0x100000000");
    assert!(again.contains("is mapped already"), "{again}");
    let answer = machine.ask("unmap 0x100000000");
    assert!(answer.contains("no more, on 4 harts"), "{answer}");
    let answer = machine.ask("touch 0x100000000");
    assert_eq!(answer.matches("load page fault").count(), 4, "{answer}");
    assert_eq!(counter(&mut machine), before);
    for (line, refusal) in [
        ("unmap 0x100000000", "0x100000000 is not mapped"),
        ("unmap 0xffffffe007000000", "in the linear map"),
        ("map 0x10000000", "in the devices"),
        ("map 0", "in what stays unmapped"),
        ("map 0x100000001", "is not a multiple of 0x1000"),
        ("map 0x8000000000", "is not an Sv39 address"),
    ] {
        let answer = machine.ask(line);
        assert!(answer.contains(refusal), "{line}: {answer}");
    }
    assert_eq!(counter(&mut machine), before);
}

#[test]
fn what_was_not_handed_out_is_not_taken_back() {
    let mut machine = boot("", "2");
    let answer = machine.ask("kalloc");
    let page = answer.split("= ").nth(1).expect(&answer);
    let page = page.split_whitespace().next().expect(&answer).to_owned();
    assert!(page.starts_with("0xffffffe0"), "{page}");
    assert!(
        machine
            .ask(&format!("kfree {page}"))
            .contains("heap counter")
    );
    for (address, refusal) in [
        (page.as_str(), "is free already"),
        ("0x87ffe000", "is not a page of the heap"),
        ("0xffffffe000200000", "is not a page of the heap"),
        ("0xffffffe007fff000", "is not a page of the heap"),
        ("0xffffffe007ff1000", "is a page table"),
    ] {
        let answer = machine.ask(&format!("kfree {address}"));
        assert!(answer.contains(refusal), "{address}: {answer}");
    }
}

/// A hart that faults in the handler itself cannot say so: its report's words are among the constants that it has
/// lost. The others find that it has stopped, say so, and go on.
#[test]
fn a_hart_that_faults_in_the_handler_keeps_nobody_waiting() {
    let socket = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hypervisor.sock");
    let port = format!("unix:{},server=on,wait=off", socket.display());
    let command_line = "layout=hypervisor pace=0";
    let mut machine = Machine::boot(command_line, &["-smp", "4", "-gdb", &port]);
    machine.expect("4 harts run\n> ");
    let answer = machine.ask("regions");
    let rodata = answer.lines().find(|line| {
        line.contains("  virtual  0x") && line.contains(" .rodata ") && line.contains("..")
    });
    let bounds: Vec<u64> = rodata
        .expect(&answer)
        .split_whitespace()
        .nth(1)
        .expect(&answer)
        .split("..")
        .map(number)
        .collect();
    let answer = machine.ask(&format!("lookup {:#x} 2", bounds[0]));
    let first = leaf_entry(&answer);
    let mut debugger = Debugger::connect(&socket);
    debugger.physical();
    for page in 0..(bounds[1] - bounds[0]) / 0x1000 {
        let entry = first + page * 8;
        assert!(debugger.word(entry) & 1 != 0, "{entry:#x}");
        debugger.store(entry, 0);
    }
    debugger.virtually();
    debugger.detach();
    // Now its TLB forgets them too.
    let answer = machine.ask("map 0x100000000");
    assert!(answer.contains("on 4 harts"), "{answer}");
    machine.type_line("crash 2");
    machine.expect("crash 2");
    // The dying hart speaks byte by byte and without a lock, while hart 0 goes on.
    machine.expect_mixed(&[
        "kernel: a trap where none can be handled; the hart waits for a debugger\n",
        "kernel: the harts in 0b100 have stopped in the middle of it\n> ",
    ]);
    let answer = machine.ask("unmap 0x100000000");
    assert!(answer.contains("on 3 harts"), "{answer}");
    let answer = machine.ask("stress 100");
    assert!(answer.contains("3 harts, 300 kallocs"), "{answer}");
}

/// Tables for some harts, and none for the others: what was mapped is unmapped again, and nothing is lost.
#[test]
fn a_map_without_memory_for_all_harts_changes_none() {
    let mut machine = boot("", "4");
    let answer = machine.ask("heap");
    let free = answer.split("in the list").nth(1).expect(&answer);
    let free = free.trim_start().split(',').next().expect(&answer);
    let free: u64 = free.parse().expect(&answer);
    machine.ask(&format!("kalloc {}", free - 6));
    let before = counter(&mut machine);
    let answer = machine.ask("map 0x100000000");
    let words = "map: a page, and 2 tables on each of 4 harts, are needed; 6 pages are free";
    assert!(answer.contains(words), "{answer}");
    assert_eq!(counter(&mut machine), before);
    let answer = machine.ask("touch 0x100000000");
    assert_eq!(answer.matches("load page fault").count(), 4, "{answer}");
    machine.ask("kfree 3");
    let answer = machine.ask("map 0x100000000");
    assert!(answer.contains("on 4 harts"), "{answer}");
}

/// A machine with more RAM than is used: that is said.
#[test]
fn ram_that_is_not_used_is_named() {
    let mut machine = Machine::boot("layout=hypervisor pace=0", &["-m", "256M"]);
    let said = machine.expect("1 harts run\n> ");
    let words = "of 256 MiB of RAM the first 128 are used and mapped, and no more";
    assert!(said.contains(words), "{said}");
    let answer = machine.ask("lookup 0xffffffe008000000");
    assert!(answer.contains("invalid"), "{answer}");
}

/// A number, hexadecimal with 0x.
fn number(text: &str) -> u64 {
    let digits = text.trim().strip_prefix("0x").expect(text);
    u64::from_str_radix(digits, 16).expect(text)
}

/// Pages handed out.
fn counter(machine: &mut Machine) -> u64 {
    let answer = machine.ask("heap");
    let count = answer.split("heap counter ").nth(1).expect(&answer);
    let digits = count.split_whitespace().next().expect(&answer);
    digits.parse().expect(&answer)
}

/// One hart's tables lack the page: the others unmap it and fence all the same, and nothing is lost.
#[test]
fn unmapping_goes_on_where_one_hart_refuses() {
    let socket = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused.sock");
    let port = format!("unix:{},server=on,wait=off", socket.display());
    let command_line = "layout=hypervisor pace=0";
    let mut machine = Machine::boot(command_line, &["-smp", "4", "-gdb", &port]);
    machine.expect("4 harts run\n> ");
    let before = counter(&mut machine);
    machine.ask("map 0x100000000");
    let entry = leaf_entry(&machine.ask("lookup 0x100000000 2"));
    let mut debugger = Debugger::connect(&socket);
    debugger.physical();
    assert!(debugger.word(entry) & 1 != 0, "{entry:#x}");
    debugger.store(entry, 0);
    debugger.virtually();
    debugger.detach();
    let answer = machine.ask("unmap 0x100000000");
    assert!(answer.contains("no more, on 4 harts"), "{answer}");
    let answer = machine.ask("touch 0x100000000");
    assert_eq!(answer.matches("load page fault").count(), 4, "{answer}");
    // Two tables of hart 2's are still linked.
    assert_eq!(counter(&mut machine), before + 2);
    machine.ask("map 0x100000000");
    let answer = machine.ask("touch 0x100000000");
    assert_eq!(answer.matches("loads 0xa5").count(), 4, "{answer}");
    machine.ask("unmap 0x100000000");
    assert_eq!(counter(&mut machine), before);
}

/// Where the L0 entry lies that ends a translation.
fn leaf_entry(lookup: &str) -> u64 {
    let entry = lookup.lines().find_map(|line| line.strip_prefix("L0 "));
    let entry = entry.expect(lookup);
    let (table, rest) = entry.split_once('[').expect(entry);
    let (index, _) = rest.split_once(']').expect(entry);
    number(table) + index.trim().parse::<u64>().expect(entry) * 8
}
