//! Whether a load, a store or a fetch may happen at an address, in words.
//!
//! ```text
//! a load in S-mode: allowed
//! a store in S-mode: page fault, W is clear
//! a fetch in U-mode: page fault, the L0 entry needs Svnapot, which this machine lacks
//! ```
//!
//! Through two stages both have to allow it; the G-stage takes every access for one of U-mode
//! (privileged specification, section "Guest physical address translation").

use pagescope_protocol::access::{
    Access, AccessFault, AccessKind, AdUpdate, Extensions, Sets, check,
};
use pagescope_protocol::snapshot::{Hart, Snapshot, Space, SpaceOutcome, SpaceTranslation};
use pagescope_protocol::translate::Trail;
use pagescope_protocol::{LeafFlags, Level};

/// sstatus.SUM and MXR (privileged specification, section "sstatus").
const SUM: u64 = 1 << 18;
const MXR: u64 = 1 << 19;

/// Who accesses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Accessor {
    /// In U-mode, or VU; else in S-mode, or VS.
    pub is_user: bool,
    /// sstatus.SUM.
    pub sum: bool,
    /// sstatus.MXR.
    pub mxr: bool,
}

impl Accessor {
    /// A hart as it stands: in M-mode it is asked for S-mode, which is what tables are about.
    pub fn of_hart(hart: &Hart) -> Self {
        let status = hart.registers.iter().find(|known| known.name == "sstatus");
        let privilege = hart.privilege.as_deref();
        Self::new(
            matches!(privilege, Some("U" | "VU")),
            status.map_or(0, |status| status.value),
        )
    }

    /// The hart that runs in a space, or S-mode where none does; through a G-stage everybody counts as
    /// U-mode.
    pub fn in_space(snapshot: &Snapshot, space: &Space) -> Self {
        let mut harts = snapshot.harts.iter();
        let hart = harts.find(|hart| space.harts.contains(&hart.id));
        let who = hart.map_or_else(Self::default, Self::of_hart);
        Self {
            is_user: who.is_user || space.mode.is_guest_stage(),
            ..who
        }
    }

    /// With this value of sstatus.
    pub const fn new(is_user: bool, sstatus: u64) -> Self {
        Self {
            is_user,
            sum: sstatus & SUM != 0,
            mxr: sstatus & MXR != 0,
        }
    }

    const fn mode(self) -> &'static str {
        if self.is_user { "U" } else { "S" }
    }
}

/// What becomes of one access.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessAnswer {
    /// What is done.
    pub kind: AccessKind,
    /// `S` or `U`.
    pub mode: &'static str,
    /// Whether it may be; `None` where that depends on what is not known of the machine.
    pub allowed: Option<bool>,
    /// The same in words.
    pub words: String,
}

impl std::fmt::Display for AccessAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a {} in {}-mode: {}", self.kind, self.mode, self.words)
    }
}

/// What becomes of a load, a store and a fetch at a mapped address; nothing where none is mapped.
pub fn access_answers(
    translation: &SpaceTranslation,
    who: Accessor,
    machine: Extensions,
) -> Vec<AccessAnswer> {
    let SpaceOutcome::Mapped(_) = translation.outcome() else {
        return Vec::new();
    };
    let missing = missing_extension(translation, machine);
    AccessKind::ALL
        .into_iter()
        .map(|kind| {
            let (allowed, words) = match missing {
                Some((level, name)) => {
                    let words = format!(
                        "page fault, the {level} entry needs {name}, which this machine lacks"
                    );
                    (Some(false), words)
                }
                None => through_all(translation, kind, who, machine.ad),
            };
            AccessAnswer {
                kind,
                mode: who.mode(),
                allowed,
                words,
            }
        })
        .collect()
}

/// The first entry on the way that needs what the machine lacks.
fn missing_extension(
    translation: &SpaceTranslation,
    machine: Extensions,
) -> Option<(Level, &'static str)> {
    let in_trail = |trail: &Trail| {
        let mut steps = trail.iter();
        steps.find_map(|step| Some((step.level, machine.missing_for(step.pte)?)))
    };
    match translation {
        SpaceTranslation::Single(translation) => in_trail(&translation.trail),
        SpaceTranslation::Staged(staged) => {
            let mut steps = staged.steps.iter();
            let on_the_way = steps.find_map(|step| {
                let own = machine.missing_for(step.step.pte);
                in_trail(&step.guest.trail).or(own.map(|name| (step.step.level, name)))
            });
            on_the_way.or_else(|| in_trail(&staged.last.as_ref()?.trail))
        }
    }
}

