//! The process layout, looked at from outside over QEMU's gdb port: the tables of every process, whether it
//! runs or not.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagescope::capture::Capturer;
use pagescope::guest::ElfFile;
use pagescope::link::Target as _;
use pagescope_protocol::snapshot::{
    Mapping, Region, RegionKind, RegionSpace, Snapshot, Space, SpaceKind, TraceKind,
};
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, VirtAddr};
use support::console::Console;
use support::{HANG_GUARD, Machine};

/// The spaces after boot: the kernel's, and three processes'.
const SPACES: [&str; 4] = [
    "kernel",
    "process 1 init",
    "process 2 count",
    "process 3 grow",
];

/// The GiB of users: the one at the top of the lower half.
const USER_BASE: u64 = 0x3f_c000_0000;

/// The document's drawing from address 0 up, with what may be done there by the kernel (K) and by users (U):
/// the leaf's flags, or `None` where there is none.
const KERNEL: [(&str, Option<&str>); 8] = [
    (".text", Some("--x-gad")),
    (".rodata", Some("r---gad")),
    (".data/.bss", Some("rw--gad")),
    ("original shared data", None),
    ("kernel stack", Some("rw--gad")),
    ("kernel shared data", Some("rw--gad")),
    ("kernel heap", Some("rw--gad")),
    // Its first page; the rest are holes.
    ("device IO", Some("rw--gad")),
];
const USER: [(&str, Option<&str>); 8] = [
    ("user .text", Some("--xu-ad")),
    ("user .rodata", Some("r--u-ad")),
    ("user heap", Some("rw-u-ad")),
    ("user heap room", None),
    ("user stack guard", None),
    ("user stack room", None),
    ("user stack", Some("rw-u-ad")),
    ("user shared data", Some("rw-u-ad")),
];

/// Our kernel at its console, with nobody attached.
struct AtConsole {
    machine: Machine,
    console: Console,
    elf: Arc<ElfFile>,
}

impl AtConsole {
    fn boot() -> Self {
        let machine = Machine::boot_layout("process", "layout=process pace=0", 1, false);
        let mut console = Console::open(&machine);
        let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));
        let deadline = Instant::now() + HANG_GUARD;
        while console.ask("spaces").matches("process ").count() < 3 {
            assert!(Instant::now() < deadline, "init spawns nobody");
        }
        Self {
            machine,
            console,
            elf,
        }
    }

    fn ask(&mut self, line: &str) -> String {
        self.console.ask(line)
    }

    /// Looks at everything, and leaves the guest running.
    fn look(&self) -> Arc<Snapshot> {
        let mut target = self.machine.attach();
        let elf = Some(Arc::clone(&self.elf));
        let mut capturer = Capturer::new(&mut target, elf).expect("QEMU answers");
        let mut snapshot = capturer.capture(&mut target, "test").expect("a capture");
        // A process in whose space the hart is may be half changed: it is left alone for a moment.
        while !space(&snapshot, "kernel").harts.contains(&0) {
            Box::new(target).detach().expect("the guest goes on");
            std::thread::sleep(Duration::from_millis(5));
            target = self.machine.attach();
            snapshot = capturer.capture(&mut target, "test").expect("a capture");
        }
        Box::new(target).detach().expect("the guest goes on");
        snapshot
    }

    /// Looks until a process that counts has done so many steps.
    fn wait_for_steps(&self, name: &str, steps: u64) -> Arc<Snapshot> {
        let deadline = Instant::now() + HANG_GUARD;
        loop {
            let snapshot = self.look();
            let shared = region(&snapshot, name, "user shared data").start;
            let (tally, _) = leaf(space(&snapshot, name), shared).expect("it is mapped");
            // All begin with 1000.
            if self.word(tally) >= 1000 + steps {
                return snapshot;
            }
            assert!(Instant::now() < deadline, "{name} does not count");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Eight bytes of physical memory.
    fn word(&self, address: PhysAddr) -> u64 {
        let mut target = self.machine.attach();
        let range = PhysRange::new(address, 8).expect("a word");
        let read = target.read_physical(&[range]).expect("the link stands");
        let bytes = read[0].as_deref().expect("RAM is read");
        Box::new(target).detach().expect("the guest goes on");
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }
}

fn space<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Space {
    let found = snapshot.spaces.iter().find(|space| space.name == name);
    found.unwrap_or_else(|| panic!("no space `{name}`"))
}

/// The virtual region of this name, as the space of that name has it; `None` where it has none.
fn find<'a>(snapshot: &'a Snapshot, space: &str, name: &str) -> Option<&'a Region> {
    snapshot.regions.iter().find(|region| {
        region.name == name && region.space == RegionSpace::Virtual && region.counts_in(space)
    })
}

