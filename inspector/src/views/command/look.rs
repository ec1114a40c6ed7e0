//! What views ask for about how the maps are looked at: zoom and place, what is hovered, the filter, selections passed through.

/// What is asked for about how the maps are looked at: zoom and place, what is hovered, the filter, selections passed through.
#[derive(Clone, PartialEq, Debug)]
pub enum LookCommand {}
