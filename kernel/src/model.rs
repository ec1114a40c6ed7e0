//! A software model of Sv39, for tests: RAM, satp, and a TLB that forgets nothing by itself.
//!
//! The code under test sees virtual addresses only, which the model translates; an access that the
//! tables do not allow panics, as it would fault. The TLB keeps every entry that a translation
//! has read, pointers and invalid ones too, until a fence drops it, and a fence of one page drops
//! only what was a leaf, or has become one. That is the least that the privileged specification allows, and so a missing
//! fence shows.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::string::ToString as _;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use pagescope_protocol::coalesce::{self, MappedRange};
use pagescope_protocol::translate::{Translation, translate};
use pagescope_protocol::walk::{Limits, SpaceWalk, TableReader, TableWords, walk_space};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, PteKind, VirtAddr,
};

use crate::board::{self, RAM};
use crate::boot_map::{self, BootPlan, PSEUDOS_DEVICES};
use crate::handoff::BootSection;
use crate::heap::{Heap, HeapLayout};
use crate::mapper::{MODE, ROOT_LEVEL};
use crate::memory::Memory;
use crate::reserve::Reserve;
use crate::self_map::SelfMap;
use crate::space::{Inherited, OWN_REGIONS, OwnRegion, Space};
use crate::table_service::{self, Verdict};
use crate::window::Window;
use pagescope_protocol::info::{name, region_kind};

/// What a translation has read: where the entry lies, and what was in it then.
type Tlb = HashMap<(Level, u64), (PhysAddr, Pte)>;

/// What RAM holds before anybody has written to it: nothing to rely on.
const GARBAGE: u64 = 0xdead_beef_dead_beef;

#[derive(Debug)]
pub(crate) struct Machine {
    /// RAM's words, xor [`GARBAGE`]: so a new machine is zeroed memory, which costs nothing.
    words: Vec<u64>,
    /// The root table; `None` is mode Bare.
    root: Option<PhysPage>,
    tlb: RefCell<Tlb>,
    /// Where M-mode takes frames for the tables that S-mode's stores find missing; without, they
    /// fault.
    served_from: Option<&'static Reserve>,
    /// Faults that M-mode served.
    pub(crate) served: u64,
    /// Loads by virtual addresses.
    pub(crate) loads: Cell<u64>,
}

/// A kind of access, with what its leaf must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Load,
    Store,
}

impl Access {
    fn needs(self) -> LeafFlags {
        match self {
            Self::Load => LeafFlags::READ | LeafFlags::ACCESSED,
            Self::Store => LeafFlags::WRITE | LeafFlags::ACCESSED | LeafFlags::DIRTY,
        }
    }
}

impl Machine {
    /// RAM full of garbage, and no translation.
    pub(crate) fn new() -> Self {
        Self {
            words: vec![0; (RAM.size() / 8) as usize],
            root: None,
            tlb: RefCell::default(),
            served_from: None,
            served: 0,
            loads: Cell::new(0),
        }
    }

    pub(crate) fn set_root(&mut self, root: PhysPage) {
        self.root = Some(root);
        self.tlb.borrow_mut().clear();
    }

    pub(crate) fn load_physical(&self, address: PhysAddr) -> u64 {
        self.words[Self::place(address)] ^ GARBAGE
    }

    pub(crate) fn store_physical(&mut self, address: PhysAddr, value: u64) {
        self.words[Self::place(address)] = value ^ GARBAGE;
    }

    fn place(address: PhysAddr) -> usize {
        assert!(RAM.contains(address), "physical {address} is not RAM");
        assert!(address.is_aligned(8), "physical {address} is misaligned");
        ((address.as_u64() - RAM.start().as_u64()) / 8) as usize
    }

    /// What an access does: the physical address, or `None` for a page fault.
    pub(crate) fn access(&self, address: VirtAddr, access: Access) -> Option<PhysAddr> {
        let Some(root) = self.root else {
            return Some(PhysAddr::new(address.as_u64()));
        };
        let mut tlb = self.tlb.borrow_mut();
        let mut level = ROOT_LEVEL;
        let read = |entry: PhysAddr| {
            let key = (level, address.as_u64() >> level.shift());
            let (_, pte) = *tlb
                .entry(key)
                .or_insert_with(|| (entry, Pte::from_bits(self.load_physical(entry))));
            level = level.next().unwrap_or(Level::L0);
            Ok::<_, Infallible>(Some(pte))
        };
        let Ok(translation) = translate(MODE, root, address, read);
        let mapped = translation.mapped()?;
        mapped
            .flags
            .contains(access.needs())
            .then_some(mapped.address)
    }

    /// An access by a program that survives its faults; `None` where it faults.
    pub(crate) fn touch(&self, address: VirtAddr) -> Option<u64> {
        Some(self.load_physical(self.access(address, Access::Load)?))
    }

