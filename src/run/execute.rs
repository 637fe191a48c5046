//! The run itself: prepare, boot, start, load, stop, wait for traces, shut down. In that order, once.

use std::path::Path;
use std::process::Stdio;

use super::directory::RunDirectory;
use super::error::RunError;
use super::record::{Phase, PhaseTime, RunRecord, RunState};
use super::traces;
use crate::client::Client;
use crate::plan::Plan;
use crate::server::interrupt::interrupted;
use crate::server::{Instance, ServerError, Starter, process};
use crate::standin::Fault;
use crate::time::Nanos;

/// Runs a plan and leaves everything in the run directory. No server process survives, whatever
/// happens. `tell` hears each phase and the last status of what is waited for.
///
/// # Errors
/// Any infrastructure error; it is in `run.json`, too.
pub fn execute(
    plan: &Plan,
    directory: &RunDirectory,
    fault: Option<Fault>,
    tell: &dyn Fn(Phase, &str),
) -> Result<RunRecord, RunError> {
    crate::server::prepare_process();
    // One thread, and this one: the server ends when the thread that started it ends.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::directory(directory.path(), error))?;
    directory.write_plan(plan)?;
    let mut run = Run { plan, directory, tell, record: RunRecord::begun() };
    run.record.fault = fault;
    run.save()?;
    let outcome = runtime.block_on(run.whole());
    run.close_phase();
    run.record.state = if outcome.is_ok() { RunState::Complete } else { RunState::Error };
    run.record.error = outcome.as_ref().err().map(ToString::to_string);
    run.save()?;
    outcome.map(|()| run.record)
}

struct Run<'a> {
    plan: &'a Plan,
    directory: &'a RunDirectory,
    tell: &'a dyn Fn(Phase, &str),
    record: RunRecord,
}

impl Run<'_> {
    async fn whole(&mut self) -> Result<(), RunError> {
        self.enter(Phase::Prepare)?;
        self.prepare().await?;
        self.enter(Phase::Boot)?;
        let mut instance = self.boot().await?;
        self.record.server = Some(instance.command().clone());
        let profiled = tokio::select! {
            profiled = self.profile(&mut instance) => profiled,
            () = interrupted() => Err(ServerError::Interrupted.into()),
        };
        // Entered whatever came before; its own write error must not keep the server alive.
        let entered = self.enter(Phase::Shutdown);
        self.record.shutdown = Some(instance.shutdown(self.plan.deadlines.shutdown).await);
        profiled.and(entered)
    }

    /// The part that needs a living server: when it ends early, that is the cause to report.
    async fn profile(&mut self, instance: &mut Instance) -> Result<(), RunError> {
        let client = Client::new(instance);
        self.enter(Phase::Start)?;
        let deadlines = self.plan.deadlines;
        alive(instance, "while the window was opened", client.start_profile(deadlines.request)).await?;
        let loaded = self.load(instance, &client).await;
        self.enter(Phase::Stop)?;
        // Also after a failed load: an open window holds the profiler, and what was recorded is evidence.
        let stopped =
            alive(instance, "while the window was closed", client.stop_profile(deadlines.stop)).await;
        loaded?;
        stopped?;
        self.enter(Phase::Trace)?;
        let tell = self.tell;
        traces::wait(&self.directory.traces(), &self.plan.expected, deadlines.trace, &|status| {
            tell(Phase::Trace, status)
        })
        .await?;
        instance.check_alive("after the window was closed")?;
        Ok(())
    }

    async fn load(&mut self, instance: &mut Instance, client: &Client) -> Result<(), RunError> {
        self.enter(Phase::Load)?;
        for (index, request) in self.plan.requests.iter().enumerate() {
            (self.tell)(Phase::Load, &format!("request {} of {}", index + 1, self.plan.requests.len()));
            let answer =
                client.complete(index, &self.plan.served_model, request, self.plan.deadlines.request);
            let served = alive(instance, "while a request was served", answer).await?;
            self.directory.append_served(&served)?;
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<(), RunError> {
        for command in &self.plan.prepare {
            let filled = command.filled(self.directory.path(), None);
            let failed = |status: String, output: String| ServerError::Prepare {
                command: filled.to_string(),
                status,
                output: crate::text::inert(&output, 2_000),
            };
            let output =
                process(&filled)?.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(
                    |error| failed(error.to_string(), "is it installed and on your PATH?".to_owned()),
                )?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                return Err(failed(output.status.to_string(), text).into());
            }
        }
        Ok(())
    }

    async fn boot(&self) -> Result<Instance, RunError> {
        let starter = Starter {
            command: self.plan.server.clone(),
            run: self.directory.path().to_owned(),
            port: self.plan.port,
            deadline: self.plan.deadlines.boot,
            served_model: self.plan.served_model.clone(),
        };
        let tell = self.tell;
        Ok(starter.start(&|status| tell(Phase::Boot, status)).await?)
    }

    fn enter(&mut self, phase: Phase) -> Result<(), RunError> {
        self.close_phase();
        (self.tell)(phase, "");
        self.record.phases.push(PhaseTime { phase, start_ns: now(), end_ns: None });
        self.save()
    }

    fn close_phase(&mut self) {
        if let Some(last) = self.record.phases.last_mut() {
            last.end_ns.get_or_insert_with(now);
        }
    }

    fn save(&self) -> Result<(), RunError> {
        self.directory.write_json("run.json", &self.record)
    }
}

fn now() -> Nanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Nanos::from(since.unwrap_or_default())
}

/// Waits for an answer while the server lives. A dead server closes the connection a moment before
/// its exit status is known, so a failed answer is held against the server first.
async fn alive<T, E: Into<RunError>>(
    instance: &mut Instance,
    during: &'static str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, RunError> {
    tokio::select! {
        biased;
        answer = answer => match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                instance.check_alive(during)?;
                Err(error.into())
            }
        },
        ended = instance.ended(during) => Err(ended.into()),
    }
}

/// The directory under which runs are kept when none is named.
pub(crate) fn default_parent() -> &'static Path {
    Path::new("target/tracegate")
}
