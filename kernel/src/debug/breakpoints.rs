//! Software breakpoints: an instruction replaced by `c.ebreak`, for as long as harts run.
//!
//! ```text
//!  stopped                          running
//!  memory is as the program has it  every breakpoint's first two bytes are c.ebreak
//! ```
//!
//! Two bytes are enough for an instruction of any length: the hart never gets past them. They are
//! written physically, so it does not matter that text is mapped read-only. While the harts stand
//! still nothing is patched: whoever reads memory, by whatever way, sees the program's own bytes.

use pagescope_protocol::PhysAddr;

use super::view::Physical;

/// c.ebreak.
pub const C_EBREAK: u16 = 0x9002;

/// ebreak.
pub const EBREAK: u32 = 0x0010_0073;

/// Most breakpoints that a debugger can set.
pub const MAX_BREAKPOINTS: usize = 64;

/// Most places that are patched at a time: breakpoints, and what a step needs.
const MAX_PATCHES: usize = MAX_BREAKPOINTS + 2 * super::step::MAX_STOPS;

/// A breakpoint that a debugger has set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Breakpoint {
    /// The address as the debugger said it.
    address: u64,
    /// Where it leads, by the tables of the hart that was selected then.
    place: PhysAddr,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Patch {
    place: PhysAddr,
    original: u16,
}

/// Why a breakpoint is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The address is odd, not mapped, or not in S-mode's memory.
    Address,
    /// There are [`MAX_BREAKPOINTS`] already.
    Full,
}

/// All breakpoints, and all patches.
#[derive(Debug)]
pub struct Breakpoints {
    set: [Option<Breakpoint>; MAX_BREAKPOINTS],
    patches: [Option<Patch>; MAX_PATCHES],
}

impl Breakpoints {
    /// None.
    pub const fn new() -> Self {
        Self {
            set: [None; MAX_BREAKPOINTS],
            patches: [None; MAX_PATCHES],
        }
    }

    /// Sets one at `address`, which leads to `place`. Setting it again is no error.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn set(
        &mut self,
        memory: &impl Physical,
        address: u64,
        place: Option<PhysAddr>,
    ) -> Result<(), Refusal> {
        let place = place.filter(|place| patchable(memory, *place));
        let place = place.ok_or(Refusal::Address)?;
        let breakpoint = Breakpoint { address, place };
        let same = |slot: &&mut Option<Breakpoint>| slot.is_some_and(|old| old.address == address);
        let slot = match self.set.iter_mut().find(same) {
            Some(slot) => slot,
            None => {
                let mut slots = self.set.iter_mut();
                slots.find(|slot| slot.is_none()).ok_or(Refusal::Full)?
            }
        };
        *slot = Some(breakpoint);
        Ok(())
    }

    /// Takes the one at `address` back; `false` where there is none.
    pub fn clear(&mut self, address: u64) -> bool {
        let mut slots = self.set.iter_mut();
        let found = slots.find(|slot| slot.is_some_and(|old| old.address == address));
        found.and_then(Option::take).is_some()
    }

    /// Takes all back.
    pub const fn clear_all(&mut self) {
        self.set = [None; MAX_BREAKPOINTS];
    }

    /// Writes c.ebreak to every breakpoint.
    pub fn patch_all(&mut self, memory: &mut impl Physical) {
        for index in 0..MAX_BREAKPOINTS {
            if let Some(breakpoint) = self.set[index] {
                self.patch(memory, breakpoint.place);
            }
        }
    }

    /// Writes c.ebreak to `place`, for a step; `false` where that cannot be.
    pub fn patch(&mut self, memory: &mut impl Physical, place: PhysAddr) -> bool {
        if self.is_patched(place) {
            return true;
        }
        let mut original = [0; 2];
        let free = self.patches.iter_mut().find(|slot| slot.is_none());
        let Some(slot) = free.filter(|_| patchable(memory, place)) else {
            return false;
        };
        memory.read(place, &mut original);
        memory.write(place, &C_EBREAK.to_le_bytes());
        *slot = Some(Patch {
            place,
            original: u16::from_le_bytes(original),
        });
        true
    }

    /// Whether `place` is patched now.
    pub fn is_patched(&self, place: PhysAddr) -> bool {
        let mut patches = self.patches.iter().flatten();
        patches.any(|patch| patch.place == place)
    }

    /// Puts the program's own bytes back, but where the program has written others meanwhile.
    pub fn unpatch_all(&mut self, memory: &mut impl Physical) {
        for patch in self.patches.iter_mut().filter_map(Option::take) {
            let mut now = [0; 2];
            memory.read(patch.place, &mut now);
            if u16::from_le_bytes(now) == C_EBREAK {
                memory.write(patch.place, &patch.original.to_le_bytes());
            }
        }
    }
}

