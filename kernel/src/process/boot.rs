//! The first tables: three frames in the image, for the jump from physical to virtual addresses.
//!
//! ```text
//!  root[0] ─▶ low    [0]    0            ─▶ 0x80200000   the image's lower piece
//!             low    [511]  0x3fe00000   ─▶ 0x80200000   its upper piece
//!  root[1] ─▶ high   [i]    0x40000000 … ─▶ 0x80400000 … the kernel heap
//!  root[2]           0x80000000          ─▶ 0x80000000   where the program counter is before the jump
//! ```
//!
//! Every leaf may do everything; the kernel's own tables take over at once.

use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, VirtAddr};

use super::layout::{HEAP_WINDOW, LOAD, UPPER};
use crate::board::RAM;

/// A table.
pub type Words = [u64; 512];

/// May everything.
const FLAGS: LeafFlags = LeafFlags::READ
    .union(LeafFlags::WRITE)
    .union(LeafFlags::EXECUTE)
    .union(LeafFlags::ACCESSED)
    .union(LeafFlags::DIRTY);

const fn page(address: u64) -> PhysPage {
    PhysPage::from_truncated(address / PAGE_SIZE)
}

/// The three tables, each with its frame.
#[derive(Debug)]
pub struct BootTables<'a> {
    /// The root.
    pub root: &'a mut Words,
    /// The L1 of the lowest GiB.
    pub low: (&'a mut Words, PhysAddr),
    /// The L1 of the next one.
    pub high: (&'a mut Words, PhysAddr),
}

impl BootTables<'_> {
    /// Fills them. Uses no address but those of the tables, and no constant in memory, for it runs where
    /// the program is loaded, and not where it is linked.
    #[inline(always)]
    pub fn fill(self) {
        let (low, high) = (self.low.0, self.high.0);
        let frame = |address: PhysAddr| page(address.as_u64());
        self.root[0] = Pte::pointer(frame(self.low.1)).bits();
        self.root[1] = Pte::pointer(frame(self.high.1)).bits();
        self.root[2] = Pte::leaf(page(RAM.start().as_u64()), FLAGS).bits();
        low[0] = Pte::leaf(page(LOAD), FLAGS).bits();
        low[Level::L1.index_of(VirtAddr::new(UPPER))] = Pte::leaf(page(LOAD), FLAGS).bits();
        let mut phys = LOAD + Level::L1.entry_size();
        while phys < RAM.end().as_u64() {
            let virt = HEAP_WINDOW.address_of(page(phys));
            high[Level::L1.index_of(virt)] = Pte::leaf(page(phys), FLAGS).bits();
            phys += Level::L1.entry_size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapper::MODE;
    use pagescope_protocol::translate::translate;
    use std::convert::Infallible;

    #[test]
    fn both_pieces_and_the_heap_are_seen_where_they_are_linked() {
        let (mut root, mut low, mut high) = ([0; 512], [0; 512], [0; 512]);
        let at = |number: u64| PhysAddr::new(0x8030_0000 + number * PAGE_SIZE);
        BootTables {
            root: &mut root,
            low: (&mut low, at(1)),
            high: (&mut high, at(2)),
        }
        .fill();
        let tables = [root, low, high];
        let phys = |address: u64| {
            let read = |entry: PhysAddr| {
                let offset = (entry.as_u64() - at(0).as_u64()) as usize;
                Ok::<_, Infallible>(Some(Pte::from_bits(
                    tables[offset / 4096][offset % 4096 / 8],
                )))
            };
            let root = at(0).page().unwrap();
            let translation = translate(MODE, root, VirtAddr::new(address), read).unwrap();
            translation.mapped().map(|mapped| mapped.address.as_u64())
        };
        assert_eq!(phys(0x1234), Some(0x8020_1234));
        assert_eq!(phys(0x3fe6_1234), Some(0x8026_1234));
        assert_eq!(phys(0x4000_0000), Some(0x8040_0000));
        assert_eq!(phys(0x47bf_ffff), Some(0x87ff_ffff));
        assert_eq!(phys(0x8020_0100), Some(0x8020_0100));
        assert_eq!(phys(0x20_0000), None);
        assert_eq!(phys(0x47c0_0000), None);
    }
}