fn region<'a>(snapshot: &'a Snapshot, space: &str, name: &str) -> &'a Region {
    find(snapshot, space, name).unwrap_or_else(|| panic!("{space} has no region `{name}`"))
}

fn end(region: &Region) -> u64 {
    region.start + region.size
}

/// The leaf at an address: where it leads, and its flags.
fn leaf(space: &Space, address: u64) -> Option<(PhysAddr, String)> {
    let mapped = space.translate(VirtAddr::new(address)).mapped()?;
    Some((mapped.address, mapped.flags.to_string()))
}

/// The pages that a region touches.
fn pages(region: &Region) -> impl Iterator<Item = u64> + use<> {
    let first = region.start / PAGE_SIZE;
    let last = end(region).div_ceil(PAGE_SIZE);
    (first..last).map(|page| page * PAGE_SIZE)
}

/// The frames of a space's tables.
fn table_frames(space: &Space) -> BTreeSet<PhysPage> {
    space.tables.iter().map(|table| table.frame).collect()
}

/// Tables that are the space's own, and not the kernel's.
fn own_tables(snapshot: &Snapshot, name: &str) -> usize {
    let kernels = table_frames(space(snapshot, "kernel"));
    let all = table_frames(space(snapshot, name));
    all.difference(&kernels).count()
}

fn processes() -> impl Iterator<Item = &'static str> {
    SPACES.into_iter().skip(1)
}

#[test]
fn s3_1_each_process_has_a_table_with_the_kernel_below_the_user() {
    let guest = AtConsole::boot();
    let snapshot = guest.look();
    let facts = snapshot.kernel.as_ref().expect("our kernel");
    assert_eq!(facts.layout, "process");
    let roots: BTreeSet<_> = SPACES.map(|name| space(&snapshot, name).root).into();
    let asids: BTreeSet<_> = SPACES.map(|name| space(&snapshot, name).asid).into();
    assert_eq!((roots.len(), asids.len()), (4, 4), "{roots:?} {asids:?}");
    let kernel = space(&snapshot, "kernel");
    assert_eq!((kernel.asid, kernel.kind), (0, Some(SpaceKind::Kernel)));
    assert!(
        kernel
            .mappings
            .iter()
            .all(|mapping| mapping.virt.as_u64() < USER_BASE)
    );
    for (number, name) in processes().enumerate() {
        let space = space(&snapshot, name);
        assert_eq!(space.kind, Some(SpaceKind::Process), "{name}");
        assert_eq!(space.number, Some(number as u64 + 1), "{name}");
        let is_users = |flags: LeafFlags| flags.contains(LeafFlags::USER);
        let mappings = space.mappings.iter();
        let (users, kernels): (Vec<_>, Vec<_>) =
            mappings.partition(|mapping| is_users(mapping.flags));
        assert!(
            users
                .iter()
                .all(|mapping| mapping.virt.as_u64() >= USER_BASE),
            "{name}"
        );
        // The kernel's part is the kernel's: the same leaves, from the same tables.
        // Their names differ: a space calls its own tables so, and another's memory.
        let leaves = |mapping: Mapping| {
            let Mapping {
                virt,
                phys,
                size,
                page_size,
                flags,
                ..
            } = mapping;
            (virt, phys, size, page_size, flags)
        };
        let kernels: Vec<_> = kernels.into_iter().map(leaves).collect();
        let expected: Vec<_> = kernel.mappings.iter().map(leaves).collect();
        assert_eq!(kernels, expected, "{name}");
        let below = |space: &Space| -> BTreeSet<PhysPage> {
            let kernels = space
                .tables
                .iter()
                .filter(|table| table.level != Level::L2 && table.covers_from.as_u64() < USER_BASE);
            kernels.map(|table| table.frame).collect()
        };
        assert_eq!(below(space), below(kernel), "{name}");
        assert_eq!(below(kernel).len(), 5);
    }
}

