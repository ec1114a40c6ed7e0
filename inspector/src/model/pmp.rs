//! Physical memory protection: `pmpcfg` and `pmpaddr` taken apart together, since each speaks of the other
//! (privileged specification, 3.7.1).
//!
//! ```text
//!  a byte of pmpcfg   7   6 5   4 3   2   1   0        pmpaddr holds bits 55 to 2 of an address
//!                     L   0 0    A    X   W   R
//! ```

use pagescope_protocol::Xlen;
use pagescope_protocol::snapshot::Register;

use super::csr_fields::{Csr, CsrField};

/// How an entry says where it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Matching {
    Off,
    /// From the entry before to this one's address.
    Tor,
    /// Four bytes.
    Na4,
    /// A power of two, aligned.
    Napot,
}

/// One entry of the table of rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    number: u32,
    config: u8,
    matching: Matching,
    /// First and last address; `None` where it counts nowhere, or its address is not known.
    range: Option<(u64, u64)>,
}

/// What `pmpcfgN` or `pmpaddrN` says with the other registers of its hart; `None`: it is neither.
pub fn pmp(register: &Register, registers: &[Register], xlen: Xlen) -> Option<Csr> {
    let number = |prefix: &str| -> Option<u32> { register.name.strip_prefix(prefix)?.parse().ok() };
    let value = register.value;
    if let Some(number) = number("pmpcfg") {
        return Some(config(number, value, registers, xlen));
    }
    let number = number("pmpaddr").filter(|number| *number < 64)?;
    let entry = entry(number, registers, xlen);
    let summary = match entry.filter(|entry| entry.matching != Matching::Off) {
        Some(entry) => format!("entry {number}: {}", entry.words()),
        None => format!("entry {number} is off · address {:#x}", value << 2),
    };
    Some(Csr {
        about: "where an entry of physical memory protection counts",
        fields: vec![CsrField {
            name: "address",
            high: if xlen == Xlen::Rv32 { 31 } else { 53 },
            low: 0,
            value,
            meaning: format!("bits 55 to 2 of {:#x}", value << 2),
        }],
        summary,
        virt: None,
        phys: entry.and_then(|entry| entry.range).map(|(first, _)| first),
    })
}

fn config(number: u32, value: u64, registers: &[Register], xlen: Xlen) -> Csr {
    // With 64 bits the odd ones are not there, and the first entry of pmpcfg2 is 8.
    let first = number.saturating_mul(4);
    let count = match xlen {
        Xlen::Rv32 => 4,
        Xlen::Rv64 => 8,
    };
    let mut fields = Vec::new();
    let mut words = Vec::new();
    for place in (0..count).rev() {
        let Some(entry) = entry(first + place, registers, xlen) else {
            continue;
        };
        if entry.matching == Matching::Off && entry.config == 0 {
            continue;
        }
        fields.extend(entry.fields(place * 8));
        words.push(format!("{}: {}", entry.number, entry.words()));
    }
    words.reverse();
    Csr {
        about: "what physical memory protection lets S- and U-mode do",
        fields,
        summary: match words.is_empty() {
            true if value == 0 => "all entries are off".into(),
            true => "no entry counts".into(),
            false => words.join(" · "),
        },
        virt: None,
        phys: None,
    }
}

fn named(registers: &[Register], name: &str) -> Option<u64> {
    let found = registers.iter().find(|register| register.name == name);
    found.map(|register| register.value)
}

/// The entry of this number, as far as the registers tell.
fn entry(number: u32, registers: &[Register], xlen: Xlen) -> Option<Entry> {
    let (holder, place) = match xlen {
        Xlen::Rv32 => (number / 4, number % 4),
        Xlen::Rv64 => (number / 8 * 2, number % 8),
    };
    let config = named(registers, &format!("pmpcfg{holder}"))? >> (place * 8);
    let config = config as u8;
    let matching = match config >> 3 & 3 {
        0 => Matching::Off,
        1 => Matching::Tor,
        2 => Matching::Na4,
        _ => Matching::Napot,
    };
    let address = |number: u32| named(registers, &format!("pmpaddr{number}"));
    let range = address(number).and_then(|word| match matching {
        Matching::Off => None,
        Matching::Tor => {
            let from = match number.checked_sub(1) {
                Some(before) => address(before)? << 2,
                None => 0,
            };
            let end = word << 2;
            (from < end).then(|| (from, end - 1))
        }
        Matching::Na4 => Some((word << 2, (word << 2) + 3)),
        Matching::Napot => {
            // The ones at the lower end say how large it is: none of them, 8 bytes.
            let ones = word.trailing_ones().min(60);
            let size = 8u64 << ones;
            let first = (word & !((1 << ones) - 1)) << 2;
            let first = first & !(size - 1);
            // All ones are all of memory, of which there are 56 bits, on RV32 34.
            let end: u64 = match xlen {
                Xlen::Rv32 => (1 << 34) - 1,
                Xlen::Rv64 => (1 << 56) - 1,
            };
            Some((first, first.saturating_add(size - 1).min(end.max(first))))
        }
    });
    Some(Entry {
        number,
        config,
        matching,
        range,
    })
}

impl Entry {
    const fn bit(&self, bit: u32) -> bool {
        self.config >> bit & 1 == 1
    }

