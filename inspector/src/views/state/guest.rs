//! What the views read of the guest: what it is asked to run to, its console, watches.

use std::collections::BTreeMap;

use crate::export::view::Picture;
use crate::link::StopReason;
use crate::model::MomentId;
use crate::session::{ConsoleInput, WatchSpec};

/// State of the guest: what it is asked to run to, its console, watches.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GuestState {
    /// The function that takes pages back, where the guest's ELF has it.
    pub free_symbol: Option<String>,
    /// Where what is typed goes.
    pub input: Option<ConsoleInput>,
    /// Why nothing can be typed, and what to do.
    pub why_no_input: String,
    /// Whether it is asked what to run to.
    pub asks_run_until: bool,
    /// Whether it is asked what picture is wanted.
    pub asks_picture: bool,
    /// The picture that is wanted.
    pub picture: Picture,
    /// What somebody watches.
    pub watches: Vec<WatchSpec>,
    /// Why the guest stood still at moments of this session.
    reasons: BTreeMap<MomentId, StopReason>,
}

/// Most moments of which it is known.
const MOST_REASONS: usize = 1 << 14;

impl GuestState {
    /// Why the guest stood still at `moment`, where that is known.
    pub fn reason(&self, moment: MomentId) -> Option<StopReason> {
        self.reasons.get(&moment).copied()
    }

    /// Forgets all of it: other moments now have these names.
    pub fn forget_reasons(&mut self) {
        self.reasons.clear();
    }

    /// Remembers why it stood still; what is known already stays, since what is told again may be about a stop that
    /// no moment was made of.
    pub fn take_reason(&mut self, moment: MomentId, reason: StopReason) {
        self.reasons.entry(moment).or_insert(reason);
        if self.reasons.len() > MOST_REASONS {
            self.reasons.pop_first();
        }
    }

    /// Takes where what is typed goes, or why it goes nowhere.
    pub fn take_input(&mut self, input: Result<ConsoleInput, String>) {
        match input {
            Ok(input) => (self.input, self.why_no_input) = (Some(input), String::new()),
            Err(why) => (self.input, self.why_no_input) = (None, why),
        }
    }
}
