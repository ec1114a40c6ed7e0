//! What `info registers -a` prints, read defensively: the text is for people and changes between versions.
//!
//! ```text
//!  CPU#0                                                      (target/riscv/cpu.c, riscv_cpu_dump_state)
//!   V      =   0
//!   pc       0000000000016bdc
//!   satp     8000000000087fff
//!   x0/zero  0000000000000000 x1/ra    0000000000016baa x2/sp    000000003fe824c0 …
//! ```
//!
//! 16 digits are a register of RV64, 8 one of RV32. Newer versions print more of them, under the same names.

use pagescope_protocol::{Hgatp, Satp, Xlen};

use crate::link::{HartId, Registers};

/// Most harts that are believed; RISC-V's `virt` has 512.
const MAX_HARTS: usize = 4096;

/// Most registers of one hart that are kept.
const MAX_REGISTERS: usize = 1024;

/// A hart's registers, as one moment's text has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrintedHart {
    /// Which.
    pub hart: HartId,
    /// What could be read. Where the hart runs virtualized (V = 1), satp is its guest's
    /// ([`virtualized`](crate::link::virtualized)).
    pub registers: Registers,
    /// The width of its pc.
    pub xlen_bits: u32,
}

/// The command whose text [`harts`] reads.
pub const REGISTERS: &str = "info registers -a";

/// Every hart in the text, in order.
pub fn harts(text: &str) -> Vec<PrintedHart> {
    let mut harts: Vec<PrintedHart> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(number) = line.strip_prefix("CPU#") {
            let known = |hart: HartId| harts.iter().any(|printed| printed.hart == hart);
            let hart = number.trim().parse().ok().map(HartId::new);
            let Some(hart) = hart.filter(|hart| !known(*hart) && harts.len() < MAX_HARTS) else {
                // What follows belongs to nobody.
                break;
            };
            harts.push(PrintedHart {
                hart,
                registers: Registers::default(),
                xlen_bits: 0,
            });
            continue;
        }
        let Some(printed) = harts.last_mut() else {
            continue;
        };
        if let Some((name, value)) = line.split_once('=') {
            if name.trim() == "V" {
                printed.registers.virtualized = Some(value.trim() == "1");
            }
            continue;
        }
        let mut words = line.split_whitespace();
        while let (Some(name), Some(digits)) = (words.next(), words.next()) {
            let Some((value, bits)) = number(digits) else {
                break;
            };
            printed.take(name, value, bits);
        }
    }
    harts.retain(|printed| printed.registers.pc.is_some());
    harts
}

impl PrintedHart {
    fn take(&mut self, name: &str, value: u64, bits: u32) {
        let registers = &mut self.registers;
        if registers.named.len() == MAX_REGISTERS {
            return;
        }
        // `x10/a0`: known by its second name, as in the target description of the gdb port.
        let (slot, name) = match name.split_once('/') {
            Some((slot, name)) => (slot.strip_prefix('x'), name),
            None => (None, name),
        };
        if let Some(slot) = slot
            && let Ok(slot) = slot.parse::<usize>()
            && let Some(place) = registers.x.get_mut(slot)
        {
            *place = Some(value);
        }
        let xlen = if bits == 32 { Xlen::Rv32 } else { Xlen::Rv64 };
        match name {
            "pc" => {
                registers.pc = Some(value);
                self.xlen_bits = bits;
            }
            "satp" => registers.satp = Some(Satp::from_bits_of(value, xlen)),
            "vsatp" => registers.vsatp = Some(Satp::from_bits_of(value, xlen)),
            "hgatp" => registers.hgatp = Some(Hgatp::from_bits_of(value, xlen)),
            _ => {}
        }
        if registers.get(name).is_none() {
            registers.named.push((name.to_owned(), value));
        }
    }
}

/// A register's digits: all of them, and nothing else.
fn number(digits: &str) -> Option<(u64, u32)> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !matches!(digits.len(), 8 | 16) {
        return None;
    }
    let value = u64::from_str_radix(digits, 16).ok()?;
    Some((value, digits.len() as u32 * 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// QEMU 7.2.22 with two harts, shortened.
    const PRINTED: &str = "\n\
        CPU#0\n V      =   0\n pc       0000000000016bdc\n mhartid  0000000000000000\n \
        scause   0000000000000008\n satp     8000000000087fff\n \
        x0/zero  0000000000000000 x1/ra    0000000000016baa x2/sp    000000003fe824c0 x3/gp    0000000000000000\n \
        f0/ft0   0000000000000007\n\n\
        CPU#1\n V      =   1\n pc       0000000080000074\n satp     8000000000000001\n";

    #[test]
    fn registers_of_all_harts() {
        let all = harts(PRINTED);
        let [first, second] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((first.hart.number(), first.xlen_bits), (0, 64));
        assert_eq!(first.registers.pc, Some(0x16bdc));
        assert_eq!(first.registers.x[1], Some(0x16baa));
        assert_eq!(first.registers.get("sp"), Some(0x3fe8_24c0));
        assert_eq!(first.registers.get("ft0"), Some(7));
        assert_eq!(
            first.registers.satp,
            Some(Satp::from_bits(0x8000_0000_0008_7fff))
        );
        let virtualized = |hart: &PrintedHart| hart.registers.virtualized;
        assert_eq!(
            (virtualized(first), virtualized(second)),
            (Some(false), Some(true))
        );
        let printed = harts("CPU#0\n pc 0000000000000001\n hgatp 8000000000080000\n");
        let hgatp = Hgatp::from_bits_of(0x8000_0000_0008_0000, Xlen::Rv64);
        assert_eq!(printed[0].registers.hgatp, Some(hgatp));
    }

    #[test]
    fn narrow_harts_are_known() {
        let harts = harts("CPU#0\n pc       80000074\n satp     80087fff\n");
        assert_eq!(harts[0].xlen_bits, 32);
        assert_eq!(harts[0].registers.pc, Some(0x8000_0074));
        let satp = Satp::from_bits_of(0x8008_7fff, Xlen::Rv32);
        assert_eq!(harts[0].registers.satp, Some(satp));
    }

    #[test]
    fn a_hart_twice_or_without_pc_is_none() {
        assert!(harts("").is_empty());
        assert!(harts("CPU#0\n satp 8000000000087fff\n").is_empty());
        let twice = "CPU#0\n pc 0000000000000001\nCPU#0\n pc 0000000000000002\n";
        let harts = harts(twice);
        assert_eq!(harts.len(), 1);
        assert_eq!(harts[0].registers.pc, Some(1));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(CPU#[0-9]{0,12}|V = 1| pc [0-9a-f]{15,17}|x[0-9]{0,21}/a [0-9a-f]{16}|\\PC{0,20}|\n){0,40}") {
            for printed in harts(&text) {
                prop_assert!(printed.registers.named.len() <= MAX_REGISTERS);
            }
        }
    }
}
