//! What the views read of the guest: what it is asked to run to, its console, watches.

/// State of the guest: what it is asked to run to, its console, watches.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GuestState {
    /// The function that takes pages back, where the guest's ELF has it.
    pub free_symbol: Option<String>,
}
