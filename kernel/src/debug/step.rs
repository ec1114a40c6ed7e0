//! Where one instruction leads.
//!
//! RISC-V needs no single-step hardware, and `virt` has none. So one instruction is either carried
//! out by the stub, or run with temporary breakpoints wherever it can lead:
//!
//! ```text
//!  jal jalr branches, c.j c.jr c.jalr c.beqz c.bnez    carried out: they change pc and one register.
//!  wfi in S-mode                                       (`j .` could not be run to anywhere else.)
//!  lr … sc                                             run to behind the sc, and to where branches
//!                                                      leave: a trap in between loses the reservation
//!  sret                                                run to sepc
//!  any other                                           run to the next one
//! ```
//!
//! Whatever is run can trap: stvec gets a breakpoint as well. Interrupts of S-mode are held off
//! meanwhile (as QEMU does it when it steps), unless the instruction looks at sie itself. A write to
//! satp changes what addresses mean, so breakpoints are wanted under both.
//!
//! Source: unprivileged specification, chapters "RV32I Base Integer Instruction Set", "C" and
//! "A"; privileged specification, chapter "Supervisor-Level ISA".

use pagescope_protocol::Satp;

/// Most places where one instruction can lead.
pub const MAX_STOPS: usize = 16;

/// Most instructions between lr and sc (unprivileged specification, section "Eventual Success of
/// Store-Conditional Instructions").
const MAX_RESERVED: usize = 16;

/// CSR numbers that matter here.
const CSR_SIE: u32 = 0x104;
const CSR_SATP: u32 = 0x180;

/// What decides where an instruction leads.
#[derive(Clone, Copy, Debug)]
pub struct Hart<'a> {
    /// The integer registers.
    pub x: &'a [u64; 32],
    /// The instruction's address.
    pub pc: u64,
    /// Whether it is in S-mode (else in U-mode).
    pub supervisor: bool,
    /// stvec.
    pub stvec: u64,
    /// sepc.
    pub sepc: u64,
    /// satp.
    pub satp: u64,
}

/// A few addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stops {
    addresses: [u64; MAX_STOPS],
    count: usize,
}

impl Stops {
    fn add(&mut self, address: u64) {
        // Addresses of instructions are even; the hardware drops the lowest bit, too.
        let address = address & !1;
        if !self.as_slice().contains(&address)
            && let Some(place) = self.addresses.get_mut(self.count)
        {
            *place = address;
            self.count += 1;
        }
    }

    /// The addresses.
    pub fn as_slice(&self) -> &[u64] {
        self.addresses.get(..self.count).unwrap_or(&[])
    }
}

/// What to do for one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan {
    /// Set pc, and a register where one is linked: that is all that the instruction does.
    CarryOut {
        /// The next pc.
        pc: u64,
        /// Which register gets which value.
        link: Option<(usize, u64)>,
    },
    /// Run until one of these is reached.
    Run {
        /// Where to stop.
        stops: Stops,
        /// satp after the instruction, where it writes it.
        satp: Option<Satp>,
        /// Whether S-mode's interrupts may be held off.
        hold_off: bool,
    },
}

/// An instruction, as far as it matters where it leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// To pc + offset; `link` gets the address behind it.
    Jump {
        /// Which register is linked; 0 for none.
        link: usize,
        /// From the instruction.
        offset: i64,
    },
    /// To a register + offset.
    JumpRegister {
        /// Which register is linked; 0 for none.
        link: usize,
        /// Which register says where to.
        base: usize,
        /// From there.
        offset: i64,
    },
    /// To pc + offset if two registers compare so.
    Branch {
        /// The comparison.
        condition: Condition,
        /// The left register.
        left: usize,
        /// The right register.
        right: usize,
        /// From the instruction.
        offset: i64,
    },
    /// sret.
    ReturnFromTrap,
    /// wfi.
    WaitForInterrupt,
    /// lr.w or lr.d.
    LoadReserved,
    /// sc.w or sc.d.
    StoreConditional,
    /// csrrw and the like, with the register's number.
    Csr {
        /// The CSR.
        number: u32,
        /// Bits 14..12: which of the six.
        function: u32,
        /// rs1, or the immediate.
        source: u32,
    },
    /// Any other: to the next one, or into a trap.
    Other,
}

/// When a branch is taken: bits 14..12 of the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// beq.
    Equal,
    /// bne.
    NotEqual,
    /// blt.
    Less,
    /// bge.
    GreaterOrEqual,
    /// bltu.
    LessUnsigned,
    /// bgeu.
    GreaterOrEqualUnsigned,
}

