//! The kernel's information block, read out of memory that says anything at all.

use std::sync::Arc;

use pagescope_protocol::info::{InfoBlock, POINTER_MAGIC, Region, SpaceRecord, TraceEvent};
use pagescope_protocol::snapshot::{MAX_TRACE_EVENTS, TraceEvent as Event, TraceKind};
use proptest::prelude::*;

use super::{InfoPlace, KernelInfo};
use crate::capture::Capturer;
use crate::guest::MachineMap;
use crate::link::bare_ram::BareRam;

const RAM: u64 = 0x8000_0000;
const RAM_SIZE: usize = 4 << 20;
const BLOCK: u64 = RAM + 0x1000;
const RING: u64 = RAM + 0x10_0000;
const REGIONS: u64 = RAM + 0x20_0000;
const SPACES: u64 = RAM + 0x28_0000;

impl BareRam {
    /// Memory whose first page points at the block.
    fn with_block() -> Self {
        let mut memory = Self::new(RAM_SIZE);
        memory.words(RAM + 8, &[POINTER_MAGIC, BLOCK]);
        memory
    }

    fn words(&mut self, at: u64, words: &[u64]) {
        for (place, word) in words.iter().enumerate() {
            self.put(at + place as u64 * 8, &word.to_le_bytes());
        }
    }

    /// The block's numbers behind its two names, in its order: its RAM, its heap, its tables.
    fn block(&mut self, regions: [u64; 2], trace: [u64; 3], spaces: [u64; 2]) {
        let size = InfoBlock::SIZE as u64;
        let head = [InfoBlock::EMPTY.magic, InfoBlock::EMPTY.version, size];
        self.words(BLOCK, &head);
        let tables = [regions.as_slice(), &trace, &spaces].concat();
        // The last eight words are the tables and `changing`.
        self.words(BLOCK + size - 64, &tables);
    }

    fn event(&mut self, slot: u64, event: TraceEvent) {
        let at = RING + slot * TraceEvent::SIZE as u64;
        let TraceEvent {
            sequence,
            kind,
            address,
            argument,
            size,
            flags,
            caller,
            hart,
            space,
            time,
        } = event;
        let words = [
            sequence, kind, address, argument, size, flags, caller, hart, space, time,
        ];
        self.words(at, &words);
    }

    fn info(&mut self) -> Option<KernelInfo> {
        let machine = MachineMap::virt_128_mib();
        let place = InfoPlace::find(self, &machine, None).expect("memory is always there")?;
        place.read(self, &machine).expect("memory is always there")
    }

    fn trace(&mut self, before: &[Arc<Event>]) -> Vec<Arc<Event>> {
        let machine = MachineMap::virt_128_mib();
        let info = self.info().expect("a block");
        info.trace(self, &machine, None, before)
            .expect("memory is always there")
    }
}

fn event(sequence: u64) -> TraceEvent {
    TraceEvent {
        sequence,
        kind: 3,
        address: sequence * 4096,
        time: 1000 + sequence,
        ..TraceEvent::EMPTY
    }
}

