//! What QEMU's monitor prints, and a device tree, which is found in RAM.

use pagescope::guest::device_tree;
use pagescope::link::monitor::registers;
use pagescope::link::qemu::{MemoryMap, release, version};

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = MemoryMap::from_mtree(&text);
    let _ = registers::harts(&text);
    if let Some(version) = version(&text) {
        let _ = release(&version);
    }
    let _ = device_tree::regions(data);
}
