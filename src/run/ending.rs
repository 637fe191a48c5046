//! Processes that end by themselves: a script that profiles, a server that profiles its warm-up. And traces that
//! a server leaves in its working directory.

use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::error::RunError;
use super::execute::Run;
use super::record::Phase;
use crate::plan::Course;
use crate::procedure::Span;
use crate::server::guard::Guarded;
use crate::server::interrupt::interrupted;
use crate::server::{ServerError, launch, log};
use crate::trace::trace_files;

/// What a server of the Gaudi plugin says when it ends by design.
const INTENDED: &str = "Finished profiling";
/// Time between two progress lines.
const TELL: Duration = Duration::from_millis(500);

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
        let begun = Instant::now();
        loop {
            match tokio::time::timeout(TELL, guarded.ended()).await {
                Ok(Ok(status)) => return Ok(status),
                Ok(Err(reason)) => {
                    let log = log::tail(log);
                    return Err(
                        ServerError::Exited { during: "while it profiled", status: reason, log }.into()
                    );
                }
                Err(_) => {}
            }
            let tail = log::tail(log);
            let last = tail.lines.last().cloned().unwrap_or_else(|| "nothing was printed yet".to_owned());
            (self.tell)(Phase::Boot, &last);
            if begun.elapsed() >= limit.0 {
                return Err(RunError::NotEnded { waited: limit, log: tail });
            }
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
