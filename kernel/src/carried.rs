//! The supervisor programs that an image carries beside the one in its place.
//!
//! Every supervisor program is linked to be loaded at the same place, so one ELF can have only one of them
//! there: that is the one which boots by default. The others lie higher in RAM, as the bytes that
//! belong in that place, and `layout=` has the machine program copy one over the first. Afterwards all of
//! it is free memory.
//!
//! ```text
//!  0x80200000  the program that boots by default
//!  0x84000000  Header { magic, count }  [Entry { layout, offset, size }; count]  bytes …
//! ```

use core::mem::size_of;

use pagescope_protocol::info::{Name, name, name_text};
use pagescope_protocol::{PhysAddr, PhysRange};

use crate::board;

/// The first eight bytes: `PAGELOAD`.
const MAGIC: u64 = u64::from_le_bytes(*b"PAGELOAD");

/// Most programs that can be carried.
pub const MAX_PROGRAMS: usize = 8;

/// Bytes of magic and count.
const HEADER_SIZE: usize = 2 * size_of::<u64>();

/// Bytes of an entry: name, offset, size.
const ENTRY_SIZE: usize = size_of::<Name>() + 2 * size_of::<u64>();

/// Where they may lie. The device tree is loaded higher (QEMU, `hw/riscv/boot.c`: its end is a multiple of
/// 2 MiB, near the top of RAM), and the program in its place lower.
pub const PLACE: PhysRange = match PhysRange::new(PhysAddr::new(0x8400_0000), 32 << 20) {
    Some(place) => place,
    None => panic!("the place of carried programs wraps around"),
};

const _: () = assert!(PLACE.end().as_u64() < board::RAM.end().as_u64());

/// A program that is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Program<'a> {
    /// The layout that it implements.
    pub layout: &'a str,
    /// What belongs at [`board::SUPERVISOR_START`].
    pub image: &'a [u8],
}

/// Where entry `index` lies, and where image bytes begin behind `count` entries.
const fn entry_offset(index: usize) -> usize {
    HEADER_SIZE + index * ENTRY_SIZE
}

/// What lies in front of the images, which follow in order and without gaps.
pub fn write_table<'a>(
    programs: impl ExactSizeIterator<Item = (&'a str, usize)>,
    mut write: impl FnMut(&[u8]),
) {
    let count = programs.len();
    write(&MAGIC.to_le_bytes());
    write(&(count as u64).to_le_bytes());
    let mut offset = entry_offset(count);
    for (layout, size) in programs {
        write(&name(layout));
        write(&(offset as u64).to_le_bytes());
        write(&(size as u64).to_le_bytes());
        offset += size;
    }
}

/// The programs that `bytes`, everything from the start of [`PLACE`], carry: none without the magic. One whose
/// numbers cannot be is left out.
pub fn programs(bytes: &[u8]) -> impl Iterator<Item = Program<'_>> {
    let is_table = word(bytes, 0) == Some(MAGIC);
    let count = word(bytes, 8).filter(|_| is_table).unwrap_or(0);
    let count = usize::try_from(count).unwrap_or(0).min(MAX_PROGRAMS);
    (0..count).filter_map(|index| {
        let entry = bytes.get(entry_offset(index)..)?.get(..ENTRY_SIZE)?;
        let (layout, numbers) = entry.split_at(size_of::<Name>());
        let offset = usize::try_from(word(numbers, 0)?).ok()?;
        let size = usize::try_from(word(numbers, 8)?).ok()?;
        Some(Program {
            layout: name_text(layout),
            image: bytes.get(offset..)?.get(..size)?,
        })
    })
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..)?.get(..8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn archive(programs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let sizes = programs
            .iter()
            .map(|(layout, image)| (*layout, image.len()));
        write_table(sizes, |part| bytes.extend_from_slice(part));
        for (_, image) in programs {
            bytes.extend_from_slice(image);
        }
        bytes
    }

    #[test]
    fn what_is_written_is_found() {
        let mut bytes = archive(&[("nanos", b"first"), ("process", b"second one")]);
        bytes.extend_from_slice(&[0xa5; 100]);
        let found: Vec<_> = programs(&bytes).map(|p| (p.layout, p.image)).collect();
        assert_eq!(
            found,
            [("nanos", &b"first"[..]), ("process", b"second one")]
        );
    }

    #[test]
    fn memory_that_is_something_else_carries_nothing() {
        assert_eq!(programs(&[0; 64]).count(), 0);
        assert_eq!(programs(&[]).count(), 0);
        let mut bytes = archive(&[("nanos", b"first"), ("process", b"second")]);
        // An offset behind the end.
        let place = entry_offset(0) + 24;
        bytes[place..place + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        let found: Vec<_> = programs(&bytes).map(|p| p.layout).collect();
        assert_eq!(found, ["process"]);
    }

    proptest! {
        #[test]
        fn reading_never_panics(mut bytes: Vec<u8>, magic: bool) {
            if magic && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
            }
            for program in programs(&bytes) {
                prop_assert!(program.image.len() <= bytes.len());
            }
        }
    }
}
