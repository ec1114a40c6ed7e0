//! The self-test's checks, and what they look with.

pub(crate) mod boot;
pub(crate) mod harts;
pub(crate) mod map;

use core::sync::atomic::{AtomicPtr, Ordering};

use pagescope_kernel::hypervisor::vmem::Found;
use pagescope_kernel::lock::SpinLock;
use pagescope_kernel::program::selftest::{Outcome, Reason};
use pagescope_protocol::translate::Mapped;
use pagescope_protocol::{PhysPage, Pte, VirtAddr};

use crate::{cpu, harts as running, vmem};

/// What [`on_every_hart`] has the harts check.
static CHECK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// The first of them that failed.
static FAILED: SpinLock<Option<(u64, Reason)>> = SpinLock::new(None);

/// Has every hart check the same of itself.
fn on_every_hart(check: fn() -> Outcome) -> Outcome {
    CHECK.store(check as *mut (), Ordering::Release);
    running::run_everywhere(|| {
        // SAFETY: only this function stores here, and only such functions.
        let check = unsafe {
            core::mem::transmute::<*mut (), fn() -> Outcome>(CHECK.load(Ordering::Acquire))
        };
        if let Err(reason) = check() {
            let hart = cpu::hart();
            FAILED.lock(hart).get_or_insert((hart, reason));
        }
    });
    match FAILED.lock(cpu::hart()).take() {
        Some((hart, reason)) => Err(Reason::new(format_args!("hart {hart}: {reason}"))),
        None => Ok(()),
    }
}

/// The root table of `hart`.
fn root(hart: u64) -> Result<PhysPage, Reason> {
    let none = || Reason::new(format_args!("hart {hart} has no tables"));
    vmem::root_of(hart).ok_or_else(none)
}

/// What `virt` is mapped to on `hart`.
fn mapped_on(hart: u64, virt: u64) -> Result<Mapped, Reason> {
    let virt = VirtAddr::new(virt);
    let mapped = vmem::lookup(root(hart)?, virt).mapped();
    mapped.ok_or_else(|| Reason::new(format_args!("{virt} is not mapped on hart {hart}")))
}

/// What `virt` is mapped to on this hart.
fn mapped(virt: u64) -> Result<Mapped, Reason> {
    mapped_on(cpu::hart(), virt)
}

/// A leaf, as it is found in tables.
#[derive(Clone, Copy)]
struct LeafFound {
    virt: VirtAddr,
    size: u64,
    pte: Pte,
}

/// Checks every leaf of `hart`; gives how many there are.
fn each_leaf(hart: u64, mut check: impl FnMut(LeafFound) -> Outcome) -> Result<usize, Reason> {
    let mut count = 0;
    let mut outcome = Ok(());
    vmem::visit(root(hart)?, &mut |found| {
        if let Found::Leaf { virt, level, pte } = found {
            count += 1;
            if outcome.is_ok() {
                let size = level.entry_size();
                outcome = check(LeafFound { virt, size, pte });
            }
        }
    });
    outcome.map(|()| count)
}
