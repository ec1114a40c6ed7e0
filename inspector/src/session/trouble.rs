//! What ends a command early, and what that means for the link.

use crate::capture::step::StepError;
use crate::link::LinkError;

/// The window is gone: there is nobody to work for.
pub(super) struct WindowGone;

/// What ended a command early.
pub(super) enum Trouble {
    WindowGone,
    /// The link is of no use any more.
    Lost(LinkError),
    /// The link stands; the command failed.
    Failed(String),
    /// The guest powered off.
    Ended(String),
}

impl From<WindowGone> for Trouble {
    fn from(_: WindowGone) -> Self {
        Self::WindowGone
    }
}

impl From<LinkError> for Trouble {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Refused { .. }
            | LinkError::Running { .. }
            | LinkError::NoWay { .. }
            | LinkError::Offline { .. }
            | LinkError::NeedsGdbPort { .. }
            | LinkError::NoWatchpoints { .. }
            | LinkError::MonitorRefused { .. }
            | LinkError::NotMapped { .. }
            | LinkError::Cancelled => Self::Failed(error.to_string()),
            lost => Self::Lost(lost),
        }
    }
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Link(error) => error.into(),
            StepError::GuestEnded { .. } => Self::Ended(error.to_string()),
            failed => Self::Failed(failed.to_string()),
        }
    }
}
