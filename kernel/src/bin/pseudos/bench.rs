//! `bench`: what page tables cost with the strategy that the kernel was booted with, in time and in
//! memory.
//!
//! Time is the `cycle` counter. On QEMU with `-icount shift=0` that counts instructions, M-mode's
//! included, and is the same on every run; without, it is the host's time.

use pagescope_kernel::census::census;
use pagescope_kernel::mapper::MapError;
use pagescope_kernel::println;
use pagescope_kernel::program::publish;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_kernel::stress::Random;
use pagescope_kernel::{board, csr_read};
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, VirtAddr};

use crate::kernel::{self, alloc_page};

/// How often each thing is done.
const TIMES: u64 = 32;

/// Pages that are mapped to see what scattered maps cost.
const SCATTERED: u64 = 1000;

/// Where the scattered pages' numbers begin.
const SEED: u64 = 2026;

/// The GiB from which on things are mapped.
const FIRST_GIB: u64 = 16;

/// What something took, in all.
#[derive(Clone, Copy, Default)]
struct Cost {
    cycles: u64,
    frames: u64,
    traps: u64,
    times: u64,
}

impl Cost {
    /// Does it once, on top of what was done before.
    fn add<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let (reserve, traps) = (reserve(), publish::read().machine_table_traps);
        let start = csr_read!("cycle");
        let result = work();
        self.cycles += csr_read!("cycle") - start;
        self.frames += reserve.saturating_sub(self::reserve());
        self.traps += publish::read().machine_table_traps - traps;
        self.times += 1;
        kernel::refill();
        result
    }

    fn print(&self, what: &str) {
        let each = |sum: u64| sum / self.times.max(1);
        println!(
            "{what:<36}{:>8}{:>8}{:>8}",
            each(self.cycles),
            each(self.frames),
            each(self.traps)
        );
    }
}

fn reserve() -> u64 {
    kernel::with(|kernel| kernel.space.reserve() as u64)
}

/// `bench`
pub(crate) fn run() {
    if !is_free() {
        let (first, last) = (FIRST_GIB, FIRST_GIB + 3 * TIMES - 1);
        return println!("bench: something is mapped in the GiB {first} to {last}; unmap it first");
    }
    let Some(page) = alloc_page() else {
        return println!("bench: out of memory");
    };
    if let Some(frame) = kernel::physical(page) {
        let strategy = kernel::with(|kernel| kernel.space.self_map().name());
        println!("bench tables={strategy}: means of {TIMES}, the reserve full before each");
        println!("{:<36}{:>8}{:>8}{:>8}", "", "cycles", "frames", "traps");
        let done = costs(frame).and_then(|()| scattered(frame));
        if let Err(error) = done {
            println!("bench: {error}");
        }
        // Whatever was mapped when something failed leads to the page that is freed now.
        clear();
    }
    kernel::free_page(page);
}

/// Whether nothing is mapped where things are going to be.
fn is_free() -> bool {
    (0..3 * TIMES).all(|gib| {
        let translation = kernel::lookup(place(gib, 0, 0));
        translation.trail.len() == 1 && translation.mapped().is_none()
    })
}

/// Takes everything away that [`costs`] maps.
fn clear() {
    for gib in 0..TIMES {
        for (mib_2, page) in [(0, 0), (0, 1), (1, 0)] {
            // Where nothing is mapped there is nothing to take away.
            let _ = kernel::unmap_leaf(place(gib, mib_2, page));
        }
        let _ = kernel::unmap_leaf(place(TIMES + gib, 0, 0));
        let _ = kernel::unmap_leaf(place(2 * TIMES + gib, 0, 0));
    }
}

/// The start of a GiB, a 2 MiB in it, and a page in that.
fn place(gib: u64, mib_2: u64, page: u64) -> VirtAddr {
    let offset = mib_2 * Level::L1.entry_size() + page * PAGE_SIZE;
    VirtAddr::new((FIRST_GIB + gib) * Level::L2.entry_size() + offset)
}

/// Maps, and says what it cost; the first error is kept.
fn timed_map(
    cost: &mut Cost,
    virt: VirtAddr,
    phys: PhysAddr,
    level: Level,
    flags: LeafFlags,
) -> Result<(), MapError> {
    cost.add(|| kernel::map(virt, phys, level, flags)).map(drop)
}

