//! The data of the report page: what the script draws, with times that fit a JavaScript number.

use std::collections::BTreeMap;

use serde::Serialize;

use super::counts::OperatorsData;
use super::traces::totals;
use crate::history::{SeriesView, client_times};
use crate::judge::Check;
use crate::run::Phase;
use crate::stats::percentile;
use crate::time::Nanos;
use crate::trace::{GapSummary, Problem, StepPair, Trace, TraceRole, neighbours};

/// Steps drawn of one trace; a day's trace would make a page that no browser opens.
const STEPS: usize = 20_000;

#[derive(Serialize)]
pub(super) struct PageData {
    pub(super) schema: u32,
    pub(super) runs: Vec<RunData>,
    pub(super) history: Vec<SeriesView>,
}

/// One run directory.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunData {
    pub(super) name: String,
    pub(super) lane: String,
    pub(super) procedure: String,
    pub(super) title: String,
    /// The stand-in's results prove the harness, never vLLM.
    pub(super) imitation: bool,
    pub(super) fault: Option<String>,
    pub(super) error: Option<String>,
    pub(super) checks: Vec<Check>,
    pub(super) traces: Vec<TraceData>,
    pub(super) requests: Vec<RequestData>,
    pub(super) ledger: Option<LedgerData>,
    pub(super) client_times: Vec<TimesData>,
    pub(super) plan: PlanData,
    pub(super) phases: Vec<PhaseData>,
    pub(super) snapshot: Option<SnapshotData>,
    pub(super) operators: Vec<OperatorsData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TraceData {
    file: String,
    role: TraceRole,
    rank: Option<u32>,
    world_size: Option<u32>,
    events: u64,
    evidence: &'static str,
    totals: String,
    /// Nanoseconds from the run's origin to the first step; absent without a clock.
    offset: Option<i64>,
    /// End of the last step, from the first.
    end: i64,
    steps: StepsData,
    gaps: BTreeMap<StepPair, GapSummary>,
    gap_values: BTreeMap<StepPair, Vec<i64>>,
    problems: Vec<Problem>,
}

/// One array a column: a tenth of the size of one object a step.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepsData {
    kind: String,
    start: Vec<i64>,
    duration: Vec<i64>,
    gap: Vec<Option<i64>>,
    context_requests: Vec<Option<u64>>,
    context_tokens: Vec<Option<u64>>,
    generation_requests: Vec<Option<u64>>,
    generation_tokens: Vec<Option<u64>>,
}

/// A request; times from the run's origin.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestData {
    request: usize,
    prompt_tokens: u64,
    output_tokens: u64,
    sent: i64,
    tokens: Vec<i64>,
    done: i64,
    finish: Option<String>,
}

#[derive(Serialize)]
pub(super) struct LedgerData {
    rule: &'static str,
    rows: Vec<LedgerRow>,
}

#[derive(Serialize)]
struct LedgerRow {
    what: String,
    client: u64,
    trace: String,
    equal: bool,
}

#[derive(Serialize)]
pub(super) struct TimesData {
    name: &'static str,
    count: usize,
    min: i64,
    p50: i64,
    max: i64,
}

#[derive(Default, Serialize)]
pub(super) struct PlanData {
    pub(super) adaptations: Vec<crate::plan::Adaptation>,
    pub(super) commands: Vec<String>,
    pub(super) installed: Vec<(String, String)>,
}

