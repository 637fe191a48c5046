//! The profiler of the imitated engine: one window at a time, and the files it leaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dialect::Dialect;
use super::disguise::Disguise;
use super::engine::{Clock, Executed};
use super::error::ApiError;
use super::event_file::EventFile;
use super::export::Export;
use super::fault::Fault;
use super::options::{ProfilerConfig, StandinOptions};

pub(crate) struct Profiler {
    config: Option<ProfilerConfig>,
    world_size: u32,
    vllm_version: &'static str,
    dialect: Dialect,
    /// Where the worker writes; the front end follows the configuration.
    worker_dir: Option<PathBuf>,
    fault: Option<Fault>,
    through_tmpdir: bool,
    disguise: Disguise,
    window: Option<Window>,
    /// The window before, for faults that leave it once more.
    before: Option<Export>,
    /// The first session was never closed, by the fault.
    stuck: bool,
    /// The Gaudi plugin's own events.
    events: Option<EventFile>,
}

#[derive(Debug)]
struct Window {
    start: i64,
    steps: Vec<Executed>,
}

impl Profiler {
    pub(crate) fn new(options: &StandinOptions, epoch: i64) -> Self {
        let dialect = options.dialect;
        let events = matches!(dialect, Dialect::GaudiFull | Dialect::GaudiHighLevel)
            .then(|| EventFile::begin(epoch, options.warmup()));
        if let (Dialect::GaudiHighLevel, Some(events), true) =
            (dialect, &events, options.fault != Some(Fault::NoTrace))
            && let Err(error) = events.write_to(Path::new("."), Duration::from_millis(options.event_poll_ms))
        {
            crate::log::line(format_args!("ERROR no server_events file: {error}"));
        }
        Self {
            dialect,
            worker_dir: options.worker_dir(),
            events,
            config: options.profiler_config.clone(),
            world_size: options.tensor_parallel_size,
            vllm_version: options.dialect.vllm_version(),
            fault: options.fault,
            through_tmpdir: options.through_tmpdir,
            disguise: Disguise::new(options.disguise),
            window: None,
            before: None,
            stuck: false,
        }
    }

    pub(crate) fn start(&mut self, now: i64) -> Result<(), ApiError> {
        if self.window.is_some() || self.stuck || self.fault == Some(Fault::AlreadyActive) {
            return Err(ApiError::already_active());
        }
        let failed =
            |reason: &str| Err(ApiError::internal(format!("Call to profile method failed: {reason}")));
        if self.dialect.plugin_version().is_some() && self.worker_dir.is_none() {
            return failed("Profiler is not enabled.");
        }
        match self.fault {
            Some(Fault::ProfilerNotEnabled) => return failed("Profiler is not enabled."),
            Some(Fault::OldSignature) => {
                return failed("HPUWorker.profile() takes 2 positional arguments but 3 were given");
            }
            _ => {}
        }
        self.window = Some(Window { start: now, steps: Vec::new() });
        // The worker records all the same.
        if self.fault == Some(Fault::StartFails) { failed("gather failed") } else { Ok(()) }
    }

    pub(crate) fn record(&mut self, step: Executed, clock: &Clock) {
        if let Some(events) = &mut self.events {
            let (start, end) = (clock.epoch + step.start, clock.epoch + step.end);
            events.record(&Executed { start, end, ..step });
        }
        if let Some(window) = &mut self.window {
            window.steps.push(step);
        }
    }

