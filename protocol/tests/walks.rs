//! Walking, coalescing and translating agree with what the tables were built from; and on tables
//! that no kernel would build they end, with what can be known.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "support/tables.rs"]
mod tables;

use pagescope_protocol::coalesce::{self, MappedRange, coalesce};
use pagescope_protocol::decode::Decoder;
use pagescope_protocol::snapshot::MappingList;
use pagescope_protocol::translate::{Outcome, Translation, TranslationFault, translate};
use pagescope_protocol::walk::{self, SpaceWalk, walk_space};
use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, PteKind, TranslationMode, VirtAddr,
};
use proptest::prelude::*;
use proptest::sample::select;
use tables::{Builder, Memory, page};

fn walk(mode: TranslationMode, root: PhysPage, memory: &mut Memory) -> SpaceWalk {
    let Ok(walk) = walk_space(mode, root, walk::Limits::default(), memory);
    walk
}

fn translated(mode: TranslationMode, root: PhysPage, memory: &Memory, at: u64) -> Translation {
    let read = |at: PhysAddr| {
        let frame = at.page().unwrap();
        Ok::<_, std::convert::Infallible>(memory.get(frame, at.page_offset() as usize / 8))
    };
    let Ok(translation) = translate(mode, root, VirtAddr::new(at), read);
    translation
}

fn rw() -> LeafFlags {
    LeafFlags::from_letters("rw---ad").unwrap()
}

/// The model's leaves, neighbours merged: what `coalesce` must find.
fn expected_ranges(builder: &Builder) -> Vec<MappedRange> {
    let mut ranges: Vec<MappedRange> = Vec::new();
    for (virt, leaf) in &builder.model {
        let size = leaf.level.entry_size();
        let next = MappedRange {
            virt: *virt,
            phys: leaf.frame.start(),
            size,
            page_size: size,
            flags: leaf.flags,
        };
        match ranges.last_mut() {
            Some(last)
                if last.virt.as_u64().wrapping_add(last.size) == virt.as_u64()
                    && last.phys.as_u64() + last.size == next.phys.as_u64()
                    && (last.page_size, last.flags) == (next.page_size, next.flags) =>
            {
                last.size += size;
            }
            _ => ranges.push(next),
        }
    }
    ranges
}

/// A run of leaves: level, first address, first frame, how many, flags.
type Run = (Level, u64, u64, u64, LeafFlags);

/// Addresses fall into few tables, so that runs meet, overlap and stand side by side, also across
/// the middle of the space and at its end.
fn run() -> impl Strategy<Value = Run> {
    let levels = select(vec![Level::L0, Level::L0, Level::L0, Level::L1, Level::L2]);
    let gigabytes = select(vec![0u64, 1, 2, 255, 256, 510, 511]);
    let flags = select(vec!["rw---ad", "r-x----", "r----a-", "rwxug--", "--x----"]);
    (
        levels,
        gigabytes,
        0u64..3,
        0u64..512,
        0u64..64,
        1u64..24,
        flags,
    )
        .prop_map(|(level, l2, l1, l0, frame, count, flags)| {
            let start = (l2 << 30) + ((l1 * 255) << 21) + (l0 << 12);
            let frame = frame * level.entry_size() / PAGE_SIZE;
            (
                level,
                start,
                frame,
                count,
                LeafFlags::from_letters(flags).unwrap(),
            )
        })
}

