//! The run itself: prepare, boot, the window, wait for traces, shut down. In that order, once.

use std::path::Path;

use super::directory::RunDirectory;
use super::error::RunError;
use super::record::{Phase, PhaseTime, RunRecord, RunState};
use super::waiting::told;
use super::{traces, turn};
use crate::client::Client;
use crate::lock::FileLock;
use crate::plan::{Course, Plan};
use crate::procedure::Span;
use crate::server::interrupt::{Active, interrupted};
use crate::server::{Instance, LogPart, ServerError, Starter};
use crate::time::Nanos;
use tracegate_standin::Fault;

/// How long a trace is waited for whose writer has ended: a network file system may show it late.
const ENDED: std::time::Duration = std::time::Duration::from_secs(5);

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
    let _active = Active::begin();
    // One thread: a panic in it ends this run's server and no other's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::directory(directory.path(), error))?;
    let mut run = Run::begin(plan, directory, fault, tell)?;
    let outcome = runtime.block_on(run.whole());
    run.end(outcome)
}

/// Leaves an infrastructure error in a run directory for which no server was to be had.
///
/// # Errors
/// Always that error.
pub(crate) fn refuse(
    plan: &Plan,
    directory: &RunDirectory,
    fault: Option<Fault>,
    error: RunError,
) -> Result<(), RunError> {
    match Run::begin(plan, directory, fault, &|_, _| {}) {
        Ok(run) => run.end(Err(error)).map(|_| ()),
        Err(_) => Err(error),
    }
}

pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) directory: &'a RunDirectory,
    pub(super) tell: &'a dyn Fn(Phase, &str),
    pub(super) record: RunRecord,
    /// The window is open, or may be, and `/stop_profile` was not sent yet.
    pub(super) stop_due: bool,
    /// The file of the record.
    pub(super) file: &'static str,
}

/// The record of a run.
const RUN: &str = "run.json";

impl<'a> Run<'a> {
    pub(super) fn begin(
        plan: &'a Plan,
        directory: &'a RunDirectory,
        fault: Option<Fault>,
        tell: &'a dyn Fn(Phase, &str),
    ) -> Result<Self, RunError> {
        directory.write_plan(plan)?;
        let mut run = Self { plan, directory, tell, record: RunRecord::begun(), stop_due: false, file: RUN };
        run.record.fault = fault;
        run.save()?;
        Ok(run)
    }

    /// Closes the record, and says what came of the run.
    pub(super) fn end(mut self, outcome: Result<(), RunError>) -> Result<RunRecord, RunError> {
        self.close_phase();
        self.record.state = if outcome.is_ok() { RunState::Complete } else { RunState::Error };
        let outcome = outcome.map_err(|error| error.with_leftovers(self.record.shutdown.as_ref()));
        self.record.error = outcome.as_ref().err().map(ToString::to_string);
        // On a full disk the record stays at `incomplete`; the cause is worth more than that.
        let saved = self.directory.write_json_durably(self.file, &self.record);
        outcome.and(saved).map(|()| self.record)
    }
}

