//! A dump of a guest's memory: QEMU's core, or an image of RAM. The first byte says how much is told beside it.

use std::fs;

use pagescope::capture::Capturer;
use pagescope::link::{DumpOptions, DumpTarget, Target as _};
use pagescope_protocol::PhysAddr;

pub(crate) fn run(data: &[u8]) {
    let Some((told, rest)) = data.split_first() else {
        return;
    };
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("dump");
    if fs::write(&path, rest).is_err() {
        return;
    }
    let options = DumpOptions {
        path,
        ram_base: (told & 1 != 0).then(|| PhysAddr::new(u64::from(told >> 4) << 28)),
        satps: match told & 2 {
            0 => Vec::new(),
            _ => vec![8 << 60 | 0x80000, 10 << 60 | 0x80001],
        },
    };
    let Ok(mut target) = DumpTarget::open(&options) else {
        return;
    };
    let _ = target.harts();
    if let Ok(mut capturer) = Capturer::new(&mut target, None) {
        let _ = capturer.capture(&mut target, "fuzz");
    }
}