    /// `rwx NAPOT 0x80000000–0x801fffff, locked`.
    fn words(&self) -> String {
        let mut words = String::new();
        for (bit, letter) in [(0, 'r'), (1, 'w'), (2, 'x')] {
            words.push(if self.bit(bit) { letter } else { '-' });
        }
        words.push(' ');
        words.push_str(self.matching.name());
        match self.range {
            Some((first, last)) => words.push_str(&format!(" {first:#x}–{last:#x}")),
            None if self.matching == Matching::Tor => words.push_str(" nothing"),
            None => {}
        }
        if self.bit(7) {
            words.push_str(", locked");
        }
        words
    }

    /// Its fields, the byte beginning at bit `low` of its register.
    fn fields(&self, low: u32) -> Vec<CsrField> {
        let field = |name, high: u32, from: u32, meaning: String| CsrField {
            name,
            high: low + high,
            low: low + from,
            value: u64::from(self.config >> from) & ((1 << (high - from + 1)) - 1),
            meaning,
        };
        let may = |bit: u32, what: &str| match self.bit(bit) {
            true => what.to_owned(),
            false => format!("no {what}"),
        };
        let locked = match self.bit(7) {
            true => "locked until reset, and counts for M-mode too",
            false => "counts for S and U alone",
        };
        let place = match self.range {
            Some((first, last)) => format!(" {first:#x} to {last:#x}"),
            None => String::new(),
        };
        let matching = format!("entry {}: {}{place}", self.number, self.matching.name());
        vec![
            field("L", 7, 7, locked.into()),
            field("A", 4, 3, matching),
            field("X", 2, 2, may(2, "fetching")),
            field("W", 1, 1, may(1, "writing")),
            field("R", 0, 0, may(0, "reading")),
        ]
    }
}

impl Matching {
    const fn name(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Tor => "TOR",
            Self::Na4 => "NA4",
            Self::Napot => "NAPOT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(values: &[(&str, u64)]) -> Vec<Register> {
        let values = values.iter();
        values
            .map(|(name, value)| Register {
                name: (*name).into(),
                value: *value,
            })
            .collect()
    }

    fn said(registers: &[Register], name: &str, xlen: Xlen) -> Csr {
        let register = registers.iter().find(|register| register.name == name);
        pmp(register.unwrap(), registers, xlen).unwrap()
    }

    #[test]
    fn each_way_of_matching_says_its_addresses() {
        let registers = registers(&[
            // 0: locked, TOR, none; 1: NAPOT rwx; 2: NA4 r; 3: off.
            ("pmpcfg0", 0x0011_1f88),
            ("pmpaddr0", 0x8000_0000 >> 2),
            // 2 MiB at 0x80200000: 18 ones.
            ("pmpaddr1", (0x8020_0000 >> 2) | ((1 << 18) - 1)),
            ("pmpaddr2", 0x1000 >> 2),
            ("pmpaddr3", 0x2000 >> 2),
        ]);
        let all = said(&registers, "pmpcfg0", Xlen::Rv64);
        assert_eq!(
            all.summary,
            "0: --- TOR 0x0–0x7fffffff, locked · 1: rwx NAPOT 0x80200000–0x803fffff · 2: r-- NA4 0x1000–0x1003"
        );
        let texts: Vec<String> = all.fields.iter().map(CsrField::text).collect();
        assert!(texts.contains(&"A[12:11] = 3, entry 1: NAPOT 0x80200000 to 0x803fffff".into()));
        assert!(texts.contains(&"L[7] = 1, locked until reset, and counts for M-mode too".into()));
        assert!(texts.contains(&"X[2] = 0, no fetching".into()));
        let one = said(&registers, "pmpaddr1", Xlen::Rv64);
        assert_eq!(one.phys, Some(0x8020_0000));
        assert_eq!(one.summary, "entry 1: rwx NAPOT 0x80200000–0x803fffff");
        let off = said(&registers, "pmpaddr3", Xlen::Rv64);
        assert_eq!(off.summary, "entry 3 is off · address 0x2000");
    }

    #[test]
    fn all_of_memory_is_one_napot_of_ones() {
        for (xlen, ones, last) in [
            (Xlen::Rv64, (1u64 << 54) - 1, "0xffffffffffffff"),
            (Xlen::Rv32, u64::from(u32::MAX), "0x3ffffffff"),
        ] {
            let registers = registers(&[("pmpcfg0", 0x1f), ("pmpaddr0", ones)]);
            let all = said(&registers, "pmpaddr0", xlen);
            assert_eq!(all.phys, Some(0));
            assert_eq!(all.summary, format!("entry 0: rwx NAPOT 0x0–{last}"));
        }
    }

    #[test]
    fn whatever_the_registers_hold_nothing_panics() {
        for value in [0, 1, u64::MAX, 1 << 63, 0x0808_0808_0808_0808] {
            for xlen in [Xlen::Rv32, Xlen::Rv64] {
                let registers = registers(&[
                    ("pmpcfg0", value),
                    ("pmpcfg15", value),
                    ("pmpaddr0", value),
                    ("pmpaddr63", value),
                ]);
                for register in &registers {
                    assert!(pmp(register, &registers, xlen).is_some());
                }
            }
        }
        let other = registers(&[("pmpaddr64", 0), ("pmpcfgx", 0), ("sp", 0)]);
        for register in &other {
            assert_eq!(pmp(register, &other, Xlen::Rv64), None);
        }
    }
}