    /// What M-mode does about a store page fault: whether the store is to be tried again.
    pub(crate) fn serve(&mut self, address: VirtAddr) -> bool {
        let (Some(reserve), Some(root)) = (self.served_from, self.root) else {
            return false;
        };
        let needs = Access::Store.needs();
        let mut physical = Physical(self);
        let verdict = table_service::serve(&mut physical, root, reserve, RAM, address, needs);
        let retry = matches!(verdict, Verdict::Made | Verdict::Present);
        self.served += u64::from(retry);
        retry
    }

    /// What memory says, whatever the TLB remembers.
    pub(crate) fn translation(&self, address: VirtAddr) -> Translation {
        let read = |entry| Ok::<_, Infallible>(Some(Pte::from_bits(self.load_physical(entry))));
        let root = self.root.expect("translation is on");
        let Ok(translation) = translate(MODE, root, address, read);
        translation
    }

    /// All tables, found physically.
    pub(crate) fn walk(&self) -> SpaceWalk {
        struct Reader<'a>(&'a Machine);
        impl TableReader for Reader<'_> {
            type Error = Infallible;
            fn read_tables(
                &mut self,
                frames: &[PhysPage],
            ) -> Result<Vec<Option<Arc<TableWords>>>, Infallible> {
                let table = |frame: &PhysPage| {
                    let first = Machine::place(frame.start());
                    let words = &self.0.words[first..first + ENTRIES_PER_TABLE];
                    let words: TableWords = words.try_into().expect("a table has 512 words");
                    Some(Arc::new(words.map(|word| word ^ GARBAGE)))
                };
                Ok(frames.iter().map(table).collect())
            }
        }
        let root = self.root.expect("translation is on");
        let Ok(walk) = walk_space(MODE, root, Limits::default(), &mut Reader(self));
        walk
    }

    pub(crate) fn mappings(&self) -> Vec<MappedRange> {
        coalesce::coalesce(&self.walk(), coalesce::Limits::default()).ranges
    }
}

impl Memory for Machine {
    fn load(&self, address: VirtAddr) -> u64 {
        self.loads.set(self.loads.get() + 1);
        match self.access(address, Access::Load) {
            Some(physical) => self.load_physical(physical),
            None => panic!("load page fault at {address}"),
        }
    }

    fn store(&mut self, address: VirtAddr, value: u64) {
        loop {
            match self.access(address, Access::Store) {
                Some(physical) => return self.store_physical(physical, value),
                None => assert!(self.serve(address), "store page fault at {address}"),
            }
        }
    }

    fn fence_page(&mut self, address: VirtAddr) {
        let is_leaf = |level: Level, pte: Pte| {
            level == Level::L0 || matches!(pte.classify(level), PteKind::Leaf(_))
        };
        let mut tlb = self.tlb.borrow_mut();
        tlb.retain(|(level, number), (entry, pte)| {
            let same = address.as_u64() >> level.shift() == *number;
            let now = Pte::from_bits(self.load_physical(*entry));
            !(same && (is_leaf(*level, *pte) || is_leaf(*level, now)))
        });
    }

    fn fence_all(&mut self) {
        self.tlb.borrow_mut().clear();
    }

    fn fill_page(&mut self, page: VirtAddr, byte: u8) {
        let physical = self.access(page, Access::Store);
        let physical = physical.unwrap_or_else(|| panic!("store page fault at {page}"));
        let first = Self::place(physical);
        self.words[first..first + (PAGE_SIZE / 8) as usize]
            .fill(u64::from_le_bytes([byte; 8]) ^ GARBAGE);
    }
}

/// The machine as M-mode sees it.
pub(crate) struct Physical<'a>(pub(crate) &'a mut Machine);

impl Memory for Physical<'_> {
    fn load(&self, address: VirtAddr) -> u64 {
        self.0.load_physical(PhysAddr::new(address.as_u64()))
    }

    fn store(&mut self, address: VirtAddr, value: u64) {
        self.0
            .store_physical(PhysAddr::new(address.as_u64()), value);
    }

    fn fence_page(&mut self, address: VirtAddr) {
        self.0.fence_page(address);
    }

    fn fence_all(&mut self) {
        self.0.fence_all();
    }
}

/// A supervisor program's sections, as the linker might lay them out.
pub(crate) fn sections() -> [BootSection; 6] {
    let section = |start: u64, end: u64, flags: &str, kind, text| BootSection {
        start,
        end,
        load: start,
        flags: LeafFlags::from_letters(flags).map_or(0, |flags| flags.bits().into()),
        kind,
        name: name(text),
    };
    [
        section(
            0x8020_0000,
            0x8020_5000,
            "r-x----",
            region_kind::TEXT,
            ".text",
        ),
        section(
            0x8020_5000,
            0x8020_7000,
            "r------",
            region_kind::RODATA,
            ".rodata",
        ),
        section(
            0x8020_7000,
            0x8020_9000,
            "rw-----",
            region_kind::DATA,
            ".data",
        ),
        section(
            0x8020_9000,
            0x8021_0000,
            "rw-----",
            region_kind::DATA,
            ".bss",
        ),
        section(
            0x8021_0000,
            0x8021_1000,
            "unmapped",
            region_kind::GUARD,
            "guard",
        ),
        section(
            0x8021_1000,
            0x8022_1000,
            "rw-----",
            region_kind::STACK,
            "stack",
        ),
    ]
}