impl Condition {
    /// Whether it holds for these values.
    pub const fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => (left as i64) < (right as i64),
            Self::GreaterOrEqual => (left as i64) >= (right as i64),
            Self::LessUnsigned => left < right,
            Self::GreaterOrEqualUnsigned => left >= right,
        }
    }
}

/// Bytes of the instruction that begins with this halfword. Longer formats than four bytes are
/// reserved; nothing that runs here has them.
pub const fn length(low: u16) -> u64 {
    if low & 0b11 == 0b11 { 4 } else { 2 }
}

/// Bits `high..=low` of `bits`.
const fn field(bits: u32, high: u32, low: u32) -> u32 {
    (bits >> low) & ((1 << (high - low + 1)) - 1)
}

/// `value`, whose sign is bit `bits - 1`.
const fn extend(value: u32, bits: u32) -> i64 {
    let shift = 64 - bits;
    ((value as i64) << shift) >> shift
}

/// What the instruction `bits` is; a compressed one has zeros above.
pub const fn decode(bits: u32) -> Kind {
    if bits & 0b11 == 0b11 {
        decode_full(bits)
    } else {
        decode_compressed(bits)
    }
}

const fn decode_full(bits: u32) -> Kind {
    let rd = field(bits, 11, 7) as usize;
    let rs1 = field(bits, 19, 15) as usize;
    let rs2 = field(bits, 24, 20) as usize;
    let function = field(bits, 14, 12);
    match bits & 0x7f {
        0x6f => {
            let offset = field(bits, 31, 31) << 20
                | field(bits, 19, 12) << 12
                | field(bits, 20, 20) << 11
                | field(bits, 30, 21) << 1;
            Kind::Jump {
                link: rd,
                offset: extend(offset, 21),
            }
        }
        0x67 if function == 0 => Kind::JumpRegister {
            link: rd,
            base: rs1,
            offset: extend(field(bits, 31, 20), 12),
        },
        0x63 => {
            let condition = match function {
                0 => Condition::Equal,
                1 => Condition::NotEqual,
                4 => Condition::Less,
                5 => Condition::GreaterOrEqual,
                6 => Condition::LessUnsigned,
                7 => Condition::GreaterOrEqualUnsigned,
                _ => return Kind::Other,
            };
            let offset = field(bits, 31, 31) << 12
                | field(bits, 7, 7) << 11
                | field(bits, 30, 25) << 5
                | field(bits, 11, 8) << 1;
            Kind::Branch {
                condition,
                left: rs1,
                right: rs2,
                offset: extend(offset, 13),
            }
        }
        0x2f if function == 2 || function == 3 => match field(bits, 31, 27) {
            0b00010 if rs2 == 0 => Kind::LoadReserved,
            0b00011 => Kind::StoreConditional,
            _ => Kind::Other,
        },
        0x73 => match (bits, function) {
            (0x1020_0073, _) => Kind::ReturnFromTrap,
            (0x1050_0073, _) => Kind::WaitForInterrupt,
            (_, 1..=3 | 5..=7) => Kind::Csr {
                number: field(bits, 31, 20),
                function,
                source: rs1 as u32,
            },
            _ => Kind::Other,
        },
        _ => Kind::Other,
    }
}

const fn decode_compressed(bits: u32) -> Kind {
    match (bits & 0b11, field(bits, 15, 13)) {
        (0b01, 0b101) => {
            let offset = field(bits, 12, 12) << 11
                | field(bits, 8, 8) << 10
                | field(bits, 10, 9) << 8
                | field(bits, 6, 6) << 7
                | field(bits, 7, 7) << 6
                | field(bits, 2, 2) << 5
                | field(bits, 11, 11) << 4
                | field(bits, 5, 3) << 1;
            Kind::Jump {
                link: 0,
                offset: extend(offset, 12),
            }
        }
        (0b01, function @ (0b110 | 0b111)) => {
            let offset = field(bits, 12, 12) << 8
                | field(bits, 6, 5) << 6
                | field(bits, 2, 2) << 5
                | field(bits, 11, 10) << 3
                | field(bits, 4, 3) << 1;
            Kind::Branch {
                condition: if function == 0b110 {
                    Condition::Equal
                } else {
                    Condition::NotEqual
                },
                left: 8 + field(bits, 9, 7) as usize,
                right: 0,
                offset: extend(offset, 9),
            }
        }
        (0b10, 0b100) => {
            let base = field(bits, 11, 7) as usize;
            // rs1 = 0 is reserved, or c.ebreak; rs2 ≠ 0 is c.mv or c.add.
            if base == 0 || field(bits, 6, 2) != 0 {
                return Kind::Other;
            }
            Kind::JumpRegister {
                link: field(bits, 12, 12) as usize,
                base,
                offset: 0,
            }
        }
        _ => Kind::Other,
    }
}

