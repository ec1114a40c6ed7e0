//! What a capture tells a scan: where harts run, which roots have names, what addresses harts use.

use pagescope_protocol::scheme::Xlen;
use pagescope_protocol::snapshot::{Hart, Snapshot};
use pagescope_protocol::{TranslationMode, VirtAddr};

use super::Hints;

/// The hints in `snapshot`, of a machine of this width.
pub fn of(snapshot: &Snapshot, xlen_bits: u32) -> Hints {
    let mut hints = Hints {
        xlen: match xlen_bits {
            32 => Xlen::Rv32,
            _ => Xlen::Rv64,
        },
        ..Hints::default()
    };
    for space in &snapshot.spaces {
        if space.mode.scheme().is_none() || space.mode.is_guest_stage() {
            continue;
        }
        let harts: Vec<String> = space.harts.iter().map(u32::to_string).collect();
        let root = (space.mode, space.root);
        if !harts.is_empty() {
            let word = if harts.len() == 1 { "hart" } else { "harts" };
            let who = format!("{word} {}", harts.join(", "));
            hints.running.push((root.0, root.1, who));
        }
        if space.kind.is_some() {
            hints.named.push((root.0, root.1, space.name.clone()));
        }
    }
    for hart in &snapshot.harts {
        anchors(snapshot, hart, &mut hints);
    }
    hints
}

/// pc and the trap vector, which every space maps that a kernel can be entered from.
fn anchors(snapshot: &Snapshot, hart: &Hart, hints: &mut Hints) {
    let Some(space) = snapshot.space_of_hart(hart.id) else {
        return;
    };
    if space.mode == TranslationMode::Bare {
        return;
    }
    let stvec = hart
        .registers
        .iter()
        .find(|register| register.name == "stvec");
    // The low two bits are the vector's mode (privileged specification, section 12.1.2).
    let stvec = stvec.map(|register| VirtAddr::new(register.value & !3));
    // What a user program executes says nothing of other spaces.
    let is_kernel = hart.privilege.as_deref() == Some("S");
    let pc = hart.pc.filter(|_| is_kernel);
    for (address, what) in [(pc, "pc"), (stvec, "stvec")] {
        let Some(address) = address else { continue };
        let Some(mapped) = space.translate(address).mapped() else {
            continue;
        };
        let is_known = hints.anchors.iter().any(|(known, ..)| *known == address);
        if !is_known {
            let what = format!("{what} of hart {}", hart.id);
            hints.anchors.push((address, mapped.address, what));
        }
    }
}