#[test]
fn s3_2_the_number_of_table_frames_varies_with_the_limits() {
    let mut guest = AtConsole::boot();
    let snapshot = guest.look();
    let said = guest.ask("ps");
    let mut counts = Vec::new();
    for name in processes() {
        let count = own_tables(&snapshot, name);
        // PID NAME STATE SATP TABLES
        let program = name.rsplit(' ').next().expect("a name");
        let mut lines = said.lines().map(|line| line.split_whitespace());
        let line = lines.find(|words| words.clone().nth(1) == Some(program));
        let tables = line.expect(&said).nth(4).expect(&said);
        assert_eq!(tables, count.to_string(), "{name}: {said}");
        // As many L0s as there are 2 MiB that something may ever be mapped in.
        let first = region(&snapshot, name, "user heap room").start;
        let first = find(&snapshot, name, "user heap").map_or(first, |heap| heap.start);
        let last = end(region(&snapshot, name, "user shared data")) - 1;
        let dynamic = (last >> 21) - (first >> 21) + 1;
        assert_eq!(count as u64, 3 + dynamic, "{name}");
        counts.push(count);
    }
    // init and count may have 8 pages of stack and 16 of heap; grow 600 and 1024.
    assert_eq!(counts[..2], [4, 4]);
    assert!(counts[2] > 4, "{counts:?}");
    let room = |name| region(&snapshot, name, "user stack room");
    let pages = |name| {
        let stack = region(&snapshot, name, "user stack");
        (end(room(name)) - room(name).start + stack.size).div_ceil(PAGE_SIZE)
    };
    assert_eq!((pages(SPACES[1]), pages(SPACES[3])), (8, 600));
}

#[test]
fn s3_3_order_and_permissions_are_the_documents() {
    let mut guest = AtConsole::boot();
    guest.ask("brk 1 2");
    guest.ask("brk 2 3");
    let snapshot = guest.look();
    for name in SPACES {
        let space = space(&snapshot, name);
        let users = if name == "kernel" { &[][..] } else { &USER };
        let mut below = 0;
        for (part, flags) in KERNEL.iter().chain(users) {
            let Some(region) = find(&snapshot, name, part) else {
                // grow has none at the moment.
                assert_eq!(*part, "user heap", "{name} has no region `{part}`");
                continue;
            };
            assert!(region.start >= below, "{name}: {part} lies too low");
            below = end(region);
            let count = if *part == "device IO" { 1 } else { usize::MAX };
            for page in pages(region).take(count) {
                // A page that two parts share has the flags that both have.
                let found = leaf(space, page).map(|(_, flags)| flags);
                assert_eq!(found.as_deref(), *flags, "{name}: {part} at {page:#x}");
            }
        }
    }
    // .text and .rodata are the same frames for both.
    let init = space(&snapshot, "process 1 init");
    for (kernels, users) in [(".text", "user .text"), (".rodata", "user .rodata")] {
        let kernels = region(&snapshot, &init.name, kernels);
        let users = region(&snapshot, &init.name, users);
        assert_eq!(users.start - USER_BASE, kernels.start);
        for (low, high) in pages(kernels).zip(pages(users)) {
            let frame = |address| leaf(init, address).map(|(phys, _)| phys);
            assert_eq!(frame(low), frame(high), "{low:#x}");
        }
    }
}

#[test]
fn s3_4_the_original_is_mapped_nowhere() {
    let mut guest = AtConsole::boot();
    guest.ask("spawn count");
    let snapshot = guest.look();
    let is_original = |region: &&Region| region.name == "original shared data";
    let physical = snapshot
        .regions
        .iter()
        .filter(is_original)
        .find_map(Region::physical)
        .expect("it is in RAM");
    for space in &snapshot.spaces {
        for mapping in &space.mappings {
            let leads = PhysRange::new(mapping.phys, mapping.size).expect("a range");
            assert!(!leads.overlaps(physical), "{}: {mapping:?}", space.name);
        }
    }
    // Its first word is what every copy begins with.
    assert_eq!(guest.word(physical.start()), 1000);
    // Before a process is created it becomes readable, and afterwards it is restricted again.
    let at = region(&snapshot, "kernel", "original shared data").start;
    let changes: Vec<_> = snapshot
        .trace
        .iter()
        .filter(|event| event.kind == TraceKind::Protect && event.address == at)
        .map(|event| event.flags.unwrap_or_default().to_string())
        .collect();
    // Once when the kernel had made its own copy, and twice for each of four processes.
    assert_eq!(changes.len(), 9, "{changes:?}");
    for (number, flags) in changes.iter().enumerate() {
        let is_readable = number % 2 == 1;
        assert_eq!(flags.starts_with('r'), is_readable, "{changes:?}");
        assert!(!flags.contains(['w', 'x', 'u']), "{changes:?}");
    }
}

