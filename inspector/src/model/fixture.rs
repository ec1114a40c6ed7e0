//! A made-up guest: for tests, and for views without QEMU.
//!
//! It imitates our kernel's `pseudos` layout with the `pool` strategy after boot. Raw table words
//! are written into pretended frames, and the same walk and coalescing as for a real guest read
//! them back, so that nothing in the fixture is true only by decree.
//!
//! ```text
//!  0x87fff000  heap counter at …ff8          kalloc(4)  L0 for the UART's 2 MiB
//!  0x87ffe000  kalloc(0)  L0 for the top     kalloc(5)  L0 for the kernel image
//!  0x87ffd000  kalloc(1)  L1 for RAM         kalloc(6), kalloc(7)  pages waiting to be tables
//!  0x87ffc000  kalloc(2)  root               kalloc(8)… the pages asked for
//!  0x87ffb000  kalloc(3)  L1 for devices
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use pagescope_protocol::coalesce::{self, coalesce};
use pagescope_protocol::snapshot::{
    FORMAT_VERSION, FrameContents, Hart, Heap, KernelFacts, Mapping, MappingList, PhysicalKind,
    PhysicalRegion, Provenance, Region, RegionKind, RegionSpace, Register, Shared, Snapshot, Space,
    Table, TableEntries, TableList, Taken, Watch,
};
use pagescope_protocol::walk::{self, TableReader, TableWords, walk_space};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, PteKind, Satp,
    TranslationMode, VirtAddr,
};

use super::History;

mod modes;
mod spaces;

pub use modes::{REFUSED, REFUSED_TABLE, guest_in, hypervisor_guest, in_mode, kernel_at};
pub use spaces::{CPU_STRUCT, several_spaces};

/// The first byte of RAM.
pub const RAM_START: u64 = 0x8000_0000;
/// Bytes of RAM.
pub const RAM_SIZE: u64 = 128 << 20;
/// What `kalloc(0)` returns.
pub const HEAP_TOP: u64 = 0x87ff_e000;
/// Where the heap counter lies.
pub const COUNTER: u64 = 0x87ff_fff8;

const ROOT: u64 = 0x87ff_c000;
const KERNEL: u64 = 0x8020_0000;
const UART: u64 = 0x1000_0000;
const ECAM: u64 = 0x3000_0000;
const ECAM_SIZE: u64 = 256 << 20;
/// Pages that boot hands out.
const BOOT_PAGES: u64 = 8;

/// The kernel's sections: start, bytes, kind, flags (none: never mapped), name.
const SECTIONS: [(u64, u64, RegionKind, Option<&str>, &str); 6] = [
    (KERNEL, 0xc000, RegionKind::Text, Some("r-x--a-"), ".text"),
    (
        0x8020_c000,
        0x4000,
        RegionKind::Rodata,
        Some("r----a-"),
        ".rodata",
    ),
    (
        0x8021_0000,
        0x2000,
        RegionKind::Data,
        Some("rw---ad"),
        ".data",
    ),
    (
        0x8021_2000,
        0x4000,
        RegionKind::Data,
        Some("rw---ad"),
        ".bss",
    ),
    (0x8021_6000, 0x1000, RegionKind::Guard, None, "guard"),
    (
        0x8021_7000,
        0x8000,
        RegionKind::Stack,
        Some("rw---ad"),
        "stack",
    ),
];

/// Pretended memory that holds page tables.
#[derive(Clone, Debug, Default)]
struct Memory {
    frames: BTreeMap<PhysPage, Box<TableWords>>,
}

impl TableReader for Memory {
    type Error = Infallible;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, Infallible> {
        Ok(frames
            .iter()
            .map(|frame| self.frames.get(frame).map(|words| Arc::new(**words)))
            .collect())
    }
}

/// The guest while it is built.
struct Guest {
    memory: Memory,
    /// Pages that `kalloc` has returned.
    handed_out: u64,
    /// Pages that wait to become tables.
    reserve: VecDeque<PhysPage>,
}

fn page(address: u64) -> PhysPage {
    PhysPage::from_truncated(address / PAGE_SIZE)
}

fn flags(letters: &str) -> LeafFlags {
    LeafFlags::from_letters(letters).unwrap_or_default()
}

