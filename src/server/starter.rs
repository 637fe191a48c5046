//! Starts a server under a guard and waits until it is ready; tries another port when one is taken.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::environment::passed_on;
use super::error::ServerError;
use super::guard::{ABANDONED, Guarded, Launch};
use super::instance::{Instance, Shutdown};
use super::log;
use super::port::HeldPort;
use super::readiness::{self, BOOTING, Wanted};
use crate::plan::{Command, PortSource};
use crate::procedure::Span;

/// Boots in all, when ports turn out to be taken. A port is free when it is chosen, so losing one
/// is rare, and losing three means that something takes ports as they come.
const ATTEMPTS: usize = 3;

/// How a server is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    /// The command with placeholders.
    pub command: Command,
    /// The run directory: the log goes there, and placeholders name it.
    pub run: PathBuf,
    /// How the port comes about.
    pub port: PortSource,
    /// From the first spawn to ready.
    pub deadline: Span,
    /// From SIGTERM to the end, for a server that is given up.
    pub shutdown: Span,
    /// The model that `/v1/models` must list.
    pub served_model: String,
    /// The profiler's routes must be there.
    pub profiled: bool,
    /// The version of vLLM that `/version` must name, where it is known.
    pub version: Option<String>,
}

/// One boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// The port; absent when the server ended before it reported one.
    pub port: Option<u16>,
    /// Why it was given up and another port tried; absent for the last boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
}

/// A server that was not started, and how what there was of it ended.
#[derive(Debug)]
pub(crate) struct NotStarted {
    /// Why.
    pub error: ServerError,
    /// The command that ran, and its end.
    pub ran: Option<(Command, Shutdown)>,
}

impl From<ServerError> for NotStarted {
    fn from(error: ServerError) -> Self {
        Self { error, ran: None }
    }
}

impl Starter {
    /// Starts the server and waits until it is ready. On any failure nothing of it is left.
    /// `attempts` receives every boot.
    ///
    /// # Errors
    /// It cannot be started, ends, does not become ready in time, or is not the one wanted.
    pub(crate) async fn start(
        &self,
        attempts: &mut Vec<Attempt>,
        progress: &dyn Fn(&str),
    ) -> Result<Instance, NotStarted> {
        let begun = Instant::now();
        loop {
            let number = attempts.len() + 1;
            let failed = match self.attempt(begun, number, progress).await {
                Ok(instance) => {
                    attempts.push(Attempt { port: instance.port(), given_up: None });
                    return Ok(instance);
                }
                Err(failed) => failed,
            };
            let (port, not) = *failed;
            let again = self.port == PortSource::Chosen && number < ATTEMPTS && is_taken(&not.error);
            let given_up = again.then(|| lost(&not.error));
            attempts.push(Attempt { port, given_up: given_up.clone() });
            let Some(reason) = given_up else { return Err(not) };
            progress(&format!("{reason}; trying another port"));
            // The log of each boot is kept beside the last one's.
            let log = self.run.join("server.log");
            let _ = std::fs::rename(&log, self.run.join(format!("server.{number}.log")));
        }
    }

    async fn attempt(
        &self,
        begun: Instant,
        number: usize,
        progress: &dyn Fn(&str),
    ) -> Result<Instance, Box<(Option<u16>, NotStarted)>> {
        let early = |error: ServerError| Box::new((None, NotStarted::from(error)));
        let held = match self.port {
            PortSource::Reported => None,
            PortSource::Chosen => {
                Some(HeldPort::choose().map_err(|error| early(ServerError::NoPort(error)))?)
            }
        };
        let port = held.as_ref().map(HeldPort::port);
        let command = self.command.filled(&self.run, port);
        let log = self.run.join("server.log");
        let cwd = self.run.join("cwd");
        let launch = launch(&command, &self.run, cwd, log.clone());
        if let Some(held) = held {
            held.release();
        }
        let guarded = Guarded::start(&launch).await.map_err(early)?;
        let mut instance = Instance::new(guarded, port, log, command);
        let wanted = Wanted {
            deadline: self.deadline,
            begun,
            attempt: number,
            port_file: self.run.join("port"),
            served_model: &self.served_model,
            profiled: self.profiled,
            version: self.version.as_deref(),
        };
        match readiness::wait(&mut instance, &wanted, progress).await {
            Ok(()) => Ok(instance),
            Err(error) => {
                let (port, command) = (instance.port(), instance.command().clone());
                let shutdown = instance.shutdown(self.shutdown).await;
                Err(Box::new((port, NotStarted { error, ran: Some((command, shutdown)) })))
            }
        }
    }
}

