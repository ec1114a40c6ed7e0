//! The fields of a page-table entry (privileged specification, "Supervisor Page-Table Entry"):
//!
//! ```text
//!  RV64   63  62..61  60..54    53 .. 10   9..8  7 6 5 4 3 2 1 0
//!         N   PBMT    reserved  PPN        RSW   D A G U X W R V
//!  RV32                         31 .. 10   9..8  7 6 5 4 3 2 1 0
//! ```

use pagescope_protocol::pte::MemoryType;
use pagescope_protocol::{LeafFlags, Pte, PteKind, TranslationMode};

/// A field of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// As the specification calls it: `V`, `PPN`.
    pub name: &'static str,
    /// The highest and the lowest bit.
    pub bits: (u32, u32),
    /// What stands in it.
    pub value: u64,
    /// What the field says.
    pub meaning: &'static str,
    /// Whether it breaks a rule as it stands.
    pub is_wrong: bool,
}

impl Field {
    /// Whether it is set, or not zero.
    pub const fn is_set(&self) -> bool {
        self.value != 0
    }

    /// `bit 7`, `bits 53–10`.
    pub fn place(&self) -> String {
        let (high, low) = self.bits;
        match high == low {
            true => format!("bit {high}"),
            false => format!("bits {high}–{low}"),
        }
    }

    /// The value: a digit for a bit, else hexadecimal.
    pub fn value_text(&self) -> String {
        match self.bits.0 == self.bits.1 {
            true => self.value.to_string(),
            false => format!("{:#x}", self.value),
        }
    }
}

/// An entry's fields from its highest bit down: 63, or 31 on RV32, where the PPN comes first.
pub fn fields(mode: TranslationMode, pte: Pte) -> Vec<Field> {
    let mut fields = Vec::with_capacity(13);
    let mut field = |name, (high, low): (u32, u32), meaning| {
        let width = high - low + 1;
        let mask = u64::MAX >> (64 - width);
        fields.push(Field {
            name,
            bits: (high, low),
            value: pte.bits() >> low & mask,
            meaning,
            is_wrong: false,
        });
    };
    let is_narrow = mode.entry_bytes() == 4;
    if !is_narrow {
        field("N", (63, 63), NAPOT);
        let memory = match pte.memory_type() {
            MemoryType::Platform => "PBMT 0: the platform says what kind of memory it is.",
            MemoryType::NonCacheable => "PBMT 1, NC: main memory that is not cached.",
            MemoryType::Io => "PBMT 2, IO: not cached, in order, for devices.",
            MemoryType::Reserved => "PBMT 3 is reserved: every access faults.",
        };
        field("PBMT", (62, 61), memory);
        field("reserved", (60, 54), RESERVED);
    }
    field("PPN", (if is_narrow { 31 } else { 53 }, 10), PPN);
    field("RSW", (9, 8), RSW);
    let flags = FLAGS.iter().zip((0..8).rev());
    for ((name, meaning), bit) in flags {
        field(name, (bit, bit), meaning);
    }
    for field in &mut fields {
        field.is_wrong = match field.name {
            "reserved" => field.is_set(),
            "PBMT" => field.value == 3,
            _ => false,
        };
    }
    // W without R is what makes an entry reserved most often.
    let flags = pte.flags();
    if flags.contains(LeafFlags::VALID | LeafFlags::WRITE) && !flags.contains(LeafFlags::READ) {
        for field in &mut fields {
            field.is_wrong |= matches!(field.name, "W" | "R");
        }
    }
    fields
}

/// The frame that the PPN names, in words: what it is for an entry of this kind.
pub fn leads_to(pte: Pte, kind: PteKind) -> String {
    let frame = pte.page();
    match kind {
        PteKind::Pointer(next) => format!("the next table, {next}"),
        PteKind::Leaf(leaf) => format!("the frame {}", leaf.page),
        PteKind::Invalid | PteKind::Reserved(_) => format!("would be {frame}"),
    }
}

const NAPOT: &str = "N: one of sixteen entries that map 64 KiB together (Svnapot).";
const RESERVED: &str = "Reserved: must be zero, or every access faults.";
const PPN: &str = "PPN, the physical page number: times 4096 it is the frame's address.";
const RSW: &str = "RSW: two bits that the hardware leaves to the supervisor.";

const FLAGS: [(&str, &str); 8] = [
    ("D", "D, dirty: written since D was last cleared."),
    (
        "A",
        "A, accessed: read, written or fetched since A was last cleared.",
    ),
    ("G", "G, global: the same in every address space."),
    (
        "U",
        "U, user: for U-mode; S-mode needs SUM to load and store, and never executes.",
    ),
    ("X", "X: instructions may be fetched."),
    ("W", "W: it may be stored to."),
    (
        "R",
        "R: it may be loaded from. R, W and X all clear make the entry a pointer.",
    ),
    (
        "V",
        "V, valid: without it the hardware looks at no other bit.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use pagescope_protocol::Level;

    #[test]
    fn fields_cover_all_bits_once_and_make_up_the_entry() {
        for (mode, top, bits) in [
            (TranslationMode::Sv39, 63i64, 0),
            (TranslationMode::Sv39, 63, 0x21ff_cce7),
            (TranslationMode::Sv39x4, 63, u64::MAX),
            (TranslationMode::Sv32, 31, 0xffff_ffff),
            (TranslationMode::Sv32x4, 31, 0),
        ] {
            let mut next = top;
            let mut sum = 0;
            for field in fields(mode, Pte::from_bits(bits)) {
                assert_eq!(i64::from(field.bits.0), next);
                next = i64::from(field.bits.1) - 1;
                sum |= field.value << field.bits.1;
            }
            assert_eq!((next, sum), (-1, bits), "{mode}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_marked() {
        let wrong = |bits| -> Vec<&str> {
            let all = fields(TranslationMode::Sv39, Pte::from_bits(bits));
            all.iter()
                .filter(|field| field.is_wrong)
                .map(|field| field.name)
                .collect()
        };
        assert_eq!(wrong(0x21ff_cce7), [""; 0]);
        assert_eq!(wrong(1 << 54 | 1), ["reserved"]);
        assert_eq!(wrong(3 << 61 | 1), ["PBMT"]);
        assert_eq!(wrong(0b101), ["W", "R"]);
        let pte = Pte::from_bits(0x21ff_f401);
        let kind = TranslationMode::Sv39.classify(pte, Level::L2);
        assert_eq!(leads_to(pte, kind), "the next table, 0x87ffd000");
    }
}
