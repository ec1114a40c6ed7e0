//! A page-table entry in words: what it is, what it allows, which bits say so.

use pagescope_protocol::pte::MemoryType;
use pagescope_protocol::translate::Step;
use pagescope_protocol::{Leaf, LeafFlags, Level, Pte, PteKind, TranslationMode};

use super::size_text;

/// A field of an entry, for drawing it as a strip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// What stands in the strip: `V`, `PPN 0x87ff3`.
    pub text: String,
    /// The highest and the lowest bit.
    pub bits: (u32, u32),
    /// Whether it is set, or not zero.
    pub is_set: bool,
    /// What it means.
    pub meaning: &'static str,
}

/// An entry's fields from its highest bit down: 63, or 31 on RV32, where the PPN comes first. Fields above
/// the PPN that are zero are one field.
pub fn fields(mode: TranslationMode, pte: Pte) -> Vec<Field> {
    let is_narrow = mode.entry_bytes() == 4;
    let mut fields = Vec::with_capacity(14);
    let mut field = |text: String, bits, is_set, meaning| {
        fields.push(Field {
            text,
            bits,
            is_set,
            meaning,
        });
    };
    let high_is_clear = pte.bits() >> 54 == 0;
    if is_narrow {
        // Its PPN reaches to the top.
    } else if high_is_clear {
        field(
            "0".into(),
            (63, 54),
            false,
            "N (Svnapot), PBMT (Svpbmt) and reserved bits: all clear.",
        );
    } else {
        field("N".into(), (63, 63), pte.is_napot(), NAPOT);
        let memory = match pte.memory_type() {
            MemoryType::Platform => "PMA",
            MemoryType::NonCacheable => "NC",
            MemoryType::Io => "IO",
            MemoryType::Reserved => "MT3",
        };
        let is_set = pte.memory_type() != MemoryType::Platform;
        field(memory.into(), (62, 61), is_set, MEMORY_TYPE);
        let reserved = pte.reserved_bits();
        field(format!("{reserved:#x}"), (60, 54), reserved != 0, RESERVED);
    }
    let page = pte.page().number();
    let top = if is_narrow { 31 } else { 53 };
    field(format!("PPN {page:#x}"), (top, 10), page != 0, PPN);
    field(
        if pte.rsw() == 0 {
            "RSW".into()
        } else {
            format!("RSW {}", pte.rsw())
        },
        (9, 8),
        pte.rsw() != 0,
        "RSW: two bits that the hardware leaves to the supervisor.",
    );
    for (letter, flag, bit, meaning) in FLAGS {
        field(
            letter.into(),
            (bit, bit),
            pte.flags().contains(flag),
            meaning,
        );
    }
    fields
}

const NAPOT: &str = "N: one of sixteen entries that map 64 KiB together (Svnapot).";
const MEMORY_TYPE: &str = "PBMT: the memory type that overrides the platform's (Svpbmt).";
const RESERVED: &str = "Reserved: must be zero, or every access faults.";
const PPN: &str = "PPN: the physical page number; times 4096 it is the frame's address.";

const FLAGS: [(&str, LeafFlags, u32, &str); 8] = [
    (
        "D",
        LeafFlags::DIRTY,
        7,
        "D, dirty: written since D was last cleared.",
    ),
    (
        "A",
        LeafFlags::ACCESSED,
        6,
        "A, accessed: read, written or fetched since A was last cleared.",
    ),
    (
        "G",
        LeafFlags::GLOBAL,
        5,
        "G, global: the same in every address space.",
    ),
    (
        "U",
        LeafFlags::USER,
        4,
        "U, user: for U-mode; S-mode needs SUM to load and store, and never executes.",
    ),
    ("X", LeafFlags::EXECUTE, 3, "X: instruction fetches."),
    ("W", LeafFlags::WRITE, 2, "W: stores."),
    (
        "R",
        LeafFlags::READ,
        1,
        "R: loads. R, W and X all clear make the entry a pointer.",
    ),
    (
        "V",
        LeafFlags::VALID,
        0,
        "V, valid: without it the hardware looks at no other bit.",
    ),
];

/// What a heading calls the entry: `Leaf in L0, entry 499`.
pub fn title(step: &Step) -> String {
    let what = title_of(step.kind);
    format!("{what} in {}, entry {}", step.level, step.index)
}

