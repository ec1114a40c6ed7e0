//! A page-table entry in words: what it is, what it allows, which bits say so.

use pagescope_protocol::translate::Step;
use pagescope_protocol::{Leaf, LeafFlags, Level, PteKind, TranslationMode};

use super::size_text;

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
    use pagescope_protocol::{PhysPage, Pte};

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
}
