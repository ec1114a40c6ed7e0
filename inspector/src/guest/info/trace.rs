//! The kernel's ring of trace events.
//!
//! ```text
//!  slot   = sequence modulo capacity
//!  oldest = count − capacity           what is before was overwritten
//!  a slot whose sequence is another is torn: a hart was writing it, or has yet to
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use pagescope_protocol::info::{InfoBlock, TraceEvent as RawEvent, trace_kind};
use pagescope_protocol::snapshot::{MAX_TRACE_EVENTS, TraceEvent, TraceKind};
use pagescope_protocol::{LeafFlags, PhysAddr, PhysRange, VirtAddr};

use super::words::SpaceNames;
use crate::guest::demangle::demangled;
use crate::guest::{ElfFile, MachineMap};
use crate::link::{LinkError, Target};

/// Where the ring is, and what its numbers mean.
pub(super) struct Ring<'a> {
    start: u64,
    capacity: u64,
    count: u64,
    names: &'a SpaceNames,
    elf: Option<&'a ElfFile>,
}

impl<'a> Ring<'a> {
    pub(super) fn new(block: &InfoBlock, names: &'a SpaceNames, elf: Option<&'a ElfFile>) -> Self {
        Self {
            start: block.trace,
            capacity: block.trace_capacity,
            count: block.trace_count,
            names,
            elf,
        }
    }

    /// The events that the ring holds, oldest first. `before` are those of the capture before.
    pub(super) fn read(
        &self,
        target: &mut dyn Target,
        machine: &MachineMap,
        before: &[Arc<TraceEvent>],
    ) -> Result<Vec<Arc<TraceEvent>>, LinkError> {
        let kept = self.capacity.min(MAX_TRACE_EVENTS as u64);
        let oldest = self.count.saturating_sub(kept);
        let known: BTreeMap<u64, &Arc<TraceEvent>> = before
            .iter()
            .filter(|event| (oldest..self.count).contains(&event.sequence))
            .map(|event| (event.sequence, event))
            .collect();
        // The last one that is known is read again: another there means that the guest began anew.
        let first = (oldest..self.count).find(|sequence| !known.contains_key(sequence));
        let last = known.keys().next_back().copied();
        let from = first.into_iter().chain(last).min().unwrap_or(self.count);
        let read = self.slots(target, machine, from..self.count)?;
        let is_same = last.is_none_or(|last| read.get(&last) == known.get(&last).copied());
        let mut events: BTreeMap<u64, Arc<TraceEvent>> = if is_same {
            let known = known.range(..from);
            known.map(|(at, event)| (*at, Arc::clone(event))).collect()
        } else {
            self.slots(target, machine, oldest..from)?
        };
        events.extend(read);
        Ok(events.into_values().collect())
    }

    /// The whole events among these sequences.
    fn slots(
        &self,
        target: &mut dyn Target,
        machine: &MachineMap,
        sequences: Range<u64>,
    ) -> Result<BTreeMap<u64, Arc<TraceEvent>>, LinkError> {
        let places: Vec<Range<u64>> = self.runs(sequences);
        let ranges: Option<Vec<PhysRange>> = places
            .iter()
            .map(|run| {
                let size = RawEvent::SIZE as u64;
                let offset = (run.start % self.capacity).checked_mul(size)?;
                let start = PhysAddr::new(self.start).checked_add(offset)?;
                let range = PhysRange::new(start, (run.end - run.start).checked_mul(size)?)?;
                machine.is_ram(range).then_some(range)
            })
            .collect();
        let Some(ranges) = ranges.filter(|ranges| !ranges.is_empty()) else {
            return Ok(BTreeMap::new());
        };
        let answers = target.read_physical(&ranges)?;
        let mut events = BTreeMap::new();
        for (run, bytes) in places.into_iter().zip(answers) {
            let bytes = bytes.unwrap_or_default();
            let slots = bytes.chunks_exact(RawEvent::SIZE);
            for (sequence, raw) in run.zip(slots.filter_map(RawEvent::parse)) {
                if raw.sequence == sequence {
                    events.insert(sequence, Arc::new(self.event(&raw)));
                }
            }
        }
        Ok(events)
    }

    /// `sequences` cut where the ring comes round.
    fn runs(&self, sequences: Range<u64>) -> Vec<Range<u64>> {
        let mut runs = Vec::new();
        let mut at = sequences.start;
        while at < sequences.end && self.capacity > 0 {
            let to_end = self.capacity - at % self.capacity;
            let end = sequences.end.min(at.saturating_add(to_end));
            runs.push(at..end);
            at = end;
        }
        runs
    }

    fn event(&self, raw: &RawEvent) -> TraceEvent {
        // Nobody calls from 0, where a program may be linked all the same: it is said of a caller not known.
        let elf = self.elf.filter(|_| raw.caller != 0);
        let symbol = elf.and_then(|elf| elf.symbol_at(raw.caller));
        let symbol = symbol.map(|(symbol, offset)| match (demangled(&symbol.name), offset) {
            (name, 0) => name.into_owned(),
            (name, offset) => format!("{name}+{offset:#x}"),
        });
        let flags = LeafFlags::from_bits_retain(raw.flags as u8);
        TraceEvent {
            sequence: raw.sequence,
            kind: kind(raw.kind),
            address: raw.address,
            size: raw.size,
            argument: raw.argument,
            flags: (raw.flags != 0).then_some(flags | LeafFlags::VALID),
            caller: VirtAddr::new(raw.caller),
            symbol: symbol.unwrap_or_default(),
            hart: raw.hart,
            space: self.names.name(raw.space),
            time: raw.time,
        }
    }
}

const fn kind(raw: u64) -> TraceKind {
    match raw {
        trace_kind::KALLOC => TraceKind::Kalloc,
        trace_kind::KFREE => TraceKind::Kfree,
        trace_kind::MAP => TraceKind::Map,
        trace_kind::UNMAP => TraceKind::Unmap,
        trace_kind::PROTECT => TraceKind::Protect,
        trace_kind::SWITCH => TraceKind::Switch,
        trace_kind::FAULT => TraceKind::Fault,
        trace_kind::SPAWN => TraceKind::Spawn,
        trace_kind::EXIT => TraceKind::Exit,
        trace_kind::RESERVE => TraceKind::Reserve,
        trace_kind::RELEASE => TraceKind::Release,
        _ => TraceKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::elf;

    /// A program linked at 0 has a symbol there, which calls nobody.
    #[test]
    fn a_caller_that_is_not_known_has_no_name() {
        let elf = elf::file(&[("BOOT_HEADER", 0), ("kalloc", 0x300)]);
        let names = SpaceNames::default();
        let ring = Ring::new(&InfoBlock::EMPTY, &names, Some(&elf));
        let symbol = |caller| {
            let raw = RawEvent {
                caller,
                ..RawEvent::EMPTY
            };
            ring.event(&raw).symbol
        };
        assert_eq!(symbol(0), "");
        assert_eq!(symbol(0x304), "kalloc+0x4");
    }
}