fn through_all(
    translation: &SpaceTranslation,
    kind: AccessKind,
    who: Accessor,
    ad: Option<AdUpdate>,
) -> (Option<bool>, String) {
    let access = Access {
        kind,
        from_user: who.is_user,
        sum: who.sum,
        mxr: who.mxr,
    };
    let stages: Vec<(LeafFlags, Access, &str)> = match translation {
        SpaceTranslation::Single(translation) => {
            let mapped = translation.mapped().filter(|mapped| mapped.page_size > 0);
            let flags = mapped.map(|mapped| (mapped.flags, access, "page fault"));
            flags.into_iter().collect()
        }
        SpaceTranslation::Staged(staged) => {
            let as_user = Access {
                from_user: true,
                ..access
            };
            let Some(mapped) = staged.mapped() else {
                return (None, "not known".into());
            };
            let first =
                (mapped.first_page_size > 0).then_some((mapped.first_flags, access, "page fault"));
            let second = (mapped.guest_page_size > 0).then_some((
                mapped.guest_flags,
                as_user,
                "guest-page fault",
            ));
            first.into_iter().chain(second).collect()
        }
    };
    let mut sets = Sets::default();
    for (flags, access, what) in stages {
        // What hardware that sets A and D would do; Svade is told beside it.
        match check(flags, access, AdUpdate::ByHardware) {
            Err(fault) => return (Some(false), format!("{what}, {fault}")),
            Ok(more) => {
                if ad == Some(AdUpdate::Faults)
                    && let Err(fault) = check(flags, access, AdUpdate::Faults)
                {
                    return (Some(false), format!("{what}, {fault}"));
                }
                sets.accessed |= more.accessed;
                sets.dirty |= more.dirty;
            }
        }
    }
    let bits = match (sets.accessed, sets.dirty) {
        (false, false) => return (Some(true), "allowed".into()),
        (true, false) => "A",
        (false, true) => "D",
        (true, true) => "A and D",
    };
    match ad {
        Some(AdUpdate::ByHardware) => {
            let words = format!("allowed, and the hardware sets {bits} (Svadu)");
            (Some(true), words)
        }
        _ => {
            let words = format!(
                "where hardware sets {bits} (Svadu) allowed; with Svade a page fault, {}",
                if sets.accessed {
                    AccessFault::AccessedClear
                } else {
                    AccessFault::DirtyClear
                }
            );
            (None, words)
        }
    }
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::{TranslationMode, VirtAddr};

    use super::*;
    use crate::model::fixture::{hypervisor_guest, in_mode, kernel_at};

    fn answers(address: u64, who: Accessor, machine: Extensions) -> Vec<(Option<bool>, String)> {
        let snapshot = in_mode(TranslationMode::Sv48);
        let translation = snapshot.translate(&snapshot.spaces[0], VirtAddr::new(address));
        let answers = access_answers(&translation, who, machine);
        answers
            .into_iter()
            .map(|answer| (answer.allowed, answer.to_string()))
            .collect()
    }

    #[test]
    fn what_may_be_done_depends_on_who_and_on_the_machine() {
        let data = kernel_at(TranslationMode::Sv48).as_u64() + (64 << 20);
        let supervisor = Accessor::default();
        let words = |answers: Vec<(Option<bool>, String)>| -> Vec<String> {
            answers.into_iter().map(|(_, words)| words).collect()
        };
        assert_eq!(
            words(answers(data, supervisor, Extensions::default())),
            [
                "a load in S-mode: allowed",
                "a store in S-mode: allowed",
                "a fetch in S-mode: page fault, X is clear",
            ]
        );
        let user = Accessor::new(true, 0);
        let refused = words(answers(data, user, Extensions::default()));
        assert_eq!(refused[0], "a load in U-mode: page fault, U is clear");
        // A page that is read-only and not dirty; a NAPOT group on a machine without Svnapot.
        let without = Extensions {
            svnapot: Some(false),
            ..Extensions::default()
        };
        let group = answers(data + 0x10_0000, supervisor, without);
        assert!(
            group.iter().all(|(allowed, _)| *allowed == Some(false)),
            "{group:?}"
        );
        assert!(group[0].1.contains("needs Svnapot"), "{group:?}");
        assert!(answers(data + 0x10_0000, supervisor, Extensions::default())[0].0 == Some(true));
        assert!(answers(0, supervisor, Extensions::default()).is_empty());
    }

    #[test]
    fn clear_a_and_d_are_told_for_both_kinds_of_machine() {
        let mut snapshot = in_mode(TranslationMode::Sv39);
        let kernel = kernel_at(TranslationMode::Sv39);
        // The image's superpage: r-x, and A cleared.
        let space = &mut snapshot.spaces[0];
        space.tables.edit(|tables| {
            for table in tables {
                let Some(entries) = &table.entries else {
                    continue;
                };
                let words: Vec<u64> = entries.words().iter().map(|word| word & !0xc0).collect();
                let entries = pagescope_protocol::snapshot::TableEntries::new(words);
                std::sync::Arc::make_mut(table).entries = Some(entries);
            }
        });
        let translation = snapshot.translate(&snapshot.spaces[0], kernel);
        let ask = |ad: Option<AdUpdate>| {
            let machine = Extensions {
                ad,
                ..Extensions::default()
            };
            let load = access_answers(&translation, Accessor::default(), machine).remove(0);
            (load.allowed, load.words)
        };
        let (allowed, words) = ask(None);
        assert_eq!(allowed, None);
        assert!(
            words.contains("Svadu") && words.contains("Svade"),
            "{words}"
        );
        assert_eq!(ask(Some(AdUpdate::ByHardware)).0, Some(true));
        let (allowed, words) = ask(Some(AdUpdate::Faults));
        assert_eq!(allowed, Some(false));
        assert!(words.starts_with("page fault, A is clear"), "{words}");
    }

    #[test]
    fn both_stages_have_to_allow_it() {
        let snapshot = hypervisor_guest();
        let uart = snapshot.translate(&snapshot.spaces[0], VirtAddr::new(0x1000_0000));
        let answers = access_answers(&uart, Accessor::default(), Extensions::default());
        let allowed: Vec<Option<bool>> = answers.iter().map(|answer| answer.allowed).collect();
        assert_eq!(
            allowed,
            [Some(true), Some(true), Some(false)],
            "{answers:?}"
        );
    }
}
