//! Showing it to others.

use super::Action;

/// Lectures, and pictures of the views.
pub(super) const ACTIONS: &[Action] = &[];
