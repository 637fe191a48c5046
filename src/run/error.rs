//! Infrastructure errors: the run could not answer. Never a failed check, never a pass.

use std::path::PathBuf;

use crate::client::Client;
use crate::client::ClientError;
use crate::lane::{Lane, LaneError};
use crate::plan::PlanError;
use crate::procedure::Span;
use crate::server::{Instance, LogTail, ServerError, Shutdown};

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
    /// Nobody can say whose turn on the lane it is.
    #[error(
        "cannot wait for the turn on lane {lane}: {path}: {reason}\n  what to do: the file must be readable for everybody; TMPDIR says where it lies"
    )]
    Turn {
        /// The lane.
        lane: Lane,
        /// The lock file.
        path: PathBuf,
        /// The system's answer.
        reason: String,
    },
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A call to the server failed.
    #[error(transparent)]
    Client(Box<FailedCall>),
    /// The server still runs something, so the window is not closed in order.
    #[error(
        "the server was not quiet after {waited} (deadline: quiet): {status}\n{log}\n  what to do: stopping with requests in flight crashes workers (https://github.com/vllm-project/vllm-ascend/issues/16642); raise deadlines.quiet if they are only slow"
    )]
    NotQuiet {
        /// How long it was waited for.
        waited: Span,
        /// What it runs.
        status: String,
        /// The end of its log.
        log: LogTail,
    },
    /// The server answered the stop and is not healthy any more.
    #[error(
        "/stop_profile was accepted, and then the server is not healthy: {seen}\n{log}\n  likely cause: a worker that died while it exported (https://github.com/vllm-project/vllm-ascend/issues/16642); send fewer requests, or switch Python stacks off"
    )]
    Unhealthy {
        /// What was seen.
        seen: String,
        /// The end of its log.
        log: LogTail,
    },
    /// Another process played the window, and this is what it said.
    #[error("{message}")]
    Told {
        /// The infrastructure error there.
        message: String,
    },
    /// The process that keeps the server for several trials is gone.
    #[error(
        "{reason}: it keeps the server that trials share; its guard has ended the server\n  what to do: look at run.json in {directory}, which says how far the window came; run the trial again, or the procedure by `tracegate run`",
        directory = directory.display()
    )]
    Keeper {
        /// What was seen.
        reason: String,
        /// The run directory.
        directory: PathBuf,
    },
    /// The group's server was lost again and again.
    #[error(
        "not tried: the server that this procedure shares was lost {boots} times in a row ({reasons})\n  what to do: look at the run that lost it first; run this procedure alone, or with --own-boot"
    )]
    GroupLost {
        /// Boots that were lost.
        boots: usize,
        /// Why, each.
        reasons: String,
    },
    /// A process that profiles by itself did not end.
    #[error(
        "it did not end within {waited} (deadlines: boot, request and stop together)\n{log}\n  what to do: look into the log; if the machine is slow, raise the deadlines"
    )]
    NotEnded {
        /// How long it was waited for.
        waited: Span,
        /// The end of its log.
        log: LogTail,
    },
    /// A server that was to profile a step of its warm-up served instead, or just ended.
    #[error(
        "the server ended with {status} and without the intended assertion \"Finished profiling\": no step was profiled\n{log}\n  what to do: check that this version reads VLLM_PT_PROFILE (vllm-gaudi#472, vllm-gaudi#497)"
    )]
    NoAssertion {
        /// How it ended.
        status: String,
        /// The end of its log.
        log: LogTail,
    },
    /// The window closed, but a trace is missing or unfinished.
    #[error(
        "profiling has ended, but the traces are not complete after {waited} (deadline: trace): {status}{}\n{log}\n  what to do: look for \"Failed to stop profiler\" in the server's log (HTTP 200 is no proof of a trace), and for space in TMPDIR; raise deadlines.trace if the export is only slow", said(.complaint.as_deref())
    )]
    NoTrace {
        /// How long it was waited for.
        waited: Span,
        /// What was there.
        status: String,
        /// What the server's log says about it.
        complaint: Option<Box<str>>,
        /// The end of its log.
        log: LogTail,
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
    /// A worker's trace of code whose steps are not known.
    #[error(
        "{file}: {detail}\n  what to do: where it is a version of a known code line, check that Python stacks are on; otherwise report the frames above, of which some begin a batch and run the model"
    )]
    UnknownCodeLine {
        /// The trace.
        file: String,
        /// The frames seen most.
        detail: String,
    },
    /// A trace from which nothing may be decided.
    #[error(transparent)]
    BadTrace(Box<BadTrace>),
    /// An error of a run whose server left processes besides.
    #[error("{error}\n  besides, {leftovers}")]
    Leftovers {
        /// The error.
        #[source]
        error: Box<RunError>,
        /// Who was left.
        leftovers: String,
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

/// A call to the server that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", context(.seen, .log.as_ref()))]
#[non_exhaustive]
pub struct FailedCall {
    /// What the client met.
    #[source]
    pub error: ClientError,
    /// How the server looked then.
    pub seen: String,
    /// The end of its log.
    pub log: Option<LogTail>,
}

/// A trace from which nothing may be decided.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} cannot be decided from: {code} at byte {offset} {offset_in}: {detail}; {events} events and {steps} steps were read before it{}", said(.complaint.as_deref())
)]
#[non_exhaustive]
pub struct BadTrace {
    /// The file.
    pub file: String,
    /// Code of the problem.
    pub code: String,
    /// Byte offset.
    pub offset: u64,
    /// What it counts in.
    pub offset_in: &'static str,
    /// What was there.
    pub detail: String,
    /// Events read.
    pub events: u64,
    /// Steps read.
    pub steps: usize,
    /// What the server's log says about it.
    pub complaint: Option<String>,
}

