//! The kernel's part of every table.
//!
//! It is built once, under a root of its own, and every process's root has the same two entries: the L1s,
//! and all that lies below them, are the same frames. What changes there (a device that is plugged in, the
//! restricted region) changes in every space at once. Its leaves are global.

use pagescope_protocol::{LeafFlags, Level, PhysPage, VirtAddr};

use super::layout::{HEAP_WINDOW, IO_BASE, LOWER_WINDOW, USER_BASE};
use super::tables::{self, Frames, TableError};
use crate::board;
use crate::mapper::ROOT_LEVEL;
use crate::memory::Memory;
use crate::window::Window;

/// How many entries of a root table are the kernel's: the first ones.
pub const KERNEL_ENTRIES: usize = 2;

const _: () = assert!(ROOT_LEVEL.index_of(IO_BASE) == KERNEL_ENTRIES - 1);
const _: () = assert!(ROOT_LEVEL.index_of(USER_BASE) >= KERNEL_ENTRIES);

/// A stretch of the kernel's addresses, in whole pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// Its first page.
    pub start: VirtAddr,
    /// The first page after it.
    pub end: VirtAddr,
    /// Through which window it is seen.
    pub window: Window,
    /// What the kernel may do there.
    pub flags: LeafFlags,
}

impl Stretch {
    /// A stretch of the image's lower piece.
    pub const fn lower(start: VirtAddr, end: VirtAddr, flags: LeafFlags) -> Self {
        Self {
            start,
            end,
            window: LOWER_WINDOW,
            flags,
        }
    }

    /// The image's upper piece from `start` on, and all of RAM behind it.
    pub const fn upper(start: VirtAddr, flags: LeafFlags) -> Self {
        Self {
            start,
            end: HEAP_WINDOW.address_of(RAM_END),
            window: HEAP_WINDOW,
            flags,
        }
    }
}

/// The frame after RAM's last.
const RAM_END: PhysPage =
    PhysPage::from_truncated(board::RAM.end().as_u64() / pagescope_protocol::PAGE_SIZE);

/// Builds the kernel's tables under a new root: every stretch, in 2 MiB leaves where it can be, and the table
/// for device IO, empty.
///
/// # Errors
/// [`TableError`].
pub fn build<M: Memory>(
    memory: &mut M,
    frames: &mut impl Frames,
    stretches: &[Stretch],
) -> Result<PhysPage, TableError> {
    let root = tables::new_table(memory, frames).ok_or(TableError::OutOfMemory)?;
    for stretch in stretches {
        let mut at = stretch.start;
        while at < stretch.end {
            let level = leaf_level(at, stretch.end);
            let frame = stretch.window.frame_at(at);
            let frame = frame.ok_or(TableError::NotMapped(at))?;
            let flags = stretch.flags | LeafFlags::GLOBAL;
            tables::map(memory, frames, root, (at, level), frame, flags)?;
            at = at.wrapping_add(level.entry_size());
        }
    }
    tables::table_for(memory, frames, root, IO_BASE, Level::L0)?;
    Ok(root)
}

/// The largest leaf that begins at `at` and ends no later than `end`. Both windows keep addresses modulo
/// 2 MiB, so what is aligned virtually is so physically.
fn leaf_level(at: VirtAddr, end: VirtAddr) -> Level {
    let large = Level::L1.entry_size();
    let fits = end.as_u64() - at.as_u64() >= large;
    if at.is_aligned(large) && fits {
        Level::L1
    } else {
        Level::L0
    }
}

/// Gives the root table of a process the kernel's entries.
pub fn share<M: Memory>(memory: &mut M, kernel_root: PhysPage, root: PhysPage) {
    for index in 0..KERNEL_ENTRIES {
        let pointer = tables::entry(memory, kernel_root, index);
        tables::set_entry(memory, root, index, pointer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::rig::Rig;
    use pagescope_protocol::PhysAddr;

    #[test]
    fn every_stretch_is_mapped_and_nothing_else() {
        let rig = Rig::new();
        for (address, phys, size, flags) in [
            (0, 0x8020_0000, 4096, "--x-gad"),
            (0x2_8000, 0x8022_8000, 4096, "r---gad"),
            (0x3_2000, 0x8023_2000, 4096, "rw--gad"),
            (0x3fe7_0123, 0x8027_0123, 4096, "rw--gad"),
            (0x3fff_ffff, 0x803f_ffff, 4096, "rw--gad"),
            (0x4000_0000, 0x8040_0000, 2 << 20, "rw--gad"),
            (0x47bf_ffff, 0x87ff_ffff, 2 << 20, "rw--gad"),
        ] {
            let translation = rig.lookup(rig.kernel_root, address);
            let mapped = translation.mapped().unwrap();
            assert_eq!(mapped.address, PhysAddr::new(phys), "{address:#x}");
            assert_eq!(mapped.page_size, size, "{address:#x}");
            assert_eq!(std::format!("{}", mapped.flags), flags, "{address:#x}");
        }
        for address in [0x6_f000, 0x3fe0_0000, 0x3fe6_ffff, 0x47c0_0000, 0x5000_0000] {
            let translation = rig.lookup(rig.kernel_root, address);
            assert!(translation.mapped().is_none(), "{address:#x}");
        }
        // Root, two L1s, two L0s for the image, one for device IO.
        assert_eq!(rig.frames.taken(), 6);
    }

    #[test]
    fn out_of_memory_is_an_answer() {
        let mut rig = Rig::new();
        rig.frames.leave(3);
        let stretch = Stretch::upper(VirtAddr::new(0x3fe7_0000), LeafFlags::READ);
        let built = build(&mut rig.memory, &mut rig.frames, &[stretch]);
        assert_eq!(built, Err(TableError::OutOfMemory));
    }
}
