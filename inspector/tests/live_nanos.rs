//! The nanos layout, looked at from outside over QEMU's gdb port: each requirement that can be seen there, by
//! its id. The numbers are the requirements' own.
//!
//! Not here: S4.9, for what stage 2 carved out is gone when somebody can attach, but for its size, which S4.10
//! sees.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use pagescope::link::Target as _;
use pagescope_protocol::snapshot::{
    Region, RegionKind, RegionSpace, Snapshot, Space, TraceEvent, TraceKind,
};
use pagescope_protocol::{LeafFlags, PhysRange, VirtAddr};
use support::Machine;
use support::console::Console;

const IMAGE: u64 = 0x7f00_0000;
const LOADED: u64 = 0x8020_0000;
const HUGE: u64 = 1 << 32;
const LARGE: u64 = 2 << 20;
const PAGE: u64 = 4096;
const USER_HEAP: u64 = 0x10_0000_0000;

/// The layout at its console, with nobody attached.
struct Nanos {
    machine: Machine,
    console: Console,
}

impl Nanos {
    fn boot() -> Self {
        let machine = Machine::boot_layout("nanos", "pace=0", 1, false);
        let console = Console::open(&machine);
        Self { machine, console }
    }

    /// Types a line; gives what is answered, without carriage returns.
    fn ask(&mut self, line: &str) -> String {
        self.console.ask(line).replace('\r', "")
    }

    /// Looks at everything, and leaves the guest running.
    fn look(&self) -> Arc<Snapshot> {
        let mut target = self.machine.attach();
        let elf = pagescope::guest::ElfFile::open(&self.machine.elf).expect("our own ELF");
        let mut capturer =
            pagescope::capture::Capturer::new(&mut target, Some(elf.into())).expect("QEMU answers");
        let snapshot = capturer.capture(&mut target, "test").expect("a capture");
        Box::new(target).detach().expect("the guest goes on");
        snapshot
    }

    /// The bytes at a virtual address, read by what it is mapped to.
    fn bytes(&self, snapshot: &Snapshot, virt: u64, size: u64) -> Vec<u8> {
        let mapped = space(snapshot).translate(VirtAddr::new(virt)).mapped();
        let phys = mapped.expect("it is mapped").address;
        let mut target = self.machine.attach();
        let range = PhysRange::new(phys, size).expect("a range");
        let read = target.read_physical(&[range]).expect("the link stands");
        let bytes = read[0].as_deref().expect("RAM is read").to_vec();
        Box::new(target).detach().expect("the guest goes on");
        bytes
    }
}

fn space(snapshot: &Snapshot) -> &Space {
    let mut named = snapshot
        .spaces
        .iter()
        .filter(|space| space.name == "kernel");
    named.next().expect("the kernel's space")
}

/// The one virtual region of this name.
fn region<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Region {
    let mut found = snapshot
        .regions
        .iter()
        .filter(|region| region.name == name && region.space == RegionSpace::Virtual);
    let region = found.next().unwrap_or_else(|| panic!("no region {name}"));
    assert!(found.next().is_none(), "two regions {name}");
    region
}

/// The size and the flags of the leaf that maps `virt`; `None` where none does.
fn leaf(snapshot: &Snapshot, virt: u64) -> Option<(u64, String)> {
    let mapped = space(snapshot).translate(VirtAddr::new(virt)).mapped()?;
    Some((mapped.page_size, mapped.flags.to_string()))
}

fn physical(snapshot: &Snapshot, virt: u64) -> Option<u64> {
    let mapped = space(snapshot).translate(VirtAddr::new(virt)).mapped()?;
    Some(mapped.address.as_u64())
}

/// The hexadecimal number that follows `before`.
fn number_after(text: &str, before: &str) -> u64 {
    let rest = text.split(before).nth(1).expect(text);
    let digits = rest.trim_start_matches("0x");
    let end = digits.find(|letter: char| !letter.is_ascii_hexdigit());
    u64::from_str_radix(&digits[..end.unwrap_or(digits.len())], 16).expect(text)
}

