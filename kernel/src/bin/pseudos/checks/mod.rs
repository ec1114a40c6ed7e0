//! The self-test's checks, and what they look with.

pub(crate) mod layout;
pub(crate) mod paging;
pub(crate) mod tables;

use pagescope_kernel::csr_read;
use pagescope_kernel::ensure;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::probe::Fault;
use pagescope_kernel::self_map::Table;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_protocol::translate::{Mapped, Step, pte_address};
use pagescope_protocol::{Level, PhysAddr, PhysPage, Pte, Satp, VirtAddr};

use crate::kernel;
use pagescope_kernel::program::selftest::{Outcome, Reason};

/// The root table that the hardware uses now.
fn live_root() -> PhysPage {
    Satp::from_bits(csr_read!("satp")).root()
}

/// The root table, with its place.
fn root_table() -> Table {
    Table::root(live_root())
}

/// Where the kernel reaches `table`.
fn window_of(table: Table) -> VirtAddr {
    kernel::with(|kernel| kernel.space.window_of(table))
}

/// An entry of a table, as it lies in memory.
fn entry(table: Table, index: usize) -> Result<Pte, Reason> {
    let place = window_of(table).wrapping_add(index as u64 * 8);
    let found = kernel::lookup(place).mapped();
    ensure!(
        found.map(|found| found.address) == Some(pte_address(table.frame, index)),
        "the table at {} is not reached at {place}",
        table.frame
    );
    Ok(Pte::from_bits(kernel::with(|kernel| {
        kernel.memory.load(place)
    })))
}

/// Which strategy the kernel was booted with.
fn strategy() -> &'static str {
    kernel::with(|kernel| kernel.space.self_map().name())
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
    let found = probe::load(virt);
    let failed = |error| Reason::new(format_args!("unmap: {error}"));
    kernel::unmap_leaf(virt).map_err(failed)?;
    Ok(found)
}

/// Takes away what a check has mapped.
fn unmap_all(addresses: &[VirtAddr]) -> Outcome {
    for address in addresses {
        let failed = |error| Reason::new(format_args!("unmap {address}: {error}"));
        kernel::unmap_leaf(*address).map_err(failed)?;
    }
    Ok(())
}

/// A page from kalloc.
fn page() -> Result<VirtAddr, Reason> {
    let none = || Reason::new(format_args!("out of memory"));
    kernel::alloc_page().ok_or_else(none)
}
