//! S1: what the page tables do; and S0.9, what is in them.

use pagescope_kernel::csr_read;
use pagescope_kernel::ensure;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::holdings::Holdings;
use pagescope_kernel::mapper::{MapError, Mapper, Reach, Supply};
use pagescope_kernel::memory::Memory;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::publish;
use pagescope_kernel::self_map::Table;
use pagescope_kernel::self_map::pool::Pool;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_kernel::window::Window;
use pagescope_protocol::translate::{Outcome as Translated, TranslationFault};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, Level, PAGE_SIZE, PhysAddr, PhysPage, PteKind, TranslationMode, VirtAddr,
};

use super::{
    entry, fresh_gib, live_root, mapped, page, root_table, step, strategy, unmap_all, window_of,
};
use crate::kernel::{self, map_page};
use crate::selftest::use_up_freed_pages;
use crate::start;
use pagescope_kernel::program::selftest::{Outcome, Reason};

const MIB_2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

/// Maps, with the reason where that fails.
fn map(virt: VirtAddr, phys: PhysAddr) -> Result<usize, Reason> {
    let failed = |error: MapError| Reason::new(format_args!("map: {error}"));
    Ok(map_page(virt, phys, HEAP_FLAGS).map_err(failed)?.new_tables)
}

/// Three tables, and no new ones.
struct These([PhysPage; 3]);

impl Supply for These {
    fn available(&self) -> usize {
        0
    }

    fn take<M: Memory>(&mut self, _memory: &mut M) -> Option<PhysPage> {
        None
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.0.contains(&frame)
    }
}

/// A page that is mapped far from its frame, through tables whose windows are not where their frames
/// are: the strategy's own, or with `pool`, where they are, an alias made for this.
pub(crate) fn s0_9_entries_are_physical() -> Outcome {
    let gib = fresh_gib()?;
    let own = page()?;
    let frame = mapped(own)?.address;
    map(gib, frame)?;
    let leaf = step(gib, Level::L0)?;
    ensure!(
        Some(leaf.pte.page()) == frame.page(),
        "the entry for {gib} holds {:?}",
        leaf.pte
    );
    ensure!(
        leaf.pte.page().number() != gib.as_u64() / PAGE_SIZE,
        "{gib} is its own frame"
    );
    check_alias(gib, own)?;
    let window = window_of(Table::covering(leaf.table, Level::L0, gib));
    if strategy() != "pool" {
        ensure!(
            window.as_u64() != leaf.table.start().as_u64(),
            "{} is reached at its physical address",
            leaf.table
        );
        return unmap_all(&[gib]);
    }

    let tables = [live_root(), step(gib, Level::L1)?.table, leaf.table];
    let distance = 2 * GIB + gib.as_u64() - 0x8000_0000;
    let alias = |table: PhysPage| VirtAddr::new(table.start().as_u64() + distance);
    for table in tables {
        map(alias(table), table.start())?;
    }
    let next = gib.wrapping_add(PAGE_SIZE);
    let failed = kernel::with(|kernel| {
        let mut mapper = Mapper {
            memory: &mut kernel.memory,
            supply: These(tables),
            self_map: &Pool,
            reach: Reach::Windows,
            heap: Window::at_distance(distance),
            root: live_root(),
        };
        mapper.map(next, frame, Level::L0, HEAP_FLAGS).err()
    });
    if let Some(error) = failed {
        return Err(Reason::new(format_args!("map through an alias: {error}")));
    }
    let leaf = step(next, Level::L0)?;
    ensure!(
        Some(leaf.pte.page()) == frame.page(),
        "through an alias: {:?}",
        leaf.pte
    );
    check_alias(next, own)?;
    unmap_all(&tables.map(alias))?;
    unmap_all(&[gib, next])
}

/// Whether a store through `virt` shows at `own`: the same frame.
fn check_alias(virt: VirtAddr, own: VirtAddr) -> Outcome {
    for byte in [0x5a, 0xa5] {
        // SAFETY: both lead to a page from kalloc that nobody else uses.
        let stored = unsafe { probe::store(virt.wrapping_add(0xabc), byte) };
        ensure!(stored.is_ok(), "a store to {virt} faults");
        let seen = probe::load(own.wrapping_add(0xabc)).ok();
        ensure!(
            seen == Some(byte),
            "a store to {virt} does not show at {own}"
        );
    }
    Ok(())
}

