//! The process layout: its self-test, its processes, its faults.

use crate::machine::Machine;

/// Boots it with this command line, and waits until its first processes wait.
fn boot(command_line: &str) -> Machine {
    let mut machine = Machine::boot(&format!("layout=process {command_line}"), &[]);
    machine.expect("it has spawned count as 2 and grow as 3\n");
    machine
}

fn assert_passed(output: &str) {
    for number in 1..=12 {
        let line = format!("PASS S3.{number}");
        let found = output.lines().any(|found| found == line);
        assert!(found, "no `{line}` in:\n{output}");
    }
    assert!(!output.contains("FAIL"), "{output}");
    let summary = "selftest: 12 passed, 0 failed";
    assert!(output.contains(summary), "{output}");
}

/// What `ps` says of the process `pid`: its columns.
fn columns(machine: &mut Machine, pid: &str) -> Option<Vec<String>> {
    let answer = machine.ask("ps");
    let mut lines = answer
        .lines()
        .map(|line| line.split_whitespace().map(String::from));
    let words = lines.find(|words| words.clone().next().as_deref() == Some(pid))?;
    Some(words.collect())
}

/// Where those columns are.
const SATP: usize = 3;
const TABLES: usize = 4;
const STACK: usize = 5;
const HEAP: usize = 6;
const PREEMPTED: usize = 7;

fn counter(machine: &mut Machine) -> u64 {
    let answer = machine.ask("heap");
    let rest = answer.split("heap counter ").nth(1).expect(&answer);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect(&answer)
}

#[test]
fn the_processes_selftest_passes() {
    let (output, status) = Machine::boot("layout=process selftest", &[]).end();
    assert_passed(&output);
    assert!(status.success(), "{status}");
}

/// Also where processes run, have grown, and have been ended.
#[test]
fn the_processes_selftest_passes_on_a_used_machine() {
    let mut machine = boot("pace=1");
    machine.ask("kalloc 700");
    machine.ask("kfree 40");
    machine.ask("spawn spin");
    machine.ask("brk 1 16");
    machine.ask("fault guard");
    machine.ask("hotplug 3");
    machine.type_line("selftest");
    let (output, status) = machine.end();
    assert_passed(&output);
    assert!(status.success(), "{status}");
}

/// Each kind that can happen here: the kernel's own on a probe, and those of processes.
#[test]
fn faults_of_every_kind_are_reported_in_words_that_name_the_region() {
    let mut machine = boot("pace=0");
    for (kind, report) in [
        (
            "null-read",
            "kernel: load from 0x00000000 in .text: it cannot be read (--x-gad)",
        ),
        (
            "null-write",
            "kernel: store to 0x00000000 in .text: it cannot be written (--x-gad)",
        ),
        (
            "null-call",
            "kernel: illegal instruction at 0x00000000 in .text",
        ),
        (
            "text",
            "kernel: store to 0x00001000 in .text: it cannot be written (--x-gad)",
        ),
        ("data", " in .data/.bss: it cannot be executed (rw--gad)"),
        (
            "noncanonical",
            "kernel: load from 0x4000000000, which is in no region: not a canonical Sv39 address",
        ),
        (
            "stack",
            " in original shared data: not mapped: the L0 entry is invalid",
        ),
        (
            "original",
            " in original shared data: not mapped: the L0 entry is invalid",
        ),
        (
            "kernel-user",
            " in user shared data: a user's page, and sstatus.SUM is 0 (rw-u-ad)",
        ),
        (
            "kernel-call-user",
            " in user .text: a user's page, from which the kernel never executes (--xu-ad)",
        ),
        (
            "guard",
            "grow: stack overflow: store by user code to 0x3fff",
        ),
        (
            "user-kernel",
            " in .data/.bss: the kernel's alone (rw--gad); it is ended",
        ),
    ] {
        let answer = machine.ask(&format!("fault {kind}"));
        assert!(answer.contains(report), "{kind}: {answer}");
    }
    let answer = machine.ask("fault guard");
    assert!(
        answer.contains(" in user stack guard: not mapped"),
        "{answer}"
    );
    // The kernel and the others go on.
    let answer = machine.ask("ps");
    for line in ["  1 init ", "  2 count ", "  3 grow "] {
        assert!(answer.contains(line), "{answer}");
    }
}

