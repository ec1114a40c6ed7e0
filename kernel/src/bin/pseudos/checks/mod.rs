//! The self-test's checks, and what they look with.

pub(crate) mod layout;
pub(crate) mod paging;

use pagescope_kernel::csr_read;
use pagescope_kernel::memory::Memory as _;
use pagescope_protocol::translate::{Mapped, Step, pte_address};
use pagescope_protocol::{Level, PhysPage, Pte, Satp, VirtAddr};

use crate::kernel;
use crate::selftest::Reason;

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

/// A page from kalloc.
fn page() -> Result<VirtAddr, Reason> {
    let none = || Reason::new(format_args!("out of memory"));
    kernel::alloc_page().ok_or_else(none)
}