/// How a port was lost, in a line.
fn lost(error: &ServerError) -> String {
    let text = error.to_string();
    let line = crate::text::inert(text.lines().next().unwrap_or_default(), 300);
    match error {
        ServerError::Exited { .. } => format!("{line}; its log says that the port is in use"),
        _ => line,
    }
}

/// True when somebody else has the port: the kernel says so, or the server, as the cause of its end while it booted.
pub(super) fn is_taken(error: &ServerError) -> bool {
    match error {
        ServerError::Taken { .. } => true,
        ServerError::Exited { during, status, log } => {
            // Whoever cannot bind ends by itself; a signal has another cause.
            *during == BOOTING
                && status.starts_with("exit status")
                && log::last_error(&log.path).is_some_and(|line| says_taken(&line))
        }
        _ => false,
    }
}

/// CPython, uvicorn and Rust, each in its words.
fn says_taken(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["address already in use", "errno 98", "eaddrinuse", "os error 98"].iter().any(|said| line.contains(said))
}

/// A command of a run with the allowed part of this process's environment.
pub(crate) fn launch(command: &Command, run: &Path, cwd: PathBuf, log: PathBuf) -> Launch {
    let mut env = passed_on();
    env.extend(command.env.clone());
    Launch { argv: command.argv.clone(), env, cwd, log, abandoned: run.join(ABANDONED) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::LogTail;

    /// Servers that lose the race for their port say so in these words and end.
    #[test]
    fn a_lost_port_is_told_from_other_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        for (said, taken) in [
            ("OSError: [Errno 98] Address already in use", true),
            (
                "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8080): address already in use",
                true,
            ),
            ("cannot listen on 127.0.0.1:8080: Address already in use (os error 98)", true),
            ("torch.OutOfMemoryError", false),
            // PyTorch's store tries other addresses and goes on; what ended the server comes later.
            (
                "[W1124 10:00:00.1 socket.cpp:767] [c10d] The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use).\nINFO loading\ntorch.OutOfMemoryError: out of memory",
                false,
            ),
            (
                "WARNING 11-24 Port 8080 is already in use: [Errno 98] Address already in use, trying port 8081\nKilled",
                false,
            ),
            (
                "[W1124 10:00:00.1 socket.cpp:767] [c10d] The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use).\nINFO loading",
                false,
            ),
            (
                "ERROR loading shard\nOSError: [Errno 98] Address already in use\n/usr/lib/python3.12/multiprocessing/resource_tracker.py:254: UserWarning: leaked objects\n  warnings.warn('x')",
                true,
            ),
        ] {
            std::fs::write(&path, said).unwrap();
            let log = LogTail { path: path.clone(), lines: Vec::new(), cause: None };
            let exited = |during, status: &str| {
                is_taken(&ServerError::Exited { during, status: status.to_owned(), log: log.clone() })
            };
            assert_eq!(exited(BOOTING, "exit status: 1"), taken, "{said}");
            assert!(!exited(BOOTING, "signal: 9 (SIGKILL)"), "killed: {said}");
            assert!(!exited("while a request was served", "exit status: 1"), "long after the boot: {said}");
        }
    }
}
