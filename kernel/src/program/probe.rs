//! Probes: one load, store or call, whose fault is survived.
//!
//! Each is one access with nothing on the stack. The program's trap handler calls [`survive`] first:
//! where it says yes, the trap was a probe's, and the handler returns to where it points.

use core::arch::global_asm;

use pagescope_protocol::VirtAddr;

use super::image::Symbol;
use crate::arch::csr::MSTATUS_SPP;
use crate::fault::Cause;
use crate::{csr_read, csr_write};

/// A fault that a probe survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Why.
    pub cause: Cause,
    /// stval: which address.
    pub address: VirtAddr,
    /// sepc: which instruction.
    pub instruction: VirtAddr,
}

/// What the trap handler found, as the assembly below keeps it.
#[derive(Default)]
#[repr(C)]
struct Record {
    scause: u64,
    stval: u64,
    sepc: u64,
}

/// Two registers: whether it faulted, and the byte loaded.
#[repr(C)]
struct Probed {
    faulted: u64,
    value: u64,
}

unsafe extern "C" {
    safe static __probe_start: Symbol;
    safe static __probe_end: Symbol;
    safe static __probe_faulted: Symbol;
    safe fn probe_load(address: u64, record: &mut Record) -> Probed;
    fn probe_store(address: u64, byte: u64, record: &mut Record) -> Probed;
    fn probe_call(address: u64, record: &mut Record) -> Probed;
}

global_asm!(
    r#"
    .section .text
    .globl __probe_start
__probe_start:
    .type probe_load, @function
probe_load:
    .cfi_startproc
    mv      t3, a1
    mv      t5, ra
    lbu     a1, (a0)
    li      a0, 0
    ret
    .cfi_endproc
    .size probe_load, . - probe_load

    .type probe_store, @function
probe_store:
    .cfi_startproc
    mv      t3, a2
    mv      t5, ra
    sb      a1, (a0)
    li      a0, 0
    ret
    .cfi_endproc
    .size probe_store, . - probe_store

    .type probe_call, @function
probe_call:
    .cfi_startproc
    .cfi_register ra, t5
    mv      t3, a1
    mv      t5, ra
    jalr    (a0)
    // It came back: t5 may be anything now, and so nobody calls what returns.
    ebreak
    .cfi_endproc
    .size probe_call, . - probe_call

    // The trap handler has put scause, stval and sepc into t0, t1 and t2.
    .type __probe_faulted, @function
    .globl __probe_faulted
__probe_faulted:
    .cfi_startproc
    .cfi_register ra, t5
    sd      t0, 0(t3)
    sd      t1, 8(t3)
    sd      t2, 16(t3)
    mv      ra, t5
    li      a0, 1
    ret
    .cfi_endproc
    .size __probe_faulted, . - __probe_faulted
    .globl __probe_end
__probe_end:
"#
);

/// Loads the byte at `address`, whatever that does.
///
/// # Errors
/// The fault.
pub fn load(address: VirtAddr) -> Result<u8, Fault> {
    let mut record = Record::default();
    let probed = probe_load(address.as_u64(), &mut record);
    answer(&probed, &record).map(|()| probed.value as u8)
}

/// Stores `byte` at `address`, whatever that does.
///
/// # Errors
/// The fault.
///
/// # Safety
/// Where it does not fault, the byte must be the caller's to write.
pub unsafe fn store(address: VirtAddr, byte: u8) -> Result<(), Fault> {
    let mut record = Record::default();
    // SAFETY: a fault is survived; the rest is the caller's promise.
    let probed = unsafe { probe_store(address.as_u64(), byte.into(), &mut record) };
    answer(&probed, &record)
}

/// Calls what lies at `address`.
///
/// # Errors
/// The fault.
///
/// # Safety
/// The first instruction there must fault, be it that it cannot be fetched, be it that it is illegal.
pub unsafe fn call(address: VirtAddr) -> Result<(), Fault> {
    let mut record = Record::default();
    // SAFETY: the caller's promise.
    let probed = unsafe { probe_call(address.as_u64(), &mut record) };
    answer(&probed, &record)
}

fn answer(probed: &Probed, record: &Record) -> Result<(), Fault> {
    match probed.faulted {
        0 => Ok(()),
        _ => Err(Fault {
            cause: Cause::from_bits(record.scause),
            address: VirtAddr::new(record.stval),
            instruction: VirtAddr::new(record.sepc),
        }),
    }
}

/// Whether the instruction at `address` is a probe's.
pub fn is_probe(address: VirtAddr) -> bool {
    (__probe_start.address()..__probe_end.address()).contains(&address.as_u64())
}

/// Whether the trap that this hart took last was a probe's fault. If so, `registers` (x0 to x31, as
/// interrupted) and sepc are set so that returning from the trap ends the probe.
pub fn survive(registers: &mut [u64; 32]) -> bool {
    let (scause, sepc, stval) = (csr_read!("scause"), csr_read!("sepc"), csr_read!("stval"));
    let cause = Cause::from_bits(scause);
    let probes = __probe_start.address()..__probe_end.address();
    // A call's fault is at its target, and the return address is the probe's.
    let called = matches!(
        cause,
        Cause::INSTRUCTION_PAGE_FAULT
            | Cause::INSTRUCTION_ACCESS_FAULT
            | Cause::ILLEGAL_INSTRUCTION
    ) && probes.contains(&registers[1]);
    // Registers of a user program prove nothing.
    let in_supervisor_mode = csr_read!("sstatus") & MSTATUS_SPP != 0;
    if !in_supervisor_mode || cause.is_interrupt() || !(probes.contains(&sepc) || called) {
        return false;
    }
    (registers[5], registers[6], registers[7]) = (scause, stval, sepc);
    let after = __probe_faulted.address();
    // SAFETY: the probe's end; the registers hold what it expects.
    unsafe { csr_write!("sepc", after) };
    true
}
