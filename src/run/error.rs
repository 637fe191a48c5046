//! Infrastructure errors: the run could not answer. Never a failed check, never a pass.

use std::path::PathBuf;

use crate::client::ClientError;
use crate::lane::LaneError;
use crate::plan::PlanError;
use crate::procedure::Span;
use crate::server::ServerError;

/// Why a run has no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The lane cannot run here.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// There is no plan for these versions.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A call to the server failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The window closed, but a trace is missing or unfinished.
    #[error(
        "/stop_profile was accepted, but the traces are not complete after {waited} (deadline: trace): {status}\n  what to do: look for \"Failed to stop profiler\" in the server's log (HTTP 200 is no proof of a trace), and for space in TMPDIR; raise deadlines.trace if the export is only slow"
    )]
    NoTrace {
        /// How long it was waited for.
        waited: Span,
        /// What was there.
        status: String,
    },
    /// The run directory has no worker trace.
    #[error("{directory} holds no worker trace: there is nothing to decide from")]
    NoWorker {
        /// The directory of the traces.
        directory: PathBuf,
    },
    /// The client's record does not hold every request of the plan.
    #[error("{path} holds {found} of {planned} requests: the record is damaged, or the run was cut off")]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Requests found.
        found: usize,
        /// Requests planned.
        planned: usize,
    },
    /// A trace from which nothing may be decided.
    #[error(
        "{file} cannot be decided from: {code} at byte {offset} {offset_in}: {detail}; {events} events and {steps} steps were read before it"
    )]
    BadTrace {
        /// The file.
        file: String,
        /// Code of the problem.
        code: String,
        /// Byte offset.
        offset: u64,
        /// What it counts in.
        offset_in: &'static str,
        /// What was there.
        detail: String,
        /// Events read.
        events: u64,
        /// Steps read.
        steps: usize,
    },
    /// The run directory lacks something, or it cannot be written.
    #[error("{path}: {reason}")]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The run never ended, so it has no verdict.
    #[error("the run in {path} is not complete: {reason}")]
    Incomplete {
        /// The run directory.
        path: PathBuf,
        /// How it ended.
        reason: String,
    },
}

impl RunError {
    pub(crate) fn directory(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Directory { path: path.into(), reason: reason.to_string() }
    }
}