fn sequences(events: &[Arc<Event>]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

#[test]
fn the_ring_comes_round_and_torn_slots_are_left_out() {
    let mut memory = BareRam::with_block();
    memory.block([0, 0], [RING, 4, 7], [0, 0]);
    for sequence in 3..7 {
        memory.event(sequence % 4, event(sequence));
    }
    let all = memory.trace(&[]);
    assert_eq!(sequences(&all), [3, 4, 5, 6]);
    assert_eq!((all[0].kind, all[0].address), (TraceKind::Map, 3 * 4096));

    // A hart is writing number 5.
    let half = TraceEvent {
        sequence: u64::MAX,
        ..event(5)
    };
    memory.event(5 % 4, half);
    assert_eq!(sequences(&memory.trace(&[])), [3, 4, 6]);
    // It was known before, and is not looked at again.
    assert_eq!(sequences(&memory.trace(&all)), [3, 4, 5, 6]);
}

#[test]
fn only_what_is_new_is_read() {
    let mut memory = BareRam::with_block();
    memory.block([0, 0], [RING, 1024, 1000], [0, 0]);
    (0..1010).for_each(|sequence| memory.event(sequence, event(sequence)));
    let before = memory.trace(&[]);
    assert_eq!(before.len(), 1000);
    memory.block([0, 0], [RING, 1024, 1010], [0, 0]);
    memory.info();
    memory.bytes_read = 0;
    memory.info();
    let block = memory.bytes_read;
    memory.bytes_read = 0;
    let after = memory.trace(&before);
    assert_eq!(after.len(), 1010);
    // The ten new ones, and the last old one.
    assert_eq!(memory.bytes_read - block, 11 * TraceEvent::SIZE as u64);
    assert!(Arc::ptr_eq(&before[3], &after[3]));
}

#[test]
fn a_guest_that_began_anew_is_read_anew() {
    let mut memory = BareRam::with_block();
    memory.block([0, 0], [RING, 16, 5], [0, 0]);
    (0..5).for_each(|sequence| memory.event(sequence, event(sequence)));
    let before = memory.trace(&[]);
    (0..8).for_each(|sequence| {
        let other = TraceEvent {
            time: 7,
            ..event(sequence)
        };
        memory.event(sequence, other);
    });
    memory.block([0, 0], [RING, 16, 8], [0, 0]);
    let after = memory.trace(&before);
    assert_eq!(sequences(&after), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(after.iter().all(|event| event.time == 7));
}

/// A kernel of another version is there all the same, and whoever looks is told.
#[test]
fn a_block_that_is_not_believed_is_not_called_absent() {
    let mut memory = BareRam::with_block();
    memory.block([0, 0], [0, 0, 0], [0, 0]);
    let notes = |memory: &mut BareRam| {
        let mut capturer = Capturer::new(memory, None).expect("memory is always there");
        let snapshot = capturer.capture(memory, "test").expect("a capture");
        (snapshot.kernel.is_some(), snapshot.warnings.concat())
    };
    assert_eq!(notes(&mut memory), (true, String::new()));
    memory.words(BLOCK + 8, &[2]);
    let (is_known, note) = notes(&mut memory);
    assert!(!is_known && note.contains("block has version 2"), "{note}");
    // Before the kernel has written it, there is none.
    memory.words(BLOCK, &[0]);
    assert_eq!(notes(&mut memory), (false, String::new()));
}

#[test]
fn tables_that_are_no_ram_are_not_read() {
    let mut memory = BareRam::with_block();
    for start in [0, 0x1000_0000, u64::MAX - 8, RAM + (128 << 20) - 8] {
        memory.block([start, 3], [start, 4, 4], [start, 2]);
        let info = memory.info().expect("the block itself is sound");
        assert!(info.regions.is_empty() && info.spaces.is_empty());
        assert!(memory.trace(&[]).is_empty());
    }
    memory.block([REGIONS, u64::MAX], [0, 0, 0], [0, 0]);
    assert!(memory.info().is_none(), "nobody has so many regions");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_that_memory_says_breaks_the_reader(
        seed: u64,
        counts in (0u64..80, 0u64..3000, any::<u64>(), 0u64..80),
        shift in 0u64..16,
    ) {
        let mut memory = BareRam::with_block();
        let mut state = seed | 1;
        for at in (RING..SPACES + 0x1_0000).step_by(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            memory.words(at, &[state >> (state % 64)]);
        }
        let (regions, capacity, count, spaces) = counts;
        memory.block([REGIONS + shift, regions], [RING + shift, capacity, count], [SPACES, spaces]);
        let info = memory.info().expect("the block itself is sound");
        prop_assert_eq!(info.regions.len() as u64, regions);
        prop_assert!(info.spaces.len() as u64 <= spaces);
        let trace = memory.trace(&[]);
        prop_assert!(trace.len() <= MAX_TRACE_EVENTS);
        let again = memory.trace(&trace);
        prop_assert_eq!(trace, again);
        let mut names: Vec<_> = info.spaces.iter().map(|space| &space.name).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        prop_assert_eq!(names.len(), all, "names are told apart");
    }
}

#[test]
fn sizes_are_those_of_the_interface() {
    assert_eq!(
        (Region::SIZE, SpaceRecord::SIZE, TraceEvent::SIZE),
        (136, 56, 80)
    );
}
