//! The nanos layout: its self-test, its heaps at the console, its faults.

use crate::machine::Machine;

/// Boots it, and waits for the prompt.
fn boot() -> Machine {
    let mut machine = Machine::boot("layout=nanos pace=0", &[]);
    machine.expect("\n> ");
    machine
}

fn assert_passed(output: &str) {
    let ids = (1..=13).map(|number| format!("S4.{number}"));
    for id in ids.chain(["S4-stress".into()]) {
        let line = format!("PASS {id}");
        let found = output.lines().any(|found| found == line);
        assert!(found, "no `{line}` in:\n{output}");
    }
    assert!(!output.contains("FAIL"), "{output}");
    let summary = "selftest: 14 passed, 0 failed";
    assert!(output.contains(summary), "no `{summary}` in:\n{output}");
}

#[test]
fn the_nanos_selftest_passes() {
    let (output, status) = Machine::boot("layout=nanos selftest", &[]).end();
    assert_passed(&output);
    assert!(status.success(), "{status}");
    // S4.10: what was dismantled is physical's.
    let line = "stage 3: boot memory dismantled, physical had ";
    let rest = output.split(line).nth(1).expect(&output);
    let numbers: Vec<u64> = rest
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .take(2)
        .collect();
    assert_eq!(
        numbers[1] - numbers[0],
        24,
        "32 KiB of stack, 64 KiB of heap"
    );
}

/// Also where the heaps have been used, and the application has been stopped.
#[test]
fn the_nanos_selftest_passes_on_a_used_machine() {
    let mut machine = boot();
    machine.ask("kalloc 1100");
    machine.ask("kfree 300");
    machine.ask("backed 0x700000");
    machine.ask("reserve 0x40000000");
    machine.ask("app 9");
    machine.ask("fault user-heap");
    machine.ask("stress 500");
    machine.type_line("selftest");
    let (output, status) = machine.end();
    assert_passed(&output);
    assert!(status.success(), "{status}");
}

/// Where the checks cannot have what they need, they are not run, and nothing is said of the kernel.
#[test]
fn the_nanos_selftest_refuses_with_the_reason() {
    let mut machine = boot();
    let words = machine.ask("reserve 0xc0000000");
    machine.ask("reserve 0xc0000000");
    let answer = machine.ask("reserve 0xc0000000");
    assert!(answer.contains("2 units of 2^32 bytes"), "{answer}");
    let answer = machine.ask("selftest");
    assert!(answer.contains("it has all 2 of its units"), "{answer}");
    let start = words.split_whitespace().next().expect(&words);
    let start = start.trim_end_matches(';');
    machine.ask(&format!("free {start}"));
    let answer = machine.ask("kalloc 40000");
    let words = "kalloc() = 0: physical: 0x1000 bytes are not free in one piece";
    assert!(answer.contains(words), "{answer}");
    let answer = machine.ask("selftest");
    assert!(
        answer.contains("bytes of RAM in one piece; 0 pages"),
        "{answer}"
    );
    machine.ask("kfree 40000");
    while machine.ask("backed 1").contains("heap counter") {}
    // Memory there is; what is missing is a place in the list.
    let answer = machine.ask("kalloc 1000");
    let words = "kalloc() = 0: too many allocations to track another";
    assert!(answer.contains(words), "{answer}");
    let answer = machine.ask("selftest");
    assert!(answer.contains("of 480 are tracked"), "{answer}");
}

#[test]
fn every_fault_names_its_region_and_is_survived() {
    let mut machine = boot();
    for (kind, words) in [
        ("null", "load from 0x00000000 in zero page: not mapped"),
        ("null-write", "store to 0x00000000 in zero page: not mapped"),
        (
            "null-call",
            "execution of 0x00000000 in zero page: not mapped",
        ),
        ("guard", " in guard: not mapped: the L0 entry is invalid"),
        (
            "text",
            "store to 0x7f000000 in .text: it cannot be written (r-x--ad)",
        ),
        ("execute", " in .data: it cannot be executed (rw---ad)"),
        ("noncanonical", "not a canonical Sv39 address"),
        (
            "kernel-to-user",
            "load from 0x00400000 in application: a user's page, and sstatus.SUM is 0 (r-xu-ad)",
        ),
    ] {
        let answer = machine.ask(&format!("fault {kind}"));
        assert!(answer.contains(words), "{kind}: {answer}");
        assert!(answer.contains("survived"), "{kind}: {answer}");
    }
    for (kind, words) in [
        (
            "user-to-kernel",
            "load by user code from 0x7f000000 in .text: the kernel's alone (r-x--ad)",
        ),
        (
            "user-null",
            "load by user code from 0x00000000 in zero page",
        ),
        (
            "user-text",
            "store by user code to 0x00400000 in application: it cannot be written (r-xu-ad)",
        ),
        (
            "user-execute",
            "in application data: it cannot be executed (rw-u-ad)",
        ),
        (
            "user-illegal",
            "illegal instruction by user code at 0x00400ffc in application",
        ),
        (
            "user-stack",
            "store by user code to 0x7dfefff8 in application guard",
        ),
        (
            "user-heap",
            "load by user code from 0x1004000000 in user heap limit",
        ),
    ] {
        let answer = machine.ask(&format!("fault {kind}"));
        assert!(answer.contains(words), "{kind}: {answer}");
        assert!(answer.contains("the kernel carries on"), "{kind}: {answer}");
    }
    // And so it does.
    let answer = machine.ask("app 2");
    assert!(answer.contains("application: hello, kernel"), "{answer}");
    assert!(answer.contains("the application ended with 0"), "{answer}");
    machine.type_line("crash");
    let answer = machine.expect("hart 0 has stopped");
    assert!(
        answer.contains("load from 0x00000010 in zero page"),
        "{answer}"
    );
}

