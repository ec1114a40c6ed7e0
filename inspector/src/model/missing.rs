//! Why an address is not mapped, and what to look at next: the first entry that is missing, how much it leaves
//! unmapped, and what is mapped below and above.

use pagescope_protocol::snapshot::Space;
use pagescope_protocol::translate::{Outcome, Step, TranslationFault};
use pagescope_protocol::{PhysAddr, PteKind, VirtAddr};

use super::{Focus, size_text};

/// What is missing at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// The entry at which the walk ends, if it got to one.
    pub step: Option<Step>,
    /// Why, and what it would take, in a sentence or two.
    pub words: String,
    /// Where the entry lies that has to be written.
    pub write_at: Option<PhysAddr>,
    /// The last address below it that is mapped.
    pub below: Option<VirtAddr>,
    /// The first address above it that is mapped.
    pub above: Option<VirtAddr>,
}

/// What is missing where the walk of `focus` ends in a fault; `None` where it does not.
pub fn missing(space: &Space, focus: &Focus) -> Option<Missing> {
    let (Some(virt), Some(Outcome::Fault(fault))) = (focus.virt, focus.outcome) else {
        return None;
    };
    let step = focus.steps.last().copied();
    let words = match (fault, step) {
        (TranslationFault::NonCanonical(mode), _) => {
            let bits = mode.address_bits();
            format!(
                "{mode} translates {bits} bits, so no entry can map this address. Look for one whose upper bits are a \
                 copy of bit {}: {} would be.",
                bits.saturating_sub(1),
                mode.canonical(virt.as_u64())
            )
        }
        (TranslationFault::Invalid(_), Some(step)) => {
            let (mode, level) = (space.mode, step.level);
            let size = size_text(mode.entry_size(level));
            let first = virt.align_down(mode.entry_size(level));
            let more = match level.next() {
                None => "A leaf there would map it.".to_owned(),
                Some(next) => format!(
                    "A pointer to a new {next} table there, and entries below it, would map it; so would a leaf of \
                     {size}."
                ),
            };
            format!(
                "The first missing entry is {level}[{}] of the table {}: V is clear, so nothing is mapped in the \
                 {size} from {first}. {more}",
                step.index, step.table
            )
        }
        (TranslationFault::Reserved(_, why), Some(step)) => format!(
            "{}[{}] of the table {} is valid and reserved ({why}): correct its bits, and the walk goes on.",
            step.level, step.index, step.table
        ),
        (TranslationFault::ReservedMode(mode), _) => {
            format!(
                "satp's MODE field is {mode}, which the specification reserves: write 8 for Sv39."
            )
        }
        _ => "Look at the last entry of the walk: its flags forbid it.".to_owned(),
    };
    let is_missing = step.is_some_and(|step| !matches!(step.kind, PteKind::Pointer(_)));
    let below = space
        .mappings
        .last_begun_by(virt)
        .and_then(|mapping| mapping.virt.checked_add(mapping.size.checked_sub(1)?))
        .filter(|last| *last < virt);
    let above = space
        .mappings
        .ranges_from(virt)
        .map(|range| range.virt)
        .find(|first| *first > virt);
    Some(Missing {
        write_at: step.filter(|_| is_missing).map(|step| step.pte_address),
        step,
        words,
        below,
        above,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReverseIndex, Selection, fixture};

    fn at(address: u64) -> Option<Missing> {
        let snapshot = fixture::pseudos(2);
        let space = &snapshot.spaces[0];
        let index = ReverseIndex::new(space);
        let selection = Selection::Virtual(VirtAddr::new(address));
        missing(space, &Focus::resolve(Some(space), &index, selection))
    }

    #[test]
    fn the_first_missing_entry_is_named_with_what_is_around_it() {
        let guard = at(0x8021_6010).unwrap();
        assert!(
            guard
                .words
                .starts_with("The first missing entry is L0[22] of the table 0x87ff9000"),
            "{}",
            guard.words
        );
        assert_eq!(guard.write_at, Some(PhysAddr::new(0x87ff_90b0)));
        assert_eq!(guard.below, Some(VirtAddr::new(0x8021_5fff)));
        assert_eq!(guard.above, Some(VirtAddr::new(0x8021_7000)));
        let far = at(0x4000_0000).unwrap();
        assert!(
            far.words.contains("L2[1]") && far.words.contains("new L1 table"),
            "{}",
            far.words
        );
        assert_eq!(at(0x8020_0000), None);
    }

    #[test]
    fn an_address_that_no_entry_can_map_says_so() {
        let found = at(0x0100_0000_0000_0000).unwrap();
        assert!(
            found.words.contains("no entry can map this address"),
            "{}",
            found.words
        );
        assert_eq!(found.write_at, None);
    }
}
