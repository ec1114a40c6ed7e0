//! What the views read of how the maps are looked at: zoom and place, what is hovered, the filter, selections passed through.

/// State of how the maps are looked at: zoom and place, what is hovered, the filter, selections passed through.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LookState {}
