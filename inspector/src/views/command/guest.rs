//! What views ask for about the guest: what it is asked to run to, its console, watches.

/// What is asked for about the guest: what it is asked to run to, its console, watches.
#[derive(Clone, PartialEq, Debug)]
pub enum GuestCommand {}