impl Guest {
    fn entry(&mut self, table: PhysPage, index: usize) -> &mut u64 {
        let words = self
            .memory
            .frames
            .entry(table)
            .or_insert_with(|| Box::new([0; ENTRIES_PER_TABLE]));
        &mut words[index]
    }

    fn boot() -> Self {
        let mut guest = Self {
            memory: Memory::default(),
            handed_out: 0,
            reserve: VecDeque::new(),
        };
        let [l0, l1, root] = [0, 1, 2].map(|_| guest.kalloc());
        *guest.entry(root, 2) = Pte::pointer(l1).bits();
        *guest.entry(l1, 63) = Pte::pointer(l0).bits();
        for frame in [root, l1, l0, page(COUNTER)] {
            guest.map(frame.start().as_u64(), "rw---ad");
        }
        let [devices, uart, image] = [0, 1, 2].map(|_| guest.kalloc_mapped());
        *guest.entry(root, 0) = Pte::pointer(devices).bits();
        let at = VirtAddr::new(UART);
        *guest.entry(devices, Level::L1.index_of(at)) = Pte::pointer(uart).bits();
        *guest.entry(l1, Level::L1.index_of(VirtAddr::new(KERNEL))) = Pte::pointer(image).bits();
        guest.map(UART, "rw---ad");
        for megapage in (ECAM..ECAM + ECAM_SIZE).step_by(2 << 20) {
            let index = Level::L1.index_of(VirtAddr::new(megapage));
            *guest.entry(devices, index) = Pte::leaf(page(megapage), flags("rw---ad")).bits();
        }
        for (start, size, _, letters, _) in SECTIONS {
            let Some(letters) = letters else { continue };
            for address in (start..start + size).step_by(PAGE_SIZE as usize) {
                guest.map(address, letters);
            }
        }
        for _ in 0..2 {
            let spare = guest.kalloc_mapped();
            guest.reserve.push_back(spare);
        }
        guest
    }

    fn kalloc(&mut self) -> PhysPage {
        self.handed_out += 1;
        page(HEAP_TOP - (self.handed_out - 1) * PAGE_SIZE)
    }

    /// `kalloc`, with the page mapped at its own address. Past a 2 MiB boundary a reserved page
    /// becomes the next L0 first, and the page itself takes its place in the reserve.
    fn kalloc_mapped(&mut self) -> PhysPage {
        let new = self.kalloc();
        let virt = VirtAddr::new(new.start().as_u64());
        let l1 = page(HEAP_TOP - PAGE_SIZE);
        let slot = Level::L1.index_of(virt);
        if !Pte::from_bits(*self.entry(l1, slot)).is_valid()
            && let Some(table) = self.reserve.pop_front()
        {
            *self.entry(l1, slot) = Pte::pointer(table).bits();
            self.entry(table, 0);
            self.reserve.push_back(new);
        }
        self.map(new.start().as_u64(), "rw---ad");
        new
    }

    /// A 4 KiB leaf at `address` for the frame of the same address, where tables lead there.
    fn map(&mut self, address: u64, letters: &str) {
        let virt = VirtAddr::new(address);
        let mut table = page(ROOT);
        let mut level = Level::L2;
        while let Some(next) = level.next() {
            let pte = Pte::from_bits(*self.entry(table, level.index_of(virt)));
            let PteKind::Pointer(below) = pte.classify(level) else {
                return;
            };
            table = below;
            level = next;
        }
        *self.entry(table, level.index_of(virt)) = Pte::leaf(page(address), flags(letters)).bits();
    }

