//! `stress`: random maps and unmaps on the running machine, and a count of everything afterwards.

use core::cell::UnsafeCell;

use pagescope_kernel::census::table_frames;
use pagescope_kernel::ensure;
use pagescope_kernel::heap::Audit;
use pagescope_kernel::mapper::{MapError, MapReport, UnmapError};
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::println;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::publish;
use pagescope_kernel::stress::{MARKERS, Stress, StressError, Subject, Tally};
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{LeafFlags, Level, PhysAddr, VirtAddr};

use crate::kernel::{self, alloc_page};
use pagescope_kernel::program::selftest::{Outcome, Reason};

/// How many steps lie between two checks of everything that is mapped.
const CHECK_EVERY: u64 = 64;

/// The kernel itself, through kalloc and map, and loads and stores that may fault.
struct Live;

impl Subject for Live {
    fn map(
        &mut self,
        virt: VirtAddr,
        phys: PhysAddr,
        level: Level,
        flags: LeafFlags,
    ) -> Result<MapReport, MapError> {
        kernel::map_leaf(virt, phys, level, flags)
    }

    fn unmap(&mut self, virt: VirtAddr) -> Result<u64, UnmapError> {
        kernel::unmap_leaf(virt)
    }

    fn protect(&mut self, virt: VirtAddr, flags: LeafFlags) -> Result<u64, UnmapError> {
        kernel::protect(virt, flags)
    }

    fn lookup(&mut self, virt: VirtAddr) -> Translation {
        kernel::lookup(virt)
    }

    fn load(&mut self, virt: VirtAddr) -> Option<u64> {
        let mut bytes = [0; 8];
        for (offset, byte) in bytes.iter_mut().enumerate() {
            *byte = probe::load(virt.wrapping_add(offset as u64)).ok()?;
        }
        Some(u64::from_le_bytes(bytes))
    }

    fn store(&mut self, virt: VirtAddr, word: u64) -> bool {
        let bytes = word.to_le_bytes();
        bytes.iter().enumerate().all(|(offset, byte)| {
            let at = virt.wrapping_add(offset as u64);
            // SAFETY: a marker's own word, in a page from kalloc that nobody else uses.
            unsafe { probe::store(at, *byte) }.is_ok()
        })
    }
}

/// The shadow, too large for the stack.
struct Shadow(UnsafeCell<Stress>);

// SAFETY: one hart uses it, in `stress`, which does not call itself.
unsafe impl Sync for Shadow {}

static SHADOW: Shadow = Shadow(UnsafeCell::new(Stress::new(0, [PhysAddr::new(0); MARKERS])));

/// What is counted before and after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Count {
    audit: Audit,
    linked: u64,
}

fn count() -> Count {
    kernel::refill();
    kernel::with(|kernel| Count {
        audit: kernel.space.audit(&kernel.memory),
        linked: table_frames(&kernel.space, &kernel.memory),
    })
}

/// `stress`
pub(crate) fn run(steps: u64) {
    match stress(steps, steps) {
        Ok(tally) => {
            let [small, medium, large] = tally.mapped;
            println!(
                "stress {steps}: mapped {small} of 4K, {medium} of 2M, {large} of 1G; {} unmapped, {} \
                 protected; {} tables linked",
                tally.unmapped, tally.protected, tally.tables
            );
            println!(
                "refused: {} for want of memory, {} for what was there",
                tally.no_memory, tally.refused
            );
            let audit = count().audit;
            println!(
                "frames: {} in use + {} tables and reserve + {} free = {} in all; none lost",
                audit.in_use,
                audit.tables,
                audit.freed + audit.untouched,
                audit.total
            );
            let block = publish::read();
            println!(
                "kalloc in kalloc at most {} deep; reserve never below {} (mark {})",
                block.kalloc_depth_max, block.reserve_low, block.reserve_mark
            );
        }
        Err(reason) => println!("stress {steps}: FAILED: {reason}"),
    }
}

/// Runs `steps` steps and checks that nothing is lost.
pub(crate) fn stress(steps: u64, seed: u64) -> Result<Tally, Reason> {
    let mut pages = [None; MARKERS];
    let mut markers = [PhysAddr::new(0); MARKERS];
    for (place, marker) in pages.iter_mut().zip(&mut markers) {
        let page = alloc_page();
        if let Some(page) = page
            && let Some(frame) = kernel::physical(page)
        {
            kernel::with(|kernel| kernel.memory.store(page, frame.as_u64()));
            (*place, *marker) = (Some(page), frame);
        }
    }
    let done = match pages.iter().all(Option::is_some) {
        true => steps_between_counts(steps, seed, markers),
        false => Err(Reason::new(format_args!(
            "{MARKERS} pages are needed, and there are not so many left"
        ))),
    };
    for page in pages.into_iter().flatten().rev() {
        kernel::free_page(page);
    }
    done
}

fn steps_between_counts(
    steps: u64,
    seed: u64,
    markers: [PhysAddr; MARKERS],
) -> Result<Tally, Reason> {
    // SAFETY: the only reference; see `Shadow`.
    let shadow = unsafe { &mut *SHADOW.0.get() };
    *shadow = Stress::new(seed, markers);
    let before = count();
    let mut subject = Live;
    shadow.look_around(&mut subject);
    let mut failed: Option<(u64, StressError)> = None;
    for number in 0..steps {
        let all = number % CHECK_EVERY == 0;
        let checked = shadow.step(&mut subject).and_then(|()| match all {
            true => shadow.check_all(&mut subject),
            false => Ok(()),
        });
        if let Err(error) = checked {
            failed = Some((number, error));
            break;
        }
    }
    let cleared = shadow.clear(&mut subject);
    if let Some((number, error)) = failed {
        return Err(Reason::new(format_args!("step {number}: {error}")));
    }
    cleared.map_err(|error| Reason::new(format_args!("at the end: {error}")))?;
    compare(before, count())?;
    Ok(shadow.tally)
}

/// Nothing lost: all pages found again, as many in use as before, and no table left over but what is
/// in reserve.
fn compare(before: Count, after: Count) -> Outcome {
    ensure!(
        after.audit.is_complete(),
        "pages are lost: {:?}",
        after.audit
    );
    ensure!(
        after.audit.in_use == before.audit.in_use,
        "{} pages are in use, before {}",
        after.audit.in_use,
        before.audit.in_use
    );
    // The heap's own L0s come with untouched pages, and stay.
    let heap_grew = before.audit.untouched - after.audit.untouched;
    ensure!(
        after.linked == before.linked || heap_grew > 0,
        "{} tables are linked, before {}",
        after.linked,
        before.linked
    );
    let block = publish::read();
    ensure!(
        block.reserve_low >= block.reserve_mark,
        "the reserve was down to {}, its mark is {}",
        block.reserve_low,
        block.reserve_mark
    );
    ensure!(
        block.kalloc_depth_max <= 1,
        "kalloc was {} deep inside itself",
        block.kalloc_depth_max
    );
    Ok(())
}