/// The end of [`sections`]: the heap's bottom.
pub(crate) const IMAGE_END: PhysAddr = PhysAddr::new(0x8022_1000);

/// A machine on which the boot map has been built and S-mode runs, seeing its heap in `window`.
pub(crate) fn booted(self_map: &'static dyn SelfMap, window: Window) -> (Machine, Space) {
    let mut machine = Machine::new();
    let layout = boot_map::physical_heap(IMAGE_END);
    let mut heap = Heap::new(layout);
    let reserve: &'static Reserve = Box::leak(Box::default());
    let plan = BootPlan {
        window,
        self_map,
        sections: &sections(),
        devices: &PSEUDOS_DEVICES,
    };
    let map = boot_map::build(&mut machine, &mut heap, reserve, plan);
    let map = map.expect("the boot map can be built");
    machine.set_root(map.root);
    machine.served_from = self_map.is_served_by_machine_mode().then_some(reserve);
    let counter_page = PhysAddr::new(layout.counter.as_u64()).page().expect("RAM");
    let offset = layout.counter.page_offset();
    let heap = HeapLayout {
        window,
        counter: window.address_of(counter_page).wrapping_add(offset),
        ..layout
    };
    let space = Space::resume(Inherited {
        heap,
        root: map.root,
        handed_out: map.handed_out,
        reserve,
        self_map,
        own: own_regions(),
    });
    (machine, space)
}

/// What the kernel's program reserves of the image's addresses: its first page and its
/// last; and a device.
fn own_regions() -> [OwnRegion; OWN_REGIONS] {
    let page = |name, start| OwnRegion {
        name,
        start: VirtAddr::new(start),
        end: VirtAddr::new(start + PAGE_SIZE),
    };
    let mut own = [OwnRegion::NONE; OWN_REGIONS];
    own[0] = page(".text", board::SUPERVISOR_START.as_u64());
    own[1] = page("stack", IMAGE_END.as_u64() - PAGE_SIZE);
    own[2] = page("UART0", board::UART0.start().as_u64());
    own
}

/// The window in which the tests put heap and tables where virtual is *not* physical: the top
/// half of the address space.
pub(crate) const HIGH: Window = Window::at_distance(0xffff_ffc0_0000_0000);

/// Every table has exactly one address, the strategy's, through a leaf that is RW, A and D and nothing
/// else; and no other leaf leads to a table.
pub(crate) fn assert_windows(machine: &Machine, space: &Space) {
    let mut windows = BTreeMap::new();
    crate::census::census(space, machine, &mut |found| {
        let window = space.window_of(found.table);
        assert!(windows.insert(found.table.frame, window).is_none());
        let mapped = machine.translation(window).mapped();
        let mapped = mapped.unwrap_or_else(|| panic!("no window: {:?}", found.table));
        assert_eq!(mapped.address, found.table.frame.start());
        assert_eq!(mapped.flags.to_string(), "rw---ad");
    });
    // A page in reserve is kept from everybody but by the pool, which has it mapped.
    let walked = machine.walk();
    let frames: BTreeSet<_> = walked.tables.iter().map(|table| table.page).collect();
    assert_eq!(frames, windows.keys().copied().collect());
    for range in machine.mappings() {
        for (frame, window) in &windows {
            if let Some(offset) = frame.start().checked_offset_from(range.phys)
                && offset < range.size
            {
                assert_eq!(range.virt.wrapping_add(offset), *window, "{frame}");
            }
        }
    }
}

/// The caller of `kalloc`: fills the reserve afterwards, as the kernel's own callers do. Gives all
/// addresses that `kalloc` returned, the caller's first.
pub(crate) fn kalloc_and_refill(machine: &mut Machine, space: &mut Space) -> Vec<VirtAddr> {
    let Ok(page) = space.alloc(machine) else {
        return Vec::new();
    };
    let mut returned = vec![page];
    returned.extend(refill(machine, space));
    returned
}

/// Fills the reserve as far as memory allows.
pub(crate) fn refill(machine: &mut Machine, space: &mut Space) -> Vec<VirtAddr> {
    let mut returned = Vec::new();
    while space.wants_page(machine) {
        let mut rejected = Vec::new();
        let page = loop {
            match space.alloc(machine) {
                Ok(page) if !space.accepts(page) => rejected.push(page),
                other => break other,
            }
        };
        for page in rejected {
            space.free(machine, page).expect("it was handed out");
        }
        let Ok(page) = page else { break };
        space
            .stock(machine, page)
            .expect("a page from kalloc can be stocked");
        returned.push(page);
    }
    space.settle();
    returned
}
