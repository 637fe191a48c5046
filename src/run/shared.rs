//! A boot that several windows share: the server, the directory it lives in, and one window at a time. Each window leaves
//! a run directory as complete as if it had booted alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracegate_standin::Fault;

use super::directory::RunDirectory;
use super::error::RunError;
use super::execute::Run;
use super::record::{CacheGuard, Phase, RunRecord, RunState, SharedBoot};
use super::traces::{self, Awaited, Others};
use crate::client::Client;
use crate::lock::FileLock;
use crate::plan::Plan;
use crate::procedure::Span;
use crate::server::interrupt::interrupted;
use crate::server::{Instance, LogPart, ServerError, log};
use crate::time::Nanos;
use crate::trace::trace_files;

/// The name of boot directories, and of the record in one.
pub(super) const NAME: &str = "boot";
pub(super) const RECORD: &str = "boot.json";
/// Longest wait for the answer to a reset of the prefix cache.
const RESET: Span = Span(Duration::from_secs(5));

/// A booted server that windows share.
pub(crate) struct Boot {
    directory: RunDirectory,
    record: RunRecord,
    instance: Instance,
    id: String,
    /// Bytes of the log when the server was ready.
    booted: u64,
    windows: u32,
    took: Duration,
    _turn: Option<FileLock>,
}

/// A window that did not come to its end.
pub(crate) struct Failed {
    pub(crate) error: RunError,
    /// Nothing of the window's own load was sent yet: what an earlier window left is the cause.
    pub(crate) before_load: bool,
}

impl Boot {
    /// Boots the server of a plan in a directory of its own under `out`.
    ///
    /// # Errors
    /// The server did not become ready; nothing of it is left, and the boot directory says so.
    pub(crate) async fn start(plan: &Plan, out: &Path, tell: &dyn Fn(Phase, &str)) -> Result<Self, RunError> {
        let begun = Instant::now();
        let directory = RunDirectory::create_as(out, plan.lane, NAME)?;
        let record = RunRecord::begun();
        let mut run = Run { plan, directory: &directory, tell, record, stop_due: false, file: RECORD };
        let started = async {
            run.enter(Phase::Prepare)?;
            let turn = run.turn().await?;
            run.prepare().await?;
            run.enter(Phase::Boot)?;
            Ok((run.boot().await?, turn))
        };
        let (instance, turn) = match started.await {
            Ok(started) => started,
            Err(error) => {
                run.record.state = RunState::Error;
                run.record.error = Some(RunError::to_string(&error));
                run.close_phase();
                // What happened is worth more than a record that cannot be written.
                let _ = run.save();
                return Err(error);
            }
        };
        run.record.server = Some(instance.command().clone());
        run.close_phase();
        run.save()?;
        let record = run.record;
        let name = directory.path().file_name().unwrap_or_default().to_string_lossy();
        let id = format!("{name}@{}", record.phases.first().map_or(0, |phase| phase.start_ns.as_ns()));
        let booted = log::length(instance.log());
        let took = begun.elapsed();
        Ok(Self { directory, record, instance, id, booted, windows: 0, took, _turn: turn })
    }

    /// Windows that came to their end.
    pub(crate) fn windows(&self) -> u32 {
        self.windows
    }

    /// From the first command to a ready server.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// The directory of the boot.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Plays one window of a plan whose server this is, and leaves everything in the run directory. `replaced` says
    /// why earlier servers of the group were given up just before.
    ///
    /// # Errors
    /// An infrastructure error; it is in `run.json`, too, and the server is not to be used any more.
    pub(crate) async fn window(
        &mut self,
        plan: &Plan,
        directory: &RunDirectory,
        fault: Option<Fault>,
        replaced: &[String],
        tell: &dyn Fn(Phase, &str),
    ) -> Result<(), Failed> {
        let early = |error| Failed { error, before_load: true };
        let mut run = Run::begin(plan, directory, fault, tell).map_err(early)?;
        run.record.server.clone_from(&self.record.server);
        run.record.boots.clone_from(&self.record.boots);
        let name = self.directory.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        run.record.shared = Some(SharedBoot {
            directory: format!("../{name}"),
            id: self.id.clone(),
            window: self.windows + 1,
            cache: None,
            replaced: replaced.to_vec(),
        });
        let from = log::length(self.instance.log());
        let played = tokio::select! {
            played = run.shared(self, from) => played,
            () = interrupted() => Err(ServerError::Interrupted.into()),
        };
        if let Err(error) = &played {
            run.stop_late(&mut self.instance, error).await;
        }
        let before_load = run
            .record
            .phases
            .iter()
            .all(|phase| matches!(phase.phase, Phase::Quiet | Phase::WarmUp | Phase::Start));
        let kept = self.keep_log(directory, from);
        match run.end(played.and(kept)) {
            Ok(_) => {
                self.windows += 1;
                Ok(())
            }
            Err(error) => {
                let interrupted = matches!(error, RunError::Server(ServerError::Interrupted));
                Err(Failed { error, before_load: before_load && !interrupted })
            }
        }
    }

