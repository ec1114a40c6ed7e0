//! A hypervisor's guest: a first stage whose tables lie in guest-physical memory.

use super::{
    Arena, Loops, Memory, Mode, Random, Tables, What, fill,
    reference::{Access, Answer, look_up},
};

const LEAF: u64 = 0b1101_0111; // D A - U - W R V

/// Guest-physical memory: what is taken lies somewhere in the arena, and the G-stage says where.
pub(crate) struct Guest<'a> {
    pub(crate) arena: &'a mut Arena,
    pub(crate) second: &'a mut Tables,
    pub(crate) random: &'a mut Random,
    /// Most bits of an address that first-stage entries can hold.
    pub(crate) bits: u32,
}

impl Guest<'_> {
    fn host(&self, address: u64) -> Option<u64> {
        let arena: &Arena = self.arena;
        let mut read = |at, bytes| arena.read(at, bytes);
        match look_up(
            self.second.mode,
            self.second.root,
            address,
            Access::Map,
            &mut read,
        ) {
            Answer::Mapped(found) => Some(found.address),
            _ => None,
        }
    }
}

impl Memory for Guest<'_> {
    /// Guest-physical pages wherever the G-stage has room; superpages of it now and then.
    fn take(&mut self, bytes: u64) -> u64 {
        loop {
            let level = u32::from(self.random.percent(10));
            let size = self.second.mode.page_size(level);
            let at = self.random.below(1 << self.bits) & !(size - 1);
            let host = if level == 0 {
                self.arena.take(bytes)
            } else {
                // The whole superpage is not needed: only its first page has memory.
                let host = self.arena.take(4096);
                let offset = host & (size - 1);
                let entry = (host - offset) >> 12 << 10 | LEAF;
                if self.second.set(self.arena, at, level, What::Leaf, entry) {
                    return at + offset;
                }
                continue;
            };
            if self
                .second
                .set(self.arena, at, 0, What::Leaf, host >> 12 << 10 | LEAF)
            {
                return at;
            }
        }
    }

    fn write(&mut self, address: u64, bytes: u64, value: u64) {
        if let Some(host) = self.host(address) {
            self.arena.write(host, bytes, value);
        }
    }

    fn read(&self, address: u64, bytes: u64) -> Option<u64> {
        self.arena.read(self.host(address)?, bytes)
    }
}

/// Both stages of a guest, filled.
#[derive(Debug)]
pub(crate) struct TwoStage {
    pub(crate) arena: Arena,
    pub(crate) first: Tables,
    pub(crate) second: Tables,
}

impl TwoStage {
    pub(crate) fn build(
        first: &'static Mode,
        second: &'static Mode,
        base: u64,
        random: &mut Random,
        count: usize,
    ) -> Self {
        let bits = second.address_bits();
        Self::build_within(first, second, base, random, count, bits)
    }

    /// With the first stage's tables and results at guest physical addresses of so many bits.
    pub(crate) fn build_within(
        first: &'static Mode,
        second: &'static Mode,
        base: u64,
        random: &mut Random,
        count: usize,
        guest_bits: u32,
    ) -> Self {
        let mut arena = Arena::new(base);
        let second_mode = second;
        let mut second = Tables::new(second, &mut arena);
        let mut seconds = random.clone();
        // What the guest's memory leads to, and all that a G-stage can have wrong.
        fill(
            &mut second,
            &mut arena,
            random,
            count,
            Loops::Some,
            &mut |random, size| random.below(1 << 34) & !(size - 1),
        );
        // First-stage leaves lead mostly to what is mapped, or broken, there.
        let (good, other): (Vec<_>, Vec<_>) = (second.spots.iter().copied())
            .partition(|spot| matches!(spot.what, What::Leaf | What::TypedLeaf | What::Napot));
        let bits = guest_bits.min(first.ppn_bits + 12);
        let mut guest = Guest {
            arena: &mut arena,
            second: &mut second,
            random: &mut seconds,
            bits,
        };
        let mut first = Tables::new(first, &mut guest);
        fill(
            &mut first,
            &mut guest,
            random,
            count,
            Loops::Some,
            &mut |random, size| {
                let among = if random.percent(85) { &good } else { &other };
                let spot = *random.pick(among);
                let inside = random.below(second_mode.page_size(spot.level));
                ((spot.address + inside) % (1 << bits)) & !(size - 1)
            },
        );
        let mut whole = Self {
            arena,
            first,
            second,
        };
        whole.hide_tables(random);
        whole
    }

    /// Makes a few of the first stage's own tables unreachable through the G-stage, in every way.
    fn hide_tables(&mut self, random: &mut Random) {
        let (mode, root) = (self.second.mode, self.second.root);
        for _ in 0..12 {
            let spot = *random.pick(&self.first.spots);
            // The tables on the way to this spot, as guest-physical addresses; and not the upper two,
            // behind which too much would lie.
            let mut on_the_way = Vec::new();
            let arena = &self.arena;
            look_up(
                self.first.mode,
                self.first.root,
                spot.address,
                Access::Map,
                &mut |at, bytes| {
                    on_the_way.push(at & !0xfff);
                    match look_up(mode, root, at, Access::Map, &mut |at, bytes| {
                        arena.read(at, bytes)
                    }) {
                        Answer::Mapped(found) => arena.read(found.address, bytes),
                        _ => None,
                    }
                },
            );
            let kept = 2.min(self.first.mode.levels as usize - 1);
            let Some(table) = on_the_way.get(kept..).and_then(<[u64]>::last).copied() else {
                continue;
            };
            // A loop leads back to the root.
            if table == self.first.root {
                continue;
            }
            if let Some(at) = self.leaf_of(table) {
                let bytes = mode.entry_bytes;
                let entry = self.arena.read(at, bytes).unwrap_or(0);
                let changed = match random.below(5) {
                    0 => entry & !1,
                    1 => entry & !0x10,
                    2 => (entry & !0xe) | 8,
                    3 => (entry & !0xe) | 4,
                    _ if mode.is_rv32() => entry & !1,
                    _ => entry | 1 << 58,
                };
                self.arena.write(at, bytes, changed);
            }
        }
    }

    /// Where the G-stage's last-level leaf of this guest-physical page lies.
    fn leaf_of(&self, address: u64) -> Option<u64> {
        let (mut last, arena) = (0, &self.arena);
        let (mode, root) = (self.second.mode, self.second.root);
        let answer = look_up(mode, root, address, Access::Map, &mut |at, bytes| {
            last = at;
            arena.read(at, bytes)
        });
        matches!(answer, Answer::Mapped(found) if found.level == 0).then_some(last)
    }
}
