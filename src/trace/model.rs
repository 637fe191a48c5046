//! A trace as facts: what `inspect` prints and the checks read. Built from one pass over one file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::code_line::CodeLine;
use super::collect::Collector;
use super::defect::{DefectKind, Problem};
use super::evidence::{Found, choose};
use super::file_name::{FileName, is_trace_name};
use super::gap::{GapSummary, StepPair, gaps_by_pair};
use super::label::Writer;
use super::listing::trace_paths;
use super::operators::{Names, Operators};
use super::pairs::LaneKey;
use super::read::read_file;
use super::step::{Evidence, Nesting, Step, StepKind, Totals, arrange};
use crate::time::Nanos;

/// Whose trace a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TraceRole {
    /// One rank of the engine; has steps.
    Worker,
    /// The API server's front end (`*.async_llm.*`); has none.
    Frontend,
}

/// The layout of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// Chrome trace events as Kineto writes them.
    Kineto,
    /// The Gaudi plugin's `server_events_*.json`.
    ServerEvents,
}

/// Compilations that happened while the profiler recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recompiles {
    /// How many.
    pub in_window: u64,
    /// The first of those that have a slice, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Recompile>,
}

/// One compilation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recompile {
    /// Name of the slice, such as `GRAPH COMPILE: …`, without what changes from run to run.
    pub name: String,
    /// Index of the step during which, or before which, it began; `None` behind the last step.
    pub step: Option<usize>,
}

/// Frames that are named where they tell nothing.
const MOST_FRAMES: usize = 8;

/// Compilations that are named one by one.
const MOST_RECOMPILES: usize = 20;

/// One profiler file of one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trace {
    /// The file as it was named to the reader.
    pub file: String,
    /// Worker or front end.
    pub role: TraceRole,
    /// Layout.
    pub format: Format,
    /// Rank, from the content or else from the file name.
    pub rank: Option<u32>,
    /// Number of ranks, where the content says.
    pub world_size: Option<u32>,
    /// Version of vLLM, where the content says.
    pub vllm_version: Option<String>,
    /// Events of every phase and category.
    pub events: u64,
    /// What told the kinds of the steps.
    pub evidence: Evidence,
    /// Whose worker wrote it, where something in it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_line: Option<CodeLine>,
    /// What was found around the forwards, where high-level slices tell the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nesting: Option<Nesting>,
    /// Who named the steps; `None` without steps.
    #[serde(default)]
    pub writer: Option<Writer>,
    /// The trace is a server's. Without steps it may be that of any model, such as one in training.
    #[serde(default)]
    pub serving: bool,
    /// In order of start.
    pub steps: Vec<Step>,
    /// Counts over the steps.
    pub totals: Totals,
    /// Step gaps by pair of kinds.
    pub gaps: BTreeMap<StepPair, GapSummary>,
    /// Compilations in the window.
    pub recompiles: Recompiles,
    /// Every leniency and every damage, what ended the reading first.
    pub problems: Vec<Problem>,
    /// Nanoseconds from the epoch to the first step, where the file has a base time.
    pub epoch_ns: Option<i64>,
    /// The host that recorded, where the content says.
    #[serde(default)]
    pub host: Option<String>,
    /// The profiler's own name of this recording, where the content says; each process makes its own.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// What the name of the file tells beside the rank: the replica of the engine, the stage of the recording.
    #[serde(skip)]
    pub(crate) part: String,
    /// When the recording began, on the Unix clock, as far as the profiler's own slice says.
    #[serde(skip)]
    pub(crate) began: Option<Nanos>,
    /// When the recording ended, on the Unix clock: the end of the profiler's own slice or of the last step.
    #[serde(skip)]
    pub(crate) ended: Option<Nanos>,
    /// pid and tid of the worker's thread, for a second pass; not known where no frame or annotation
    /// tells the steps.
    #[serde(skip)]
    pub(crate) lane: Option<LaneKey>,
    /// Start of the first step on the trace's own clock.
    #[serde(skip)]
    pub(crate) origin: Option<Nanos>,
    /// When the sampler's parameters were copied into the batch, sorted.
    #[serde(skip)]
    pub(crate) refreshes: Vec<(Nanos, Nanos)>,
    /// Lanes of the device's engines.
    #[serde(skip)]
    pub(crate) engines: Vec<LaneKey>,
    /// Events and summed duration by category (`none` for events without one).
    pub categories: BTreeMap<String, CategorySummary>,
}

