//! The four strategies: self-test, stress, and what `bench` says of each.

use crate::machine::Machine;
use crate::machine::selftest::assert_passed;

const STRATEGIES: [&str; 4] = ["pool", "self-leaf", "mirror", "demand"];

fn boot(strategy: &str) -> Machine {
    let mut machine = Machine::boot(&format!("tables={strategy} pace=0"), &[]);
    machine.expect("\n> ");
    machine
}

#[test]
fn the_selftest_passes_with_each() {
    for strategy in STRATEGIES {
        let command_line = format!("tables={strategy} selftest");
        let (output, status) = Machine::boot(&command_line, &["-smp", "4"]).end();
        assert_passed(&output, strategy);
        assert!(status.success(), "{status}");
    }
}

/// Also after the heap has grown over a 2 MiB boundary, and things were mapped and unmapped.
#[test]
fn the_selftest_passes_on_a_used_space_with_each() {
    for strategy in STRATEGIES {
        let mut machine = boot(strategy);
        machine.ask("kalloc 700");
        assert!(machine.ask("stress 500").contains("none lost"));
        let answer = machine.ask("map 0x2000000000 5");
        assert!(answer.contains("5 leaves, 2 new tables"), "{answer}");
        // One page in each of the first GiB, where an empty window is looked for.
        for gib in 3..14 {
            let answer = machine.ask(&format!("map {:#x}", gib * 0x4000_0000_u64));
            assert!(answer.contains("2 new tables"), "{answer}");
        }
        assert!(machine.ask("kfree 40").contains("heap counter"));
        machine.type_line("selftest");
        let (output, status) = machine.end();
        assert_passed(&output, strategy);
        assert!(status.success(), "{status}");
    }
}

/// Frames in use and free are all that there are before and after; every translation is the shadow's,
/// by the tables and by what loads and stores do; kalloc is never inside itself, and the reserve
/// never below its mark: with memory to spare, and with hardly any.
#[test]
fn ten_thousand_random_maps_lose_nothing() {
    for strategy in STRATEGIES {
        let mark = if matches!(strategy, "pool" | "self-leaf") {
            2
        } else {
            3
        };
        let mut machine = boot(strategy);
        let sound = |answer: &str| {
            for part in [
                "stress 10000: mapped ",
                " in all; none lost",
                "kalloc in kalloc at most 1 deep",
                &format!("reserve never below {mark} (mark {mark})"),
            ] {
                assert!(answer.contains(part), "{strategy}: no `{part}` in {answer}");
            }
        };
        let answer = machine.ask("stress 10000");
        sound(&answer);
        assert!(answer.contains("refused: 0 for want of memory"), "{answer}");
        assert!(machine.ask("kalloc 40000").contains("out of memory"));
        machine.ask("kfree 20");
        let answer = machine.ask("stress 10000");
        sound(&answer);
        assert!(!answer.contains("refused: 0 for"), "{strategy}: {answer}");
    }
}

