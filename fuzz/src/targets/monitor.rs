//! The texts of QEMU's monitor.

use pagescope::link::qemu::{MemoryMap, release, version};

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = MemoryMap::from_mtree(&text);
    if let Some(version) = version(&text) {
        let _ = release(&version);
    }
}
