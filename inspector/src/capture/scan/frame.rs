//! Could a frame be a page table?
//!
//! ```text
//!  every entry      0, a pointer into RAM, a leaf, or a word with V clear     any table
//!  reserved         one is enough: it is something else
//! ```
//!
//! What is asked of an entry is what the modes' data says; the level is not known yet, so an entry
//! passes where it is sound at one of them.

use pagescope_protocol::{Level, Pte, PteKind, TranslationMode};
use pagescope_protocol::{PhysPage, PhysRange};

use crate::guest::MachineMap;

/// Most words with V clear that are not 0 in a table: what a kernel notes there about pages that are
/// swapped out, or leftovers.
const MAX_NOTES: u32 = 64;

/// What a frame looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// Nothing that a table can be.
    Other,
    /// Zero throughout: a table without entries, or a free page.
    Empty,
    /// Leaves alone.
    Leaves,
    /// Pointers into RAM, and perhaps leaves.
    Pointers,
}

/// RAM, to ask often whether a frame is in it.
pub(crate) struct Ram(Vec<PhysRange>);

impl Ram {
    pub(crate) fn of(machine: &MachineMap) -> Self {
        Self(machine.ram().collect())
    }

    pub(crate) fn ranges(&self) -> &[PhysRange] {
        &self.0
    }

    /// Whether `page` is RAM.
    pub(crate) fn has(&self, page: PhysPage) -> bool {
        self.0.iter().any(|ram| ram.contains(page.start()))
    }
}

/// Looks at a frame's bytes as a table of a machine whose tables have entries like `mode`'s; `link` is
/// given each frame that a pointer leads to.
pub(crate) fn look(
    mode: TranslationMode,
    bytes: &[u8],
    ram: &Ram,
    mut link: impl FnMut(PhysPage),
) -> Look {
    let width = mode.entry_bytes() as usize;
    let (mut pointers, mut leaves, mut notes) = (0u32, 0u32, 0u32);
    for entry in bytes.chunks_exact(width) {
        let bits = entry
            .iter()
            .rev()
            .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        if bits == 0 {
            continue;
        }
        let pte = Pte::from_bits(bits);
        match mode.classify(pte, Level::L1) {
            PteKind::Pointer(page) if ram.has(page) => {
                pointers += 1;
                continue;
            }
            PteKind::Pointer(_) => return Look::Other,
            PteKind::Leaf(_) => {
                leaves += 1;
                continue;
            }
            PteKind::Invalid => {
                notes += 1;
                if notes > MAX_NOTES {
                    return Look::Other;
                }
                continue;
            }
            PteKind::Reserved(_) => {}
        }
        match mode.classify(pte, Level::L0) {
            PteKind::Leaf(_) => leaves += 1,
            _ => return Look::Other,
        }
    }
    if pointers > 0 {
        // Only now is it worth while: most frames are no tables.
        for entry in bytes.chunks_exact(width) {
            let bits = entry
                .iter()
                .rev()
                .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            if let PteKind::Pointer(page) = mode.classify(Pte::from_bits(bits), Level::L1) {
                link(page);
            }
        }
    }
    match (pointers, leaves) {
        (0, 0) if notes == 0 => Look::Empty,
        (0, 0) => Look::Other,
        (0, _) => Look::Leaves,
        _ => Look::Pointers,
    }
}

/// Whether a frame's words are a root of `mode`: at least one entry that leads somewhere, none that is
/// reserved, and none that leads out of RAM for its table.
pub(crate) fn looks_like_root(mode: TranslationMode, words: &[u64], machine: &MachineMap) -> bool {
    let Some(level) = mode.root_level() else {
        return false;
    };
    let ram = Ram::of(machine);
    let narrow = mode.entry_bytes() == 4;
    let entries = words.iter().flat_map(|word| match narrow {
        true => [Some(word & 0xffff_ffff), Some(word >> 32)],
        false => [Some(*word), None],
    });
    let mut leads = 0;
    for bits in entries.flatten() {
        match mode.classify(Pte::from_bits(bits), level) {
            PteKind::Pointer(page) if ram.has(page) => leads += 1,
            PteKind::Leaf(_) => leads += 1,
            PteKind::Invalid => {}
            PteKind::Pointer(_) | PteKind::Reserved(_) => return false,
        }
    }
    leads > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SV39: TranslationMode = TranslationMode::Sv39;

    fn look_at(words: &[u64]) -> Look {
        let ram = Ram::of(&MachineMap::virt_128_mib());
        let mut bytes = vec![0; 4096];
        for (place, word) in words.iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        look(SV39, &bytes, &ram, |_| {})
    }

    #[test]
    fn frames_are_told_apart() {
        let pointer = (0x87ff_d000 >> 12) << 10 | 1;
        let leaf = (0x8020_0000 >> 12) << 10 | 0xcf;
        assert_eq!(look_at(&[]), Look::Empty);
        assert_eq!(look_at(&[0, leaf]), Look::Leaves);
        assert_eq!(look_at(&[pointer, leaf]), Look::Pointers);
        // A pointer out of RAM, W without R, fill bytes of xv6's kfree.
        for other in [1, leaf & !2, 0x0101_0101_0101_0101] {
            assert_eq!(look_at(&[pointer, other]), Look::Other, "{other:#x}");
        }
        assert_eq!(look_at(&[2; 65]), Look::Other);
        let machine = MachineMap::virt_128_mib();
        assert!(looks_like_root(SV39, &[0, pointer], &machine));
        assert!(!looks_like_root(SV39, &[0, 0], &machine));
        assert!(
            !looks_like_root(SV39, &[pointer, leaf], &machine),
            "misaligned at L2"
        );
    }
}
