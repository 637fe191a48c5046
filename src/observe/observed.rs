//! Everything that a run directory says, read once.

use std::collections::BTreeSet;

use super::overrun::name_overrun;
use super::rank::Rank;
use crate::client::Ledger;
use crate::plan::Plan;
use crate::run::{BadTrace, RunDirectory, RunError, RunRecord, RunState};
use crate::trace::{DefectKind, Evidence, Operators, Trace, TraceRole, inspect_with_operators};

/// A recorded run as facts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Observed {
    /// The plan that was run.
    pub plan: Plan,
    /// What happened.
    pub record: RunRecord,
    /// What the client saw.
    pub ledger: Ledger,
    /// Every trace of the window: the workers' by rank, then the front end's.
    pub traces: Vec<Trace>,
    /// The operators of each trace, in the same order.
    pub operators: Vec<Operators>,
    /// Shapes that warm-up did not cover, as the server's log names them.
    pub(crate) cold_shapes: BTreeSet<String>,
    /// Files in the server's working directory that hold something, sorted.
    pub(crate) files: Vec<String>,
}

impl Observed {
    /// Reads a run directory.
    ///
    /// # Errors
    /// The run did not complete, a file is missing, or a worker's trace is cut short: infrastructure errors,
    /// never failed checks.
    pub fn read(directory: &RunDirectory) -> Result<Self, RunError> {
        let record = directory.record()?;
        if record.state != RunState::Complete {
            let reason = record.error.clone().unwrap_or_else(|| directory.how_far(&record));
            return Err(RunError::Incomplete { path: directory.path().to_owned(), reason });
        }
        let plan = directory.plan()?;
        // A server that only warms up serves nobody.
        let ledger = if plan.planned_requests() == 0 { Ledger::default() } else { directory.ledger()? };
        if ledger.requests.len() != plan.planned_requests() {
            return Err(RunError::Ledger {
                path: directory.path().join("client.jsonl"),
                found: ledger.requests.len(),
                planned: plan.planned_requests(),
            });
        }
        let mut read = inspect_with_operators(&[directory.traces()])
            .map_err(|error| RunError::directory(directory.traces(), error))?;
        read.sort_by_key(|(trace, _)| (trace.role == TraceRole::Frontend, trace.rank));
        let (mut traces, operators): (Vec<Trace>, Vec<Operators>) = read.into_iter().unzip();
        for trace in &mut traces {
            refuse_unreadable(trace, directory)?;
            shorten(trace, directory);
            refuse_unknown(trace)?;
            if plan.expected.overrun {
                name_overrun(trace, ledger.requests.len() as u64);
            }
        }
        if !traces.iter().any(|trace| trace.role == TraceRole::Worker) {
            return Err(RunError::NoWorker { directory: directory.traces() });
        }
        let (cold_shapes, files) = (cold_shapes(directory), files(directory));
        Ok(Self { plan, record, ledger, traces, operators, cold_shapes, files })
    }

    /// The worker traces, by rank.
    pub fn workers(&self) -> impl Iterator<Item = &Trace> {
        self.ranks().map(|rank| rank.trace)
    }

    /// The worker traces with their operators, by rank.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = Rank<'_>> {
        let all = self.traces.iter().zip(&self.operators).map(|(trace, operators)| Rank { trace, operators });
        all.filter(|rank| rank.trace.role == TraceRole::Worker)
    }

    /// The ranks whose steps are asked for. With the Gaudi plugin's high-level events in the trace only the
    /// driver, rank 0, records phases: every rank starts them and only the driver ends them (vllm-gaudi
    /// `hpu_model_runner.py:4449, 4489` at 091bbadd).
    pub(crate) fn telling(&self) -> Vec<Rank<'_>> {
        let driver = |trace: &Trace| trace.rank == Some(0) && trace.evidence == Evidence::HighLevel;
        let silent = |trace: &Trace| trace.rank != Some(0) && trace.evidence == Evidence::None;
        let driven = self.workers().any(driver);
        self.ranks().filter(|rank| !(driven && silent(rank.trace))).collect()
    }
}

/// Shapes of lines such as "Configuration: (prompt, 1, 128, 0) was not warmed-up!" in the server's log
/// (vllm-gaudi `hpu_model_runner.py:3643`). They appear only behind warm-up, so behind boot. Each rank
/// writes its own line: a shape counts once.
fn cold_shapes(directory: &RunDirectory) -> BTreeSet<String> {
    let log = std::fs::read(directory.path().join("server.log")).unwrap_or_default();
    shapes_of(&String::from_utf8_lossy(&log))
}

fn shapes_of(log: &str) -> BTreeSet<String> {
    let shape = |line: &str| {
        let (said, _) = line.split_once("was not warmed-up!")?;
        let shape = said.rsplit_once("Configuration:").map_or(said, |(_, shape)| shape);
        Some(crate::text::inert(shape.trim(), 100))
    };
    log.lines().filter_map(shape).collect()
}

fn files(directory: &RunDirectory) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path().join("cwd")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.len() > 0))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Half a trace is no evidence of anything. The front end's is not decided from.
fn refuse_unreadable(trace: &Trace, directory: &RunDirectory) -> Result<(), RunError> {
    match trace.fatal() {
        Some(problem) if trace.role == TraceRole::Worker => Err(RunError::BadTrace(Box::new(BadTrace {
            file: trace.file.clone(),
            code: problem.code.code(),
            offset: problem.offset,
            offset_in: problem.code.offset_in(),
            detail: problem.detail.clone(),
            events: trace.events,
            steps: trace.steps.len(),
            complaint: directory.profiler_complaint(),
        }))),
        _ => Ok(()),
    }
}

/// Steps that cannot be told are no failure of the server, and certainly no pass.
fn refuse_unknown(trace: &Trace) -> Result<(), RunError> {
    let unknown = trace.problems.iter().find(|problem| problem.code == DefectKind::UnknownCodeLine);
    let untold = trace.totals.unclassified;
    let detail = match unknown {
        Some(problem) => problem.detail.clone(),
        // Of known code, whose frames prove no kind here: nothing could fail, and nothing may pass.
        None if untold > 0 && untold == trace.totals.working() => {
            format!(
                "nothing tells the kind of any of its {untold} steps (evidence {})",
                trace.evidence.name()
            )
        }
        None => return Ok(()),
    };
    Err(RunError::UnknownCodeLine { file: trace.file.clone(), detail })
}

/// A run directory moves between machines: its traces are named from inside it.
fn shorten(trace: &mut Trace, directory: &RunDirectory) {
    let root = directory.path().display().to_string();
    if let Some(inside) = trace.file.strip_prefix(&root) {
        trace.file = inside.trim_start_matches('/').to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ranks say the same, and it was counted twice.
    #[test]
    fn a_shape_counts_once() {
        let log = "(Worker_TP0 pid=7) WARNING [x.py:1] Configuration: (prompt, 1, 128, 0) was not warmed-up!\n\
                   (Worker_TP1 pid=8) WARNING [x.py:1] Configuration: (prompt, 1, 128, 0) was not warmed-up!\n\
                   INFO fine\nWARNING Configuration: (decode, 4, 1, 8) was not warmed-up!\n";
        assert_eq!(
            shapes_of(log).into_iter().collect::<Vec<_>>(),
            ["(decode, 4, 1, 8)", "(prompt, 1, 128, 0)"]
        );
    }
}
