//! Which of the extensions of paging a machine has: Svnapot, Svpbmt, and Svade or Svadu.
//!
//! QEMU's processor says it as properties (`target/riscv/cpu.c`), and menvcfg.ADUE decides between Svade
//! and Svadu where it has both. A machine that cannot be asked is not known, and is said to be so.
//!
//! ```text
//!  (qemu) qom-get /machine/soc0/harts[0] svnapot
//!  false
//!
//!  svadu  svade   A and D                                 (cpu_helper.c, "adue")
//!  none   none    set by hardware: QEMU before 8.0
//!  false  none    a page fault                            8.0 to 9.0
//!  false  …       a page fault where svade is true
//!  true   …       as menvcfg.ADUE says
//! ```

use pagescope_protocol::access::{AdUpdate, Extensions};

use crate::link::{LinkError, Registers, Stub, Target, qemu};

/// menvcfg.ADUE: the hardware sets A and D.
const ADUE: u64 = 1 << 61;

/// The first QEMU in which it is not always the hardware that sets A and D.
const ADUE_SINCE: (u32, u32) = (8, 0);

/// Where QEMU's `virt` has its first hart.
const HART: &str = "/machine/soc0/harts[0]";

/// What a machine's processor was asked once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Processor {
    svnapot: Option<bool>,
    svpbmt: Option<bool>,
    svadu: Option<bool>,
    svade: Option<bool>,
    /// Whether it is a QEMU that answered at all.
    is_known: bool,
}

impl Processor {
    /// Asks the processor.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn ask(target: &mut dyn Target) -> Result<Self, LinkError> {
        let Stub::Qemu { version } = &target.facts().stub else {
            return Ok(Self::default());
        };
        let release = version.as_deref().and_then(qemu::release);
        let has_no_choice = release.is_some_and(|release| release < ADUE_SINCE);
        // All in one round: each question of its own costs a way there and back.
        let names: &[&str] = match has_no_choice {
            true => &["svnapot", "svpbmt"],
            false => &["svnapot", "svpbmt", "svadu", "svade"],
        };
        let commands = names.iter().map(|name| format!("qom-get {HART} {name}"));
        let commands: Vec<String> = commands.collect();
        let texts = target.monitor_all(&commands)?;
        let property = |place: usize| texts.get(place)?.as_deref().and_then(truth);
        let (svnapot, svpbmt) = (property(0), property(1));
        let (svadu, svade) = (property(2), property(3));
        Ok(Self {
            svnapot,
            svpbmt,
            svadu,
            svade,
            is_known: svnapot.is_some() || svpbmt.is_some(),
        })
    }

    /// With what a hart's registers say.
    pub fn extensions(self, registers: Option<&Registers>) -> Extensions {
        let adue = registers.and_then(|registers| registers.get("menvcfg"));
        let by_hardware = match (self.svadu, self.svade) {
            _ if !self.is_known => None,
            (Some(true), _) => adue.map(|menvcfg| menvcfg & ADUE != 0),
            (Some(false), svade) => Some(svade == Some(false)),
            (None, _) => Some(true),
        };
        Extensions {
            svnapot: self.svnapot,
            svpbmt: self.svpbmt,
            ad: by_hardware.map(|by_hardware| match by_hardware {
                true => AdUpdate::ByHardware,
                false => AdUpdate::Faults,
            }),
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_and_d_by_what_the_processor_says() {
        let processor = |svadu, svade| Processor {
            svnapot: Some(true),
            svpbmt: Some(false),
            svadu,
            svade,
            is_known: true,
        };
        let registers = |menvcfg: u64| Registers {
            named: vec![("menvcfg".into(), menvcfg)],
            ..Registers::default()
        };
        let ad = |svadu, svade, menvcfg| {
            processor(svadu, svade)
                .extensions(Some(&registers(menvcfg)))
                .ad
        };
        assert_eq!(ad(None, None, 0), Some(AdUpdate::ByHardware));
        assert_eq!(ad(Some(false), None, 0), Some(AdUpdate::Faults));
        assert_eq!(ad(Some(false), Some(false), 0), Some(AdUpdate::ByHardware));
        assert_eq!(ad(Some(true), Some(true), 0), Some(AdUpdate::Faults));
        assert_eq!(ad(Some(true), Some(true), ADUE), Some(AdUpdate::ByHardware));
        assert_eq!(processor(Some(true), None).extensions(None).ad, None);
        assert_eq!(Processor::default().extensions(None), Extensions::default());
        assert_eq!(truth("Error: no such property\n"), None);
    }
}