/// Also on a machine of two million instructions a second, on which that takes a minute.
#[test]
fn all_of_the_user_heap_can_be_touched_on_a_slow_machine() {
    let mut machine = Machine::boot("layout=nanos pace=0", &["-icount", "shift=9"]);
    machine.expect("\n> ");
    let answer = machine.ask("app 16384");
    assert!(answer.contains("the application ended with 0"), "{answer}");
    assert!(answer.contains("\n16384 pages of its heap"), "{answer}");
    // Who does not get on is stopped all the same.
    let answer = machine.ask("fault user-loop");
    let words = "it has run for 1000 ms without touching a new page, and is stopped";
    assert!(answer.contains(words), "{answer}");
    assert!(answer.contains("the kernel carries on"), "{answer}");
}

/// 1,000 random allocations and frees over all heaps, and as many frames afterwards as before.
#[test]
fn a_thousand_random_allocations_leave_nothing_behind() {
    let mut machine = boot();
    machine.ask("kalloc");
    machine.ask("kfree");
    let before = machine.ask("regions");
    let answer = machine.ask("stress 1000");
    let numbers: Vec<u64> = answer
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let [allocated, freed, refused, counter, after] = numbers[..] else {
        panic!("{answer}");
    };
    assert_eq!(allocated + freed + refused, 1000, "{answer}");
    assert!(allocated > 400 && freed > 400, "{answer}");
    assert_eq!(counter, after, "{answer}");
    assert_eq!(machine.ask("regions"), before);
}

#[test]
fn heaps_are_driven_at_the_console() {
    let mut machine = boot();
    let answer = machine.ask("kalloc 2");
    assert!(answer.contains("kalloc() = 0x100400000 -> 0x8"), "{answer}");
    assert!(answer.contains("kalloc() = 0x100401000 -> 0x8"), "{answer}");
    let answer = machine.ask("kfree 0x100400000");
    assert!(answer.contains("kfree(0x100400000)"), "{answer}");
    let answer = machine.ask("kfree 0x100400000");
    assert!(answer.contains("0x100400000 is free already"), "{answer}");
    let answer = machine.ask("kfree 0x80200000");
    assert!(
        answer.contains("is none of this heap's addresses"),
        "{answer}"
    );

    let answer = machine.ask("backed 0x300000");
    assert!(answer.contains("0x100800000; heap counter"), "{answer}");
    let answer = machine.ask("trace 1");
    assert!(
        answer.contains("map_range: v 0x100800000 p 0x8")
            && answer.contains("length 0x300000 flags rw---ad by 0x7f0"),
        "{answer}"
    );
    let answer = machine.ask("regions");
    let line = answer
        .lines()
        .find(|line| line.starts_with("0x0000000100800000"));
    let line = line.expect(&answer);
    assert!(
        line.contains("+ 0x300000") && line.contains("backed") && line.contains("asked for"),
        "{line}"
    );
    let answer = machine.ask("free 0x100800000");
    assert!(answer.contains("0x100800000; heap counter"), "{answer}");
    let answer = machine.ask("free 0x100800000");
    assert!(
        answer.contains("nothing of this heap's begins at"),
        "{answer}"
    );
    // Pure addresses: nothing is mapped.
    let answer = machine.ask("reserve 0x40000000");
    assert!(answer.contains("0x140000000; heap counter"), "{answer}");
    let answer = machine.ask("lookup 0x140000000");
    assert!(
        answer.contains("not mapped: the L2 entry is invalid"),
        "{answer}"
    );
    let answer = machine.ask("reserve 0x4000000000");
    assert!(
        answer.contains("virtual_huge: 0x4000000000 bytes"),
        "{answer}"
    );
}
