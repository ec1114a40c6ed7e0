//! Reading control and status registers by number, while a hart stands in M-mode.

use core::arch::asm;

use pagescope_kernel::{csr_read, csr_write};

/// misa's bit for the hypervisor extension.
const MISA_H: u64 = 1 << (b'H' - b'A');

/// The CSR with this number, of those in the target's description; `None` where this hart has none.
pub(crate) fn read(number: u16) -> Option<u64> {
    let hypervisor = || csr_read!("misa") & MISA_H != 0;
    Some(match number {
        0x100 => csr_read!("sstatus"),
        0x104 => csr_read!("sie"),
        0x105 => csr_read!("stvec"),
        0x106 => csr_read!("scounteren"),
        0x140 => csr_read!("sscratch"),
        0x141 => csr_read!("sepc"),
        0x142 => csr_read!("scause"),
        0x143 => csr_read!("stval"),
        0x144 => csr_read!("sip"),
        0x180 => csr_read!("satp"),
        0x280 if hypervisor() => csr_read!("0x280"),
        0x300 => csr_read!("mstatus"),
        0x301 => csr_read!("misa"),
        0x302 => csr_read!("medeleg"),
        0x303 => csr_read!("mideleg"),
        0x304 => csr_read!("mie"),
        0x305 => csr_read!("mtvec"),
        0x306 => csr_read!("mcounteren"),
        0x30a => return read_menvcfg(),
        0x340 => csr_read!("mscratch"),
        0x341 => csr_read!("mepc"),
        0x342 => csr_read!("mcause"),
        0x343 => csr_read!("mtval"),
        0x344 => csr_read!("mip"),
        0x3a0 => csr_read!("pmpcfg0"),
        0x3b0 => csr_read!("pmpaddr0"),
        0x3b1 => csr_read!("pmpaddr1"),
        0x600 if hypervisor() => csr_read!("0x600"),
        0x680 if hypervisor() => csr_read!("0x680"),
        0xf14 => csr_read!("mhartid"),
        _ => return None,
    })
}

/// menvcfg, which came with version 1.12 of the privileged specification, and which nothing
/// announces: where there is none, reading it traps, to just behind the read.
fn read_menvcfg() -> Option<u64> {
    let (mepc, mcause, mtval) = (csr_read!("mepc"), csr_read!("mcause"), csr_read!("mtval"));
    let mstatus = csr_read!("mstatus");
    let (value, read): (u64, u64);
    // SAFETY: a trap changes mepc, mcause, mtval and mstatus, which are put back.
    unsafe {
        asm!(
            "la     {old}, 2f",
            "csrrw  {old}, mtvec, {old}",
            "li     {read}, 0",
            "csrr   {value}, 0x30a",
            "li     {read}, 1",
            ".balign 4",
            "2: csrw mtvec, {old}",
            old = out(reg) _,
            read = out(reg) read,
            value = out(reg) value,
            options(nostack),
        );
        csr_write!("mepc", mepc);
        csr_write!("mcause", mcause);
        csr_write!("mtval", mtval);
        csr_write!("mstatus", mstatus);
    }
    (read != 0).then_some(value)
}