fn costs(frame: PhysAddr) -> Result<(), MapError> {
    let ram = board::RAM.start();
    let mut kalloc = Cost::default();
    let mut kfree = Cost::default();
    for _ in 0..TIMES {
        let page = kalloc.add(|| kernel::kalloc());
        if page == 0 {
            println!("bench: out of memory");
            return Ok(());
        }
        kfree.add(|| kernel::kfree(page));
    }
    kalloc.print("kalloc");
    kfree.print("kfree");

    let mut fresh_gib = Cost::default();
    let mut fresh_2_mib = Cost::default();
    let mut present = Cost::default();
    let (mut medium, mut large) = (Cost::default(), Cost::default());
    for gib in 0..TIMES {
        timed_map(
            &mut fresh_gib,
            place(gib, 0, 0),
            frame,
            Level::L0,
            HEAP_FLAGS,
        )?;
        timed_map(
            &mut fresh_2_mib,
            place(gib, 1, 0),
            frame,
            Level::L0,
            HEAP_FLAGS,
        )?;
        timed_map(&mut present, place(gib, 0, 1), frame, Level::L0, HEAP_FLAGS)?;
        let block = place(TIMES + gib, 0, 0);
        timed_map(&mut medium, block, ram, Level::L1, LeafFlags::READ)?;
        let block = place(2 * TIMES + gib, 0, 0);
        timed_map(&mut large, block, ram, Level::L2, LeafFlags::READ)?;
    }
    present.print("map 4K, tables present");
    fresh_2_mib.print("map 4K in a fresh 2 MiB");
    fresh_gib.print("map 4K in a fresh GiB");
    medium.print("map 2M in a fresh GiB");
    large.print("map 1G");

    let (mut lookup, mut protect) = (Cost::default(), Cost::default());
    let (mut keeps, mut gives_back) = (Cost::default(), Cost::default());
    for gib in 0..TIMES {
        lookup.add(|| kernel::lookup(place(gib, 0, 1)));
        let _ = protect.add(|| kernel::protect(place(gib, 0, 1), LeafFlags::READ));
        let _ = keeps.add(|| kernel::unmap(place(gib, 0, 1)));
        let _ = gives_back.add(|| kernel::unmap(place(gib, 1, 0)));
    }
    lookup.print("lookup");
    protect.print("protect");
    keeps.print("unmap, the table stays");
    gives_back.print("unmap, an empty L0 is given back");
    clear();
    Ok(())
}

/// Tables that there are: those of the heap's window, and all others.
fn tables() -> (u64, u64) {
    kernel::with(|kernel| {
        let space = &kernel.space;
        let window = space.heap_window();
        let (mut heap, mut others) = (0, 0);
        census(space, &kernel.memory, &mut |found| {
            let is_l0 = found.table.level == Level::L0;
            let of_heap = window.is_some_and(|heap| heap.contains(found.table.covers_from));
            *(if is_l0 && of_heap {
                &mut heap
            } else {
                &mut others
            }) += 1;
        });
        (heap, others)
    })
}

/// Pages anywhere in the space: what their tables take, and that all of it comes back.
fn scattered(frame: PhysAddr) -> Result<(), MapError> {
    let (_, before) = tables();
    let mut random = Random::new(SEED);
    let mut mapped = [false; SCATTERED as usize];
    let (mut kept, mut taken, mut cycles) = (0, 0, 0);
    let mut failed = Ok(());
    for mapped in &mut mapped {
        let start = csr_read!("cycle");
        match kernel::map_page(random.page(), frame, HEAP_FLAGS) {
            Ok(_) => {
                *mapped = true;
                cycles += csr_read!("cycle") - start;
            }
            Err(MapError::ReservedRegion(..)) => kept += 1,
            Err(MapError::AlreadyMapped(..)) => taken += 1,
            Err(error) => {
                failed = Err(error);
                break;
            }
        }
    }
    let (_, during) = tables();
    let mut random = Random::new(SEED);
    for mapped in &mapped {
        let page = random.page();
        if *mapped {
            // It was mapped a moment ago.
            let _ = kernel::unmap_leaf(page);
        }
    }
    let (_, after) = tables();
    failed?;
    let count = mapped.iter().filter(|mapped| **mapped).count() as u64;
    println!(
        "{SCATTERED} scattered maps: {} frames for tables, {} cycles each with the reserve's refill",
        during - before,
        cycles / count.max(1),
    );
    println!(
        "  {kept} refused where the strategy keeps addresses, {taken} where something was mapped; \
         unmapped again, {} tables are left over",
        after - before,
    );
    Ok(())
}