#[test]
fn s4_1_the_image_is_at_0x7f000000() {
    let nanos = Nanos::boot();
    let snapshot = nanos.look();
    let mut lowest = IMAGE;
    for (name, letters) in [
        (".text", "r-x--ad"),
        (".rodata", "r----ad"),
        (".data", "rw---ad"),
        (".bss", "rw---ad"),
        ("guard", ""),
        ("stack", "rw---ad"),
    ] {
        let Region { start, size, .. } = *region(&snapshot, name);
        assert_eq!(start, lowest, "{name} lies at {start:#x}");
        lowest = start + size;
        for page in (start..lowest).step_by(PAGE as usize) {
            let expected = (!letters.is_empty()).then(|| (PAGE, letters.to_owned()));
            assert_eq!(leaf(&snapshot, page), expected, "{name} at {page:#x}");
            let expected = expected.map(|_| page - IMAGE + LOADED);
            assert_eq!(physical(&snapshot, page), expected, "{name} at {page:#x}");
        }
    }
    let kalloc = pagescope::guest::ElfFile::open(&nanos.machine.elf).expect("our own ELF");
    let kalloc = kalloc
        .address_of("kalloc")
        .expect("kalloc is a real symbol");
    assert!((IMAGE..lowest).contains(&kalloc.as_u64()), "{kalloc}");
}

#[test]
fn s4_2_page_zero_is_never_mapped() {
    let mut nanos = Nanos::boot();
    nanos.ask("app 3");
    nanos.ask("fault null-write");
    let snapshot = nanos.look();
    let zero = region(&snapshot, "zero page");
    assert_eq!((zero.start, zero.size), (0, PAGE));
    assert_eq!(zero.kind, RegionKind::Guard);
    assert_eq!(leaf(&snapshot, 0), None);
    assert_eq!(leaf(&snapshot, PAGE - 1), None);
}

/// S4.3, with what grows there: demand-zeroed pages.
#[test]
fn s4_3_below_the_image_all_is_the_applications() {
    let mut nanos = Nanos::boot();
    let before = nanos.look();
    let answer = nanos.ask("app 5");
    assert!(
        answer.contains("5 pages of its heap were zeroed"),
        "{answer}"
    );
    let snapshot = nanos.look();
    let below = |snapshot: &Snapshot| {
        let mappings = space(snapshot).mappings.iter();
        let below: Vec<_> = mappings
            .filter(|mapping| mapping.virt.as_u64() < IMAGE)
            .collect();
        assert!(below.len() >= 3, "{below:?}");
        for mapping in &below {
            assert!(mapping.flags.contains(LeafFlags::USER), "{mapping:?}");
        }
    };
    below(&before);
    below(&snapshot);
    for (name, start, letters) in [
        ("application", 0x40_0000, "r-xu-ad"),
        ("application data", 0x40_1000, "rw-u-ad"),
        ("application stack", 0x7dff_0000, "rw-u-ad"),
    ] {
        assert_eq!(region(&snapshot, name).start, start);
        assert_eq!(leaf(&snapshot, start), Some((PAGE, letters.into())));
    }
    assert_eq!(leaf(&snapshot, 0x7dfe_f000), None, "the stack's guard");
    // The heap was empty, and has what was touched, zeroed but for what was written.
    assert_eq!(region(&snapshot, "user heap").start, USER_HEAP);
    for page in 0..6 {
        let virt = USER_HEAP + page * PAGE;
        assert_eq!(leaf(&before, virt), None);
        let expected = (page < 5).then(|| (PAGE, "rw-u-ad".to_owned()));
        assert_eq!(leaf(&snapshot, virt), expected, "{virt:#x}");
        if page < 5 {
            let bytes = nanos.bytes(&snapshot, virt, PAGE);
            assert_eq!(bytes[..8], virt.to_le_bytes());
            assert!(bytes[8..].iter().all(|byte| *byte == 0));
        }
    }
    // Running it again empties it first.
    nanos.ask("app 2");
    assert_eq!(leaf(&nanos.look(), USER_HEAP + 2 * PAGE), None);
}

