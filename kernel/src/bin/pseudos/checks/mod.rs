//! The self-test's checks, and what they look with.

pub(crate) mod layout;
pub(crate) mod paging;

use pagescope_kernel::csr_read;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::pool::HEAP_FLAGS;
use pagescope_protocol::translate::{Mapped, Step, pte_address};
use pagescope_protocol::{Level, PhysAddr, PhysPage, Pte, Satp, VirtAddr};

use crate::kernel;
use crate::selftest::Reason;
use crate::trap::{self, Fault};

/// The root table that the hardware uses now.
fn live_root() -> PhysPage {
    Satp::from_bits(csr_read!("satp")).root()
}

/// An entry of a table, as it lies in memory.
fn entry(table: PhysPage, index: usize) -> Result<Pte, Reason> {
    let place = VirtAddr::new(pte_address(table, index).as_u64());
    crate::ensure!(
        kernel::lookup(place).mapped().is_some(),
        "the table at {table} cannot be reached"
    );
    Ok(Pte::from_bits(kernel::with(|kernel| {
        kernel.memory.load(place)
    })))
}

/// What `virt` is mapped to.
fn mapped(virt: VirtAddr) -> Result<Mapped, Reason> {
    let mapped = kernel::lookup(virt).mapped();
    mapped.ok_or_else(|| Reason::new(format_args!("{virt} is not mapped")))
}

/// The entry of `level` on the way to `virt`.
fn step(virt: VirtAddr, level: Level) -> Result<Step, Reason> {
    let translation = kernel::lookup(virt);
    let step = translation.trail.iter().find(|step| step.level == level);
    let missing = || Reason::new(format_args!("no {level} entry on the way to {virt}"));
    step.copied().ok_or_else(missing)
}

/// The start of a GiB in which nothing is mapped, nor in the three after it.
fn fresh_gib() -> Result<VirtAddr, Reason> {
    let unused = |slot: &u64| {
        (*slot..*slot + 4).all(|slot| {
            let address = VirtAddr::new(slot * Level::L2.entry_size());
            kernel::lookup(address).trail.len() == 1 && kernel::lookup(address).mapped().is_none()
        })
    };
    let slot = (4..252).find(unused);
    let none = || Reason::new(format_args!("every GiB has something mapped in it"));
    Ok(VirtAddr::new(
        slot.ok_or_else(none)? * Level::L2.entry_size(),
    ))
}

/// What a load finds at the first byte of a frame that nothing is mapped to: through a mapping
/// that is gone again afterwards.
fn probe_frame(phys: PhysAddr) -> Result<Result<u8, Fault>, Reason> {
    let virt = fresh_gib()?;
    let failed = |error| Reason::new(format_args!("map: {error}"));
    kernel::map_page(virt, phys, HEAP_FLAGS).map_err(failed)?;
    let found = trap::probe_load(virt);
    let failed = |error| Reason::new(format_args!("unmap: {error}"));
    kernel::unmap(virt).map_err(failed)?;
    Ok(found)
}

/// A page from kalloc.
fn page() -> Result<VirtAddr, Reason> {
    let none = || Reason::new(format_args!("out of memory"));
    kernel::alloc_page().ok_or_else(none)
}