/// Events of one category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CategorySummary {
    /// How many, of every phase.
    pub events: u64,
    /// Sum of their durations in nanoseconds, nested slices counted each.
    pub duration_ns: i128,
}

impl Trace {
    /// Reads a file. Never fails: what cannot be read is a problem, and [`Trace::fatal`] says
    /// whether the rest may be decided from.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let mut collector = Collector::default();
        let container = read_file(path, &mut collector);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let from_name = FileName::parse(&name);
        collector.name_format(&name);
        let format = if container.bare_array && name.starts_with("server_events") {
            Format::ServerEvents
        } else {
            Format::Kineto
        };
        build(path, collector, from_name, format)
    }

    /// The problem that forbids any verdict from this file, if there is one.
    #[must_use]
    pub fn fatal(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.code.is_fatal())
    }

    /// The file holds no event at all.
    pub(crate) fn is_none(&self) -> bool {
        let none =
            [DefectKind::EmptyFile, DefectKind::NotATrace, DefectKind::NoEvents, DefectKind::Unreadable];
        self.fatal().is_some_and(|problem| none.contains(&problem.code)) && self.steps.is_empty()
    }

    /// Python stacks say where the sampler's parameters were copied into the batch.
    pub(crate) fn tells_refreshes(&self) -> bool {
        !self.refreshes.is_empty()
    }

    /// The steps as letters in order, such as `PDDDDDDE`.
    #[must_use]
    pub fn step_sequence(&self) -> String {
        self.steps.iter().map(|step| step.kind.letter()).collect()
    }
}

fn build(path: &Path, mut collector: Collector, from_name: FileName, format: Format) -> Trace {
    collector.finish();
    if collector.ambiguous > 0 {
        collector.note(
            DefectKind::AmbiguousAnnotation,
            collector.ambiguous,
            "execute_new_0_cached_N: a decode, or a later chunk of a prompt",
        );
    }
    let annotated = std::mem::take(&mut collector.steps);
    let window = collector.window;
    collector.marks.serving = collector.serving();
    let Found { evidence, nesting, steps: raw_steps, outside, on_device } =
        choose(annotated, &mut collector.marks, window);
    if outside > 0 {
        collector.note(
            DefectKind::OutsideWindow,
            outside,
            "phases recorded before the window was opened or after it was closed; they are left out",
        );
    }
    note_odd_steps(&mut collector, &raw_steps, on_device);
    let first = raw_steps.iter().map(|step| step.start).min();
    let began = window.map(|(start, _)| start).or(first);
    let last = raw_steps.iter().map(|step| step.start + step.duration).max();
    let last = window.map(|(_, end)| end).max(last);
    let steps = arrange(raw_steps);
    let role = if from_name.frontend || looks_like_frontend(&collector, &steps) {
        TraceRole::Frontend
    } else {
        TraceRole::Worker
    };
    unknown_steps(&mut collector, role, &steps);
    let recompiles = recompiles(&collector, first.unwrap_or_default(), &steps);
    let mut categories = BTreeMap::new();
    for (name, total) in collector.categories() {
        let name = if name.is_empty() { "none" } else { name };
        let summary = CategorySummary { events: total.events, duration_ns: total.duration_ns };
        categories.insert(name.to_owned(), summary);
    }
    let code_line = collector.marks.code_line;
    let metadata = std::mem::take(&mut collector.metadata);
    let lane = collector.step_lane.take().or(collector.frame_lane.take());
    if format == Format::ServerEvents {
        collector.forgive(DefectKind::UnclosedArray);
    }
    let engines = std::mem::take(&mut collector.engines);
    let mut refreshes = std::mem::take(&mut collector.refreshes);
    refreshes.sort_unstable();
    let events = collector.events;
    if collector.is_no_trace() && !collector.has_fatal() {
        let detail = "a list of other objects: none has a phase (`ph`) or a time (`ts`), so none is an event";
        collector.note(DefectKind::NotATrace, 1, detail);
    }
    // Where reading itself failed, that is the cause.
    if events == 0 && !collector.has_fatal() {
        collector.note(DefectKind::NoEvents, 1, "there are no events in this file: it is empty, or no trace");
    }
    Trace {
        file: path.display().to_string(),
        role,
        format,
        began: began.and_then(|began| epoch(metadata.base_time_ns, began)).map(Nanos::from_ns),
        host: metadata.host,
        trace_id: metadata.trace_id,
        part: from_name.part,
        rank: metadata.rank.or(from_name.rank),
        world_size: metadata.world_size,
        vllm_version: metadata.vllm_version,
        events,
        evidence,
        code_line,
        nesting,
        writer: (!steps.is_empty()).then(|| collector.writer.unwrap_or(Writer::Vllm)),
        serving: !steps.is_empty() || collector.marks.serving || format == Format::ServerEvents,
        totals: Totals::of(&steps),
        gaps: gaps_by_pair(&steps),
        recompiles,
        problems: collector.into_problems(),
        epoch_ns: first.and_then(|first| epoch(metadata.base_time_ns, first)),
        ended: last.and_then(|last| epoch(metadata.base_time_ns, last)).map(Nanos::from_ns),
        lane,
        origin: first,
        refreshes,
        engines,
        steps,
        categories,
    }
}