fn build(mode: TranslationMode, runs: &[Run]) -> Builder {
    let mut builder = Builder::new(mode);
    for (level, start, frame, count, flags) in runs {
        for number in 0..*count {
            let virt = VirtAddr::new(start.wrapping_add(number * level.entry_size()));
            let frame = page(frame + number * (level.entry_size() / PAGE_SIZE));
            builder.map(*level, virt, frame, *flags);
        }
    }
    builder
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn walk_coalesce_and_translate_agree_with_the_model(
        mode in select(vec![TranslationMode::Sv39, TranslationMode::Sv48, TranslationMode::Sv57]),
        runs in proptest::collection::vec(run(), 0..12),
        probes in proptest::collection::vec(any::<u64>(), 16),
    ) {
        let mut builder = build(mode, &runs);
        let walked = walk(mode, builder.root, &mut builder.memory);
        prop_assert!(!walked.truncated);

        // Every table once, root first, then level by level, in the order of their addresses.
        let mut frames: Vec<PhysPage> = walked.tables.iter().map(|table| table.page).collect();
        prop_assert_eq!(frames[0], builder.root);
        let order: Vec<_> = walked
            .tables
            .iter()
            .map(|table| (std::cmp::Reverse(table.level), table.covers_from))
            .collect();
        prop_assert!(order.is_sorted());
        frames.sort_unstable();
        prop_assert_eq!(frames, builder.memory.frames.keys().copied().collect::<Vec<_>>());
        // One round trip a level.
        prop_assert!(builder.memory.batches.len() <= usize::from(mode.root_level().unwrap().number()) + 1);

        let found = coalesce(&walked, coalesce::Limits::default());
        // The list that captures share says the same, and of the same tables makes the same parts.
        let mut decoder = Decoder::default();
        let mut listed = |before: Option<&MappingList>| {
            let (list, _) = MappingList::of_walk(&walked, coalesce::Limits::default(), &mut decoder, before);
            list
        };
        let list = listed(None);
        prop_assert_eq!(list.ranges().collect::<Vec<_>>(), &found.ranges[..]);
        prop_assert_eq!(list.len(), found.ranges.len());
        prop_assert!(listed(Some(&list)).is_shared_with(&list));
        prop_assert!(!found.truncated);
        prop_assert_eq!(&found.ranges, &expected_ranges(&builder));

        for (virt, leaf) in &builder.model {
            let size = leaf.level.entry_size();
            for offset in [0, 1, size / 2, size - 1] {
                let at = virt.as_u64() + offset;
                let mapped = translated(mode, builder.root, &builder.memory, at).mapped();
                let mapped = mapped.map(|mapped| (mapped.address, mapped.page_size, mapped.flags));
                let address = leaf.frame.start().wrapping_add(offset);
                prop_assert_eq!(mapped, Some((address, size, leaf.flags)));
            }
        }
        let edges = found.ranges.iter().flat_map(|range| {
            let start = range.virt.as_u64();
            [start.wrapping_sub(1), start.wrapping_add(range.size)]
        });
        for at in probes.into_iter().chain(edges) {
            let canonical = mode.canonical(at);
            let range = found.ranges.iter().find(|range| {
                canonical.checked_offset_from(range.virt).is_some_and(|offset| offset < range.size)
            });
            let wanted = range.map(|range| {
                range.phys.wrapping_add(canonical.as_u64() - range.virt.as_u64())
            });
            let translation = translated(mode, builder.root, &builder.memory, canonical.as_u64());
            prop_assert_eq!(translation.mapped().map(|mapped| mapped.address), wanted);
            if canonical.as_u64() != at {
                let hole = translated(mode, builder.root, &builder.memory, at);
                prop_assert_eq!(hole.outcome, Outcome::Fault(TranslationFault::NonCanonical(mode)));
                prop_assert!(hole.trail.is_empty());
            }
        }
    }

    /// Whatever lies in memory: the walk ends, and its parts fit one another.
    #[test]
    fn walks_of_noise_end(
        mode in select(vec![TranslationMode::Sv39, TranslationMode::Sv48, TranslationMode::Sv57]),
        words in proptest::collection::vec((0u64..6, 0usize..512, any::<u64>(), 0u64..8), 0..200),
        table_limit in 1usize..30,
        range_limit in 0usize..30,
        visit_limit in 0usize..2000,
        answers in proptest::option::of(0usize..4),
        at: u64,
    ) {
        let mut memory = Memory { answers, ..Memory::default() };
        for (frame, index, bits, to) in words {
            // Half of the words point back into the few frames that there are.
            let bits = if bits & 2 == 0 { Pte::pointer(page(to)).bits() } else { bits };
            memory.set(page(frame), index, Pte::from_bits(bits));
        }
        let limits = walk::Limits { tables: table_limit };
        let Ok(walked) = walk_space(mode, page(0), limits, &mut memory);
        prop_assert!(walked.tables.len() <= table_limit);
        let mut keys: Vec<_> = walked.tables.iter().map(|table| (table.level, table.page)).collect();
        keys.sort_unstable();
        keys.dedup();
        prop_assert_eq!(keys.len(), walked.tables.len());
        for table in &walked.tables {
            let Some(slot) = table.parent else {
                prop_assert_eq!(Some(table.level), mode.root_level());
                continue;
            };
            let parent = walked.tables.iter().find(|other| {
                other.page == slot.table && other.level.next() == Some(table.level)
            });
            let pte = parent.and_then(|parent| parent.entries().nth(slot.index)).unwrap().1;
            prop_assert_eq!(pte.page(), table.page);
        }
        let limits = coalesce::Limits { ranges: range_limit, visits: visit_limit };
        let found = coalesce(&walked, limits);
        prop_assert!(found.ranges.len() <= range_limit);
        for pair in found.ranges.windows(2) {
            prop_assert!(pair[0].virt.as_u64() + (pair[0].size - 1) < pair[1].virt.as_u64());
        }
        let translation = translated(mode, page(0), &memory, mode.canonical(at).as_u64());
        prop_assert!(translation.trail.len() <= 5);
    }
}

