//! A translation as scripts get it.
//!
//! One stage, and a guest's first stage, are `steps`. Of a guest's, each step has the G-stage's steps
//! to its entry in `g_steps`, and the last translation stands beside them:
//!
//! ```text
//! {"va": "0x1234", "mapped": true, "pa": "0x80201234", "reason": null, "mode": "Sv39", …
//!  "stage": "both", "g_mode": "Sv39x4", "gpa": "0x40201234",
//!  "steps": [{"level": 2, "table": "0x40001000", …, "stage": "first", "entry": "0x80001000",
//!             "g_steps": [{"level": 2, …, "stage": "guest"}]}],
//!  "g_steps": [{"level": 2, …, "stage": "guest"}]}
//! ```

use pagescope_protocol::snapshot::{Snapshot, Space, SpaceOutcome, SpaceTranslation};
use pagescope_protocol::translate::{Step, Trail};
use pagescope_protocol::two_stage::{GuestStep, StagedOutcome};
use pagescope_protocol::{PhysAddr, PteKind, TranslationMode};
use serde::Serialize;

use super::format;
use crate::model::AccessAnswer;

/// The modes of a translation's stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Modes {
    /// satp's or vsatp's; hgatp's, where a guest's physical map is asked about.
    pub(super) first: TranslationMode,
    /// hgatp's, where the first stage goes through it.
    pub(super) guest: Option<TranslationMode>,
}

impl Modes {
    pub(super) fn of_space(snapshot: &Snapshot, space: &Space) -> Self {
        Self {
            first: space.mode,
            guest: snapshot.guest_stage_of(space).map(|stage| stage.mode),
        }
    }
}

/// A translation as scripts get it.
#[derive(Debug, Serialize)]
pub(super) struct WalkAnswer {
    va: String,
    /// What lies there, with its source line, where the ELF knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// `null` where an entry could not be read, so that it is not known.
    mapped: Option<bool>,
    pa: Option<String>,
    reason: Option<String>,
    mode: String,
    page_size: Option<u64>,
    flags: Option<String>,
    /// Which stages were asked: `first`, `guest` or `both`.
    stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    g_mode: Option<String>,
    /// The guest physical address that the first stage gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    gpa: Option<String>,
    steps: Vec<StepAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    g_steps: Option<Vec<StepAnswer>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    access: Vec<AccessWords>,
}

/// What becomes of a load, a store or a fetch there.
#[derive(Debug, Serialize)]
struct AccessWords {
    kind: String,
    /// `S` or `U`.
    mode: &'static str,
    /// `null` where it depends on what is not known of the machine.
    allowed: Option<bool>,
    words: String,
}

#[derive(Debug, Serialize)]
struct StepAnswer {
    level: u8,
    table: String,
    index: usize,
    pte: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whose table it is: `first` or `guest`.
    stage: &'static str,
    /// Where the entry lies for the machine, where `table` is guest physical.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    g_steps: Option<Vec<StepAnswer>>,
}

pub(super) fn unreadable(at: PhysAddr) -> String {
    format!("the entry at {at} could not be read: it is not RAM, or not in this file")
}

pub(super) fn of(
    modes: Modes,
    translation: &SpaceTranslation,
    accesses: &[AccessAnswer],
) -> WalkAnswer {
    let mapped = translation.mapped();
    let translated = mapped.filter(|mapped| mapped.page_size > 0);
    let reason = match translation.outcome() {
        SpaceOutcome::Mapped(_) => None,
        SpaceOutcome::Fault(fault) => Some(fault.to_string()),
        SpaceOutcome::Unreadable(at) => Some(unreadable(at)),
    };
    let own_stage = if modes.first.is_guest_stage() {
        GUEST
    } else {
        FIRST
    };
    let (stage, steps) = match translation {
        SpaceTranslation::Single(translation) => {
            (own_stage, trail_answer(&translation.trail, own_stage))
        }
        SpaceTranslation::Staged(staged) => {
            ("both", staged.steps.iter().map(guest_step_answer).collect())
        }
    };
    let (gpa, g_steps) = match translation {
        SpaceTranslation::Single(_) => (None, None),
        SpaceTranslation::Staged(staged) => {
            let gpa = match staged.outcome {
                StagedOutcome::Mapped(mapped) => Some(mapped.guest_address),
                StagedOutcome::GuestStage { address, .. } => Some(address),
                StagedOutcome::FirstStage(_) | StagedOutcome::Unreadable(_) => None,
            };
            let last = staged.last.as_ref();
            (gpa, last.map(|last| trail_answer(&last.trail, GUEST)))
        }
    };
    WalkAnswer {
        va: format::hex(translation.address().as_u64()),
        place: None,
        mapped: match translation.outcome() {
            SpaceOutcome::Unreadable(_) => None,
            SpaceOutcome::Mapped(_) | SpaceOutcome::Fault(_) => Some(mapped.is_some()),
        },
        pa: mapped.map(|mapped| format::hex(mapped.address.as_u64())),
        reason,
        mode: modes.first.to_string(),
        page_size: translated.map(|mapped| mapped.page_size),
        flags: translated.map(|mapped| mapped.flags.to_string()),
        stage,
        g_mode: modes.guest.map(|mode| mode.to_string()),
        gpa: gpa.map(|gpa| format::hex(gpa.as_u64())),
        steps,
        g_steps,
        access: accesses.iter().map(access_answer).collect(),
    }
}

fn access_answer(access: &AccessAnswer) -> AccessWords {
    AccessWords {
        kind: access.kind.to_string(),
        mode: access.mode,
        allowed: access.allowed,
        words: access.words.clone(),
    }
}

const FIRST: &str = "first";
const GUEST: &str = "guest";

fn trail_answer(trail: &Trail, stage: &'static str) -> Vec<StepAnswer> {
    trail.iter().map(|step| step_answer(step, stage)).collect()
}

fn guest_step_answer(step: &GuestStep) -> StepAnswer {
    let entry = step.guest.mapped().map(|mapped| mapped.address);
    StepAnswer {
        entry: entry.map(|entry| format::hex(entry.as_u64())),
        g_steps: Some(trail_answer(&step.guest.trail, GUEST)),
        ..step_answer(&step.step, FIRST)
    }
}

fn step_answer(step: &Step, stage: &'static str) -> StepAnswer {
    StepAnswer {
        level: step.level.number(),
        table: format::hex(step.table.start().as_u64()),
        index: step.index,
        pte: format::hex(step.pte.bits()),
        kind: step.kind.name(),
        reason: match step.kind {
            PteKind::Reserved(why) => Some(why.to_string()),
            _ => None,
        },
        stage,
        entry: None,
        g_steps: None,
    }
}