/// S3.11, for real: nobody is there to catch it, and what a report is made from is locked.
#[test]
fn a_kernel_stack_that_overflows_stops_the_kernel_with_a_report() {
    let mut machine = boot("pace=0");
    machine.type_line("crash");
    let said = machine.expect("hart 0 has stopped");
    assert!(said.contains("unexpected trap: store page fault"), "{said}");
    assert!(
        said.contains(" in original shared data: not mapped"),
        "{said}"
    );
}

/// S3.12, as users see it: every region of the kernel's, in each way.
#[test]
fn a_rogue_is_refused_everywhere() {
    let mut machine = boot("pace=0");
    machine.type_line("spawn rogue");
    let said = machine.expect("rogue: execute device IO: refused");
    for region in [
        ".text",
        ".rodata",
        ".data/.bss",
        "original shared data",
        "kernel stack",
        "kernel shared data",
        "kernel heap",
        "device IO",
    ] {
        for attempt in ["read", "write", "execute"] {
            let line = format!("rogue: {attempt} {region}: refused");
            assert!(said.contains(&line), "no `{line}` in:\n{said}");
        }
        let named = format!(" in {region}: ");
        assert!(said.contains(&named), "no fault{named} in:\n{said}");
    }
    assert!(!said.contains("ALLOWED"), "{said}");
    assert_eq!(said.matches("by user code").count(), 24, "{said}");
}

/// What could not be tried was not refused: there is no slot for a child.
#[test]
fn a_rogue_without_children_says_that_it_tried_nothing() {
    let mut machine = boot("pace=0");
    for _ in 0..20 {
        machine.ask("spawn count");
    }
    machine.type_line("spawn rogue");
    let said = machine.expect("rogue: execute device IO: NOT TRIED");
    assert_eq!(said.matches(": NOT TRIED").count(), 24, "{said}");
    assert!(!said.contains("refused"), "{said}");
}

/// A stack of 600 pages is grown by 600 faults, and each of them costs no more than itself.
#[test]
fn faults_on_purpose_come_to_an_end_on_a_busy_machine() {
    let mut machine = boot("pace=0");
    for _ in 0..19 {
        machine.ask("spawn spin");
    }
    for (kind, report) in [
        ("guard", "grow: stack overflow: store by user code"),
        ("user-kernel", "the kernel's alone (rw--gad); it is ended"),
    ] {
        let answer = machine.ask(&format!("fault {kind}"));
        assert!(answer.contains(report), "{kind}: {answer}");
        assert!(!answer.contains("has not ended"), "{kind}: {answer}");
    }
}

/// Several at once, one of which never yields; and each has a table and an identifier of its own.
#[test]
fn processes_run_beside_one_that_never_yields() {
    let mut machine = boot("pace=0");
    machine.ask("kill 3");
    let before = counter(&mut machine);
    let answer = machine.ask("spawn spin");
    assert!(answer.contains("process 4 spin"), "{answer}");
    let mut satps = Vec::new();
    // The new one has the identifier of the one that was ended.
    for (pid, asid) in [("1", 1), ("2", 2), ("4", 3)] {
        let columns = columns(&mut machine, pid).expect(pid);
        satps.push(columns[SATP].clone());
        // Its digits follow `0x8`.
        assert_eq!(u16::from_str_radix(&columns[SATP][3..7], 16), Ok(asid));
    }
    satps.sort();
    satps.dedup();
    assert_eq!(satps.len(), 3, "{satps:?}");
    // It is interrupted, and the others have their turn: this one comes to its end.
    let answer = machine.ask("spawn rogue 0x1000000000000000");
    assert!(answer.contains("process 5 rogue"), "{answer}");
    machine.expect("it is ended");
    let spin = columns(&mut machine, "4").expect("spin goes on");
    assert_ne!(spin[PREEMPTED], "0");
    assert!(machine.ask("kill 4").contains("process 4 spin is ended"));
    assert_eq!(columns(&mut machine, "4"), None);
    assert_eq!(counter(&mut machine), before);
    assert!(machine.ask("kill 4").contains("there is no process 4"));
}