#[test]
fn a_root_that_points_to_itself_is_one_table_a_level() {
    let mut memory = Memory::default();
    let root = page(0x87ffc);
    memory.set(root, 2, Pte::pointer(root));
    let walked = walk(TranslationMode::Sv39, root, &mut memory);
    let tables: Vec<_> = walked
        .tables
        .iter()
        .map(|table| (table.level, table.page))
        .collect();
    assert_eq!(
        tables,
        [(Level::L2, root), (Level::L1, root), (Level::L0, root)]
    );
    assert_eq!(memory.batches, [vec![root]], "one frame is read once");
    assert!(!walked.truncated);
    // At L0 the pointer is a reserved encoding, so nothing is mapped.
    assert!(
        coalesce(&walked, coalesce::Limits::default())
            .ranges
            .is_empty()
    );
    let address = (2 << 30) | (2 << 21) | (2 << 12);
    let translation = translated(TranslationMode::Sv39, root, &memory, address);
    assert!(matches!(
        translation.outcome,
        Outcome::Fault(TranslationFault::Reserved(Level::L0, _))
    ));
    assert_eq!(translation.trail.len(), 3);
}

/// Three frames of pointers to one another are many paths in three pages of memory: limits end the
/// visits.
#[test]
fn three_frames_that_point_to_each_other_end() {
    let mut memory = Memory::default();
    for frame in 0..3 {
        for index in 0..64 {
            memory.set(
                page(frame),
                index,
                Pte::pointer(page((frame + 1 + index as u64 % 2) % 3)),
            );
        }
    }
    let walked = walk(TranslationMode::Sv39, page(0), &mut memory);
    assert_eq!(walked.tables.len(), 1 + 2 + 3);
    assert_eq!(walked.tables[1].other_parents, 31);
    let found = coalesce(&walked, coalesce::Limits::default());
    assert!(found.ranges.is_empty());
    assert!(!found.truncated);
    let few = coalesce::Limits {
        ranges: 10,
        visits: 1000,
    };
    assert!(coalesce(&walked, few).truncated);
}

/// One L0 of leaves, linked from everywhere, gives as many ranges as the limit allows.
#[test]
fn hostile_ranges_are_cut_and_said_to_be() {
    let mut memory = Memory::default();
    for index in 0..512 {
        memory.set(page(1), index, Pte::pointer(page(2)));
        memory.set(page(2), index, Pte::pointer(page(3)));
        memory.set(
            page(3),
            index,
            Pte::leaf(page(1000 - 2 * index as u64 % 1000), rw()),
        );
    }
    let walked = walk(TranslationMode::Sv39, page(1), &mut memory);
    assert_eq!(walked.tables.len(), 3);
    let limits = coalesce::Limits {
        ranges: 5000,
        visits: 1 << 20,
    };
    let found = coalesce(&walked, limits);
    assert_eq!((found.ranges.len(), found.truncated), (5000, true));
}

#[test]
fn the_table_limit_is_said() {
    let mut memory = Memory::default();
    for index in 0..512 {
        memory.set(page(1), index, Pte::pointer(page(100 + index as u64)));
    }
    for (limit, tables, truncated) in [
        (1, 1, true),
        (2, 2, true),
        (512, 512, true),
        (513, 513, false),
    ] {
        let limits = walk::Limits { tables: limit };
        let Ok(walked) = walk_space(TranslationMode::Sv39, page(1), limits, &mut memory);
        assert_eq!(
            (walked.tables.len(), walked.truncated),
            (tables, truncated),
            "limit {limit}"
        );
    }
}

#[test]
fn an_unreadable_table_is_kept_without_words() {
    let mut memory = Memory::default();
    memory.set(page(1), 2, Pte::pointer(page(0x10000)));
    memory.set(page(1), 3, Pte::leaf(page(0), rw()));
    let walked = walk(TranslationMode::Sv39, page(1), &mut memory);
    assert_eq!(walked.tables.len(), 2);
    assert_eq!(walked.tables[1].words, None);
    assert_eq!(walked.tables[1].entries().count(), 0);
    assert_eq!(
        coalesce(&walked, coalesce::Limits::default()).ranges.len(),
        1
    );
    let unreadable = translated(
        TranslationMode::Sv39,
        page(1),
        &memory,
        (2 << 30) | (7 << 21),
    );
    let entry = PhysAddr::new(0x1000_0000 + 7 * 8);
    assert_eq!(unreadable.outcome, Outcome::Unreadable(entry));
    assert_eq!(unreadable.trail.len(), 1);
    // Not even the root.
    let walked = walk(TranslationMode::Sv39, page(77), &mut memory);
    assert_eq!(
        (walked.tables.len(), walked.tables[0].words.is_none()),
        (1, true)
    );
}

