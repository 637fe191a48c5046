//! Commands before the server, each under a guard of its own and within the deadline `prepare`.

use super::error::RunError;
use super::execute::Run;
use super::record::Phase;
use super::waiting::told;
use crate::procedure::Span;
use crate::server::guard::Guarded;
use crate::server::interrupt::interrupted;
use crate::server::{ServerError, launch, log};

impl Run<'_> {
    pub(super) async fn prepare(&self) -> Result<(), RunError> {
        for command in &self.plan.prepare {
            let root = self.directory.path();
            let filled = command.filled(root, None);
            let path = root.join("prepare.log");
            let failed = |status: String| {
                let (command, log) = (filled.to_string(), log::tail(&path));
                RunError::from(ServerError::Prepare { command, status, log })
            };
            let launch = launch(&filled, root, root.join("cwd"), path.clone());
            let mut running = Guarded::start(&launch).await?;
            let limit = self.plan.deadlines.prepare;
            let waiting = self.waiting("before the server", Phase::Prepare, limit);
            let ended = tokio::select! {
                ended = told(&waiting, &path, tokio::time::timeout(limit.0, running.ended())) => ended,
                () = interrupted() => {
                    running.shutdown(Span(std::time::Duration::from_secs(2))).await;
                    return Err(ServerError::Interrupted.into());
                }
            };
            let shutdown = running.shutdown(Span(std::time::Duration::from_secs(2))).await;
            match ended {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => return Err(failed(status.to_string())),
                Ok(Err(lost)) => return Err(failed(lost)),
                Err(_) => {
                    let status = format!(
                        "it did not end within {limit} (deadline: prepare); then: {}",
                        shutdown.status
                    );
                    return Err(failed(status));
                }
            }
        }
        Ok(())
    }
}
