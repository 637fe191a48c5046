//! The profiler of the imitated engine: one window at a time, and the files it leaves.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::engine::{Clock, Executed};
use super::error::ApiError;
use super::event_writer::{base_time, create};
use super::fault::Fault;
use super::frontend_trace;
use super::ops::VLLM_032_CPU;
use super::options::{ProfilerConfig, StandinOptions};
use super::worker_trace::WorkerTrace;

pub(crate) struct Profiler {
    config: Option<ProfilerConfig>,
    world_size: u32,
    vllm_version: &'static str,
    fault: Option<Fault>,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    start: i64,
    steps: Vec<Executed>,
}

impl Profiler {
    pub(crate) fn new(options: &StandinOptions) -> Self {
        Self {
            config: options.profiler_config.clone(),
            world_size: options.tensor_parallel_size,
            vllm_version: options.dialect.vllm_version(),
            fault: options.fault,
            window: None,
        }
    }

    pub(crate) fn start(&mut self, now: i64) -> Result<(), ApiError> {
        if self.window.is_some() || self.fault == Some(Fault::AlreadyActive) {
            return Err(ApiError::already_active());
        }
        self.window = Some(Window { start: now, steps: Vec::new() });
        Ok(())
    }

    pub(crate) fn record(&mut self, step: Executed) {
        if let Some(window) = &mut self.window {
            window.steps.push(step);
        }
    }

    /// Closes the window and writes its files; returns when they are written. Without a window it
    /// does nothing, as vLLM 0.32 does.
    pub(crate) async fn stop(&mut self, clock: &Clock, now: i64) -> Result<(), ApiError> {
        let (Some(window), Some(config)) = (self.window.take(), self.config.clone()) else {
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
            Some(Fault::SlowStop) => tokio::time::sleep(Duration::from_secs(2)).await,
            _ => {}
        }
        let export = Export {
            directory: config.torch_profiler_dir.clone().unwrap_or_default(),
            epoch: clock.epoch,
            window: (clock.epoch + window.start, clock.epoch + now),
            steps: told(window.steps, self.fault, clock.epoch),
            world_size: self.world_size,
            vllm_version: self.vllm_version,
            fault: self.fault,
            config,
        };
        let later = self.fault == Some(Fault::AsyncExport);
        let writing = tokio::task::spawn_blocking(move || {
            if later {
                std::thread::sleep(Duration::from_secs(2));
            }
            export.write()
        });
        if later {
            return Ok(());
        }
        match writing.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ApiError::internal(format!("Call to profile method failed: {error}"))),
            Err(error) => Err(ApiError::internal(format!("Call to profile method failed: {error}"))),
        }
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
        (Some(Fault::MissingPrompt), _) => steps.retain(|step| step.context_requests == 0),
        _ => {}
    }
    steps
}

/// Everything needed to write the files of one window.
struct Export {
    directory: PathBuf,
    epoch: i64,
    window: (i64, i64),
    steps: Vec<Executed>,
    world_size: u32,
    vllm_version: &'static str,
    fault: Option<Fault>,
    config: ProfilerConfig,
}

impl Export {
    fn write(&self) -> io::Result<()> {
        if !self.config.ignore_frontend {
            self.write_frontend()?;
        }
        let missing = match self.fault {
            Some(Fault::FrontendOnly) => 0,
            Some(Fault::MissingRank) => self.world_size - 1,
            _ => self.world_size,
        };
        (0..missing).try_for_each(|rank| self.write_rank(rank))
    }

    fn file(&self, stem: &str, serial: i64) -> PathBuf {
        let end = if self.config.torch_profiler_use_gzip { ".gz" } else { "" };
        self.directory.join(format!("{stem}.{serial}.pt.trace.json{end}"))
    }

    fn write_frontend(&self) -> io::Result<()> {
        let stem = format!("standin_{}.async_llm", std::process::id());
        let path = self.file(&stem, self.window.1);
        let out = create(&path, self.config.torch_profiler_use_gzip)?;
        frontend_trace::write(
            out,
            base_time(self.epoch),
            self.window,
            self.vllm_version,
            "tmpfrontend.json",
        )?
        .finish()?;
        self.write_table(&stem)
    }

    fn write_rank(&self, rank: u32) -> io::Result<()> {
        let path = self.file(&format!("rank{rank}"), self.window.1 + i64::from(rank));
        let trace = WorkerTrace {
            rank,
            world_size: self.world_size,
            pid: std::process::id() + 1 + rank,
            vllm_version: self.vllm_version,
            window: self.window,
            base: base_time(self.epoch),
            steps: &self.steps,
            template: &VLLM_032_CPU,
            with_stack: self.config.torch_profiler_with_stack,
            trace_name: "tmpworker.json",
        };
        let mut out = create(&path, self.config.torch_profiler_use_gzip)?;
        if self.fault == Some(Fault::InvalidJson) {
            let mut whole = Vec::new();
            trace.write(&mut whole)?;
            out.write_all(&whole[..whole.len() * 6 / 10])?;
            out.finish()?;
        } else {
            trace.write(out)?.finish()?;
        }
        match self.fault {
            Some(Fault::TruncatedTrace) => cut(&path, |length| length * 6 / 10)?,
            Some(Fault::EmptyTrace) => cut(&path, |_| 0)?,
            _ => {}
        }
        self.write_table(&format!("rank{rank}"))
    }

    /// The table that vLLM writes behind the export. Overwritten by the next window.
    fn write_table(&self, stem: &str) -> io::Result<()> {
        let mut table = String::from("Name                                  # of Calls\n");
        for (kind, count) in [
            ("steps", self.steps.len()),
            ("idle steps", self.steps.iter().filter(|step| step.is_idle()).count()),
        ] {
            table.push_str(&format!("{kind:<37} {count}\n"));
        }
        std::fs::write(self.directory.join(format!("{stem}.profiler_out.txt")), table)
    }
}

fn cut(path: &Path, to: impl FnOnce(u64) -> u64) -> io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.set_len(to(file.metadata()?.len()))
}