/// 9/9/9/12, by the entries that a mapping leaves; and how far each table reaches, by when a new
/// one is needed.
pub(crate) fn s1_1_split_and_coverage() -> Outcome {
    let gib = fresh_gib()?;
    let root_index = (gib.as_u64() >> 30) as usize & 511;
    let virt = gib.wrapping_add(7 * MIB_2 + 9 * PAGE_SIZE);
    let own = page()?;
    let frame = mapped(own)?.address;
    let new = map(virt, frame)?;
    ensure!(
        new == 2,
        "the first page of a GiB took {new} tables, expected 2"
    );

    let PteKind::Pointer(l1) = entry(root_table(), root_index)?.classify(Level::L2) else {
        return Err(Reason::new(format_args!(
            "root[{root_index}] is no pointer"
        )));
    };
    let l1 = Table::covering(l1, Level::L1, virt);
    let PteKind::Pointer(l0) = entry(l1, 7)?.classify(Level::L1) else {
        return Err(Reason::new(format_args!("L1[7] is no pointer")));
    };
    let l0 = Table::covering(l0, Level::L0, virt);
    let PteKind::Leaf(leaf) = entry(l0, 9)?.classify(Level::L0) else {
        return Err(Reason::new(format_args!("L0[9] is no leaf")));
    };
    ensure!(Some(leaf.page) == frame.page(), "L0[9] maps {}", leaf.page);
    check_alias(virt, own)?;

    let l0_start = virt.align_down(MIB_2);
    let others = [
        (l0_start, 0),
        (l0_start.wrapping_add(MIB_2 - PAGE_SIZE), 0),
        (l0_start.wrapping_add(MIB_2), 1),
        (gib.wrapping_add(GIB - PAGE_SIZE), 1),
        (gib.wrapping_add(GIB), 2),
    ];
    for (address, expected) in others {
        let new = map(address, frame)?;
        ensure!(
            new == expected,
            "{address} took {new} new tables, expected {expected}"
        );
    }
    // The root's last entry ends where the address space does: 512 of 1 GiB.
    let last = VirtAddr::new(u64::MAX).align_down(PAGE_SIZE);
    let index = step(last, Level::L2)?.index;
    ensure!(index == 511, "{last} uses root[{index}]");
    unmap_all(&others.map(|(address, _)| address))?;
    unmap_all(&[virt])
}

/// Neighbours one page, one L0, one L1 apart.
pub(crate) fn s1_2_different_entries() -> Outcome {
    let gib = fresh_gib()?;
    let frame = mapped(page()?)?.address;
    map(gib, frame)?;
    for (level, distance) in [(Level::L0, PAGE_SIZE), (Level::L1, MIB_2), (Level::L2, GIB)] {
        let other = gib.wrapping_add(distance);
        map(other, frame)?;
        let (one, two) = (step(gib, level)?, step(other, level)?);
        ensure!(
            one.table == two.table,
            "{gib} and {other} do not share their {level} table"
        );
        ensure!(
            one.index != two.index,
            "{gib} and {other} share entry {} of {level}",
            one.index
        );
        ensure!(
            kernel::unmap_leaf(other).is_ok(),
            "{other} could not be unmapped"
        );
        ensure!(
            probe::load(gib).is_ok(),
            "unmapping {other} took {gib} along"
        );
        ensure!(
            probe::load(other).is_err(),
            "{other} is unmapped and does not fault"
        );
    }
    unmap_all(&[gib])
}

/// Refused by map, explained by lookup, and faulting in the hardware.
pub(crate) fn s1_3_non_canonical() -> Outcome {
    let frame = mapped(page()?)?.address;
    for address in [
        0x40_0000_0000,
        0x80_0000_0000,
        0xffff_ffbf_ffff_f000,
        1 << 63,
    ] {
        let address = VirtAddr::new(address);
        let refused = kernel::map(address, frame, Level::L0, HEAP_FLAGS);
        let expected = Err(MapError::NonCanonical(address));
        ensure!(refused == expected, "map({address}) gave {refused:?}");
        let fault = Translated::Fault(TranslationFault::NonCanonical(TranslationMode::Sv39));
        ensure!(
            kernel::lookup(address).outcome == fault,
            "lookup({address}) does not say so"
        );
        let fault = probe::load(address).err();
        let cause = fault.map(|fault| fault.cause);
        ensure!(
            cause == Some(Cause::LOAD_PAGE_FAULT),
            "a load from {address}: {cause:?}"
        );
        let stval = fault.map(|fault| fault.address);
        ensure!(
            stval == Some(address),
            "a load from {address} left stval {stval:?}"
        );
    }
    Ok(())
}

