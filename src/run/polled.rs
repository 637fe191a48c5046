//! Events that a server writes now and then while it runs: the last ones are waited for before it is ended.

use std::time::Duration;

use super::error::RunError;
use super::execute::Run;
use super::record::Phase;
use crate::client::Ledger;
use crate::server::Instance;
use crate::time::Nanos;
use crate::trace::{Trace, trace_files};
use crate::wait::{Look, Unmet, Wait, until};

/// vllm-gaudi `extension/profiler.py`, `FileWriter`: polls every second or later. What has not come by then is
/// not missing because of it.
const POLLED_FLUSH: Duration = Duration::from_millis(2_500);
/// Longest time between two looks at the size of the file.
const POLL: Duration = Duration::from_millis(50);

impl Run<'_> {
    /// Waits until the server's own events tell of every token that the client was served since `begun`. Where
    /// they never do, [`POLLED_FLUSH`] ends the wait, and the checks say what is missing.
    pub(super) async fn events_of_the_load(
        &self,
        instance: &mut Instance,
        begun: Nanos,
    ) -> Result<(), RunError> {
        let cwd = self.directory.path().join("cwd");
        let ledger = self.directory.ledger()?;
        let (mut bytes, tell) = (0, self.tell);
        let wait = Wait::of(POLLED_FLUSH, POLL);
        let told = until(
            wait,
            |status| tell(Phase::Quiet, status),
            async || {
                instance.check_alive("while its last events were written")?;
                let files = trace_files(&cwd).map_err(|error| RunError::directory(&cwd, error))?;
                let now: u64 = files.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum();
                // Reading costs more than a look at the sizes.
                let grown = std::mem::replace(&mut bytes, now) != now;
                // Of several files each is written by a thread of its own: then nothing tells which is the last.
                if let ([file], true) = (files.as_slice(), grown)
                    && tells_of(&Trace::read(file), begun, &ledger)
                {
                    return Ok(Look::Done(()));
                }
                Ok(Look::NotYet("the last events are not written yet".to_owned()))
            },
        );
        match told.await {
            Ok(()) | Err(Unmet::Overdue(_)) => Ok(()),
            Err(Unmet::Failed(error)) => Err(error),
        }
    }
}

/// The steps that began since then have every token of the ledger. False where a step does not say, or nothing tells
/// when it was.
fn tells_of(trace: &Trace, since: Nanos, ledger: &Ledger) -> bool {
    let Some(epoch) = trace.epoch_ns.map(Nanos::from_ns) else { return false };
    let load = || trace.steps.iter().filter(|step| epoch + step.start_ns >= since);
    let prompts = load().map(|step| step.context_tokens).sum::<Option<u64>>();
    let decodes = load().map(|step| step.generation_tokens).sum::<Option<u64>>();
    prompts.is_some_and(|told| told >= ledger.context_tokens())
        && decodes.is_some_and(|told| told >= ledger.generation_tokens())
}