#[test]
fn s4_4_the_first_virtual_huge_allocation_is_0x100000000() {
    let snapshot = Nanos::boot().look();
    let tagged = |tag: &str| -> Vec<(u64, u64)> {
        let regions = snapshot.regions.iter().filter(|region| region.tag == tag);
        regions.map(|region| (region.start, region.size)).collect()
    };
    assert_eq!(tagged("virtual_huge"), [(HUGE, HUGE)]);
    assert_eq!(region(&snapshot, "virtual_page").start, HUGE);
    let pages = tagged("virtual_page");
    assert!(pages.contains(&(HUGE, LARGE)), "{pages:x?}");
    assert!(
        pages
            .iter()
            .all(|(start, _)| (HUGE..2 * HUGE).contains(start))
    );
}

#[test]
fn s4_5_virtual_page_takes_units_from_its_parent() {
    let mut nanos = Nanos::boot();
    let first = number_after(&nanos.ask("reserve 0xc0000000"), "\n");
    assert_eq!(first, 2 * HUGE);
    let snapshot = nanos.look();
    let huge = snapshot
        .regions
        .iter()
        .filter(|region| region.tag == "virtual_huge");
    let huge: Vec<_> = huge.map(|region| (region.start, region.size)).collect();
    assert_eq!(huge, [(HUGE, HUGE), (2 * HUGE, HUGE)]);
    nanos.ask("free 0x200000000");
    let snapshot = nanos.look();
    let mut huge = snapshot
        .regions
        .iter()
        .filter(|region| region.tag == "virtual_huge");
    assert!(huge.all(|region| region.start == HUGE));
}

#[test]
fn s4_6_reserved_addresses_map_nothing() {
    let mut nanos = Nanos::boot();
    let before = nanos.look();
    let start = number_after(&nanos.ask("reserve 0x5000"), "\n");
    let after = nanos.look();
    assert!(start.is_multiple_of(0x8000), "{start:#x}");
    assert_eq!(space(&before).mappings, space(&after).mappings);
    assert_eq!(space(&before).tables.len(), space(&after).tables.len());
    let counter = |snapshot: &Snapshot| snapshot.heap.as_ref().expect("a heap").counter;
    assert_eq!(counter(&before), counter(&after));
    let reserved = region(&after, "console");
    assert_eq!((reserved.start, reserved.size), (start, 0x5000));
    assert_eq!(reserved.tag, "virtual_page");
}

#[test]
fn s4_7_backed_memory_is_frames_and_addresses() {
    let mut nanos = Nanos::boot();
    let before = nanos.look();
    let start = number_after(&nanos.ask("backed 0x6000"), "\n");
    let after = nanos.look();
    let counter = |snapshot: &Snapshot| snapshot.heap.as_ref().expect("a heap").counter;
    assert_eq!(counter(&after), counter(&before) + 6);
    let backed = region(&after, "console");
    assert_eq!((backed.start, backed.size), (start, 0x6000));
    assert_eq!(backed.tag, "backed");
    for page in 0..6 {
        let virt = start + page * PAGE;
        assert_eq!(leaf(&before, virt), None);
        assert_eq!(leaf(&after, virt), Some((PAGE, "rw---ad".into())));
    }
    assert_eq!(leaf(&after, start + 0x6000), None);
}

#[test]
fn s4_8_leaves_are_2_mib_where_they_can_be() {
    let mut nanos = Nanos::boot();
    // Two and a half of 2 MiB, and a page.
    let size = 2 * LARGE + LARGE / 2 + PAGE;
    let start = number_after(&nanos.ask(&format!("backed {size}")), "\n");
    let snapshot = nanos.look();
    assert!(start.is_multiple_of(LARGE), "{start:#x}");
    for (offset, expected) in [
        (0, Some(LARGE)),
        (LARGE, Some(LARGE)),
        (2 * LARGE, Some(PAGE)),
        (size - PAGE, Some(PAGE)),
        (size, None),
    ] {
        let found = leaf(&snapshot, start + offset).map(|(size, _)| size);
        assert_eq!(found, expected, "{offset:#x}");
    }
    // No other leaf could be larger: each page's leaf is 2 MiB exactly where both addresses allow it.
    for mapping in &space(&snapshot).mappings {
        let (virt, phys) = (mapping.virt.as_u64(), mapping.phys.as_u64());
        if mapping.page_size == PAGE && (virt ^ phys) % LARGE == 0 {
            let first = virt.next_multiple_of(LARGE);
            let is_whole_call = first + LARGE <= virt + mapping.size;
            assert!(!is_whole_call, "{mapping:?} could have a 2 MiB leaf");
        }
    }
}

