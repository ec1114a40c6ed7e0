//! `init`: the first process.

use super::call::{Line, sleep, spawn};

/// Spawns two that live for ever at an easy pace, and sleeps.
pub(super) extern "C" fn main(_argument: u64, pid: u64) -> ! {
    let count = spawn(b"count", 0);
    let grow = spawn(b"grow", 0);
    let mut line = Line::new();
    line.text(b"init is process ").number(pid);
    line.text(b"; it has spawned count as ").number(count);
    line.text(b" and grow as ").number(grow);
    line.print();
    loop {
        sleep(1000);
    }
}
