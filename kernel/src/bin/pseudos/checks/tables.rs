//! S1.5 to S1.8: the tables' own region, and who makes tables.

use pagescope_kernel::board;
use pagescope_kernel::census::{TableUse, census};
use pagescope_kernel::ensure;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::mapper::{MODE, MapError, UnmapError};
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::probe::Fault;
use pagescope_kernel::program::publish;
use pagescope_kernel::reserve::RESERVE_MAX;
use pagescope_kernel::self_map::Table;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysPage, Pte, PteKind, VirtAddr,
};

use super::{fresh_gib, mapped, page, root_table, step, strategy, unmap_all, window_of};
use crate::entry::RESERVE;
use crate::kernel::{self, map_page};
use crate::mapping;
use pagescope_kernel::program::selftest::{Outcome, Reason};

const MIB_2: u64 = 2 << 20;

/// The window of the table that is in `frame`, if one is.
fn window_of_frame(frame: PhysPage) -> Option<VirtAddr> {
    let mut window = None;
    kernel::with(|kernel| {
        let space = &kernel.space;
        census(space, &kernel.memory, &mut |found| {
            if found.table.frame == frame {
                window = Some(space.window_of(found.table));
            }
        });
    });
    window
}

/// Every table of the space, one after the other; `visit` may use the kernel.
fn every_table(mut visit: impl FnMut(TableUse) -> Outcome) -> Outcome {
    for number in 0.. {
        let mut found = None;
        kernel::with(|kernel| {
            let mut count = 0;
            census(&kernel.space, &kernel.memory, &mut |table| {
                if count == number {
                    found = Some(table);
                }
                count += 1;
            });
        });
        match found {
            Some(table) => visit(table)?,
            None => break,
        }
    }
    Ok(())
}

/// Every table has one address, in a region that nobody else maps, and no leaf but its window's leads
/// to it writable.
pub(crate) fn s1_5_the_tables_have_a_region_of_their_own() -> Outcome {
    every_table(|found| {
        let window = window_of(found.table);
        let frame = found.table.frame;
        let seen = mapped(window)?;
        let flags = LeafFlags::from_letters("rw---ad");
        ensure!(
            seen.address == frame.start() && Some(seen.flags) == flags,
            "{frame} is seen at {window}: {} {}",
            seen.address,
            seen.flags
        );
        let refused = kernel::map(window, frame.start(), Level::L0, HEAP_FLAGS);
        ensure!(
            matches!(refused, Err(MapError::ReservedRegion(..))),
            "map({window}) gave {refused:?}"
        );
        let refused = kernel::unmap(window);
        ensure!(
            matches!(refused, Err(UnmapError::ReservedRegion(..))),
            "unmap({window}) gave {refused:?}"
        );
        check_leaves(found.table)
    })
}

/// The pages of RAM that a leaf of `level` at `first` leads to, as far as they are tables or wait to be.
fn pages_of_ram(first: PhysPage, level: Level) -> impl Iterator<Item = PhysPage> {
    let end = first.number() + level.entry_size() / PAGE_SIZE;
    let ram = board::RAM.start().as_u64() / PAGE_SIZE..board::RAM.end().as_u64() / PAGE_SIZE;
    let pages = first.number().max(ram.start)..end.min(ram.end);
    let pages = pages.map(PhysPage::from_truncated);
    pages.filter(|page| kernel::with(|kernel| kernel.space.is_table(*page)))
}

/// No leaf in `table` leads to a page table that may be written there, but its window's.
fn check_leaves(table: Table) -> Outcome {
    let address = window_of(table);
    for index in 0..ENTRIES_PER_TABLE {
        let place = address.wrapping_add(index as u64 * 8);
        let pte = Pte::from_bits(kernel::with(|kernel| kernel.memory.load(place)));
        let PteKind::Leaf(leaf) = pte.classify(table.level) else {
            continue;
        };
        if !leaf.flags.contains(LeafFlags::WRITE) {
            continue;
        }
        let offset = index as u64 * table.level.entry_size();
        let virt = MODE.canonical(table.covers_from.as_u64().wrapping_add(offset));
        for page in pages_of_ram(leaf.page, table.level) {
            let Some(window) = window_of_frame(page) else {
                continue;
            };
            let virt = virt.wrapping_add((page.number() - leaf.page.number()) * PAGE_SIZE);
            ensure!(
                virt == window,
                "{virt} leads to the table {page}, whose window is {window}"
            );
        }
    }
    Ok(())
}