/// A reader that answers too little has not read the rest; one that answers too much is cut.
#[test]
fn a_reader_may_answer_too_few() {
    let mut builder = Builder::new(TranslationMode::Sv39);
    for gigabyte in 0..4 {
        builder.map(Level::L1, VirtAddr::new(gigabyte << 30), page(0), rw());
    }
    builder.memory.answers = Some(1);
    let walked = walk(builder.mode, builder.root, &mut builder.memory);
    let read = walked
        .tables
        .iter()
        .filter(|table| table.words.is_some())
        .count();
    assert_eq!((walked.tables.len(), read), (5, 2));
    builder.memory.answers = Some(0);
    let walked = walk(builder.mode, builder.root, &mut builder.memory);
    assert_eq!(walked.tables.len(), 1);
    assert!(walked.tables[0].words.is_none());
}

#[test]
fn modes_without_tables_have_none() {
    for mode in [TranslationMode::Bare, TranslationMode::Reserved(5)] {
        let mut memory = Memory::default();
        let walked = walk(mode, page(1), &mut memory);
        assert!(walked.tables.is_empty() && memory.batches.is_empty());
        assert!(
            coalesce(&walked, coalesce::Limits::default())
                .ranges
                .is_empty()
        );
    }
    let memory = Memory::default();
    let bare = translated(TranslationMode::Bare, page(1), &memory, u64::MAX);
    assert_eq!(
        bare.mapped().map(|mapped| mapped.address),
        Some(PhysAddr::new(u64::MAX))
    );
    let reserved = translated(TranslationMode::Reserved(5), page(1), &memory, 0);
    assert_eq!(
        reserved.outcome,
        Outcome::Fault(TranslationFault::ReservedMode(5))
    );
}

/// G on a pointer makes every leaf below it global, in coalescing and in translating.
#[test]
fn global_is_inherited() {
    let mut builder = Builder::new(TranslationMode::Sv39);
    builder.map(Level::L0, VirtAddr::new(0x8000_0000), page(0x80000), rw());
    let root = builder.root;
    let pointer = builder.memory.get(root, 2).unwrap();
    let global = Pte::from_bits(pointer.bits() | u64::from(LeafFlags::GLOBAL.bits()));
    assert_eq!(global.classify(Level::L2), PteKind::Pointer(pointer.page()));
    builder.memory.set(root, 2, global);
    let walked = walk(builder.mode, root, &mut builder.memory);
    let found = coalesce(&walked, coalesce::Limits::default());
    assert_eq!(found.ranges[0].flags, rw() | LeafFlags::GLOBAL);
    let translation = translated(builder.mode, root, &builder.memory, 0x8000_0000);
    assert_eq!(
        translation.mapped().unwrap().flags,
        rw() | LeafFlags::GLOBAL
    );
}

/// Sixteen NAPOT entries are one 64 KiB page, each entry mapping its own 4 KiB of it.
#[test]
fn a_napot_group_is_one_range() {
    let mut builder = Builder::new(TranslationMode::Sv39);
    builder.map(Level::L0, VirtAddr::new(0x10_0000), page(0), rw());
    let l0 = builder.memory.frames.keys().copied().find(|frame| {
        builder
            .memory
            .get(*frame, 256)
            .is_some_and(|pte| matches!(pte.classify(Level::L0), PteKind::Leaf(_)))
    });
    let napot = Pte::from_bits(Pte::leaf(page(0x80018), rw()).bits() | 1 << 63);
    for index in 256..272 {
        builder.memory.set(l0.unwrap(), index, napot);
    }
    let walked = walk(builder.mode, builder.root, &mut builder.memory);
    let found = coalesce(&walked, coalesce::Limits::default());
    let range = MappedRange {
        virt: VirtAddr::new(0x10_0000),
        phys: PhysAddr::new(0x8001_0000),
        size: 64 << 10,
        page_size: 64 << 10,
        flags: rw(),
    };
    assert_eq!(found.ranges, [range]);
    let translation = translated(builder.mode, builder.root, &builder.memory, 0x10_3abc);
    assert_eq!(
        translation.mapped().unwrap().address,
        PhysAddr::new(0x8001_3abc)
    );
}