#[test]
fn s3_5_each_process_has_its_own_copy_of_the_shared_data() {
    let mut guest = AtConsole::boot();
    guest.wait_for_steps("process 2 count", 3);
    guest.ask("spawn count");
    // Both have counted then, and one of them longer.
    let snapshot = guest.wait_for_steps("process 4 count", 1);
    let mut frames = BTreeSet::new();
    let mut tallies = Vec::new();
    let kernels = region(&snapshot, "kernel", "kernel shared data").start;
    for name in ["process 1 init", "process 2 count", "process 4 count"] {
        let shared = region(&snapshot, name, "user shared data").start;
        let text = region(&snapshot, name, "user .text").start;
        // What is relative to the program counter reaches it.
        assert_eq!(shared - text, kernels, "{name}");
        let (phys, _) = leaf(space(&snapshot, name), shared).expect("it is mapped");
        assert!(frames.insert(phys), "{name}");
        tallies.push(guest.word(phys));
    }
    let (phys, _) = leaf(space(&snapshot, "kernel"), kernels).expect("it is mapped");
    assert!(frames.insert(phys));
    assert_eq!(guest.word(phys), 1000, "the kernel has counted nothing");
    assert_eq!(tallies[0], 1000, "init has counted nothing");
    assert!(tallies[1] > tallies[2] && tallies[2] > 1000, "{tallies:?}");
}

/// S3.6, S3.7: what is mapped at several moments of a process whose stack grows.
#[test]
fn s3_6_the_stack_grows_and_s3_7_never_into_the_guard() {
    let mut guest = AtConsole::boot();
    guest.ask("kill 3");
    guest.ask("spawn grow");
    let name = "process 4 grow";
    let mut seen: Vec<u64> = Vec::new();
    let deadline = Instant::now() + HANG_GUARD;
    while seen.last().is_none_or(|pages| *pages < seen[0] + 2) {
        assert!(Instant::now() < deadline, "it does not grow: {seen:?}");
        let snapshot = guest.look();
        let space = space(&snapshot, name);
        let stack = region(&snapshot, name, "user stack");
        let count = pages(stack).count() as u64;
        assert!(pages(stack).all(|page| leaf(space, page).is_some()));
        assert!(
            seen.last().is_none_or(|before| *before <= count),
            "{seen:?}"
        );
        for part in ["user stack room", "user stack guard"] {
            let region = region(&snapshot, name, part);
            assert!(
                pages(region).all(|page| leaf(space, page).is_none()),
                "{part}"
            );
        }
        assert_eq!(end(region(&snapshot, name, "user stack guard")), {
            region(&snapshot, name, "user stack room").start
        });
        seen.push(count);
        std::thread::sleep(Duration::from_millis(100));
    }
    // One that has not written below its first page has no other.
    let snapshot = guest.look();
    for name in ["process 1 init", "process 2 count"] {
        let stack = region(&snapshot, name, "user stack");
        assert_eq!(pages(stack).count(), 1, "{name}");
        let guard = region(&snapshot, name, "user stack guard");
        assert_eq!((guard.size, guard.kind), (PAGE_SIZE, RegionKind::Guard));
        assert_eq!(leaf(space(&snapshot, name), guard.start), None, "{name}");
    }
}

/// S3.7: the process ends, with a report; its space is gone, and all its frames are free.
#[test]
fn s3_7_an_overflow_ends_the_process_and_nobody_else() {
    let mut guest = AtConsole::boot();
    guest.ask("kill 3");
    let before = guest.look();
    let answer = guest.ask("fault guard");
    assert!(
        answer.contains("grow: stack overflow: store by user code"),
        "{answer}"
    );
    let after = guest.look();
    let counter = |snapshot: &Snapshot| snapshot.heap.as_ref().map(|heap| heap.counter);
    assert_eq!(counter(&before), counter(&after));
    let names = |snapshot: &Snapshot| -> BTreeSet<String> {
        let spaces = snapshot.spaces.iter();
        spaces.map(|space| space.name.clone()).collect()
    };
    assert_eq!(names(&before), names(&after));
    let fault = after
        .trace
        .iter()
        .rfind(|event| event.kind == TraceKind::Fault);
    assert_eq!(fault.expect("it was traced").argument, 15);
}

#[test]
fn s3_8_the_heap_starts_as_nothing_and_has_a_maximum() {
    let mut guest = AtConsole::boot();
    let name = "process 1 init";
    let base = region(&guest.look(), name, "user heap room").start;
    for count in [0, 5, 16, 1] {
        guest.ask(&format!("brk 1 {count}"));
        let refused = guest.ask("brk 1 17");
        assert!(
            refused.contains("has 16 pages of heap at most"),
            "{refused}"
        );
        let snapshot = guest.look();
        let init = space(&snapshot, name);
        let mapped = (0..16).map(|page| leaf(init, base + page * PAGE_SIZE).is_some());
        let expected = (0..16).map(|page| page < count);
        assert!(mapped.eq(expected), "{count} pages");
        let size = find(&snapshot, name, "user heap").map_or(0, |heap| heap.size);
        let room = find(&snapshot, name, "user heap room").map_or(0, |room| room.size);
        assert_eq!((size, size + room), (count * PAGE_SIZE, 16 * PAGE_SIZE));
        let guard = region(&snapshot, name, "user stack guard").start;
        assert_eq!(guard, base + 16 * PAGE_SIZE);
    }
}

