//! Fills tables with entries of every kind, and chooses addresses that meet them.

use super::{Memory, Mode, Random, Tables, What, Why};

/// Where nothing answers on QEMU's `virt`, in 34 bits too: between RAM and the high PCIe window.
const NOWHERE: u64 = 0x2_c000_0000;

const V: u64 = 1;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
const U: u64 = 1 << 4;
const G: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;

/// Every way in which an entry of `mode` at `level` can be wrong.
fn ways(mode: &Mode, level: u32) -> Vec<Why> {
    let mut ways = vec![Why::WriteOnly];
    if !mode.is_rv32() {
        ways.extend([Why::HighBits, Why::MemoryType, Why::Napot]);
    }
    if mode.is_g_stage() {
        ways.push(Why::NotUser);
    }
    if level == 0 {
        ways.push(Why::PointerAtLast);
    } else {
        ways.extend([Why::PointerFlags, Why::Misaligned]);
        if !mode.is_rv32() {
            ways.push(Why::PointerAttributes);
        }
    }
    ways
}

/// Permissions of a leaf, no reserved ones. QEMU's `gva2gpa` asks as a load, so most can be read.
fn permissions(random: &mut Random, g_stage: bool) -> u64 {
    let rwx = *random.pick(&[R, R | W, R | X, R | W | X, R, R | W, X]);
    let user = if g_stage || random.percent(30) { U } else { 0 };
    let global = if random.percent(20) { G } else { 0 };
    let used = *random.pick(&[A, A | D, A | D, 0]);
    V | rwx | user | global | used
}

/// A leaf's PPN bits for `target`, any multiple of its size.
fn ppn(target: u64) -> u64 {
    target >> 12 << 10
}

/// Whether tables lead back to their own root here and there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loops {
    Some,
    None,
}

/// Puts `count` entries of every kind into `tables`. `target` gives what a leaf of this many bytes
/// leads to.
pub(crate) fn fill(
    tables: &mut Tables,
    memory: &mut impl Memory,
    random: &mut Random,
    count: usize,
    loops: Loops,
    target: &mut impl FnMut(&mut Random, u64) -> u64,
) {
    let mode = tables.mode;
    // Few enough that entries share tables; the ends and the middle are among them.
    let bits = mode.address_bits();
    let mut places: Vec<u64> = (0..6).map(|_| random.below(1 << bits)).collect();
    places.extend([0, (1 << bits) - 1, 1 << (bits - 1), (1 << (bits - 1)) - 1]);
    for _ in 0..count {
        let level = random.below(u64::from(mode.levels)) as u32;
        let mut address = *random.pick(&places);
        for near in 0..=level.min(mode.levels - 1) {
            if near == level || random.percent(15) {
                let entries = mode.entries(near);
                let size = mode.page_size(near);
                let index = random.below(entries);
                address = address & !((entries - 1) * size) | (index * size);
            }
        }
        let address = mode.address(address);
        if level == 0 && !mode.is_rv32() && random.percent(15) {
            napot(tables, memory, random, address, target);
            continue;
        }
        let size = mode.page_size(level);
        let mut leaf = permissions(random, mode.is_g_stage()) | random.below(4) << 8;
        let (what, entry) = match random.below(10) {
            0..5 => (What::Leaf, leaf | ppn(target(random, size))),
            5 if !mode.is_rv32() => {
                leaf |= (1 + random.below(2)) << 61;
                (What::TypedLeaf, leaf | ppn(target(random, size)))
            }
            6 => {
                let garbage = random.next() & !V | 2;
                (What::Garbage, garbage & word(mode))
            }
            7 if level > 0 => {
                if random.percent(50) || loops == Loops::None {
                    (What::Nowhere, V | ppn(NOWHERE))
                } else {
                    (What::Cycle, V | ppn(tables.root))
                }
            }
            _ => {
                let why = *random.pick(&ways(mode, level));
                let target = target(random, size);
                (What::Broken(why), broken(why, random, leaf, target, level))
            }
        };
        tables.set(memory, address, level, what, entry);
    }
}

const fn word(mode: &Mode) -> u64 {
    if mode.is_rv32() {
        u32::MAX as u64
    } else {
        u64::MAX
    }
}

/// An entry that faults for this reason and no other.
fn broken(why: Why, random: &mut Random, leaf: u64, target: u64, level: u32) -> u64 {
    let ppn = ppn(target);
    match why {
        Why::WriteOnly => (leaf & !(R | W | X)) | W | *random.pick(&[0, X]) | ppn,
        Why::HighBits => leaf | R | 1 << (54 + random.below(7)) | ppn,
        Why::MemoryType => leaf | R | 3 << 61 | ppn,
        // Any size but 64 KiB; above the last level none is defined.
        Why::Napot if level > 0 => leaf | R | 1 << 63 | ppn,
        Why::Napot => {
            let low = *random.pick(&[0b0000, 0b0001, 0b0100, 0b1100, 0b1001]);
            leaf | R | 1 << 63 | (ppn & !(0xf << 10)) | low << 10
        }
        Why::PointerAtLast => V | ppn,
        Why::PointerFlags => V | *random.pick(&[A, D, U, A | D]) | ppn,
        Why::PointerAttributes => V | *random.pick(&[1 << 63, 1 << 61, 2 << 61]) | ppn,
        Why::Misaligned => leaf | R | ppn | 1 << (10 + random.below(9)),
        Why::NotUser => (leaf | R) & !U | ppn,
        Why::Invalid | Why::NotReadable => leaf & !V,
    }
}

/// A group of sixteen entries that map 64 KiB, all the same.
fn napot(
    tables: &mut Tables,
    memory: &mut impl Memory,
    random: &mut Random,
    address: u64,
    target: &mut impl FnMut(&mut Random, u64) -> u64,
) {
    let first = address & !0xffff;
    let leaf = permissions(random, tables.mode.is_g_stage()) | 1 << 63;
    let entry = leaf | (ppn(target(random, 64 << 10)) & !(0xf << 10)) | 0b1000 << 10;
    for page in 0..16 {
        tables.set(memory, first + page * 4096, 0, What::Napot, entry);
    }
}

/// An address to ask about: mostly inside of a spot or near one, else anything.
pub(crate) fn probe(tables: &Tables, random: &mut Random) -> u64 {
    let mode = tables.mode;
    let spot = random.pick(&tables.spots);
    let inside = spot
        .address
        .wrapping_add(random.below(mode.page_size(spot.level)));
    match random.below(20) {
        // Another entry of a table on the way.
        0..3 => {
            let level = random.below(u64::from(mode.levels)) as u32;
            let flipped = 1 << random.below(u64::from(mode.index_bits));
            mode.address(inside ^ (mode.page_size(level) * flipped))
        }
        3 => mode.address(random.next()),
        4 if !mode.is_rv32() => random.next(),
        5 if !mode.is_rv32() => {
            let bits = u64::from(mode.address_bits());
            inside ^ 1 << (bits + random.below(64 - bits))
        }
        _ => inside,
    }
}