#[test]
fn s4_10_what_stage_2_needed_is_gone() {
    let nanos = Nanos::boot();
    let snapshot = nanos.look();
    // The image where it is loaded, devices and RAM at their own addresses, boot stack, identity heap.
    for address in [
        0x1000_0000,
        0x8000_0000,
        LOADED,
        0x87fe_8000,
        0x87ff_8000,
        0x87ff_f000,
    ] {
        assert_eq!(leaf(&snapshot, address), None, "{address:#x}");
    }
    let identity = space(&snapshot)
        .mappings
        .iter()
        .find(|mapping| mapping.virt.as_u64() == mapping.phys.as_u64());
    assert_eq!(identity, None);
    // Its tables are no tables any more, and its frames are physical's to hand out.
    let is_boot = |frame: u64| (0x87fe_8000..0x8800_0000).contains(&frame);
    let tables = &space(&snapshot).tables;
    assert!(
        !tables
            .iter()
            .any(|table| is_boot(table.frame.start().as_u64()))
    );
    let heap = snapshot.heap.as_ref().expect("a heap");
    assert_eq!(heap.top.as_u64(), 0x87ff_f000);
    let names: Vec<_> = snapshot
        .regions
        .iter()
        .map(|region| &*region.name)
        .collect();
    assert!(!names.contains(&"boot stack") && !names.contains(&"identity heap"));
    // Some of them have been handed out again: the application has them.
    let reused = space(&snapshot)
        .mappings
        .iter()
        .any(|mapping| is_boot(mapping.phys.as_u64()));
    assert!(reused);
}

#[test]
fn s4_11_the_dump_is_what_the_inspector_reads() {
    let mut nanos = Nanos::boot();
    for line in [
        "kalloc 700",
        "backed 0x300000",
        "reserve 123456",
        "reserve 0xc0000000",
        "app 3",
        "stress 200",
    ] {
        nanos.ask(line);
    }
    let dump = nanos.ask("regions");
    let snapshot = nanos.look();
    let mut read: Vec<&Region> = snapshot
        .regions
        .iter()
        .filter(|region| region.space == RegionSpace::Virtual)
        .collect();
    read.sort_by_key(|region| (region.start, u64::MAX - region.size));
    let lines: Vec<&str> = dump.lines().filter(|line| line.starts_with("0x")).collect();
    assert!(lines.len() > 20, "{dump}");
    assert!(dump.contains(&format!("{} virtual allocations", lines.len())));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let read: Vec<String> = read
        .iter()
        .map(|region| {
            let Region { start, size, .. } = region;
            let (tag, name, about) = (&region.tag, &region.name, &region.description);
            assert!(!tag.is_empty() && !name.is_empty() && !about.is_empty());
            words(&format!("{start:#018x} + {size:#x} {tag} {name} {about}"))
        })
        .collect();
    let dumped: Vec<String> = lines.iter().map(|line| words(line)).collect();
    assert_eq!(dumped, read);
    // Nothing is mapped that is not in one of them.
    for mapping in &space(&snapshot).mappings {
        let (first, end) = (mapping.virt.as_u64(), mapping.virt.as_u64() + mapping.size);
        let mut regions = snapshot
            .regions
            .iter()
            .filter(|region| region.space == RegionSpace::Virtual);
        let is_known = regions.any(|region| {
            region.start <= first
                && end - region.start <= region.size
                && region.tag != "virtual_huge"
        });
        assert!(is_known || covered(&snapshot, first, end), "{mapping:?}");
    }
}

/// Whether regions that are no units of virtual_huge's cover the addresses together, page by page.
fn covered(snapshot: &Snapshot, first: u64, end: u64) -> bool {
    (first..end).step_by(PAGE as usize).all(|page| {
        let mut regions = snapshot.regions.iter();
        regions.any(|region| {
            let holds = region.start <= page && page - region.start < region.size;
            region.space == RegionSpace::Virtual && region.tag != "virtual_huge" && holds
        })
    })
}

