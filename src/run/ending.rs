//! Processes that end by themselves: a script that profiles, a server that profiles its warm-up. And traces that
//! a server leaves in its working directory.

use std::path::Path;
use std::process::ExitStatus;

use super::error::RunError;
use super::execute::Run;
use super::record::Phase;
use super::waiting::told;
use crate::plan::Course;
use crate::procedure::Span;
use crate::server::guard::Guarded;
use crate::server::interrupt::interrupted;
use crate::server::{ServerError, launch, log};
use crate::trace::trace_files;

/// What a server of the Gaudi plugin says when it ends by design.
const INTENDED: &str = "Finished profiling";

impl Run<'_> {
    /// Runs the command to its end and judges how it ended. Its traces are then in `traces`.
    pub(super) async fn until_its_end(&mut self) -> Result<(), RunError> {
        self.enter(Phase::Boot)?;
        let run = self.directory.path().to_owned();
        let command = self.plan.server.filled(&run, None);
        let log = run.join("server.log");
        self.record.server = Some(command.clone());
        let mut guarded = Guarded::start(&launch(&command, &run, run.join("cwd"), log.clone())).await?;
        let ended = tokio::select! {
            ended = self.watch(&mut guarded, &log) => ended,
            () = interrupted() => Err(ServerError::Interrupted.into()),
        };
        let entered = self.enter(Phase::Shutdown);
        self.record.shutdown = Some(guarded.shutdown(self.plan.deadlines.shutdown).await);
        let status = ended?;
        entered?;
        self.judge(status, &log)?;
        self.collect()
    }

    async fn watch(&self, guarded: &mut Guarded, log: &Path) -> Result<ExitStatus, RunError> {
        let deadlines = &self.plan.deadlines;
        let limit = Span(deadlines.boot.0 + deadlines.request.0 + deadlines.stop.0);
        let waiting = self.waiting("while it profiled", Phase::Boot, limit);
        match told(&waiting, log, tokio::time::timeout(limit.0, guarded.ended())).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(status)) => {
                let (during, log) = (waiting.during, log::tail(log));
                Err(ServerError::Exited { during, status, log }.into())
            }
            Err(_) => Err(RunError::NotEnded { waited: limit, log: log::tail(log) }),
        }
    }

    fn judge(&self, status: ExitStatus, log: &Path) -> Result<(), RunError> {
        let exited = |during| ServerError::Exited { during, status: status.to_string(), log: log::tail(log) };
        if self.plan.course == Course::Script {
            return if status.success() { Ok(()) } else { Err(exited("before the script was done").into()) };
        }
        if status.success() {
            return Err(RunError::NoAssertion { status: status.to_string(), log: log::tail(log) });
        }
        // A crash has a status, too; only the message says that the profile was finished.
        if log::contains(log, INTENDED) {
            Ok(())
        } else {
            Err(exited("before it had profiled its step").into())
        }
    }

    /// Moves traces from the working directory to `traces`.
    pub(super) fn collect(&self) -> Result<(), RunError> {
        let cwd = self.directory.path().join("cwd");
        let found = trace_files(&cwd).map_err(|error| RunError::directory(&cwd, error))?;
        for path in found {
            let to = self.directory.traces().join(path.file_name().unwrap_or_default());
            std::fs::rename(&path, &to).map_err(|error| RunError::directory(&path, error))?;
        }
        Ok(())
    }
}