    /// Closes the window and writes its files; returns when they are written. Without a window it
    /// does nothing, as vLLM 0.32 does.
    pub(crate) async fn stop(&mut self, clock: &Clock, now: i64) -> Result<(), ApiError> {
        let config =
            self.config.clone().or_else(|| self.worker_dir.clone().map(ProfilerConfig::of_environment));
        let (Some(window), Some(config)) = (self.window.take(), config) else {
            return Ok(());
        };
        match self.fault {
            Some(Fault::StopFails) => {
                return Err(ApiError::internal(
                    "Call to profile method failed: Can't disable Kineto profiler when it's not running",
                ));
            }
            Some(Fault::NoTrace) => return Ok(()),
            Some(Fault::CrashOnStop) => std::process::abort(),
            Some(Fault::StopHangs) => std::future::pending().await,
            Some(Fault::SlowStop) => tokio::time::sleep(Duration::from_secs(2)).await,
            _ => {}
        }
        let directory = config.torch_profiler_dir.clone().unwrap_or_default();
        let opened = clock.epoch + window.start;
        let steps = told(window.steps, self.fault, clock.epoch);
        let export = Export {
            worker_dir: self.worker_dir.clone().unwrap_or_else(|| directory.clone()),
            directory,
            dialect: self.dialect,
            events: self.events.as_mut().map(|events| events.take(opened, &steps)).unwrap_or_default(),
            epoch: clock.epoch,
            window: (opened, clock.epoch + now),
            steps,
            world_size: self.world_size,
            vllm_version: self.vllm_version,
            fault: self.fault,
            through_tmpdir: self.through_tmpdir,
            disguise: self.disguise,
            config,
        };
        self.stuck = self.fault == Some(Fault::StuckSession);
        let before = self.before.replace(export.clone());
        let exports = match (self.fault, before) {
            (Some(Fault::LateFile), Some(before)) => vec![before, export],
            (Some(Fault::StaleFile), Some(before)) => vec![before],
            _ => vec![export],
        };
        let later = self.fault == Some(Fault::AsyncExport);
        let writing = tokio::task::spawn_blocking(move || {
            if later {
                std::thread::sleep(Duration::from_secs(2));
            }
            // vLLM's worker catches what the profiler raises: HTTP 200 is no proof of a trace.
            if let Err(error) = exports.iter().try_for_each(Export::write) {
                crate::log::line(format_args!("ERROR Failed to stop profiler: {error}"));
            }
        });
        if later {
            return Ok(());
        }
        writing.await.map_err(|error| ApiError::internal(format!("Call to profile method failed: {error}")))
    }
}

/// What the trace will tell of the steps: the truth, or what the fault makes of it. Moves the steps
/// to the Unix clock.
fn told(mut steps: Vec<Executed>, fault: Option<Fault>, epoch: i64) -> Vec<Executed> {
    for step in &mut steps {
        step.start += epoch;
        step.end += epoch;
    }
    let decode = steps.iter().position(|step| step.context_requests == 0 && !step.is_idle());
    match (fault, decode) {
        (Some(Fault::DropDecode), Some(place)) => {
            steps.remove((place + 2).min(steps.len().saturating_sub(2)));
        }
        (Some(Fault::DuplicateStep), Some(place)) => {
            let step = steps[place];
            let middle = step.start + (step.end - step.start) / 2;
            steps[place].end = middle - 50_000;
            steps.insert(place + 1, Executed { start: middle, ..step });
        }
        (Some(Fault::ReorderSteps), Some(place @ 1..)) => {
            let (before, after) = (steps[place - 1], steps[place]);
            steps[place - 1] = Executed { start: before.start, end: before.end, ..after };
            steps[place] = Executed { start: after.start, end: after.end, ..before };
        }
        (Some(Fault::LostTail), _) => lose_tail(&mut steps),
        (Some(Fault::WrongTokenCounts), _) => {
            if let Some(prompt) = steps.iter_mut().find(|step| step.context_requests > 0) {
                prompt.context_tokens += 1;
            }
        }
        (Some(Fault::ExtraIdle), Some(place)) if place + 1 < steps.len() => {
            let (start, end) = (steps[place].end, steps[place + 1].start);
            let quarter = (end - start) / 4;
            let idle = Executed {
                context_requests: 0,
                context_tokens: 0,
                generation_requests: 0,
                generation_tokens: 0,
                start: start + quarter,
                end: end - quarter,
                ..steps[place]
            };
            steps.insert(place + 1, idle);
        }
        (Some(Fault::MissingPrompt), _) => steps.retain(|step| step.context_requests == 0),
        _ => {}
    }
    steps
}

/// Drops what had not ended when nine tenths of the load were over.
fn lose_tail(steps: &mut Vec<Executed>) {
    let working = |step: &&Executed| !step.is_idle();
    let first = steps.iter().find(working).map(|step| step.start);
    let last = steps.iter().rfind(working).map(|step| step.end);
    if let (Some(first), Some(last)) = (first, last) {
        let kept = first + (last - first) / 10 * 9;
        steps.retain(|step| step.end <= kept);
    }
}
