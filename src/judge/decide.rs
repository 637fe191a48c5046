//! From a run directory to a verdict.

use super::outcome::{Outcome, Verdict};
use super::{agreement, batches, client_times, custom, evidence, gaps, ledger, ranks, steps, workload};
use crate::client::Ledger;
use crate::plan::Plan;
use crate::run::{BadTrace, RunDirectory, RunError, RunRecord, RunState};
use crate::trace::{Operators, Trace, TraceRole, inspect_with_operators};

/// A decided run with what it was decided from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decided {
    /// The plan that was run.
    pub plan: Plan,
    /// What happened.
    pub record: RunRecord,
    /// What the client saw.
    pub ledger: Ledger,
    /// Every trace of the window.
    pub traces: Vec<Trace>,
    /// The operators of each trace, in the same order.
    pub operators: Vec<Operators>,
    /// The verdict.
    pub verdict: Verdict,
}

impl Decided {
    /// The worker traces, by rank.
    pub fn workers(&self) -> impl Iterator<Item = &Trace> {
        self.traces.iter().filter(|trace| trace.role == TraceRole::Worker)
    }

    /// The worker traces with their operators, by rank.
    pub fn workers_with_operators(&self) -> impl Iterator<Item = (&Trace, &Operators)> {
        self.traces.iter().zip(&self.operators).filter(|(trace, _)| trace.role == TraceRole::Worker)
    }
}

/// Decides a run from its directory alone.
///
/// # Errors
/// The run did not complete, a file is missing, or a trace cannot be decided from: infrastructure
/// errors, never failed checks.
pub fn decide(directory: &RunDirectory) -> Result<Decided, RunError> {
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
    }
    let workers: Vec<&Trace> = traces.iter().filter(|trace| trace.role == TraceRole::Worker).collect();
    if workers.is_empty() {
        return Err(RunError::NoWorker { directory: directory.traces() });
    }
    let telling = evidence::telling(&workers);
    let mut verdict = Verdict::of(vec![
        ("ranks", ranks::all_there(&workers, plan.expected.ranks)),
        ("frontend", ranks::frontend(&traces, plan.expected.frontend)),
        ("agreement", agreement::same_steps(&telling, plan.expected.max_rank_skew)),
        ("evidence", evidence::as_expected(&telling, &workers, &plan)),
        ("files", evidence::files(&plan, directory)),
        ("presence", steps::presence(&telling, &plan.expected.sequence)),
        ("order", steps::order(&telling, &plan.expected.sequence)),
        ("workload", workload::as_planned(&plan, &ledger)),
        ("ledger", ledger::reconcile(&telling, &ledger, plan.course)),
        ("batches", batches::bounded(&telling, &ledger, plan.expected.max_decode_batch)),
        ("client_times", client_times::joined(&telling, &ledger)),
        ("gaps", gaps::within_bounds(&telling, &plan.expected.gaps)),
        ("recompiles", steps::recompiles(&workers, plan.expected.max_recompiles, cold_shapes(directory))),
        ("leftovers", leftovers(&record)),
    ]);
    let tells = |(trace, _): &(&Trace, &Operators)| telling.iter().any(|one| std::ptr::eq(*one, *trace));
    let with_operators: Vec<(&Trace, &Operators)> = traces.iter().zip(&operators).filter(tells).collect();
    for check in &plan.expected.checks {
        verdict.add(&format!("check:{}", check.name), custom::bounded(check, &with_operators));
    }
    Ok(Decided { plan, record, ledger, traces, operators, verdict })
}

/// Lines such as "Configuration: (prompt, 1, 128, 0) was not warmed-up!" in the server's log
/// (vllm-gaudi `hpu_model_runner.py:3643`). They appear only behind warm-up, so behind boot.
fn cold_shapes(directory: &RunDirectory) -> u64 {
    let log = std::fs::read(directory.path().join("server.log")).unwrap_or_default();
    memchr::memmem::find_iter(&log, b"was not warmed-up!").count() as u64
}

/// Half a trace is no evidence of anything. The front end's is not decided from.
fn refuse_unreadable(trace: &Trace, directory: &RunDirectory) -> Result<(), RunError> {
    let problem = trace.fatal();
    match problem {
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

/// A run directory moves between machines: its traces are named from inside it.
fn shorten(trace: &mut Trace, directory: &RunDirectory) {
    let root = directory.path().display().to_string();
    if let Some(inside) = trace.file.strip_prefix(&root) {
        trace.file = inside.trim_start_matches('/').to_owned();
    }
}

/// A server that leaves processes behind is at fault even if its trace is fine.
fn leftovers(record: &RunRecord) -> Outcome {
    match &record.shutdown {
        None => Outcome::NotApplicable("how the server ended was not recorded".to_owned()),
        Some(shutdown) if shutdown.left_nothing() => {
            Outcome::Pass(format!("every server process ended by itself ({})", shutdown.status))
        }
        Some(shutdown) => Outcome::Fail(shutdown.describe_leftovers()),
    }
}
