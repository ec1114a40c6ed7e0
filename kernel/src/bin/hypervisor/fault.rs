//! Provoking faults, each by code that does what must not be done.

use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::command::hypervisor::FaultKind;
use pagescope_kernel::hypervisor::VAS_LINEAR_MAP;
use pagescope_kernel::lock::SpinLock;
use pagescope_kernel::println;
use pagescope_kernel::program::image;
use pagescope_kernel::program::probe::Fault;
use pagescope_protocol::VirtAddr;

use crate::{cpu, entry, harts, rescue};

extern "C" fn load(address: u64) {
    // SAFETY: a load, whose fault the caller has taken care of.
    unsafe { asm!("lbu {}, ({})", out(reg) _, in(reg) address, options(nostack)) };
}

extern "C" fn store(address: u64) {
    // SAFETY: nothing at these addresses is mapped writable.
    unsafe { asm!("sb zero, ({})", in(reg) address, options(nostack)) };
}

extern "C" fn call(address: u64) {
    // SAFETY: nothing at these addresses can be executed.
    unsafe { asm!("jalr {}", in(reg) address, clobber_abi("C")) };
}

/// Calls itself until the stack is used up: each call takes less than the guard's page.
extern "C" fn overflow(left: u64) {
    let words = black_box([left; 16]);
    if left != 0 {
        overflow(left - 1);
    }
    black_box(&words);
}

/// Does on this hart what must not be done.
///
/// # Errors
/// The fault, which has been reported.
pub(crate) fn provoke(kind: FaultKind) -> Result<(), Fault> {
    let ram = image::physical(&raw const entry::__text_start).as_u64();
    let text = entry::__text_start.address();
    let (body, argument): (rescue::Body, u64) = match kind {
        FaultKind::NullRead => (load, 0),
        FaultKind::NullWrite => (store, 0),
        FaultKind::NullCall => (call, 0),
        FaultKind::Guard => (overflow, u64::MAX),
        FaultKind::WriteToText => (store, text),
        FaultKind::WriteToRodata => (store, entry::__rodata_start.address()),
        FaultKind::WriteToImage => (store, linear_alias(text)),
        FaultKind::ExecuteData => (call, entry::__data_start.address()),
        FaultKind::ExecuteLinear => (call, linear_alias(text)),
        FaultKind::Identity => (load, ram),
        FaultKind::Machine => (load, VAS_LINEAR_MAP.as_u64()),
        // Bit 39 is set, and bit 38 is not.
        FaultKind::NonCanonical => (load, 1 << 39),
    };
    // SAFETY: none of the bodies holds anything.
    unsafe { rescue::attempt(body, argument) }
}

/// Where the linear map shows what lies at `address` in the image.
fn linear_alias(address: u64) -> u64 {
    let place = core::ptr::with_exposed_provenance::<u8>(address as usize);
    let phys = image::physical(place);
    let window = crate::linear::window();
    phys.page()
        .map_or(VAS_LINEAR_MAP, |page| window.address_of(page))
        .as_u64()
}

/// What [`provoke_on`] has a hart do: a place of [`FaultKind::ALL`].
static WANTED: AtomicU64 = AtomicU64::new(0);
/// What came of it.
static FOUND: SpinLock<Option<Fault>> = SpinLock::new(None);

/// Has `hart` do what must not be done; gives the fault. `None`: it was not refused.
pub(crate) fn provoke_on(hart: u64, kind: FaultKind) -> Option<Fault> {
    let place = FaultKind::ALL.iter().position(|(_, known)| *known == kind);
    WANTED.store(place.unwrap_or(0) as u64, Ordering::Relaxed);
    *FOUND.lock(cpu::hart()) = None;
    harts::run_on(harts::bit(hart), || {
        let wanted = WANTED.load(Ordering::Relaxed) as usize;
        if let Some((_, kind)) = FaultKind::ALL.get(wanted) {
            let found = provoke(*kind).err();
            *FOUND.lock(cpu::hart()) = found;
        }
    });
    *FOUND.lock(cpu::hart())
}

/// Whether `hart` runs; if not, that is said.
fn runs(hart: u64) -> bool {
    let runs = harts::numbers().any(|number| number == hart);
    if !runs {
        println!("hart {hart} does not run");
    }
    runs
}

/// `fault` on the console.
pub(crate) fn run(kind: FaultKind, hart: u64) {
    if !runs(hart) {
        return;
    }
    match provoke_on(hart, kind) {
        Some(_) => println!("hart {hart} goes on"),
        None => println!("hart {hart} was not stopped, and should have been"),
    }
}

/// `crash` on the console: `hart` loads from where nothing is, with nobody to catch it, and stops.
pub(crate) fn crash(hart: u64) {
    if runs(hart) {
        harts::run_on(harts::bit(hart), || load(VirtAddr::new(0x10).as_u64()));
    }
}