/// S1.7 and S1.8 as a person at the console meets them.
#[test]
fn demand_counts_its_traps_and_passes_on_what_is_not_its_own() {
    let mut machine = boot("demand");
    let traps = |machine: &mut Machine| -> u64 {
        let answer = machine.ask("info");
        let words = answer.split("traps into M-mode: ").nth(1).unwrap();
        words.split(' ').next().unwrap().parse().unwrap()
    };
    for (line, expected) in [
        ("map 0x100000000", 2),
        ("map 0x100001000", 0),
        ("map 0x100200000", 1),
        ("map 0x140000000 2M", 1),
        ("map 0x180000000 1G", 0),
        ("lookup 0x3f00000000", 0),
        ("unmap 0x100000000", 0),
    ] {
        let before = traps(&mut machine);
        machine.ask(line);
        assert_eq!(traps(&mut machine) - before, expected, "{line}");
    }
    let answer = machine.ask("fault window");
    assert!(
        answer.contains("load page fault (scause 13) at 0xffffffffffe0"),
        "{answer}"
    );
    let answer = machine.ask("touch 0x123456789");
    assert!(
        answer.contains("load page fault (scause 13) at 0x123456789"),
        "{answer}"
    );
    machine.type_line("crash");
    let report = machine.expect("hart 0 has stopped");
    for part in ["scause 0x000000000000000d", "stval  0x0000000000000010"] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn leaves_of_every_size_at_the_console_with_each() {
    for strategy in STRATEGIES {
        let mut machine = boot(strategy);
        for (line, expected) in [
            ("map 0x100000000 3", "and so on, 3 leaves, 2 new tables"),
            ("lookup 0x100002000", "rw---ad"),
            (
                "protect 0x100002000 r",
                "is r----ad now, a leaf of 0x1000 bytes",
            ),
            (
                "touch 0x100002000",
                "store: store page fault (scause 15) at 0x100002000",
            ),
            ("touch 0x100001000", "store: 0xa5 at 0x100001000"),
            ("map 0x140000000 2 2M", "and so on, 2 leaves, 1 new tables"),
            ("lookup 0x140212345", "0x140212345 -> 0x80412345 r----ad"),
            (
                "touch 0x140212345",
                "store: store page fault (scause 15) at 0x140212345",
            ),
            (
                "map 0x180000000 1G",
                "0x180000000 -> 0x80000000, 0 new tables",
            ),
            (
                "map 0x180000000 0x40000000",
                "is mapped already, to 0x80000000",
            ),
            (
                "map 0x100000000 0x80200000 2M",
                "is a part of the kernel's image",
            ),
            (
                "map 0x1c0000000 0x87e00000 2M",
                "is the heap counter's page",
            ),
            (
                "map 0x1c0000000 0x87ffd000",
                "is a page table, or in reserve",
            ),
            ("rsw 0x100000000", "RSW 1, written at 0x"),
            ("rsw 0x100000000", "RSW 0, written at 0x"),
            (
                "unmap 0x140000000 2",
                "unmapped 2 leaves from 0x140000000 on",
            ),
            ("unmap 0x180000000", "0x180000000 is not mapped any more"),
            (
                "unmap 0x100000000 4",
                "unmapped 3 leaves from 0x100000000 on",
            ),
            (
                "lookup 0x100000000",
                "L2 0x87ffc000[  4] = 0x0000000000000000  invalid",
            ),
        ] {
            let answer = machine.ask(line);
            assert!(answer.contains(expected), "{strategy}: {line}: {answer}");
        }
    }
}

/// A page that is mapped a second time becomes nobody else's, and no table; nor is a table, or what may
/// become one, laid open.
#[test]
fn no_table_comes_to_lie_behind_somebodys_mapping() {
    for strategy in STRATEGIES {
        let mut machine = boot(strategy);
        let answer = machine.ask("map 0x100000000");
        let page = answer
            .split("-> ")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let page = page.expect("a page").to_owned();
        for (line, expected) in [
            (
                format!("kfree {page}"),
                "is mapped at 0x100000000 too; unmap",
            ),
            (
                "map 0x140000000 0x84000000".to_owned(),
                "that is not handed out",
            ),
            (
                "map 0x140000000 0x84000000 2M".to_owned(),
                "a part of the heap",
            ),
            (
                "map 0x180000000 64 2M".to_owned(),
                "RAM ends before 0x88000000",
            ),
            ("protect 0x187c00000 rw".to_owned(), "and stays as it is"),
            ("touch 0x187dff010".to_owned(), "store: store page fault"),
            ("unmap 0x100000000".to_owned(), "is not mapped any more"),
            (format!("kfree {page}"), "heap counter"),
        ] {
            let answer = machine.ask(&line);
            assert!(answer.contains(expected), "{strategy}: {line}: {answer}");
        }
        machine.type_line("selftest");
        let (output, _) = machine.end();
        assert_passed(&output, strategy);
    }
}

/// Everything that it maps it takes away again, and nothing else.
#[test]
fn bench_leaves_everything_as_it_was() {
    for strategy in STRATEGIES {
        let mut machine = boot(strategy);
        machine.ask("map 0x0fc9d000");
        machine.ask("map 0x3000000000 1G");
        let mapped = ["0x0fc9d000", "0x3000000000", "0x3ebfd000", "0x32ea1000"];
        let answer = machine.ask("bench");
        assert!(answer.contains(", 0 tables are left over"), "{answer}");
        for address in mapped {
            let answer = machine.ask(&format!("lookup {address}"));
            assert!(
                answer.contains(&format!("{address} -> ")),
                "{strategy}: {answer}"
            );
        }
        machine.ask("map 0x440000000");
        let answer = machine.ask("bench");
        assert!(answer.contains("something is mapped"), "{answer}");
        // Where memory ends in the middle, nothing is left behind either.
        machine.ask("unmap 0x440000000");
        assert!(machine.ask("kalloc 40000").contains("out of memory"));
        machine.ask("kfree 20");
        let answer = machine.ask("bench");
        assert!(answer.contains("memory is used up"), "{answer}");
        let answer = machine.ask("lookup 0x400000000");
        assert!(answer.contains("not mapped"), "{strategy}: {answer}");
        assert!(machine.ask("stress 200").contains("none lost"));
    }
}

/// With a clock that counts instructions the costs are the same on every run, and they say what the
/// strategies are known for.
#[test]
fn bench_prints_what_each_strategy_costs() {
    let cost = |strategy: &str, row: &str| -> [u64; 3] {
        let command_line = format!("tables={strategy} bench pace=0");
        let (output, status) = Machine::boot(&command_line, &["-icount", "shift=0"]).end();
        assert!(status.success(), "{status}: {output}");
        assert!(output.contains("0 tables are left over"), "{output}");
        let line = output.lines().find(|line| line.starts_with(row));
        let line = line.unwrap_or_else(|| panic!("no `{row}` in:\n{output}"));
        let numbers = line.split_whitespace().rev().take(3);
        let numbers: Vec<u64> = numbers.map(|word| word.parse().unwrap()).collect();
        [numbers[2], numbers[1], numbers[0]]
    };
    let row = "map 4K in a fresh GiB";
    let [pool, self_leaf, mirror, demand] = STRATEGIES.map(|strategy| cost(strategy, row));
    assert_eq!((pool[1], pool[2]), (2, 0));
    assert_eq!((self_leaf[1], self_leaf[2]), (2, 0));
    assert_eq!((mirror[1], mirror[2]), (3, 0));
    assert_eq!((demand[1], demand[2]), (3, 2));
    assert!(
        pool[0] < mirror[0] && mirror[0] < demand[0],
        "{pool:?} {mirror:?} {demand:?}"
    );
    assert_eq!(cost("pool", row), pool);
}
