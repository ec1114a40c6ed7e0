//! What the machine program asks of the device tree, once, before anything can overwrite it:
//! QEMU puts the tree near the top of RAM, where the heap will grow through it.

use dtoolkit::error::FdtParseError;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node as _, Property as _};
use pagescope_protocol::{PhysAddr, PhysRange};
use thiserror::Error;

use crate::board;

/// The first word of a device tree, big-endian (Devicetree Specification, section 5.2).
const MAGIC: u32 = 0xd00d_feed;

/// The largest tree that is believed.
const MAX_SIZE: u32 = 2 << 20;

/// What the device tree says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts<'a> {
    /// The RAM that begins where ours does.
    pub ram: PhysRange,
    /// Harts listed.
    pub harts: usize,
    /// Ticks of `time` in a second.
    pub timebase_hz: u64,
    /// `/chosen/bootargs`; empty where there is none.
    pub bootargs: &'a str,
}

/// Why a device tree is of no use.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DeviceTreeError {
    /// It does not begin like one.
    #[error("no device tree: it begins with {0:#010x}")]
    Magic(u32),
    /// It says that it is larger than any tree.
    #[error("the device tree says that it has {0} bytes")]
    Size(u32),
    /// It is damaged.
    #[error("the device tree is damaged: {0}")]
    Damaged(FdtParseError),
    /// It lists no memory where RAM must begin.
    #[error("the device tree lists no RAM at {ram}", ram = board::RAM.start())]
    NoRam,
}

/// Bytes of the tree whose first eight bytes these are.
///
/// # Errors
/// [`DeviceTreeError`], where it does not begin like a tree or is absurdly large.
pub fn size_of_tree(header: [u8; 8]) -> Result<usize, DeviceTreeError> {
    let [m0, m1, m2, m3, s0, s1, s2, s3] = header;
    let magic = u32::from_be_bytes([m0, m1, m2, m3]);
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if magic != MAGIC {
        return Err(DeviceTreeError::Magic(magic));
    }
    if size > MAX_SIZE {
        return Err(DeviceTreeError::Size(size));
    }
    Ok(size as usize)
}

/// Reads the tree in `bytes`. A timebase or bootargs that are missing have a default; without RAM
/// there is nothing to do.
///
/// # Errors
/// [`DeviceTreeError`].
pub fn read(bytes: &[u8]) -> Result<Facts<'_>, DeviceTreeError> {
    let tree = Fdt::new(bytes).map_err(DeviceTreeError::Damaged)?;
    let cpus = tree.find_node("/cpus");
    let harts = cpus.map_or(1, |cpus| {
        let is_cpu = |node: &FdtNode<'_>| node.name_without_address() == "cpu";
        cpus.children().filter(is_cpu).count()
    });
    let timebase_hz = cpus
        .and_then(|cpus| cpus.property("timebase-frequency")?.value_as::<u32>().ok())
        .filter(|frequency| *frequency != 0)
        .map_or(board::DEFAULT_TIMEBASE_HZ, u64::from);
    let bootargs = tree
        .find_node("/chosen")
        .and_then(|chosen| chosen.property("bootargs")?.value_as::<&str>().ok())
        .unwrap_or("");
    Ok(Facts {
        ram: ram(tree.root()).ok_or(DeviceTreeError::NoRam)?,
        harts,
        timebase_hz,
        bootargs,
    })
}

/// The range of a `/memory` node that begins where our RAM does.
fn ram(root: FdtNode<'_>) -> Option<PhysRange> {
    root.children()
        .filter(|node| node.name_without_address() == "memory")
        .filter_map(|node| node.reg().ok().flatten())
        .flatten()
        .filter_map(|reg| Some((reg.address::<u64>().ok()?, reg.size::<u64>().ok()?)))
        .filter_map(|(start, size)| PhysRange::new(PhysAddr::new(start), size))
        .find(|range| range.start() == board::RAM.start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A tree as QEMU makes it, as far as we read it.
    fn tree(bootargs: &str, ram: u64) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut structure = Vec::new();
        let begin = |structure: &mut Vec<u8>, name: &str| {
            structure.extend(1u32.to_be_bytes());
            structure.extend(name.bytes().chain([0]));
            structure.resize(structure.len().next_multiple_of(4), 0);
        };
        let mut property = |structure: &mut Vec<u8>, name: &str, value: &[u8]| {
            structure.extend(3u32.to_be_bytes());
            structure.extend((value.len() as u32).to_be_bytes());
            structure.extend((strings.len() as u32).to_be_bytes());
            structure.extend(value);
            structure.resize(structure.len().next_multiple_of(4), 0);
            strings.extend(name.bytes().chain([0]));
        };
        let end = |structure: &mut Vec<u8>| structure.extend(2u32.to_be_bytes());

        begin(&mut structure, "");
        property(&mut structure, "#address-cells", &2u32.to_be_bytes());
        property(&mut structure, "#size-cells", &2u32.to_be_bytes());
        begin(&mut structure, "chosen");
        let text: Vec<u8> = bootargs.bytes().chain([0]).collect();
        property(&mut structure, "bootargs", &text);
        end(&mut structure);
        begin(&mut structure, "memory@80000000");
        let reg: Vec<u8> = [ram, 128 << 20]
            .into_iter()
            .flat_map(u64::to_be_bytes)
            .collect();
        property(&mut structure, "reg", &reg);
        end(&mut structure);
        begin(&mut structure, "cpus");
        property(&mut structure, "#address-cells", &1u32.to_be_bytes());
        property(&mut structure, "#size-cells", &0u32.to_be_bytes());
        property(
            &mut structure,
            "timebase-frequency",
            &10_000_000u32.to_be_bytes(),
        );
        for name in ["cpu@0", "cpu@1", "cpu-map"] {
            begin(&mut structure, name);
            end(&mut structure);
        }
        end(&mut structure);
        end(&mut structure);
        structure.extend(9u32.to_be_bytes());

        let structure_at = 40 + 16;
        let strings_at = structure_at + structure.len();
        let words = [
            MAGIC,
            (strings_at + strings.len()) as u32,
            structure_at as u32,
            strings_at as u32,
            40,
            17,
            16,
            0,
            strings.len() as u32,
            structure.len() as u32,
        ];
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        bytes.extend([0; 16]);
        bytes.extend(structure);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn facts_are_read() {
        let bytes = tree("layout=pseudos pace=5", 0x8000_0000);
        assert_eq!(size_of_tree(*bytes.first_chunk().unwrap()), Ok(bytes.len()));
        let facts = read(&bytes).unwrap();
        assert_eq!(facts.ram, board::RAM);
        assert_eq!((facts.harts, facts.timebase_hz), (2, 10_000_000));
        assert_eq!(facts.bootargs, "layout=pseudos pace=5");
    }

    #[test]
    fn a_useless_tree_is_refused() {
        assert_eq!(read(&tree("", 0x4000_0000)), Err(DeviceTreeError::NoRam));
        assert_eq!(size_of_tree([0; 8]), Err(DeviceTreeError::Magic(0)));
        let absurd = [0xd0, 0x0d, 0xfe, 0xed, 0xff, 0, 0, 0];
        assert_eq!(
            size_of_tree(absurd),
            Err(DeviceTreeError::Size(0xff00_0000))
        );
    }

    proptest! {
        #[test]
        fn a_damaged_tree_never_panics(place in 0usize..400, byte: u8, length in 0usize..600) {
            let mut bytes = tree("pace=1", 0x8000_0000);
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = read(&bytes);
            bytes.truncate(length);
            let _ = read(&bytes);
        }
    }
}