#[derive(Serialize)]
pub(super) struct PhaseData {
    pub(super) name: Phase,
    pub(super) ns: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct SnapshotData {
    pub(super) observed: String,
    pub(super) committed: Option<String>,
    pub(super) diff: Option<String>,
}

impl RunData {
    /// Adds traces and what the client saw, all on one clock where there is one.
    pub(super) fn with_measurements(mut self, traces: &[Trace], ledger: &crate::client::Ledger) -> Self {
        let workers: Vec<&Trace> = traces.iter().filter(|trace| trace.role == TraceRole::Worker).collect();
        let origin = workers.iter().filter_map(|trace| trace.epoch_ns).min();
        self.traces = traces.iter().map(|trace| trace_data(trace, origin)).collect();
        // Without a trace's clock the first request is the origin.
        let origin = origin
            .or_else(|| ledger.requests.iter().map(|served| served.sent_ns.as_ns()).min())
            .unwrap_or_default();
        self.requests = ledger
            .requests
            .iter()
            .map(|served| RequestData {
                request: served.request,
                prompt_tokens: served.prompt_tokens,
                output_tokens: served.output_tokens,
                sent: served.sent_ns.as_ns().saturating_sub(origin),
                tokens: served.token_ns.iter().map(|token| token.as_ns().saturating_sub(origin)).collect(),
                done: served.done_ns.as_ns().saturating_sub(origin),
                finish: served.finish_reason.clone(),
            })
            .collect();
        self.ledger = (!ledger.requests.is_empty() && !workers.is_empty()).then(|| compare(&workers, ledger));
        self.client_times = client_times(ledger).into_iter().filter_map(times).collect();
        self
    }
}

fn trace_data(trace: &Trace, origin: Option<i64>) -> TraceData {
    let mut steps = StepsData::default();
    let drawn = &trace.steps[..trace.steps.len().min(STEPS)];
    for step in drawn {
        steps.kind.push(step.kind.letter());
        steps.start.push(step.start_ns.as_ns());
        steps.duration.push(step.duration_ns.as_ns());
        steps.gap.push(step.gap_ns.map(Nanos::as_ns));
        steps.context_requests.push(step.context_requests);
        steps.context_tokens.push(step.context_tokens);
        steps.generation_requests.push(step.generation_requests);
        steps.generation_tokens.push(step.generation_tokens);
    }
    let mut gap_values: BTreeMap<StepPair, Vec<i64>> = BTreeMap::new();
    for (before, step) in neighbours(drawn) {
        if let Some(gap) = step.gap_ns {
            gap_values.entry(StepPair::new(before.kind, step.kind)).or_default().push(gap.as_ns());
        }
    }
    TraceData {
        file: trace.file.clone(),
        role: trace.role,
        rank: trace.rank,
        world_size: trace.world_size,
        events: trace.events,
        evidence: trace.evidence.name(),
        totals: if trace.steps.is_empty() { String::new() } else { totals(trace) },
        offset: trace.epoch_ns.zip(origin).map(|(epoch, origin)| epoch.saturating_sub(origin)),
        end: drawn.iter().map(|step| step.end_ns().as_ns()).max().unwrap_or_default(),
        steps,
        gaps: trace.gaps.clone(),
        gap_values,
        problems: trace.problems.clone(),
    }
}

fn compare(workers: &[&Trace], ledger: &crate::client::Ledger) -> LedgerData {
    let mut rows = Vec::new();
    for trace in workers {
        let rank = trace.rank.map_or_else(String::new, |rank| format!(", rank {rank}"));
        for (what, client, seen) in [
            ("context tokens", ledger.context_tokens(), trace.totals.context_tokens),
            ("generation tokens", ledger.generation_tokens(), trace.totals.generation_tokens),
        ] {
            rows.push(LedgerRow {
                what: format!("{what}{rank}"),
                client,
                trace: seen.map_or_else(|| "unknown".to_owned(), |tokens| tokens.to_string()),
                equal: seen == Some(client),
            });
        }
    }
    LedgerData {
        rule: "Context tokens are prompt tokens less cached ones. Generation tokens are output tokens less one per request, whose first token comes from its prompt.",
        rows,
    }
}

fn times((name, values): (&'static str, Vec<Nanos>)) -> Option<TimesData> {
    Some(TimesData {
        name: match name {
            "ttft" => "time to first token",
            "itl" => "time between tokens",
            _ => "whole answer",
        },
        count: values.len(),
        min: values.first()?.as_ns(),
        p50: percentile(&values, 50)?.as_ns(),
        max: values.last()?.as_ns(),
    })
}