    fn snapshot(mut self, stop: String) -> Snapshot {
        let root = page(ROOT);
        let space = space_at(&mut self.memory, root, "hart 0", &[0]);
        let next = HEAP_TOP - self.handed_out * PAGE_SIZE;
        Snapshot {
            version: FORMAT_VERSION,
            provenance: Provenance {
                tool: concat!("pagescope ", env!("CARGO_PKG_VERSION"), " fixture").into(),
                guest: "a made-up guest".into(),
                machine: "virt".into(),
                link: "no link".into(),
                captured_at: "2026-11-21T12:00:00Z".into(),
                ..Provenance::default()
            },
            stop,
            taken: Taken::Stopped,
            notes: String::new(),
            warnings: Vec::new(),
            kernel: Some(KernelFacts {
                layout: "pseudos".into(),
                strategy: "pool".into(),
                kalloc_depth_max: 1,
                reserve: self.reserve.len() as u64,
                reserve_low: 2,
                reserve_mark: Some(2),
                map_calls: Some(self.handed_out),
                machine_table_traps: 0,
                changing: 0,
            }),
            heap: Some(Heap {
                counter: self.handed_out,
                counter_address: PhysAddr::new(COUNTER),
                top: PhysAddr::new(HEAP_TOP),
                bottom: PhysAddr::new(0x8022_0000),
                next: PhysAddr::new(next),
                freed: 0,
            }),
            harts: vec![hart(root, next)],
            physical: physical().into(),
            regions: regions().into(),
            watches: vec![Watch {
                name: "heap counter".into(),
                address: PhysAddr::new(COUNTER),
                value: Some(self.handed_out),
                bytes: 8,
            }],
            spaces: vec![space],
            frames: vec![FrameContents {
                frame: page(next + PAGE_SIZE),
                words: TableEntries::new([0xa5a5_a5a5_a5a5_a5a5; ENTRIES_PER_TABLE]),
            }]
            .into(),
            trace: Shared::default(),
        }
    }
}

/// The space that begins at `root`, as a capture makes it.
fn space_at(memory: &mut Memory, root: PhysPage, name: &str, harts: &[u32]) -> Space {
    space_from(TranslationMode::Sv39, root, memory, name, harts)
}

fn space_from(
    mode: TranslationMode,
    root: PhysPage,
    reader: &mut impl TableReader<Error = Infallible>,
    name: &str,
    harts: &[u32],
) -> Space {
    let Ok(walked) = walk_space(mode, root, walk::Limits::default(), reader);
    let mappings = coalesce(&walked, coalesce::Limits::default());
    let tables = walked.tables.iter().map(|table| {
        Arc::new(Table {
            level: table.level,
            frame: table.page,
            covers_from: table.covers_from,
            parent: table.parent.map(|slot| slot.table),
            parent_index: table.parent.map_or(0, |slot| slot.index as u16),
            other_parents: table.other_parents as u32,
            entries: table.words.clone().map(TableEntries::new),
        })
    });
    Space {
        name: name.into(),
        mode,
        asid: 0,
        root,
        kind: None,
        number: None,
        harts: harts.to_vec(),
        through: None,
        truncated: walked.truncated || mappings.truncated,
        tables: tables.collect(),
        mappings: mappings.ranges.into_iter().map(Mapping::from).collect(),
    }
}

fn hart(root: PhysPage, next: u64) -> Hart {
    let satp = Satp::new(TranslationMode::Sv39, 0, root);
    let pc = VirtAddr::new(KERNEL + 0x1a4);
    let values = [
        ("pc", pc.as_u64()),
        ("ra", KERNEL + 0x2f0),
        ("sp", 0x8021_ef80),
        ("gp", 0x8021_0800),
        ("tp", 0),
        ("a0", next + PAGE_SIZE),
        ("a1", 0),
        ("s0", 0x8021_efd0),
        ("satp", satp.bits()),
        ("sstatus", 0x8000_0002_0000_6020),
        ("stvec", KERNEL + 0x40),
        ("sepc", 0),
        ("scause", 0),
        ("stval", 0),
    ];
    Hart {
        id: 0,
        pc: Some(pc),
        place: String::new(),
        privilege: Some("S".into()),
        satp: Some(satp),
        registers: values
            .into_iter()
            .map(|(name, value)| Register {
                name: name.into(),
                value,
            })
            .collect(),
    }
}

fn physical() -> Vec<PhysicalRegion> {
    let device = PhysicalKind::Device;
    [
        (0x200_0000, 0x1_0000, device, "CLINT"),
        (0xc00_0000, 0x60_0000, device, "PLIC"),
        (UART, 0x1000, device, "UART0"),
        (0x1000_1000, 0x8000, device, "virtio ×8"),
        (ECAM, ECAM_SIZE, device, "PCI ECAM"),
        (RAM_START, RAM_SIZE, PhysicalKind::Ram, "RAM"),
    ]
    .into_iter()
    .map(|(start, size, kind, name)| PhysicalRegion {
        start: PhysAddr::new(start),
        size,
        kind,
        name: name.into(),
    })
    .collect()
}