impl From<ClientError> for RunError {
    fn from(error: ClientError) -> Self {
        Self::Client(Box::new(FailedCall { error, seen: String::new(), log: None }))
    }
}

fn context(seen: &str, log: Option<&LogTail>) -> String {
    let seen = if seen.is_empty() { String::new() } else { format!("\n  last seen: {seen}") };
    seen + &log.map_or_else(String::new, |log| format!("\n{log}"))
}

fn said(complaint: Option<&str>) -> String {
    complaint.map_or_else(String::new, |line| format!("\n  the server's log says: {line}"))
}

impl RunError {
    /// A client's error with what is known of the server at that moment.
    pub(super) async fn client(error: ClientError, client: &Client, instance: &Instance) -> Self {
        let seen = client.last_seen().await;
        Self::Client(Box::new(FailedCall { error, seen, log: Some(instance.log_tail()) }))
    }

    pub(super) fn with_leftovers(self, shutdown: Option<&Shutdown>) -> Self {
        match shutdown {
            Some(shutdown) if !shutdown.left_nothing() => {
                Self::Leftovers { error: Box::new(self), leftovers: shutdown.describe_leftovers() }
            }
            _ => self,
        }
    }

    /// Who noticed, in one word: what the matrix of faults names, and what stands beside the verdict.
    #[must_use]
    pub fn detector(&self) -> &'static str {
        match self {
            Self::Lane(_) => "lane",
            Self::Plan(_) => "plan",
            Self::Turn { .. } => "turn",
            Self::Server(error) => error.detector(),
            Self::Client(call) => call.error.detector(),
            Self::NotQuiet { .. } => "quiet",
            Self::Unhealthy { .. } => "health",
            Self::NotEnded { .. } => "end",
            Self::GroupLost { .. } => "boots",
            Self::Told { .. } | Self::Keeper { .. } => "keeper",
            Self::NoAssertion { .. } => "assertion",
            Self::NoTrace { .. } | Self::NoWorker { .. } => "traces",
            Self::BadTrace(_) | Self::UnknownCodeLine { .. } => "reader",
            Self::Leftovers { error, .. } => error.detector(),
            Self::Ledger { .. } | Self::Directory { .. } | Self::Incomplete { .. } => "run_directory",
        }
    }

    pub(crate) fn directory(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Directory { path: path.into(), reason: reason.to_string() }
    }
}
