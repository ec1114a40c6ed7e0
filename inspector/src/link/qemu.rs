//! What QEMU's monitor says about the machine, read from its texts.
//!
//! ```text
//!  (qemu) info mtree -f                                                     (softmmu/memory.c, mtree_info)
//!  FlatView #2
//!   AS "memory", root: system
//!   Root memory region: system
//!    0000000010000000-0000000010000007 (prio 0, i/o): serial
//!    0000000080000000-0000000087ffffff (prio 0, ram): riscv_virt_board.ram
//! ```
//!
//! The texts are for people and change between versions: a line that does not fit is passed over.

use pagescope_protocol::{PhysAddr, PhysRange};

/// What lies where in physical memory, from `info mtree -f`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryMap {
    /// Ranges that are RAM: reading them has no effect.
    pub ram: Vec<MemoryRegion>,
    /// Ranges that are anything else; reading them can change a device.
    pub devices: Vec<MemoryRegion>,
}

/// A named range of physical memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryRegion {
    /// Where.
    pub range: PhysRange,
    /// What QEMU calls it: `serial`, `riscv_virt_board.ram`; of RAM that a backend holds, the backend.
    pub name: String,
    /// Where it begins in what has that name, in bytes.
    pub offset: u64,
}

/// The monitor command whose text [`MemoryMap::from_mtree`] reads.
pub const MTREE: &str = "info mtree -f";

impl MemoryMap {
    /// Reads what [`MTREE`] prints: of the first view that is the system's memory and has RAM, or
    /// else of the first that has RAM. `None` where that names no RAM.
    pub fn from_mtree(text: &str) -> Option<Self> {
        let mut views: Vec<(bool, Self)> = Vec::new();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with("FlatView") || views.is_empty() {
                views.push((false, Self::default()));
            }
            let Some((is_memory, map)) = views.last_mut() else {
                continue;
            };
            *is_memory |= line.starts_with("AS \"memory\"");
            if let Some((kind, region)) = region(line) {
                let list = if kind == "ram" {
                    &mut map.ram
                } else {
                    &mut map.devices
                };
                list.push(region);
            }
        }
        views.retain(|(_, map)| !map.ram.is_empty());
        views.sort_by_key(|(is_memory, _)| !is_memory);
        views.into_iter().next().map(|(_, map)| map)
    }
}

/// `start-last (prio 0, kind): name @offset …`, with the kind `ram`, `rom`, `romd`, `i/o`, `nv`….
fn region(line: &str) -> Option<(&str, MemoryRegion)> {
    let (bounds, rest) = line.split_once(" (")?;
    let (start, last) = bounds.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let (start, last) = (number(start)?, number(last)?);
    let (facts, name) = rest.split_once("): ")?;
    let kind = facts.rsplit(", ").next()?;
    let (name, offset) = name.split_once(" @").unwrap_or((name, "0"));
    let offset = number(offset.split_whitespace().next()?)?;
    let size = last.checked_sub(start)?.checked_add(1)?;
    let range = PhysRange::new(PhysAddr::new(start), size)?;
    let name = name.trim().to_owned();
    let region = MemoryRegion {
        range,
        name,
        offset,
    };
    Some((kind, region))
}

/// The version in what `info version` prints: `7.2.22Debian 1:7.2+dfsg-7` becomes
/// `7.2.22 (Debian 1:7.2+dfsg-7)`.
pub fn version(text: &str) -> Option<String> {
    let text = text.lines().next()?.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, package) = text.split_at(end.unwrap_or(text.len()));
    let package = package.trim().trim_start_matches('(').trim_end_matches(')');
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(match package {
        "" => number.to_owned(),
        package => format!("{number} ({package})"),
    })
}

/// Major and minor number of a [`version`].
pub fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// QEMU 7.2.22 with two harts, shortened.
    const MTREE_7_2: &str = r#"FlatView #0
 AS "gpex-root", root: bus master container
 Root memory region: (none)
  No rendered FlatView

FlatView #1
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-000000000000ffff (prio 0, i/o): io

FlatView #2
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000001000-000000000000ffff (prio 0, rom): riscv_virt_board.mrom
  0000000010000000-0000000010000007 (prio 0, i/o): serial
  0000000020000000-0000000021ffffff (prio 0, romd): virt.flash0
  0000000040000000-000000007fffffff (prio 0, i/o): gpex_mmio_window @0000000040000000
  0000000080000000-0000000087ffffff (prio 0, ram): riscv_virt_board.ram
"#;

    #[test]
    fn the_view_with_ram_is_read() {
        let map = MemoryMap::from_mtree(MTREE_7_2).unwrap();
        assert_eq!(map.ram.len(), 1);
        assert_eq!(map.ram[0].name, "riscv_virt_board.ram");
        assert_eq!(map.ram[0].range.start(), PhysAddr::new(0x8000_0000));
        assert_eq!(map.ram[0].range.size(), 128 << 20);
        let names: Vec<&str> = map.devices.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "riscv_virt_board.mrom",
                "serial",
                "virt.flash0",
                "gpex_mmio_window"
            ]
        );
        assert_eq!(MemoryMap::from_mtree("unknown command"), None);
    }

    #[test]
    fn versions() {
        let debian = version("7.2.22Debian 1:7.2+dfsg-7+deb12u18+b3\n").unwrap();
        assert_eq!(debian, "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)");
        assert_eq!(release(&debian), Some((7, 2)));
        assert_eq!(version("10.0.2").as_deref(), Some("10.0.2"));
        assert_eq!(release("10.0.2"), Some((10, 0)));
        assert_eq!(version("unknown command"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(FlatView|AS \"memory\"|[0-9a-f]{1,17}-[0-9a-f]{1,17} \\(prio 0, ram\\): \\PC{0,9}|\\PC{0,30}|\n){0,30}") {
            let _ = MemoryMap::from_mtree(&text);
            let _ = version(&text);
            let _ = release(&text);
        }
    }
}
