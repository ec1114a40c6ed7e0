//! Reading a hart's registers.

use pagescope_protocol::{Hgatp, Satp, Xlen};

use super::{GdbTarget, thread_of};
use crate::link::rsp::hex;
use crate::link::{HartId, LinkError, Privilege, Registers};

/// The registers beyond `g`'s that say something about memory and traps. A target that has no such
/// register, or refuses it with E14 because the hart lacks its extension, leaves it out.
const OF_INTEREST: [&str; 37] = [
    "priv", "virt", "henvcfg", "satp", "sstatus", "stvec", "sepc", "scause", "stval", "sscratch",
    "sie", "sip", "mstatus", "mtvec", "mepc", "mcause", "mtval", "mscratch", "mie", "mip",
    "medeleg", "mideleg", "mhartid", "vsatp", "hgatp", "hstatus", "menvcfg", "pmpcfg0", "pmpcfg1",
    "pmpaddr0", "pmpaddr1", "pmpaddr2", "pmpaddr3", "pmpaddr4", "pmpaddr5", "pmpaddr6", "pmpaddr7",
];

/// One request about registers.
#[derive(Clone, Copy)]
enum Ask {
    /// What follows is about this hart.
    Select(HartId),
    /// All that `g` covers.
    All,
    /// The register at a place of the description, by its number.
    One(usize, u32),
}

impl Ask {
    fn write(self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        // A Vec takes everything.
        let _ = match self {
            Self::Select(hart) => write!(out, "Hg{:x}", thread_of(hart)),
            Self::All => write!(out, "g"),
            Self::One(_, register) => write!(out, "p{register:x}"),
        };
    }
}

impl GdbTarget {
    /// `g` and a `p` for each register of interest that `g` does not cover, in one batch.
    pub(super) fn read_registers(&mut self, hart: HartId) -> Result<Registers, LinkError> {
        let all = self.read_all_registers(&[hart])?;
        Ok(all
            .into_iter()
            .map(|(_, registers)| registers)
            .next()
            .unwrap_or_default())
    }

    /// The same for several harts, all in one batch.
    pub(super) fn read_all_registers(
        &mut self,
        harts: &[HartId],
    ) -> Result<Vec<(HartId, Registers)>, LinkError> {
        self.need_stopped("registers")?;
        let singly: Vec<(usize, u32)> = OF_INTEREST
            .iter()
            .filter_map(|name| {
                let known = self.description.registers.iter();
                let (place, info) = known.enumerate().find(|(_, r)| r.name == *name)?;
                Some((place, info.number))
            })
            .collect();
        // A hart that is selected already need not be selected again, where it is the only one.
        let is_selected = matches!(harts, [only] if self.selected == Some(*only));
        let asks = harts.iter().flat_map(|hart| {
            let select = (!is_selected).then_some(Ask::Select(*hart));
            let singly = singly
                .iter()
                .map(|(place, number)| Ask::One(*place, *number));
            select.into_iter().chain([Ask::All]).chain(singly)
        });
        let asks: Vec<Ask> = asks.collect();
        let per_hart = asks.len() / harts.len().max(1);
        let count = self.description.registers.len();
        let mut values: Vec<Vec<Option<u64>>> = vec![vec![None; count]; harts.len()];
        let mut refused = None;
        let description = &self.description;
        self.client.pipeline(
            asks.len(),
            |number, out| asks[number].write(out),
            |number, payload| {
                let values = &mut values[number / per_hart];
                match asks[number] {
                    Ask::Select(hart) if payload != b"OK" => refused = refused.or(Some(hart)),
                    Ask::Select(_) => {}
                    Ask::All => spread(payload, description, values),
                    Ask::One(place, _) => values[place] = values[place].or(hex::register(payload)),
                }
                Ok(())
            },
        )?;
        self.selected = harts.last().copied();
        if let Some(hart) = refused {
            self.selected = None;
            return Err(no_such_hart(hart));
        }
        let registers = values.iter().map(|values| self.gather(values));
        Ok(harts.iter().copied().zip(registers).collect())
    }

    /// Several registers by name, of any harts, in one batch.
    pub(super) fn read_some_registers(
        &mut self,
        wanted: &[(HartId, &str)],
    ) -> Result<Vec<Option<u64>>, LinkError> {
        let mut asks = Vec::new();
        let mut selected = self.selected;
        for (place, (hart, name)) in wanted.iter().enumerate() {
            let Some(info) = self.description.register(name) else {
                continue;
            };
            if selected.replace(*hart) != Some(*hart) {
                asks.push(Ask::Select(*hart));
            }
            asks.push(Ask::One(place, info.number));
        }
        let mut values = vec![None; wanted.len()];
        let mut refused = None;
        self.client.pipeline(
            asks.len(),
            |number, out| asks[number].write(out),
            |number, payload| {
                match asks[number] {
                    Ask::Select(hart) if payload != b"OK" => refused = refused.or(Some(hart)),
                    Ask::Select(_) | Ask::All => {}
                    Ask::One(place, _) => values[place] = hex::register(payload),
                }
                Ok(())
            },
        )?;
        self.selected = selected;
        if let Some(hart) = refused {
            self.selected = None;
            return Err(no_such_hart(hart));
        }
        let mut read = wanted.iter().zip(&values);
        let pc = read.rfind(|((_, name), _)| *name == "pc");
        if let Some(((hart, _), Some(pc))) = pc {
            self.last_pc = Some((*hart, *pc));
        }
        Ok(values)
    }

    fn gather(&self, values: &[Option<u64>]) -> Registers {
        let mut registers = Registers::default();
        let xlen = match self.facts.xlen_bits {
            32 => Xlen::Rv32,
            _ => Xlen::Rv64,
        };
        for (info, value) in self.description.registers.iter().zip(values) {
            let Some(value) = *value else { continue };
            // The integer registers come first, in order (gdb's feature org.gnu.gdb.riscv.cpu).
            if let Some(slot) = registers.x.get_mut(info.number as usize) {
                *slot = Some(value);
            }
            match info.name.as_str() {
                "pc" => registers.pc = Some(value),
                "satp" => registers.satp = Some(Satp::from_bits_of(value, xlen)),
                "vsatp" => registers.vsatp = Some(Satp::from_bits_of(value, xlen)),
                "hgatp" => registers.hgatp = Some(Hgatp::from_bits_of(value, xlen)),
                "virt" => registers.virtualized = Some(value & 1 != 0),
                "priv" => registers.privilege = Some(Privilege::from_bits(value)),
                _ => {}
            }
            registers.named.push((info.name.clone(), value));
        }
        registers
    }
}

/// Spreads `g`'s reply over the registers: one after the other by number, as many as it has.
fn spread(
    payload: &[u8],
    description: &crate::link::rsp::description::Description,
    values: &mut [Option<u64>],
) {
    let mut order: Vec<usize> = (0..description.registers.len()).collect();
    order.sort_by_key(|place| description.registers[*place].number);
    let mut rest = payload;
    for place in order {
        let digits = description.registers[place].bits as usize / 4;
        let Some((value, after)) = rest.split_at_checked(digits).filter(|_| digits > 0) else {
            return;
        };
        values[place] = hex::register(value);
        rest = after;
    }
}

fn no_such_hart(hart: HartId) -> LinkError {
    LinkError::Refused {
        packet: format!("selecting {hart}"),
        code: "no such hart".to_owned(),
    }
}