#[test]
fn s3_9_stack_shared_data_and_heap_meet_within_pages() {
    let guest = AtConsole::boot();
    let snapshot = guest.look();
    let name = "process 2 count";
    for (lower, upper) in [
        ("kernel stack", "kernel shared data"),
        ("kernel shared data", "kernel heap"),
        ("user stack", "user shared data"),
    ] {
        let boundary = region(&snapshot, name, upper).start;
        assert_eq!(end(region(&snapshot, name, lower)), boundary, "{upper}");
        assert_ne!(boundary % PAGE_SIZE, 0, "{lower} and {upper} share no page");
    }
    let heap = snapshot.heap.as_ref().expect("our kernel has one");
    let first = region(&snapshot, name, "kernel heap").start;
    let counter = leaf(space(&snapshot, name), first).map(|(phys, _)| phys);
    assert_eq!(counter, Some(heap.counter_address));
}

#[test]
fn s3_10_a_device_is_plugged_into_a_hole_of_every_space() {
    let mut guest = AtConsole::boot();
    let mapped = |snapshot: &Snapshot, name: &str| -> Vec<u64> {
        let io = region(snapshot, name, "device IO");
        let space = space(snapshot, name);
        let leads = |page| leaf(space, page).map(|(phys, _)| phys.as_u64());
        pages(io).filter_map(leads).collect()
    };
    for (line, devices) in [
        ("", &[0x1000_0000][..]),
        ("hotplug 4", &[0x1000_0000, 0x1000_4000]),
        ("unplug 4", &[0x1000_0000]),
    ] {
        guest.ask(line);
        let snapshot = guest.look();
        for name in SPACES {
            assert_eq!(mapped(&snapshot, name), devices, "{name} after `{line}`");
        }
    }
}

#[test]
fn s3_11_the_restricted_region_lies_right_below_the_kernel_stack() {
    let guest = AtConsole::boot();
    let snapshot = guest.look();
    for name in SPACES {
        let space = space(&snapshot, name);
        let stack = region(&snapshot, name, "kernel stack").start;
        let restricted = region(&snapshot, name, "original shared data");
        assert_eq!(end(restricted), stack);
        assert!(leaf(space, stack).is_some(), "{name}");
        assert_eq!(leaf(space, stack - 1), None, "{name}");
    }
}

/// What users reach is theirs, or .text and .rodata without a write: no table, no variable of the kernel's.
#[test]
fn s3_12_no_user_leaf_leads_to_what_is_the_kernels() {
    let mut guest = AtConsole::boot();
    guest.ask("brk 2 16");
    let snapshot = guest.look();
    let image = |name: &str| {
        let mut found = snapshot.regions.iter().filter(|region| region.name == name);
        found.find_map(Region::physical).expect(name)
    };
    let (text, rodata) = (image(".text"), image(".rodata"));
    // Behind the kernel's shared data only the heap's pages lie.
    let heap = snapshot.heap.as_ref().expect("our kernel has one").bottom;
    let tables: BTreeSet<_> = snapshot.spaces.iter().flat_map(table_frames).collect();
    let mut owned = BTreeSet::new();
    for name in processes() {
        for mapping in &space(&snapshot, name).mappings {
            if !mapping.flags.contains(LeafFlags::USER) {
                continue;
            }
            let leads = PhysRange::new(mapping.phys, mapping.size).expect("a range");
            if !mapping.flags.contains(LeafFlags::WRITE) {
                let is_image = text.contains_range(leads) || rodata.contains_range(leads);
                assert!(is_image, "{name}: {mapping:?}");
                continue;
            }
            assert!(mapping.phys >= heap, "{name}: {mapping:?}");
            for offset in (0..mapping.size).step_by(PAGE_SIZE as usize) {
                let frame = mapping.phys.wrapping_add(offset).page().expect("a page");
                assert!(!tables.contains(&frame), "{name}: {frame} is a table");
                assert!(owned.insert(frame), "{name}: {frame} is another's, too");
            }
        }
    }
    // Each process has a page for stack and shared data; count has a heap.
    assert!(owned.len() >= 3 + 16, "{owned:?}");
}