/// What the trace says was mapped, and not unmapped since: page by page.
fn replay(trace: &[Arc<TraceEvent>]) -> BTreeMap<u64, (u64, LeafFlags)> {
    let mut pages = BTreeMap::new();
    for event in trace {
        for offset in (0..event.size).step_by(PAGE as usize) {
            let page = event.address + offset;
            match event.kind {
                TraceKind::Map => {
                    let flags = event.flags.expect("a mapping has flags");
                    let before = pages.insert(page, (event.argument + offset, flags));
                    assert_eq!(before, None, "{page:#x} is mapped twice");
                }
                TraceKind::Unmap => {
                    assert!(pages.remove(&page).is_some(), "{page:#x} was not mapped");
                }
                _ => {}
            }
        }
    }
    pages
}

#[test]
fn s4_12_the_trace_is_what_is_mapped() {
    let mut nanos = Nanos::boot();
    for line in [
        "kalloc 40",
        "kfree 7",
        "backed 0x500000",
        "backed 0x3000",
        "reserve 0x100000",
        "app 4",
        "app 6",
    ] {
        nanos.ask(line);
    }
    let snapshot = nanos.look();
    let first = snapshot.trace.first().expect("a trace").sequence;
    assert_eq!(first, 0, "nothing of it is lost");
    let traced = replay(&snapshot.trace);
    let mut mapped = BTreeMap::new();
    for mapping in &space(&snapshot).mappings {
        for offset in (0..mapping.size).step_by(PAGE as usize) {
            let place = (mapping.phys.as_u64() + offset, mapping.flags);
            mapped.insert(mapping.virt.as_u64() + offset, place);
        }
    }
    let plain = |flags: LeafFlags| flags | LeafFlags::VALID;
    let mapped: BTreeMap<_, _> = mapped
        .into_iter()
        .map(|(page, (phys, flags))| (page, (phys, plain(flags))))
        .collect();
    let traced: BTreeMap<_, _> = traced
        .into_iter()
        .map(|(page, (phys, flags))| (page, (phys, plain(flags))))
        .collect();
    assert_eq!(traced, mapped);
    // What, when, by whom.
    let mut last = 0;
    for event in &snapshot.trace {
        assert!(event.time >= last, "{event:?}");
        last = event.time;
        let text = region(&snapshot, ".text");
        let caller = event.caller.as_u64();
        let is_code = caller >= text.start && caller - text.start < text.size;
        assert!(is_code, "{event:?}");
    }
    // The console prints the same.
    let printed = nanos.ask("trace 1");
    let map = snapshot
        .trace
        .iter()
        .rfind(|event| matches!(event.kind, TraceKind::Map | TraceKind::Unmap))
        .expect("something was mapped");
    assert_eq!(number_after(&printed, ": v "), map.address, "{printed}");
    assert_eq!(number_after(&printed, "length "), map.size, "{printed}");
    assert_eq!(
        number_after(&printed, " by "),
        map.caller.as_u64(),
        "{printed}"
    );
}

#[test]
fn s4_13_every_table_is_in_the_pool_and_mapped_there() {
    let mut nanos = Nanos::boot();
    nanos.ask("kalloc 1200");
    nanos.ask("app 3");
    let snapshot = nanos.look();
    let pool = region(&snapshot, "page-table pool");
    assert_eq!((pool.size, pool.kind), (LARGE, RegionKind::Tables));
    assert_eq!(leaf(&snapshot, pool.start), Some((LARGE, "rw---ad".into())));
    let frames = physical(&snapshot, pool.start).expect("it is mapped");
    let tables = &space(&snapshot).tables;
    assert!(tables.len() > 10, "{}", tables.len());
    for table in tables {
        let frame = table.frame.start().as_u64();
        assert!((frames..frames + LARGE).contains(&frame), "{frame:#x}");
    }
    let answer = nanos.ask("tables");
    let line = format!(
        "{} tables, {} pages of the pool",
        tables.len(),
        512 - tables.len()
    );
    assert!(answer.contains(&line), "{answer}");
    // Nobody else writes there: the pool's frames have that one address.
    let aliases = space(&snapshot).mappings.iter().filter(|mapping| {
        let phys = mapping.phys.as_u64();
        phys < frames + LARGE && frames < phys + mapping.size
    });
    assert_eq!(aliases.count(), 1);
}