    /// The boot's part of the log and the window's, as if the window had booted alone.
    fn keep_log(&self, directory: &RunDirectory, from: u64) -> Result<(), RunError> {
        let path = directory.path().join("server.log");
        let mut bytes = LogPart::whole(self.instance.log()).bytes();
        let window = bytes.split_off(usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len()));
        bytes.truncate(usize::try_from(self.booted).unwrap_or(usize::MAX));
        bytes.extend(window);
        std::fs::write(&path, bytes).map_err(|error| RunError::directory(path, error))
    }

    /// Ends the server. How it ended is in the boot directory, and returned where it left processes.
    pub(crate) async fn end(mut self, plan: &Plan, reason: Option<&str>) -> Option<String> {
        self.record.phases.push(super::record::PhaseTime {
            phase: Phase::Shutdown,
            start_ns: Nanos::now(),
            end_ns: None,
        });
        let shutdown = self.instance.shutdown(plan.deadlines.shutdown).await;
        if let Some(last) = self.record.phases.last_mut() {
            last.end_ns = Some(Nanos::now());
        }
        self.record.state = if reason.is_none() { RunState::Complete } else { RunState::Error };
        self.record.error = reason.map(str::to_owned);
        let left = (!shutdown.left_nothing()).then(|| shutdown.describe_leftovers());
        self.record.shutdown = Some(shutdown);
        // A full disk takes the record of an end that is told all the same.
        let _ = self.directory.write_json_durably(RECORD, &self.record);
        left.map(|left| format!("{}: {left}", self.directory.path().display()))
    }
}

impl Run<'_> {
    /// One window on a server that has served others.
    async fn shared(&mut self, boot: &mut Boot, from: u64) -> Result<(), RunError> {
        let (traces, cwd) = (boot.directory.traces(), boot.directory.path().join("cwd"));
        let mut client = Client::new(&boot.instance);
        if boot.windows > 0 {
            self.quiet(&mut boot.instance, &client).await?;
            let cache =
                if client.reset_prefix_cache(RESET).await { CacheGuard::Reset } else { CacheGuard::Salt };
            if cache == CacheGuard::Salt {
                client = client.salted(format!("tracegate-window-{}", boot.windows + 1));
            }
            if let Some(shared) = &mut self.record.shared {
                shared.cache = Some(cache);
            }
        }
        let before = files(&traces)?;
        let before_cwd = listed(&cwd);
        let opened = Nanos::now();
        self.window(&mut boot.instance, &client).await?;
        self.check_health(&mut boot.instance, &client).await?;
        self.enter(Phase::Trace)?;
        let (path, tell) = (boot.instance.log().to_owned(), self.tell);
        let wanted = Awaited {
            directory: &traces,
            expected: &self.plan.expected,
            limit: self.plan.deadlines.trace,
            log: LogPart { path: &path, from },
            writer_ended: false,
            others: Some(Others { before, opened }),
        };
        let found = traces::wait(&wanted, &|status| tell(Phase::Trace, status)).await?;
        boot.instance.check_alive("after the window was closed")?;
        self.record.window.late_files = found.late.iter().map(|path| name_of(path)).collect();
        take(&found.own, &self.directory.traces())?;
        let promised = &self.plan.expected.files;
        let mut more: Vec<PathBuf> = listed(&cwd).difference(&before_cwd).cloned().collect();
        more.retain(|path| promised.iter().any(|end| name_of(path).ends_with(end.as_str())));
        take(&more, &self.directory.path().join("cwd"))
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn files(directory: &Path) -> Result<BTreeSet<PathBuf>, RunError> {
    let files = trace_files(directory).map_err(|error| RunError::directory(directory, error))?;
    Ok(files.into_iter().collect())
}

/// Everything in a directory; nothing where it cannot be listed.
fn listed(directory: &Path) -> BTreeSet<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Moves files that are complete to where their window keeps them.
fn take(files: &[PathBuf], to: &Path) -> Result<(), RunError> {
    for path in files {
        let to = to.join(path.file_name().unwrap_or_default());
        std::fs::rename(path, &to).map_err(|error| RunError::directory(path, error))?;
    }
    Ok(())
}
