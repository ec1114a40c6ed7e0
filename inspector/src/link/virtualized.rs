//! Whether harts run virtualized, and which of their registers is whose then.
//!
//! V is in no CSR. QEMU's `virt` register shows it from 10.0 on; before, its monitor does
//! (`target/riscv/cpu.c`, `riscv_cpu_dump_state`):
//!
//! ```text
//!  (qemu) info registers -a
//!  CPU#0
//!   V      =   1
//!   pc       0000000080000004
//! ```
//!
//! On entering a guest QEMU puts vsatp's value where satp's was and keeps the host's elsewhere
//! (`target/riscv/cpu_helper.c`, `riscv_cpu_swap_hypervisor_regs`): `satp` shows the guest's then, as
//! an instruction in VS-mode sees it, and the host's cannot be had.

use super::{HartId, LinkError, Registers, Stub, Target};
use pagescope_protocol::{Satp, TranslationMode};

/// The monitor command whose text says it.
const COMMAND: &str = "info registers -a";

/// Finds out which of these harts run virtualized, where any can, and gives each register to whom it
/// belongs.
///
/// # Errors
/// When the target cannot be asked.
pub fn find_out(
    target: &mut dyn Target,
    harts: &mut [(HartId, Registers)],
) -> Result<(), LinkError> {
    let has_guest = |registers: &Registers| {
        let stage = registers.hgatp.map(|hgatp| hgatp.mode());
        let first = registers.vsatp.map(Satp::mode);
        [stage, first]
            .into_iter()
            .flatten()
            .any(|mode| mode != TranslationMode::Bare)
    };
    let is_qemu = matches!(target.facts().stub, Stub::Qemu { .. });
    let unknown = |registers: &Registers| registers.virtualized.is_none() && has_guest(registers);
    if is_qemu && harts.iter().any(|(_, registers)| unknown(registers)) {
        let text = target.monitor(COMMAND)?.unwrap_or_default();
        for (hart, is_virtualized) in from_text(&text) {
            let found = harts.iter_mut().find(|(id, _)| *id == hart);
            if let Some((_, registers)) = found {
                registers.virtualized = Some(is_virtualized);
            }
        }
    }
    for (_, registers) in harts {
        if is_qemu && registers.virtualized == Some(true) {
            registers.vsatp = registers.satp.take();
            if is_hidden(registers) {
                registers.vsatp = None;
            }
        }
    }
    Ok(())
}

/// Whether the hart runs a guest whose G-stage is not shown: nothing is known of its translation then.
pub fn is_hidden(registers: &Registers) -> bool {
    registers.virtualized == Some(true) && registers.hgatp.is_none()
}

/// What the monitor's text says of each hart.
fn from_text(text: &str) -> Vec<(HartId, bool)> {
    let mut found = Vec::new();
    let mut hart = None;
    for line in text.lines() {
        if let Some(number) = line.trim().strip_prefix("CPU#") {
            hart = number.trim().parse().ok().map(HartId::new);
        }
        let value = line.trim().strip_prefix('V').map(str::trim_start);
        let value = value.and_then(|rest| rest.strip_prefix('=')).map(str::trim);
        if let (Some(hart), Some(value)) = (hart, value) {
            found.push((hart, value == "1"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_two_harts() {
        let text = "\nCPU#0\n V      =   1\n pc       0000000080000004\n x0/zero 0\n\
                    \nCPU#1\n V      =   0\n pc       0000000000001000\n mhartid 1\n";
        let found = from_text(text);
        assert_eq!(found, [(HartId::new(0), true), (HartId::new(1), false)]);
        assert_eq!(from_text("V = 1\nCPU#x\n V = 1\nunknown command"), []);
    }
}
