//! The names of traps: scause and mcause in words.
//!
//! Source: privileged specification, tables "Supervisor cause (scause) register values after trap"
//! and "Machine cause (mcause) register values after trap". Both registers number alike.

pub mod report;

use core::fmt;

/// Bit 63 of scause and mcause: an interrupt.
const INTERRUPT: u64 = 1 << 63;

/// Why a trap was taken: scause or mcause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cause(u64);

impl Cause {
    /// An instruction fetch that PMP forbids.
    pub const INSTRUCTION_ACCESS_FAULT: Self = Self(1);
    /// Illegal instruction.
    pub const ILLEGAL_INSTRUCTION: Self = Self(2);
    /// ebreak.
    pub const BREAKPOINT: Self = Self(3);
    /// A load that PMP forbids.
    pub const LOAD_ACCESS_FAULT: Self = Self(5);
    /// A store that PMP forbids.
    pub const STORE_ACCESS_FAULT: Self = Self(7);
    /// A system call of U-mode to S-mode.
    pub const ECALL_FROM_U: Self = Self(8);
    /// A system call of S-mode to M-mode.
    pub const ECALL_FROM_S: Self = Self(9);
    /// An instruction fetch that the page tables forbid.
    pub const INSTRUCTION_PAGE_FAULT: Self = Self(12);
    /// A load that the page tables forbid.
    pub const LOAD_PAGE_FAULT: Self = Self(13);
    /// A store that the page tables forbid.
    pub const STORE_PAGE_FAULT: Self = Self(15);
    /// S-mode's software interrupt.
    pub const SUPERVISOR_SOFTWARE_INTERRUPT: Self = Self(INTERRUPT | 1);
    /// S-mode's timer interrupt.
    pub const SUPERVISOR_TIMER_INTERRUPT: Self = Self(INTERRUPT | 5);
    /// M-mode's software interrupt.
    pub const MACHINE_SOFTWARE_INTERRUPT: Self = Self(INTERRUPT | 3);
    /// M-mode's timer interrupt.
    pub const MACHINE_TIMER_INTERRUPT: Self = Self(INTERRUPT | 7);
    /// M-mode's external interrupt.
    pub const MACHINE_EXTERNAL_INTERRUPT: Self = Self(INTERRUPT | 11);

    /// The cause that the register says.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The register's bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether it is an interrupt, not an exception.
    pub const fn is_interrupt(self) -> bool {
        self.0 & INTERRUPT != 0
    }

    /// The specification's words for it.
    pub const fn name(self) -> &'static str {
        if self.is_interrupt() {
            return match self.0 & !INTERRUPT {
                1 => "supervisor software interrupt",
                3 => "machine software interrupt",
                5 => "supervisor timer interrupt",
                7 => "machine timer interrupt",
                9 => "supervisor external interrupt",
                11 => "machine external interrupt",
                _ => "interrupt of an unknown kind",
            };
        }
        match self.0 {
            0 => "instruction address misaligned",
            1 => "instruction access fault",
            2 => "illegal instruction",
            3 => "breakpoint",
            4 => "load address misaligned",
            5 => "load access fault",
            6 => "store address misaligned",
            7 => "store access fault",
            8 => "environment call from U-mode",
            9 => "environment call from S-mode",
            11 => "environment call from M-mode",
            12 => "instruction page fault",
            13 => "load page fault",
            15 => "store page fault",
            _ => "exception of an unknown kind",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_and_exceptions_have_their_own_names() {
        assert_eq!(Cause::LOAD_PAGE_FAULT.name(), "load page fault");
        assert_eq!(
            Cause::MACHINE_TIMER_INTERRUPT.name(),
            "machine timer interrupt"
        );
        assert_eq!(Cause::from_bits(7).name(), "store access fault");
        assert_eq!(Cause::from_bits(24).name(), "exception of an unknown kind");
    }
}
