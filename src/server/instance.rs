//! A running server. [`Instance::shutdown`] is required; dropping one is the noisy last resort.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{LogTail, ServerError};
use super::guard::Guarded;
use super::log;
use crate::plan::Command;
use crate::procedure::Span;

/// A server process with everything that descends from it.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Taken by the shutdown.
    guarded: Option<Guarded>,
    port: Option<u16>,
    log: PathBuf,
    command: Command,
}

/// How a server ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shutdown {
    /// Exit status or signal of the leader.
    pub status: String,
    /// Processes that did not end by themselves, and how they were ended; a server that leaves any
    /// is at fault, and the run says so.
    pub killed: Vec<String>,
    /// Processes that not even SIGKILL ended, such as those that hang in a driver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surviving: Vec<String>,
}

impl Shutdown {
    /// Every process ended by itself.
    #[must_use]
    pub fn left_nothing(&self) -> bool {
        self.killed.is_empty() && self.surviving.is_empty()
    }

    /// What was left, for messages.
    pub(crate) fn describe_leftovers(&self) -> String {
        let mut text = format!("the server left processes that had to be ended: {}", self.killed.join(", "));
        if !self.surviving.is_empty() {
            text += &format!("; not even SIGKILL ended {}", self.surviving.join(", "));
        }
        text
    }
}

impl Instance {
    pub(super) fn new(guarded: Guarded, port: Option<u16>, log: PathBuf, command: Command) -> Self {
        Self { guarded: Some(guarded), port, log, command }
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.port = Some(port);
    }

    /// Pid of the guard, below which every process is the server's.
    pub(super) fn guard(&self) -> i32 {
        self.guarded.as_ref().map_or(0, Guarded::pid)
    }

    /// The server's log.
    #[must_use]
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The end of the log, for messages.
    #[must_use]
    pub(crate) fn log_tail(&self) -> LogTail {
        log::tail(&self.log)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.unwrap_or_default())
    }

    /// The command as it was run.
    #[must_use]
    pub(crate) fn command(&self) -> &Command {
        &self.command
    }

    /// Fails when the server has ended; also looks for new descendants.
    ///
    /// # Errors
    /// [`ServerError::Exited`] with the end of the log.
    pub(crate) fn check_alive(&mut self, during: &'static str) -> Result<(), ServerError> {
        match self.guarded.as_mut().and_then(Guarded::try_ended) {
            None => Ok(()),
            Some(ended) => Err(self.exited(during, ended.map_or_else(|lost| lost, |how| how.to_string()))),
        }
    }

    fn exited(&self, during: &'static str, status: String) -> ServerError {
        ServerError::Exited { during, status, log: self.log_tail() }
    }

    /// Resolves when the server ends.
    pub(crate) async fn ended(&mut self, during: &'static str) -> ServerError {
        let ended = match &mut self.guarded {
            Some(guarded) => guarded.ended().await,
            None => Err("unknown: it was shut down".to_owned()),
        };
        self.exited(during, ended.map_or_else(|lost| lost, |how| how.to_string()))
    }

    /// Ends the server: SIGTERM to the leader and, when it has not ended by half of the deadline,
    /// to its group; then whatever is left is ended and named.
    pub(crate) async fn shutdown(mut self, deadline: Span) -> Shutdown {
        match self.guarded.take() {
            Some(guarded) => guarded.shutdown(deadline).await,
            None => Shutdown::default(),
        }
    }
}

impl Drop for Instance {
    /// A panic or an early return got here: nothing may survive, and whoever reads the output must know.
    fn drop(&mut self) {
        if let Some(guarded) = self.guarded.take() {
            drop(guarded);
            crate::output::error_line(format_args!(
                "tracegate: a server was dropped without shutdown and ended by its guard; its log is {}",
                self.log.display()
            ));
        }
    }
}
