//! What a guard and its tracegate tell each other: one JSON object per line, orders in on standard
//! input, events out on standard output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::server::Shutdown;

/// To the guard. The end of the input is an order, too: end everything at once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The first one.
    Start(Launch),
    /// End the server; it may take this many milliseconds until it is killed.
    End { grace_ms: u64 },
}

/// A process to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) argv: Vec<String>,
    /// All of its environment.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: PathBuf,
    /// Receives its output.
    pub(crate) log: PathBuf,
    /// Receives a record of the end if tracegate ends first.
    pub(crate) abandoned: PathBuf,
}

/// From the guard.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    Started,
    /// The system's answer.
    NotStarted {
        reason: String,
    },
    /// The process that was started ended; its wait status.
    Ended {
        status: i32,
    },
    /// Nothing is left. The last event.
    Down(Shutdown),
}
