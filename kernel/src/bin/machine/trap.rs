//! Traps into M-mode: S-mode's calls, the timer, other harts, and page faults where they are served
//! here. Any other is a defect, and reported.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::csr::{MTI, SSI, STI};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::{csr_clear, csr_read, csr_set, csr_write};
use pagescope_protocol::PhysAddr;
use pagescope_protocol::info::InfoBlock;

use crate::entry::TrapFrame;
use crate::out::{EXIT_BROKEN, say};
use crate::{clint, debug, finisher, hart, reflect, sbi, table_service};

/// The physical address of the information block; 0 before there is one.
static INFO: AtomicU64 = AtomicU64::new(0);

/// The field of the information block that counts traps which are not about tables.
const OTHER_TRAPS: usize = offset_of!(InfoBlock, machine_other_traps);

/// Counts traps in the information block at `block` from now on.
pub(crate) fn count_in(block: PhysAddr) {
    INFO.store(block.as_u64(), Ordering::Relaxed);
}

/// Adds one to the field of the information block that lies at `offset`.
fn count(offset: usize) {
    let block = INFO.load(Ordering::Relaxed) as usize;
    if block != 0 {
        let place = block + offset;
        let counter = core::ptr::with_exposed_provenance_mut::<u64>(place);
        // SAFETY: the boot header's check found the block aligned and in S-mode's writable
        // memory; S-mode leaves these fields alone, and every access of ours is atomic.
        unsafe { AtomicU64::from_ptr(counter) }.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where the information block is, once there is one.
pub(crate) fn info_block() -> Option<PhysAddr> {
    let block = INFO.load(Ordering::Relaxed);
    (block != 0).then_some(PhysAddr::new(block))
}

/// Handles a trap of S-mode. `frame` is what it resumes with.
pub(crate) extern "C" fn handle(frame: &mut TrapFrame) {
    let cause = Cause::from_bits(csr_read!("mcause"));
    // What the debug channel does is not counted: looking must not change what is looked at.
    match cause {
        Cause::BREAKPOINT => return debug::breakpoint(frame),
        Cause::MACHINE_EXTERNAL_INTERRUPT => return debug::external_interrupt(frame),
        Cause::MACHINE_TIMER_INTERRUPT if debug::timer(frame) => return,
        Cause::MACHINE_SOFTWARE_INTERRUPT => {
            clint::set_software_interrupt(hart::current(), false);
            if debug::was_sent_for(hart::current()) {
                count(OTHER_TRAPS);
                // SAFETY: hands the interrupt on to S-mode.
                unsafe { csr_set!("mip", SSI) };
            }
            return debug::software_interrupt(frame);
        }
        _ => {}
    }
    if table_service::serves(cause) {
        // mepc is not advanced: the access is tried again.
        return count(offset_of!(InfoBlock, machine_table_traps));
    }
    count(OTHER_TRAPS);
    match cause {
        Cause::LOAD_PAGE_FAULT | Cause::STORE_PAGE_FAULT => {
            reflect::reflect(cause.bits(), csr_read!("mtval"));
        }
        Cause::ECALL_FROM_S => {
            sbi::handle(frame);
            let after = csr_read!("mepc") + 4;
            // SAFETY: ecall has four bytes; S-mode goes on behind it.
            unsafe { csr_write!("mepc", after) };
        }
        Cause::MACHINE_TIMER_INTERRUPT => {
            // SAFETY: hands the interrupt on to S-mode; it stays off here until set_timer.
            unsafe {
                csr_clear!("mie", MTI);
                csr_set!("mip", STI);
            }
        }
        cause => report(cause, "S-mode"),
    }
}

/// Reports a trap that the machine program took in its own code.
pub(crate) extern "C" fn machine_has_trapped() -> ! {
    report(Cause::from_bits(csr_read!("mcause")), "M-mode")
}

fn report(cause: Cause, whose: &str) -> ! {
    let (mepc, mtval) = (csr_read!("mepc"), csr_read!("mtval"));
    say(format_args!(
        "unexpected trap from {whose} on hart {}: {cause} (mcause {:#x}), mepc {mepc:#018x}, \
         mtval {mtval:#018x}",
        hart::current(),
        cause.bits(),
    ));
    finisher::fail(EXIT_BROKEN)
}
