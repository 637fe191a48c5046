//! A running server. [`Instance::shutdown`] is required; dropping one is the noisy last resort.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::Child;

use super::error::ServerError;
use super::log;
use super::processes::ProcessTree;
use crate::plan::Command;
use crate::procedure::Span;

/// A server process with everything that descends from it.
#[derive(Debug)]
pub struct Instance {
    child: Child,
    tree: ProcessTree,
    port: Option<u16>,
    log: PathBuf,
    command: Command,
    down: bool,
}

/// How a server ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    /// Exit status or signal of the leader.
    pub status: String,
    /// Processes that did not end by themselves and were killed; a server that leaves any is at
    /// fault, and the run says so.
    pub killed: Vec<String>,
}

impl Instance {
    pub(super) fn new(child: Child, port: Option<u16>, log: PathBuf, command: Command) -> Self {
        // The id is there as long as nobody has waited for the child.
        let tree = ProcessTree::of(child.id().unwrap_or_default());
        Self { child, tree, port, log, command, down: false }
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.port = Some(port);
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.unwrap_or_default())
    }

    /// The command as it was run.
    #[must_use]
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Fails when the server has ended; also looks for new descendants.
    ///
    /// # Errors
    /// [`ServerError::Exited`] with the end of the log.
    pub fn check_alive(&mut self, during: &'static str) -> Result<(), ServerError> {
        self.tree.refresh();
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.exited(during, &status.to_string())),
            Err(error) => Err(self.exited(during, &error.to_string())),
        }
    }

    fn exited(&self, during: &'static str, status: &str) -> ServerError {
        ServerError::Exited { during, status: status.to_owned(), log: log::tail(&self.log) }
    }

    /// Resolves when the server ends.
    pub async fn ended(&mut self, during: &'static str) -> ServerError {
        match self.child.wait().await {
            Ok(status) => self.exited(during, &status.to_string()),
            Err(error) => self.exited(during, &error.to_string()),
        }
    }

    /// Ends the server: SIGTERM to the leader and, when it has not ended by half of the deadline,
    /// to its group; then whatever is left is killed and named.
    pub async fn shutdown(mut self, deadline: Span) -> Shutdown {
        self.tree.refresh();
        self.tree.terminate_leader();
        let half = deadline.0 / 2;
        let mut status = self.wait(half).await;
        if status.is_none() {
            self.tree.signal_group(Signal::SIGTERM);
            status = self.wait(half).await;
        }
        // Workers end a moment after the leader.
        let begun = Instant::now();
        while !self.tree.alive().is_empty() && begun.elapsed() < half.min(Duration::from_secs(10)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let killed = self.tree.sweep(Duration::from_secs(10));
        if status.is_none() {
            status = self.wait(Duration::from_secs(5)).await;
        }
        self.down = true;
        Shutdown { status: status.map_or_else(|| "unknown".to_owned(), |status| status.to_string()), killed }
    }

    async fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(limit, self.child.wait()).await.ok()?.ok()
    }
}

impl Drop for Instance {
    /// A panic or an early return got here: nothing may survive, and whoever reads the output must know.
    fn drop(&mut self) {
        if self.down {
            return;
        }
        self.tree.refresh();
        self.tree.signal_group(Signal::SIGKILL);
        let killed = self.tree.sweep(Duration::from_secs(10));
        let _ = self.child.try_wait();
        crate::output::error_line(format_args!(
            "tracegate: a server was dropped without shutdown and killed: {}; its log is {}",
            killed.join(", "),
            self.log.display()
        ));
    }
}
