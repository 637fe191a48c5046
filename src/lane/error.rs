//! What a lane lacks on this machine.

use super::name::Lane;

/// Why a lane cannot run here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// Something the lane needs is not there.
    #[error("lane {lane}: {missing}\n  what to do: {remedy}")]
    Missing {
        /// The lane.
        lane: Lane,
        /// What is missing, and where it was looked for.
        missing: String,
        /// What to install, set or run.
        remedy: String,
    },
}

impl LaneError {
    pub(crate) fn missing(lane: Lane, missing: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Missing { lane, missing: missing.into(), remedy: remedy.into() }
    }
}
