//! What the views read of the guest: what it is asked to run to, its console, watches.

use crate::export::view::Picture;
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
}

impl GuestState {
    /// Takes where what is typed goes, or why it goes nowhere.
    pub fn take_input(&mut self, input: Result<ConsoleInput, String>) {
        match input {
            Ok(input) => (self.input, self.why_no_input) = (Some(input), String::new()),
            Err(why) => (self.input, self.why_no_input) = (None, why),
        }
    }
}