/// Notes steps that are the device's, and steps that overlap.
fn note_odd_steps(collector: &mut Collector, steps: &[super::step::RawStep], on_device: bool) {
    if on_device {
        let detail =
            "no host side was recorded: start, duration and gap of the steps are those of the device";
        collector.note(DefectKind::DeviceAnnotations, steps.len() as u64, detail);
    }
    let overlapping = overlapping_steps(steps);
    if overlapping > 0 {
        collector.note(
            DefectKind::OverlappingSlices,
            overlapping,
            "steps that begin before the one in front has ended; all are kept",
        );
    }
}

/// Frames that tell steps are known of some code lines only. Where there are frames, no line is known by
/// them, and no step has a kind, nothing may be decided: the steps may be there.
fn unknown_steps(collector: &mut Collector, role: TraceRole, steps: &[Step]) {
    // Without steps it may be the trace of any model, such as one in training.
    if role == TraceRole::Frontend || !collector.marks.serving {
        return;
    }
    let told = |step: &Step| !matches!(step.kind, StepKind::Unclassified | StepKind::Idle);
    if collector.marks.code_line.is_some() || steps.iter().any(told) {
        return;
    }
    let frames = collector.most_frames(MOST_FRAMES);
    if frames.is_empty() {
        return;
    }
    let detail = format!("this code line's steps are not known; frames seen most: {}", frames.join(", "));
    collector.note(DefectKind::UnknownCodeLine, 1, &detail);
}

/// Steps that begin inside the one in front and end behind it. Asynchronous scheduling makes them.
fn overlapping_steps(steps: &[super::step::RawStep]) -> u64 {
    let mut spans: Vec<(Nanos, Nanos)> =
        steps.iter().map(|step| (step.start, step.start + step.duration)).collect();
    spans.sort_unstable();
    spans.windows(2).filter(|pair| pair[1].0 < pair[0].1 && pair[1].1 > pair[0].1).count() as u64
}

/// The first step on the Unix clock. Before torch 2.4 there was no base time, and times were
/// absolute: anything after 2001 is taken for one of those.
fn epoch(base: Option<i64>, first: Nanos) -> Option<i64> {
    match base {
        Some(base) => base.checked_add(first.as_ns()),
        None => Some(first.as_ns()).filter(|ns| *ns > 1_000_000_000_000_000_000),
    }
}

/// Compilations inside the window and behind warm-up. Where the plugin counts them, too, the larger
/// number holds: slices need a switch of their own (`PT_HPU_METRICS_GC_DETAILS=1`).
fn recompiles(collector: &Collector, origin: Nanos, steps: &[Step]) -> Recompiles {
    let warm = collector.marks.warmup_end;
    let inside = |at: Nanos| {
        let in_window = collector.window.is_none_or(|(start, end)| (start..=end).contains(&at));
        in_window && warm.is_none_or(|end| at >= end)
    };
    let mut slices: Vec<_> = collector.compiles.iter().filter(|(at, _)| inside(*at)).collect();
    slices.sort_by_key(|(at, _)| *at);
    let counted: Vec<f64> = collector
        .marks
        .counters
        .iter()
        .filter_map(|counters| counters.values.cumulative_graph_compilations)
        .collect();
    let grown = match (counted.first(), counted.last()) {
        (Some(first), Some(last)) => (last - first).clamp(0.0, 1e9) as u64,
        _ => 0,
    };
    let named = slices.iter().take(MOST_RECOMPILES).map(|(at, name)| Recompile {
        name: super::frame_name::stable(collector.name(*name)),
        step: steps.iter().find(|step| origin + step.end_ns() >= *at).map(|step| step.index),
    });
    Recompiles { in_window: (slices.len() as u64).max(grown), first: named.collect() }
}