/// The instruction at `address`, and its length, where it can be fetched.
pub fn fetch(halfword: &impl Fn(u64) -> Option<u16>, address: u64) -> Option<(Kind, u64)> {
    let low = halfword(address)?;
    let size_bytes = length(low);
    let high = match size_bytes {
        4 => halfword(address.wrapping_add(2))?,
        _ => 0,
    };
    let bits = u32::from(low) | u32::from(high) << 16;
    Some((decode(bits), size_bytes))
}

/// How to step. `halfword` fetches two bytes of an instruction, and says `None` where the hart could
/// not.
pub fn plan(hart: Hart<'_>, halfword: impl Fn(u64) -> Option<u16>) -> Plan {
    let mut stops = Stops::default();
    // An exception goes to stvec's base; in its vectored mode, interrupts go to base + 4 · cause.
    let base = hart.stvec & !0b11;
    stops.add(base);
    if hart.stvec & 0b11 == 1 {
        for cause in [1, 5, 9] {
            stops.add(base.wrapping_add(4 * cause));
        }
    }
    let (mut satp, mut hold_off) = (None, true);
    let pc = hart.pc;
    let x = |register: usize| hart.x.get(register).copied().unwrap_or(0);
    let Some((kind, size_bytes)) = fetch(&halfword, pc) else {
        // It faults on being fetched.
        return Plan::Run {
            stops,
            satp,
            hold_off,
        };
    };
    let behind = pc.wrapping_add(size_bytes);
    let carry_out = |pc: u64, link: usize| Plan::CarryOut {
        pc,
        link: (link != 0).then_some((link, behind)),
    };
    match kind {
        Kind::Jump { link, offset } => return carry_out(pc.wrapping_add_signed(offset), link),
        Kind::JumpRegister { link, base, offset } => {
            return carry_out(x(base).wrapping_add_signed(offset) & !1, link);
        }
        Kind::Branch {
            condition,
            left,
            right,
            offset,
        } => {
            let taken = condition.holds(x(left), x(right));
            let target = pc.wrapping_add_signed(offset);
            return carry_out(if taken { target } else { behind }, 0);
        }
        Kind::WaitForInterrupt if hart.supervisor => return carry_out(behind, 0),
        Kind::ReturnFromTrap => {
            stops.add(hart.sepc);
            stops.add(behind);
        }
        Kind::LoadReserved => add_reserved(behind, &halfword, &mut stops),
        Kind::Csr {
            number,
            function,
            source,
        } => {
            stops.add(behind);
            hold_off = number != CSR_SIE;
            if number == CSR_SATP {
                let operand = match function {
                    1..=3 => x(source as usize),
                    _ => source.into(),
                };
                satp = Some(Satp::from_bits(match function & 0b11 {
                    1 => operand,
                    2 => hart.satp | operand,
                    _ => hart.satp & !operand,
                }));
            }
        }
        Kind::WaitForInterrupt | Kind::StoreConditional | Kind::Other => stops.add(behind),
    }
    Plan::Run {
        stops,
        satp,
        hold_off,
    }
}

/// Where the instructions from lr to sc lead. Without an sc near by, lr is like any other.
fn add_reserved(behind: u64, halfword: &impl Fn(u64) -> Option<u16>, stops: &mut Stops) {
    let mut leaving = *stops;
    let mut address = behind;
    for _ in 0..MAX_RESERVED {
        let Some((kind, size_bytes)) = fetch(halfword, address) else {
            break;
        };
        match kind {
            Kind::Branch { offset, .. } => leaving.add(address.wrapping_add_signed(offset)),
            Kind::StoreConditional => {
                leaving.add(address.wrapping_add(size_bytes));
                // A branch to within the sequence leads to its sc, or out of it.
                let inside = behind..=address;
                for stop in leaving.as_slice() {
                    if !inside.contains(stop) {
                        stops.add(*stop);
                    }
                }
                return;
            }
            Kind::Other => {}
            _ => break,
        }
        address = address.wrapping_add(size_bytes);
    }
    stops.add(behind);
}

#[cfg(test)]
mod tests;
