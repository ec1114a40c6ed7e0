//! Control and status registers, by their names in the privileged specification.

/// Reads a CSR.
#[macro_export]
macro_rules! csr_read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: the registers read here have no side effect on being read.
        unsafe {
            core::arch::asm!(concat!("csrr {}, ", $name), out(reg) value, options(nomem, nostack));
        }
        value
    }};
}

/// Writes a CSR. What that means for the program is the caller's to know: use within `unsafe`.
#[macro_export]
macro_rules! csr_write {
    ($name:literal, $value:expr) => {
        core::arch::asm!(concat!("csrw ", $name, ", {}"), in(reg) $value, options(nostack))
    };
}

/// Sets bits of a CSR; as [`csr_write!`](crate::csr_write).
#[macro_export]
macro_rules! csr_set {
    ($name:literal, $bits:expr) => {
        core::arch::asm!(concat!("csrs ", $name, ", {}"), in(reg) $bits, options(nostack))
    };
}

/// Clears bits of a CSR; as [`csr_write!`](crate::csr_write).
#[macro_export]
macro_rules! csr_clear {
    ($name:literal, $bits:expr) => {
        core::arch::asm!(concat!("csrc ", $name, ", {}"), in(reg) $bits, options(nostack))
    };
}

/// mie and mip, sie and sip: supervisor software interrupts.
pub const SSI: u64 = 1 << 1;
/// Machine software interrupts.
pub const MSI: u64 = 1 << 3;
/// Supervisor timer interrupts.
pub const STI: u64 = 1 << 5;
/// Machine timer interrupts.
pub const MTI: u64 = 1 << 7;
/// Supervisor external interrupts.
pub const SEI: u64 = 1 << 9;

/// Machine external interrupts.
pub const MEI: u64 = 1 << 11;

/// mstatus.SIE.
pub const MSTATUS_SIE: u64 = 1 << 1;
/// mstatus.SPIE.
pub const MSTATUS_SPIE: u64 = 1 << 5;
/// mstatus.SPP, the mode that sret returns to: S-mode, or else U-mode.
pub const MSTATUS_SPP: u64 = 1 << 8;
/// mstatus.MPP, the mode that mret returns to.
pub const MSTATUS_MPP: u64 = 0b11 << 11;
/// mstatus.MPP: S-mode.
pub const MSTATUS_MPP_S: u64 = 0b01 << 11;
/// mstatus.MPIE.
pub const MSTATUS_MPIE: u64 = 1 << 7;
/// mstatus.FS, whether floating-point registers may be used: 0 is off.
pub const MSTATUS_FS: u64 = 0b11 << 13;
/// mstatus.SUM: S-mode may load from and store to pages with U.
pub const MSTATUS_SUM: u64 = 1 << 18;
/// mstatus.MPRV: loads and stores as in the mode that MPP says.
pub const MSTATUS_MPRV: u64 = 1 << 17;