/// S3.2 and S3.8 from the console.
#[test]
fn a_heap_has_as_many_pages_as_brk_says_and_no_more_than_its_maximum() {
    let mut machine = boot("pace=0");
    machine.ask("kill 3");
    let of_init = |machine: &mut Machine| {
        let columns = columns(machine, "1").expect("init lives");
        (
            columns[TABLES].clone(),
            columns[STACK].clone(),
            columns[HEAP].clone(),
        )
    };
    let text = |tables: &str, stack: &str, heap: &str| {
        (tables.to_owned(), stack.to_owned(), heap.to_owned())
    };
    assert_eq!(of_init(&mut machine), text("4", "1", "0"));
    let before = counter(&mut machine);
    let answer = machine.ask("brk 1 16");
    assert!(
        answer.contains("16 pages of heap, of 16 at most"),
        "{answer}"
    );
    assert_eq!(of_init(&mut machine), text("4", "1", "16"));
    assert_eq!(counter(&mut machine), before + 16);
    let answer = machine.ask("brk 1 17");
    assert!(answer.contains("has 16 pages of heap at most"), "{answer}");
    machine.ask("brk 1 0");
    assert_eq!(of_init(&mut machine), text("4", "1", "0"));
    assert_eq!(counter(&mut machine), before);
    let answer = machine.ask("brk 9 1");
    assert!(answer.contains("there is no process 9"), "{answer}");
}

#[test]
fn a_heap_that_memory_is_too_small_for_is_refused_with_that_reason() {
    let mut machine = boot("pace=0");
    // It gives heap back, now and then.
    machine.ask("kill 3");
    let answer = machine.ask("kalloc 40000");
    assert!(answer.contains("out of memory"), "{answer}");
    let answer = machine.ask("brk 1 9");
    let reason = "process 1 init cannot have another page of heap: out of memory";
    assert!(answer.contains(reason), "{answer}");
}

/// S3.10 from the console.
#[test]
fn a_device_is_plugged_into_a_hole() {
    let mut machine = boot("pace=0");
    let lookup = |machine: &mut Machine| machine.ask("lookup 0x50001000 2");
    assert!(lookup(&mut machine).contains("not mapped"));
    let answer = machine.ask("hotplug 1");
    assert!(answer.contains("0x50001000 -> 0x10001000"), "{answer}");
    assert!(lookup(&mut machine).contains("0x50001000 -> 0x10001000 rw--gad"));
    for (line, refusal) in [
        ("hotplug 1", "is mapped already"),
        ("hotplug 16", "there are 16 device IO pages"),
        ("unplug 0", "is UART0, and stays"),
        ("unplug 2", "is a hole already"),
    ] {
        let answer = machine.ask(line);
        assert!(answer.contains(refusal), "{line}: {answer}");
    }
    assert!(machine.ask("unplug 1").contains("is a hole"));
    assert!(lookup(&mut machine).contains("not mapped"));
}

#[test]
fn pages_of_tables_and_processes_are_not_taken_back() {
    let mut machine = boot("pace=0");
    let answer = machine.ask("kalloc");
    let page = answer.split("= ").nth(1).expect(&answer);
    let page = page.split_whitespace().next().expect(&answer).to_owned();
    let answer = machine.ask(&format!("kfree {page}"));
    assert!(answer.contains("heap counter"), "{answer}");
    // The kernel's root, a page that is free, no page, user space.
    for address in ["0x47bff000", &page, "0x1000", "0x3fc0000000"] {
        let answer = machine.ask(&format!("kfree {address}"));
        assert!(answer.contains("is not held"), "{address}: {answer}");
    }
}

/// As many as there can be, and what comes after them is refused.
#[test]
fn there_is_an_end_to_processes_and_every_frame_comes_back() {
    let mut machine = boot("pace=0");
    machine.ask("kill 3");
    let before = counter(&mut machine);
    for _ in 0..22 {
        machine.ask("spawn count");
    }
    let answer = machine.ask("spawn count");
    assert!(
        answer.contains("there are 24 processes already"),
        "{answer}"
    );
    assert_eq!(machine.ask("spaces").matches("process ").count(), 24);
    for pid in 4..26 {
        let answer = machine.ask(&format!("kill {pid}"));
        assert!(answer.contains("is ended"), "{answer}");
    }
    assert_eq!(counter(&mut machine), before);
    assert_eq!(machine.ask("spaces").matches("process ").count(), 2);
    let answer = machine.ask("spawn nonsense");
    assert!(
        answer.contains("there is no program `nonsense`"),
        "{answer}"
    );
}