fn regions() -> Vec<Region> {
    let machine = (RAM_START, 0x1_2000, RegionKind::Machine, "machine program");
    let counter = (
        COUNTER - 0xf8,
        0x100,
        RegionKind::HeapCounter,
        "heap counter",
    );
    let sections = SECTIONS
        .into_iter()
        .map(|(start, size, kind, _, name)| (start, size, kind, name));
    [machine]
        .into_iter()
        .chain(sections)
        .chain([counter])
        .map(|(start, size, kind, name)| Region {
            start,
            size,
            space: RegionSpace::Physical,
            kind,
            name: name.into(),
            ..Region::default()
        })
        .collect()
}

/// The guest after boot and `pages` more calls of `kalloc`.
pub fn pseudos(pages: u64) -> Snapshot {
    let mut guest = Guest::boot();
    let mut stop = String::from("boot");
    for number in 0..pages {
        let new = guest.kalloc_mapped();
        stop = format!("kalloc({}) → {new}", BOOT_PAGES + number);
    }
    guest.snapshot(stop)
}

/// The guest with a hart that does not translate.
pub fn bare() -> Snapshot {
    let mut snapshot = pseudos(0);
    snapshot.stop = "reset".into();
    snapshot.heap = None;
    snapshot.kernel = None;
    for hart in &mut snapshot.harts {
        hart.satp = Some(Satp::from_bits(0));
        hart.privilege = Some("M".into());
    }
    for space in &mut snapshot.spaces {
        space.mode = TranslationMode::Bare;
        space.root = PhysPage::from_truncated(0);
        space.tables = TableList::default();
        space.mappings = MappingList::default();
    }
    snapshot
}

/// The moments after boot and after each of `steps` calls. Unchanged tables are shared, as between
/// real captures.
pub fn history(steps: u64) -> History {
    history_from(0, steps)
}

/// The moments after `pages` calls and after each of `steps` further ones.
pub fn history_from(pages: u64, steps: u64) -> History {
    let mut history = History::new();
    for step in 0..=steps {
        let mut snapshot = pseudos(pages + step);
        if let Some(last) = history.current() {
            share_tables(&last.snapshot, &mut snapshot);
        }
        history.push(Arc::new(snapshot));
    }
    history
}

fn share_tables(before: &Snapshot, after: &mut Snapshot) {
    for (old, new) in before.spaces.iter().zip(&mut after.spaces) {
        new.tables = TableList::sharing(new.tables.to_vec(), &old.tables);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_boots_as_the_document_draws_it() {
        let snapshot = pseudos(0);
        let heap = snapshot.heap.unwrap();
        assert_eq!(heap.counter, 8);
        assert_eq!(heap.index_of(heap.top), Some(0));
        let space = &snapshot.spaces[0];
        assert_eq!(space.tables.len(), 6);
        let mapped = |address| space.translate(VirtAddr::new(address)).mapped();
        assert_eq!(mapped(COUNTER).unwrap().address, PhysAddr::new(COUNTER));
        assert_eq!(mapped(ECAM + 5).unwrap().page_size, 2 << 20);
        assert!(mapped(UART).is_some());
        assert!(mapped(0x8021_6000).is_none());
    }

    #[test]
    fn exactly_one_table_appears_at_each_2_mib_boundary() {
        // Of the top 2 MiB, 511 pages are the heap's; boot takes eight.
        let tables = |pages| pseudos(pages).spaces[0].tables.len();
        assert_eq!(tables(503), 6);
        assert_eq!(tables(504), 7);
        assert_eq!(tables(504 + 511), 7);
        assert_eq!(tables(504 + 512), 8);
        let snapshot = pseudos(1200);
        let space = &snapshot.spaces[0];
        for number in 0..1200 + BOOT_PAGES {
            let address = VirtAddr::new(HEAP_TOP - number * PAGE_SIZE);
            assert!(space.translate(address).mapped().is_some(), "{address}");
        }
    }

    #[test]
    fn history_shares_what_did_not_change() {
        let history = history(3);
        let [.., before, after] = history.moments() else {
            panic!()
        };
        let [old, new] = [before, after].map(|moment| &moment.snapshot.spaces[0]);
        assert!(Arc::ptr_eq(&old.tables[0], &new.tables[0]));
        assert_eq!(after.difference.changes.len(), 2);
    }
}