/// What an entry of this kind is called: `Leaf`.
pub const fn title_of(kind: PteKind) -> &'static str {
    match kind {
        PteKind::Invalid => "Invalid entry",
        PteKind::Pointer(_) => "Pointer",
        PteKind::Leaf(_) => "Leaf",
        PteKind::Reserved(_) => "Reserved entry",
    }
}

/// What the entry means, in one or two sentences.
pub fn sentence(mode: TranslationMode, kind: PteKind, level: Level) -> String {
    match kind {
        PteKind::Invalid => format!(
            "V is clear, so nothing is mapped in the {} that this entry covers.",
            size_text(mode.entry_size(level))
        ),
        PteKind::Pointer(page) => {
            let next = level.next().unwrap_or(Level::L0);
            format!(
                "Leads to the {next} table at {page}, which translates {}. It ends no walk: to \
                 write that table takes a leaf of its own.",
                size_text(mode.table_size(next))
            )
        }
        PteKind::Leaf(leaf) => leaf_sentence(mode, leaf, level),
        PteKind::Reserved(why) => {
            format!("Reserved: {why}. Valid, and yet every access faults.")
        }
    }
}

fn leaf_sentence(mode: TranslationMode, leaf: Leaf, level: Level) -> String {
    let flags = leaf.flags;
    let who = match (mode.is_guest_stage(), flags.contains(LeafFlags::USER)) {
        (true, true) => "The guest",
        (true, false) => return "U is clear, so the G-stage refuses every access.".into(),
        (false, true) => "User code",
        (false, false) => "Supervisor",
    };
    let may: Vec<&str> = [
        (LeafFlags::READ, "reads"),
        (LeafFlags::WRITE, "writes"),
        (LeafFlags::EXECUTE, "executes"),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, verb)| verb)
    .collect();
    let may = match may.as_slice() {
        [] => "may do nothing".into(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    };
    let seen = match (
        flags.contains(LeafFlags::ACCESSED),
        flags.contains(LeafFlags::DIRTY),
    ) {
        (true, true) => "Accessed, dirty",
        (true, false) => "Accessed, not written yet",
        (false, true) => "Dirty, yet not accessed",
        (false, false) => "Not accessed yet",
    };
    let mut text = format!("{who} {may}. {seen}.");
    if flags.contains(LeafFlags::GLOBAL) {
        text.push_str(" The same in every address space.");
    }
    if leaf.size > pagescope_protocol::PAGE_SIZE {
        text.push_str(&format!(
            " Maps {} at once, from {level}.",
            size_text(leaf.size)
        ));
    }
    if flags.contains(LeafFlags::WRITE | LeafFlags::EXECUTE) && !mode.is_guest_stage() {
        text.push_str(" Writable and executable: whoever writes here runs here.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagescope_protocol::PhysPage;

    #[test]
    fn a_leaf_in_words() {
        let flags = LeafFlags::from_letters("rw---ad").unwrap();
        let mode = TranslationMode::Sv39;
        let pte = Pte::leaf(PhysPage::new(0x87ff3).unwrap(), flags);
        let words = sentence(mode, mode.classify(pte, Level::L0), Level::L0);
        assert_eq!(words, "Supervisor reads and writes. Accessed, dirty.");
        assert!(sentence(mode, PteKind::Invalid, Level::L1).contains("2 MiB"));
        let narrow = sentence(TranslationMode::Sv32, PteKind::Invalid, Level::L1);
        assert!(narrow.contains("4 MiB"), "{narrow}");
    }

    #[test]
    fn fields_cover_all_bits_once() {
        for (mode, top, bits) in [
            (TranslationMode::Sv39, 63i64, 0),
            (TranslationMode::Sv39, 63, 0x21ff_cce7),
            (TranslationMode::Sv39x4, 63, u64::MAX),
            (TranslationMode::Sv32, 31, 0xffff_ffff),
            (TranslationMode::Sv32x4, 31, 0),
        ] {
            let mut next = top;
            for field in fields(mode, Pte::from_bits(bits)) {
                assert_eq!(i64::from(field.bits.0), next);
                next = i64::from(field.bits.1) - 1;
            }
            assert_eq!(next, -1);
        }
    }
}