impl Default for Breakpoints {
    fn default() -> Self {
        Self::new()
    }
}

fn patchable(memory: &impl Physical, place: PhysAddr) -> bool {
    let range = pagescope_protocol::PhysRange::new(place, 2);
    place.is_aligned(2) && range.is_some_and(|range| memory.is_writable(range))
}

/// Whether the instruction at the start of these bytes is an ebreak, and how long it is.
pub fn ebreak_length(low: u16, high: Option<u16>) -> Option<u64> {
    if low == C_EBREAK {
        return Some(2);
    }
    let bits = u32::from(low) | u32::from(high?) << 16;
    (bits == EBREAK).then_some(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debug::view::tests::Ram;

    fn at(address: u64) -> Option<PhysAddr> {
        Some(PhysAddr::new(address))
    }

    #[test]
    fn memory_is_patched_only_between_patch_and_unpatch() {
        let mut ram = Ram::new();
        ram.write(PhysAddr::new(0x8020_0002), &[1, 2, 3, 4]);
        let before = ram.clone();
        let mut all = Breakpoints::new();
        assert_eq!(all.set(&ram, 0x2, at(0x8020_0002)), Ok(()));
        assert_eq!(all.set(&ram, 0x2, at(0x8020_0002)), Ok(()));
        assert_eq!(ram, before);
        all.patch_all(&mut ram);
        assert!(all.patch(&mut ram, PhysAddr::new(0x8020_0002)));
        let mut seen = [0; 4];
        ram.read(PhysAddr::new(0x8020_0002), &mut seen);
        assert_eq!(seen, [0x02, 0x90, 3, 4]);
        assert!(all.is_patched(PhysAddr::new(0x8020_0002)));
        all.unpatch_all(&mut ram);
        assert_eq!(ram, before);
        assert!(all.clear(0x2));
        assert!(!all.clear(0x2));
        all.patch_all(&mut ram);
        assert_eq!(ram, before);
    }

    #[test]
    fn what_the_program_wrote_meanwhile_stays() {
        let mut ram = Ram::new();
        let mut all = Breakpoints::new();
        all.set(&ram, 0, at(0x8020_0000)).unwrap();
        all.patch_all(&mut ram);
        ram.write(PhysAddr::new(0x8020_0000), &[7, 7]);
        all.unpatch_all(&mut ram);
        let mut seen = [0; 2];
        ram.read(PhysAddr::new(0x8020_0000), &mut seen);
        assert_eq!(seen, [7, 7]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let ram = Ram::new();
        let mut all = Breakpoints::new();
        for place in [
            None,
            at(0x8020_0001),
            at(0x8000_0000),
            at(0x1000_0000),
            at(u64::MAX - 1),
        ] {
            assert_eq!(all.set(&ram, 1, place), Err(Refusal::Address));
        }
        for number in 0..MAX_BREAKPOINTS as u64 {
            assert_eq!(all.set(&ram, number, at(0x8020_0000 + 2 * number)), Ok(()));
        }
        assert_eq!(all.set(&ram, 999, at(0x8020_0000)), Err(Refusal::Full));
        assert!(all.clear(3));
        assert_eq!(all.set(&ram, 999, at(0x8020_0000)), Ok(()));
        all.clear_all();
        assert!(!all.clear(999));
    }

    #[test]
    fn both_kinds_of_ebreak_are_known() {
        assert_eq!(ebreak_length(0x9002, None), Some(2));
        assert_eq!(ebreak_length(0x0073, Some(0x0010)), Some(4));
        assert_eq!(ebreak_length(0x0073, Some(0x0000)), None);
        assert_eq!(ebreak_length(0x0073, None), None);
    }
}