/// A renamed front-end trace is known by what it lacks: it has Python frames of a process that is
/// no vLLM worker, and no operator of any kind.
fn looks_like_frontend(collector: &Collector, steps: &[Step]) -> bool {
    let works = ["cpu_op", "user_annotation", "kernel", "hpu_op"];
    steps.is_empty()
        && collector.has_category("python_function")
        && !works.iter().any(|category| collector.has_category(category))
        && collector.metadata.process_names.iter().any(|name| !name.starts_with("VLLM::"))
}

/// Reads every trace under the given paths: files as they are, directories by what stands in their files, sorted;
/// directories in them only where no trace lies at the top. Ranks are read in parallel.
///
/// ```
/// use tracegate::trace::{StepKind, TraceRole, inspect};
///
/// let traces = inspect(&["tests/traces/vllm-0.32-cpu-single-request".into()])?;
/// let worker = traces.iter().find(|trace| trace.role == TraceRole::Worker).expect("a worker's trace");
/// assert_eq!(worker.totals.decode, 6);
/// assert_eq!(worker.steps[0].kind, StepKind::Prompt);
/// assert!(worker.fatal().is_none(), "a trace that is cut short decides nothing");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// A path that cannot be listed, or a directory without a trace file.
pub fn inspect(paths: &[PathBuf]) -> io::Result<Vec<Trace>> {
    inspect_under(paths, false)
}

/// The same, gone into directories of directories when asked.
///
/// # Errors
/// As [`inspect`].
pub(crate) fn inspect_under(paths: &[PathBuf], recursive: bool) -> io::Result<Vec<Trace>> {
    Ok(read_all(&trace_paths(paths, recursive)?, Trace::read))
}

/// The same with the operators of each trace, for which each file is read twice.
///
/// # Errors
/// As [`inspect`].
pub(crate) fn inspect_with_operators(paths: &[PathBuf]) -> io::Result<Vec<(Trace, Operators)>> {
    inspect_with(paths, |path, trace| Operators::read(path, trace, Names::Stable))
}

/// The same with what a second reading of each file gives.
///
/// # Errors
/// As [`inspect`].
pub(crate) fn inspect_with<T: Send>(
    paths: &[PathBuf],
    again: impl Fn(&Path, &Trace) -> T + Sync,
) -> io::Result<Vec<(Trace, T)>> {
    let read = |path: &Path| {
        let trace = Trace::read(path);
        let further = again(path, &trace);
        (trace, further)
    };
    Ok(read_all(&trace_paths(paths, false)?, read))
}

/// Reads several files, at most one per core at a time, and returns what was read in the order given.
fn read_all<T: Send>(files: &[PathBuf], read: impl Fn(&Path) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = Vec::with_capacity(files.len());
    for some in files.chunks(cores) {
        let read = &read;
        std::thread::scope(|scope| {
            let reading: Vec<_> = some.iter().map(|file| scope.spawn(move || read(file))).collect();
            for thread in reading {
                // A reader that panicked is a defect of this crate, and is seen as one.
                all.push(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    }
    all
}

/// The trace files directly in a directory, sorted by name.
///
/// # Errors
/// The directory cannot be listed.
pub fn trace_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.path().is_file() && is_trace_name(&entry.file_name().to_string_lossy()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// It was started once more, and its panic shown twice.
    #[test]
    fn a_reader_that_panicked_is_not_started_again() {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let read = |_: &Path| {
            STARTED.fetch_add(1, Ordering::SeqCst);
            std::panic::resume_unwind(Box::new("as the test asks"));
        };
        assert!(std::panic::catch_unwind(|| read_all::<()>(&[PathBuf::from("a")], read)).is_err());
        assert_eq!(STARTED.load(Ordering::SeqCst), 1);
    }
}