impl Run<'_> {
    async fn whole(&mut self) -> Result<(), RunError> {
        self.enter(Phase::Prepare)?;
        // A real server uses the whole machine: two at once would measure each other.
        let _turn = self.turn().await?;
        self.prepare().await?;
        if self.plan.course.ends_by_itself() {
            self.until_its_end().await?;
            return self.traces_of_an_end().await;
        }
        self.enter(Phase::Boot)?;
        let mut instance = self.boot().await?;
        self.record.server = Some(instance.command().clone());
        let profiled = tokio::select! {
            profiled = self.profile(&mut instance) => profiled,
            () = interrupted() => Err(ServerError::Interrupted.into()),
        };
        if let Err(error) = &profiled {
            self.stop_late(&mut instance, error).await;
        }
        // Entered whatever came before; its own write error must not keep the server alive.
        let entered = self.enter(Phase::Shutdown);
        let limit = self.plan.deadlines.shutdown;
        let waiting = self.waiting("while it ended", Phase::Shutdown, limit);
        let log = instance.log().to_owned();
        let shutdown = told(&waiting, &log, instance.shutdown(limit)).await;
        self.record.shutdown = Some(shutdown);
        profiled.and(entered)?;
        if self.plan.course == Course::FromBoot {
            self.collect()?;
            return self.traces_of_an_end().await;
        }
        Ok(())
    }

    pub(super) async fn turn(&self) -> Result<Option<FileLock>, RunError> {
        let tell = self.tell;
        tokio::select! {
            turn = turn::take(self.plan.lane, |status| tell(Phase::Prepare, status)) => turn,
            () = interrupted() => Err(ServerError::Interrupted.into()),
        }
    }

    /// Traces whose server has ended are as whole as they will ever be.
    async fn traces_of_an_end(&mut self) -> Result<(), RunError> {
        self.enter(Phase::Trace)?;
        let log = self.directory.path().join("server.log");
        let limit = Span(self.plan.deadlines.trace.0.min(ENDED));
        self.wait_for_traces(&log, limit, true).await
    }

    /// The part that needs a living server: when it ends early, that is the cause to report.
    async fn profile(&mut self, instance: &mut Instance) -> Result<(), RunError> {
        let client = Client::new(instance);
        if self.plan.course == Course::FromBoot {
            return self.load_from_boot(instance, &client).await;
        }
        match &self.plan.bench_command {
            Some(bench) => self.real_client(instance, &client, bench).await?,
            None => self.window(instance, &client).await?,
        }
        self.check_health(instance, &client).await?;
        self.enter(Phase::Trace)?;
        let log = instance.log().to_owned();
        self.wait_for_traces(&log, self.plan.deadlines.trace, false).await?;
        instance.check_alive("after the window was closed")?;
        Ok(())
    }

    async fn wait_for_traces(&self, log: &Path, limit: Span, writer_ended: bool) -> Result<(), RunError> {
        let tell = self.tell;
        let wanted = traces::Awaited {
            directory: &self.directory.traces(),
            expected: &self.plan.expected,
            limit,
            log: LogPart::whole(log),
            writer_ended,
            others: None,
        };
        traces::wait(&wanted, &|status| tell(Phase::Trace, status)).await.map(|_| ())
    }

    pub(super) async fn boot(&mut self) -> Result<Instance, RunError> {
        let starter = Starter {
            command: self.plan.server.clone(),
            run: self.directory.path().to_owned(),
            port: self.plan.port,
            deadline: self.plan.deadlines.boot,
            // A server that never served has nothing to export.
            shutdown: Span(self.plan.deadlines.shutdown.0.min(std::time::Duration::from_secs(20))),
            served_model: self.plan.served_model.clone(),
            profiled: self.plan.course == Course::Window,
            version: self.plan.versions.get("vllm").cloned(),
        };
        let tell = self.tell;
        starter.start(&mut self.record.boots, &|status| tell(Phase::Boot, status)).await.map_err(|not| {
            if let Some((command, shutdown)) = not.ran {
                self.record.server = Some(command);
                self.record.shutdown = Some(shutdown);
            }
            not.error.into()
        })
    }

    pub(super) fn enter(&mut self, phase: Phase) -> Result<(), RunError> {
        self.close_phase();
        (self.tell)(phase, "");
        self.record.phases.push(PhaseTime { phase, start_ns: Nanos::now(), end_ns: None });
        self.save()
    }

    pub(super) fn close_phase(&mut self) {
        if let Some(last) = self.record.phases.last_mut() {
            last.end_ns.get_or_insert_with(Nanos::now);
        }
    }

    pub(super) fn save(&self) -> Result<(), RunError> {
        self.directory.write_json(self.file, &self.record)
    }
}

/// The directory under which runs are kept when none is named.
pub(crate) fn default_parent() -> &'static Path {
    Path::new("target/tracegate")
}