/// satp as it was at the first instruction, and that the root it names is mapped.
pub(crate) fn s1_4_translated_from_the_start() -> Outcome {
    let satp = start::satp_at_start();
    let (mode, root) = (satp.mode(), satp.root());
    ensure!(
        mode == TranslationMode::Sv39,
        "satp's mode was {mode} when S-mode started"
    );
    ensure!(
        satp.bits() == csr_read!("satp"),
        "satp was {:#x} when S-mode started",
        satp.bits()
    );
    let built = start::hand_off().root;
    ensure!(
        root.start().as_u64() == built,
        "satp led to {root}; M-mode built {built:#x}"
    );
    let found = mapped(window_of(root_table()))?;
    ensure!(
        found.address == root.start(),
        "the root's window leads to {}",
        found.address
    );
    ensure!(
        found.flags.contains(HEAP_FLAGS),
        "the root is mapped {}",
        found.flags
    );
    Ok(())
}

/// kalloc across the next 2 MiB boundary: one new L0 is linked on the way, and no other.
/// All pages are given back.
fn cross_2_mib() -> Outcome {
    use_up_freed_pages();
    let next = || VirtAddr::new(publish::read().heap_next);
    let l1 = Table::covering(step(next(), Level::L1)?.table, Level::L1, next());
    let l0_tables = || -> Result<usize, Reason> {
        let mut count = 0;
        for index in 0..ENTRIES_PER_TABLE {
            count += usize::from(entry(l1, index)?.is_valid());
        }
        Ok(count)
    };
    let mut held = Holdings::NONE;
    let before = l0_tables()?;
    // The next page whose 2 MiB has no L0 yet: the one at hand, or the first below its 2 MiB. The
    // call of kalloc that comes to it may be the refill's.
    let mut fresh = next();
    if step(fresh, Level::L0).is_ok() {
        fresh = VirtAddr::new(fresh.align_down(MIB_2).as_u64() - PAGE_SIZE);
    }
    while step(fresh, Level::L0).is_err() {
        let expected = next();
        let page = VirtAddr::new(kernel::kalloc() as u64);
        ensure!(
            page == expected,
            "kalloc returned {page}, expected {expected}"
        );
        kernel::refill();
        kernel::with(|kernel| held.push(&mut kernel.memory, page));
    }
    let new = l0_tables()? - before;
    ensure!(
        new == 1,
        "kalloc linked {new} tables for {fresh}, expected 1"
    );
    while let Some(page) = kernel::with(|kernel| held.pop(&kernel.memory)) {
        ensure!(kernel::free_page(page), "{page} could not be freed");
    }
    Ok(())
}

/// A map that needs an L1 and an L0: both from the reserve, and so is kalloc's own at a boundary.
/// kalloc was never inside itself.
pub(crate) fn s1_9_kalloc_does_not_recurse() -> Outcome {
    let gib = fresh_gib()?;
    let frame = mapped(page()?)?.address;
    let before = publish::read();
    ensure!(
        before.reserve >= before.reserve_mark,
        "only {} pages are in reserve",
        before.reserve
    );
    let counter = kernel::with(|kernel| kernel.space.heap().handed_out());
    let report = match kernel::map(gib, frame, Level::L0, HEAP_FLAGS) {
        Ok(report) => report,
        Err(error) => return Err(Reason::new(format_args!("map: {error}"))),
    };
    ensure!(
        report.new_tables == 2,
        "map took {} tables",
        report.new_tables
    );
    let during = kernel::with(|kernel| kernel.space.heap().handed_out());
    ensure!(
        during == counter,
        "map called kalloc {} times",
        during - counter
    );
    let after = publish::read();
    ensure!(
        after.reserve + report.frames as u64 == before.reserve,
        "{} pages are in reserve",
        after.reserve
    );
    kernel::refill();
    let refilled = publish::read();
    ensure!(
        refilled.reserve >= refilled.reserve_mark,
        "the reserve holds {} pages again",
        refilled.reserve
    );
    unmap_all(&[gib])?;
    cross_2_mib()?;
    let depth = publish::read().kalloc_depth_max;
    ensure!(depth == 1, "kalloc was {depth} deep inside itself");
    Ok(())
}
