//! The SBI, as far as our supervisor programs need it.

use pagescope_kernel::arch::csr::{MTI, STI};
use pagescope_kernel::sbi::{self, EXTENSIONS, SbiError, SbiResult, base, dbcn, hsm, srst};
use pagescope_kernel::{csr_clear, csr_read, csr_set};
use pagescope_protocol::{PhysAddr, PhysRange};

use crate::entry::TrapFrame;
use crate::{boot, clint, debug, finisher, hart};

/// Who implements it: no number is registered for this kernel.
const IMPLEMENTATION_ID: u64 = 0x5053;

/// Answers the call whose registers these are: a7 extension, a6 function, a0… arguments; a0 error,
/// a1 value.
pub(crate) fn handle(frame: &mut TrapFrame) {
    let [a0, a1, a2] = [frame.x[10], frame.x[11], frame.x[12]];
    let (function, extension) = (frame.x[16], frame.x[17]);
    let result = match (extension, function) {
        (sbi::EXT_BASE, function) => base(function, a0),
        (sbi::EXT_TIME, 0) => set_timer(a0),
        (sbi::EXT_IPI, 0) => send_ipi(a0, a1),
        (sbi::EXT_HSM, hsm::HART_START) => hart::start(a0, a1, a2),
        (sbi::EXT_HSM, hsm::HART_STOP) => hart::stop(),
        (sbi::EXT_HSM, hsm::HART_GET_STATUS) => hart::status(a0),
        (sbi::EXT_SRST, 0) => system_reset(a0, a1),
        (sbi::EXT_DBCN, dbcn::CONSOLE_WRITE) => console_write(a0, a1, a2),
        (sbi::EXT_DBCN, dbcn::CONSOLE_READ) => console_read(a0, a1, a2),
        (sbi::EXT_DBCN, dbcn::CONSOLE_WRITE_BYTE) => {
            debug::write(&[a0 as u8]);
            Ok(0)
        }
        _ => Err(SbiError::NotSupported),
    };
    (frame.x[10], frame.x[11]) = match result {
        Ok(value) => (0, value),
        Err(error) => (error as i64 as u64, 0),
    };
}

fn base(function: u64, argument: u64) -> SbiResult {
    match function {
        base::GET_SPEC_VERSION => Ok(sbi::SPEC_VERSION),
        base::GET_IMPL_ID => Ok(IMPLEMENTATION_ID),
        base::GET_IMPL_VERSION => Ok(1),
        base::PROBE_EXTENSION => Ok(EXTENSIONS.contains(&argument).into()),
        base::GET_MVENDORID => Ok(csr_read!("mvendorid")),
        base::GET_MARCHID => Ok(csr_read!("marchid")),
        base::GET_MIMPID => Ok(csr_read!("mimpid")),
        _ => Err(SbiError::NotSupported),
    }
}

fn set_timer(time: u64) -> SbiResult {
    clint::set_timer(hart::current(), time);
    // SAFETY: withdraws a pending interrupt of S-mode's and lets the next one in.
    unsafe {
        csr_clear!("mip", STI);
        csr_set!("mie", MTI);
    }
    Ok(0)
}

fn send_ipi(mask: u64, mask_base: u64) -> SbiResult {
    let harts = sbi::select_harts(mask, mask_base, boot::harts()).ok_or(SbiError::InvalidParam)?;
    for hart in (0..boot::harts()).filter(|hart| harts >> hart & 1 != 0) {
        debug::send_for(hart as usize);
    }
    Ok(0)
}

fn system_reset(kind: u64, reason: u64) -> SbiResult {
    match (kind, reason) {
        (srst::SHUTDOWN, srst::NO_REASON) => finisher::pass(),
        (srst::SHUTDOWN, srst::SYSTEM_FAILURE) => finisher::fail(1),
        (srst::COLD_REBOOT | srst::WARM_REBOOT, srst::NO_REASON | srst::SYSTEM_FAILURE) => {
            finisher::reset()
        }
        _ => Err(SbiError::InvalidParam),
    }
}

/// The memory that a call names by size, low and high word of its physical address.
fn buffer(size_bytes: u64, low: u64, high: u64) -> Result<*mut u8, SbiError> {
    let range = PhysRange::new(PhysAddr::new(low), size_bytes).filter(|_| high == 0);
    let range = range.filter(|range| boot::supervisor_ram().contains_range(*range));
    let range = range.ok_or(SbiError::InvalidParam)?;
    Ok(core::ptr::with_exposed_provenance_mut(
        range.start().as_u64() as usize,
    ))
}

/// Most bytes of one call: a debugger that interrupts waits for its end.
const CONSOLE_MOST: u64 = 4096;

fn console_write(size_bytes: u64, low: u64, high: u64) -> SbiResult {
    let bytes = buffer(size_bytes, low, high)?;
    let size_bytes = size_bytes.min(CONSOLE_MOST);
    let mut part = [0; 64];
    let mut written = 0;
    while written < size_bytes as usize {
        let size = part.len().min(size_bytes as usize - written);
        for (offset, byte) in part[..size].iter_mut().enumerate() {
            // SAFETY: `buffer` found all of it in S-mode's RAM.
            *byte = unsafe { bytes.add(written + offset).read_volatile() };
        }
        debug::write(&part[..size]);
        written += size;
    }
    Ok(size_bytes)
}

fn console_read(size_bytes: u64, low: u64, high: u64) -> SbiResult {
    let bytes = buffer(size_bytes, low, high)?;
    let mut read = 0;
    while read < size_bytes
        && let Some(byte) = debug::read()
    {
        // SAFETY: as above, and the caller gave it to be written to.
        unsafe { bytes.add(read as usize).write_volatile(byte) };
        read += 1;
    }
    Ok(read)
}
