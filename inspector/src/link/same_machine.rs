//! Whether a gdb port and a monitor are of one machine.
//!
//! A monitor that is named beside a gdb port is somebody's word: one of another machine would say of that one whether
//! it ran, and so leave this one in its state, and show its memory under this one's name.
//!
//! Connecting to the port stops the machine. So a monitor whose machine runs afterwards is another's, and so is one
//! whose harts are at other places. Two machines that both stand at their first instruction are told apart by
//! their processes, where these can be seen.

use super::memory::peer::Peer;
use super::{GdbTarget, LinkError, MonitorTarget, Target as _};

/// Why `monitor` is of another machine than `target`, which stands still, in words; `None` where it is of the same.
///
/// # Errors
/// When one of the two is lost.
pub fn difference(
    target: &mut GdbTarget,
    monitor: &mut MonitorTarget,
) -> Result<Option<String>, LinkError> {
    if let (Peer::Process(one), Peer::Process(other)) = (target.peer(), monitor.peer())
        && one != other
        && [one, other].into_iter().all(is_qemu)
    {
        return Ok(Some(format!(
            "it is process {other}'s, and the gdb port is process {one}'s"
        )));
    }
    if monitor.ask_running()? {
        return Ok(Some(
            "its machine runs, and the one at the gdb port stands still".to_owned(),
        ));
    }
    let (ours, theirs) = (target.harts()?, monitor.harts()?);
    if ours.len() != theirs.len() {
        let (ours, theirs) = (ours.len(), theirs.len());
        return Ok(Some(format!(
            "its machine has {theirs} harts, and the one at the gdb port {ours}"
        )));
    }
    for hart in ours {
        let (ours, theirs) = (target.register(hart, "pc")?, monitor.register(hart, "pc")?);
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && ours != theirs
        {
            return Ok(Some(format!(
                "there {hart} is at {theirs:#x}, and at the gdb port at {ours:#x}"
            )));
        }
    }
    Ok(None)
}

/// Whether the process is a QEMU; one that passes bytes on is not.
fn is_qemu(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("qemu"))
}
