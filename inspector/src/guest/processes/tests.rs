//! A plan by the profile's own numbers, on memory like xv6's; debug information is in `dwarf/tests.rs`.

use super::*;
use crate::guest::MachineMap;
use crate::guest::elf::file;
use crate::guest::profile::text;
use crate::link::bare_ram::BareRam;

fn plan(text_of: &str) -> Result<Plan, String> {
    let profile = text::read(std::path::Path::new("p.ron"), text_of).expect("a profile");
    let elf = file(&[("proc", 0x8001_0000), ("head", 0x8002_0000)]);
    Plan::with(profile.processes.as_ref().expect("processes"), &elf, None)
}

#[test]
fn what_nobody_says_is_an_error_with_a_remedy() {
    let of = |place: &str, field: &str| {
        plan(&format!(
            "(profile: 1, name: \"t\", recognise: (layout: \"t\"), processes: (struct: \"proc\", \
             place: {place}, page_table: {field}))"
        ))
    };
    let known = "(path: \"pagetable\", offsets: [80])";
    let array = "Array(start: \"proc\", count: 64, stride: 360)";
    assert_eq!(
        of(array, known).expect("a plan").origin(),
        "offsets from the profile"
    );
    let error = of(array, "(path: \"pagetable\")").expect_err("no offset");
    assert!(error.contains("give `offsets`"), "{error}");
    let error = of("Array(start: \"proc\")", known).expect_err("no count");
    assert!(error.contains("give `count` and `stride`"), "{error}");
    let error = of("Array(start: \"nobody\", count: 1, stride: 8)", known).expect_err("no symbol");
    assert!(error.contains("\"nobody\""), "{error}");
}

const PROC: u64 = 0x8001_0000;

impl BareRam {
    /// A process as xv6 has them: state, pid, page table, name.
    fn process(&mut self, slot: u64, state: u32, pid: u32, table: u64, name: &str) {
        let at = PROC + slot * 360;
        self.put(at + 24, &state.to_le_bytes());
        self.put(at + 48, &pid.to_le_bytes());
        self.put(at + 80, &table.to_le_bytes());
        self.put(at + 344, name.as_bytes());
    }

    fn found(&mut self, plan: &Plan) -> Found {
        let machine = MachineMap::virt_128_mib();
        let mut memory = GuestMemory::new(self, &machine, None, Vec::new());
        plan.find(&mut memory, TranslationMode::Sv39)
            .expect("memory is always there")
    }
}

fn xv6() -> Plan {
    let text_of = include_str!("../../../../assets/profiles/xv6-riscv.ron");
    plan(text_of).expect("xv6's own numbers")
}

#[test]
fn an_array_of_processes_is_one_round_and_says_who_they_are() {
    let mut memory = BareRam::new(1 << 20);
    memory.process(0, 2, 1, 0x8008_0000, "init");
    memory.process(1, 4, 2, 0x8008_4000, "sh\0garbage");
    // Unused, a zombie without a table, a table out of RAM, two of one space.
    memory.process(2, 0, 7, 0x8008_5000, "gone");
    memory.process(3, 5, 8, 0, "zombie");
    memory.process(4, 2, 9, 0x1000_0000, "odd");
    memory.process(5, 2, 10, 0x8008_0000, "thread");
    memory.process(63, 3, 2, 0x8008_6000, "sh");
    let found = memory.found(&xv6());
    let names: Vec<&str> = found
        .spaces
        .iter()
        .map(|space| space.name.as_str())
        .collect();
    assert_eq!(names, ["proc 1 init", "proc 2 sh", "proc 2 sh (number 63)"]);
    assert_eq!(found.spaces[1].number, Some(2));
    assert_eq!(found.spaces[1].satp.root().start().as_u64(), 0x8008_4000);
    assert!(
        found.notes[0].starts_with("1 processes"),
        "{:?}",
        found.notes
    );
    assert_eq!(memory.rounds, 1, "the array is read at once");
}

#[test]
fn a_list_that_goes_in_a_circle_or_nowhere_ends() {
    let list = plan(
        "(profile: 1, name: \"t\", recognise: (layout: \"t\"), processes: (struct: \"task\",
          place: List(head: \"proc\", next: (path: \"tasks.next\", offsets: [16]),
                      next_points_to: (path: \"tasks\", offsets: [8])),
          page_table: (path: \"mm->pgd\", offsets: [32, 8]), page_table_is: physical,
          pid: (path: \"pid\", offsets: [40])))",
    )
    .expect("a plan");
    let task = |number: u64| PROC + number * 0x100;
    let mut memory = BareRam::new(1 << 20);
    for number in 0..3 {
        let next = task((number + 1) % 3) + 8;
        memory.put(task(number) + 16, &next.to_le_bytes());
        memory.put(task(number) + 40, &(number as u32).to_le_bytes());
        let mm = PROC + 0x1000 + number * 0x40;
        // The first has no space of its own, as kernel threads do not.
        if number > 0 {
            memory.put(task(number) + 32, &mm.to_le_bytes());
            memory.put(mm + 8, &(0x8008_0000 + number * 0x1000).to_le_bytes());
        }
    }
    let numbers = |found: Found| -> Vec<Option<u64>> {
        found.spaces.iter().map(|space| space.number).collect()
    };
    assert_eq!(numbers(memory.found(&list)), [Some(1), Some(2)]);
    // It leads to itself, out of RAM, to nothing: what was found till then counts.
    for next in [task(1) + 8, 0x1000, 0, u64::MAX] {
        memory.put(task(1) + 16, &next.to_le_bytes());
        assert_eq!(numbers(memory.found(&list)), [Some(1)], "{next:#x}");
    }
}
