//! Why a server could not be used, with the evidence.

use std::fmt;
use std::path::PathBuf;

use crate::procedure::Span;

/// The end of a server's log, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogTail {
    /// The whole log.
    pub path: PathBuf,
    /// Its last lines, control characters escaped.
    pub lines: Vec<String>,
    /// The exception of the process that failed first, where a traceback tells it: the end of the log is that
    /// of the process which failed last, and says "see root cause above".
    pub cause: Option<Box<str>>,
}

impl LogTail {
    /// `; the first error was …`, or nothing.
    fn because(&self) -> String {
        self.cause.as_ref().map_or_else(String::new, |cause| format!("; the first error was {cause}"))
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(f, "the log is empty: {}", self.path.display());
        }
        writeln!(f, "last lines of {}:", self.path.display())?;
        let lines: Vec<String> = self.lines.iter().map(|line| format!("  | {line}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// An infrastructure error of a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The program could not be started.
    #[error("cannot run {program:?}: {source} (is it installed and on your PATH?)")]
    Spawn {
        /// The program.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The guard of a server could not be started.
    #[error(
        "cannot guard a server: {reason}\n  what to do: a program that runs servers re-executes itself; let its main call tracegate::harness::run or tracegate::harness::reexecuted first"
    )]
    Guard {
        /// What went wrong.
        reason: String,
    },
    /// A command before the server failed.
    #[error("the preparing command `{command}` failed: {status}\n{log}")]
    Prepare {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed.
        log: LogTail,
    },
    /// A file of the run could not be written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// No free port.
    #[error("no free port on 127.0.0.1: {0}")]
    NoPort(std::io::Error),
    /// The server ended while it was needed.
    #[error("the server ended {during}: {status}{}\n{log}", .log.because())]
    Exited {
        /// What was going on.
        during: &'static str,
        /// Exit status or signal.
        status: String,
        /// The end of its log.
        log: LogTail,
    },
    /// The server did not become ready.
    #[error(
        "the server was not ready after {waited} (deadline: boot = {waited}); last seen: {last}{}\n{log}\n  what to do: look into the log; if the machine is slow, raise deadlines.boot in the procedure, or --deadline-scale",
        .log.because()
    )]
    NotReady {
        /// How long it was waited for.
        waited: Span,
        /// The last status seen.
        last: String,
        /// The end of its log.
        log: LogTail,
    },
    /// Another process listens on the port that was meant for the server.
    #[error(
        "127.0.0.1:{port} is answered by another server: {found}, and it is not the one that was started\n{log}"
    )]
    Taken {
        /// The port.
        port: u16,
        /// Whose socket it is.
        found: String,
        /// The end of the started server's log.
        log: LogTail,
    },
    /// The server listens on more than loopback.
    #[error(
        "the server listens on {address}:{port}: a profiled server must not be reachable from outside\n  what to do: remove --host from server.args"
    )]
    Exposed {
        /// The address.
        address: std::net::IpAddr,
        /// The port.
        port: u16,
    },
    /// What answers is not what was started.
    #[error("127.0.0.1:{port} is answered by another server: {found}")]
    Foreign {
        /// The port.
        port: u16,
        /// What it is.
        found: String,
    },
    /// The server is up without profiler routes.
    #[error("the server has no /start_profile route, so nothing would be profiled: {hint}\n{log}")]
    NoProfiler {
        /// What usually causes that.
        hint: &'static str,
        /// The end of its log.
        log: LogTail,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

impl ServerError {
    /// Who noticed, in one word.
    pub(crate) fn detector(&self) -> &'static str {
        match self {
            Self::Exited { .. } if super::starter::is_taken(self) => "port",
            Self::Exited { during, .. } if *during != super::readiness::BOOTING => "alive",
            Self::NoPort(_) => "port",
            Self::Spawn { .. }
            | Self::Guard { .. }
            | Self::Prepare { .. }
            | Self::File { .. }
            | Self::Exited { .. } => "boot",
            Self::NotReady { .. } => "readiness",
            Self::Taken { .. } | Self::Exposed { .. } | Self::Foreign { .. } => "identity",
            Self::NoProfiler { .. } => "routes",
            Self::Interrupted => "interrupt",
        }
    }
}