/// A store to the window of a table that does not exist: M-mode makes it, and the store succeeds.
pub(crate) fn s1_6_a_fault_in_the_region_makes_a_table() -> Outcome {
    let gib = fresh_gib()?;
    let frame = mapped(page()?)?.address;
    let failed = |error: MapError| Reason::new(format_args!("map: {error}"));
    map_page(gib, frame, HEAP_FLAGS).map_err(failed)?;
    let virt = gib.wrapping_add(5 * MIB_2);
    ensure!(step(virt, Level::L0).is_err(), "{virt} has an L0 already");
    let place = window_of(Table::covering(root_table().frame, Level::L0, virt));
    let before = publish::read();
    let in_reserve = kernel::with(|kernel| kernel.space.reserve());
    // SAFETY: the first byte of a table that M-mode makes for this very store, and that is zero.
    let stored = unsafe { probe::store(place, 0) };
    ensure!(stored.is_ok(), "the store faulted: {stored:?}");
    let after = publish::read();
    let taken = after.machine_table_traps - before.machine_table_traps;
    ensure!(taken == 1, "M-mode took {taken} traps for it");
    let left = kernel::with(|kernel| kernel.space.reserve());
    ensure!(
        left + 1 == in_reserve,
        "the reserve went from {in_reserve} to {left}"
    );
    let table = step(virt, Level::L0)?.table;
    let seen = mapped(place)?.address;
    ensure!(seen == table.start(), "{place} shows {seen}, not {table}");
    let is_zero = kernel::with(|kernel| kernel.memory.page_is_filled(place, 0));
    ensure!(is_zero, "the new table {table} is not zero");
    kernel::refill();
    // Mapped there and unmapped, the table goes with the last entry.
    map_page(virt, frame, HEAP_FLAGS).map_err(failed)?;
    unmap_all(&[virt, gib])
}

/// None for a page whose L0 is there, one in a fresh 2 MiB, two in a fresh GiB.
pub(crate) fn s1_7_a_trap_for_each_missing_level() -> Outcome {
    let gib = fresh_gib()?;
    let frame = mapped(page()?)?.address;
    let next = gib.wrapping_add(4096);
    let fresh = gib.wrapping_add(MIB_2);
    for (virt, expected) in [(gib, 2), (next, 0), (fresh, 1)] {
        let before = publish::read();
        let mapped = kernel::map(virt, frame, Level::L0, HEAP_FLAGS);
        let after = publish::read();
        let failed = |error| Reason::new(format_args!("map: {error}"));
        mapped.map_err(failed)?;
        let taken = after.machine_table_traps - before.machine_table_traps;
        ensure!(
            taken == expected,
            "map({virt}) took {taken} traps, expected {expected}"
        );
        let others = after.machine_other_traps - before.machine_other_traps;
        ensure!(others == 0, "map({virt}) took {others} other traps");
        kernel::refill();
    }
    unmap_all(&[gib, next, fresh])
}

/// What S-mode's own handler finds, whoever had the fault first: cause, address, instruction.
pub(crate) fn s1_8_other_faults_are_s_modes_own() -> Outcome {
    let outside = fresh_gib()?.wrapping_add(0x123);
    expect_load_fault(outside)?;
    let stored = {
        // SAFETY: nothing is mapped there.
        unsafe { probe::store(outside, 0) }
    };
    expect(stored.err(), Cause::STORE_PAGE_FAULT, outside)?;
    let Some(window) = mapping::empty_window() else {
        return Err(Reason::new(format_args!("every window has a table in it")));
    };
    expect_load_fault(window)?;
    if strategy() == "demand" {
        an_empty_reserve_is_a_fault(fresh_gib()?)?;
    }
    Ok(())
}

fn expect_load_fault(address: VirtAddr) -> Outcome {
    let fault = probe::load(address).err();
    expect(fault, Cause::LOAD_PAGE_FAULT, address)
}

fn expect(fault: Option<Fault>, cause: Cause, address: VirtAddr) -> Outcome {
    let Some(fault) = fault else {
        return Err(Reason::new(format_args!("{address} did not fault")));
    };
    ensure!(
        fault.cause == cause && fault.address == address,
        "at {address}: {} (stval {})",
        fault.cause,
        fault.address
    );
    ensure!(
        probe::is_probe(fault.instruction),
        "at {address}: sepc {}, which is no probe",
        fault.instruction
    );
    Ok(())
}

/// With nothing in reserve, the store that would make a table is an ordinary fault.
fn an_empty_reserve_is_a_fault(gib: VirtAddr) -> Outcome {
    let place = window_of(Table::covering(root_table().frame, Level::L0, gib));
    let mut taken: [Option<PhysPage>; RESERVE_MAX] = [None; RESERVE_MAX];
    for place in &mut taken {
        *place = RESERVE.take();
    }
    let before = publish::read().machine_table_traps;
    // SAFETY: nothing is there to be stored to.
    let stored = unsafe { probe::store(place, 0) };
    let served = publish::read().machine_table_traps - before;
    for page in taken.into_iter().flatten() {
        // There is room: they were just taken.
        let _ = RESERVE.put(page);
    }
    expect(stored.err(), Cause::STORE_PAGE_FAULT, place)?;
    ensure!(
        served == 0,
        "M-mode counted {served} tables with no reserve"
    );
    Ok(())
}
