//! A run, or bare traces, as a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{LedgerFacts, Owner, RankFacts, RankGroup, Ratio, Snapshot, StepFacts};
use super::interval::Interval;
use super::table::{Column, Table};
use crate::lane::Lane;
use crate::observe::{Observed, Rank};
use crate::plan::Expected;
use crate::trace::{Budget, Counts, DefectKind, Operators, Step, StepKind, StepOperators, Trace};

/// Lanes with ratios: hardware, and the stand-in, whose clock is its own. On a shared CPU decode steps of one
/// procedure took 31 to 1,969 ms.
const WITH_RATIOS: [Lane; 2] = [Lane::Gaudi, Lane::Standin];
/// Shapes of call trees kept of one kind of step; more than these are no structure.
const MOST_SHAPES: usize = 8;

impl Snapshot {
    /// The structure of a run.
    #[must_use]
    pub fn of_run(observed: &Observed) -> Self {
        let plan = &observed.plan;
        let ledger = &observed.ledger;
        let requests = ledger.requests.len() as u64;
        let of_rank = |rank: Rank<'_>| {
            let Rank { trace, operators } = rank;
            let steps = if requests == 1 { sequence(trace) } else { language(rank, &plan.expected) };
            let ratios = if WITH_RATIOS.contains(&plan.lane) { ratios(trace) } else { BTreeMap::new() };
            let mut facts = RankFacts { steps, ratios, ..rank_facts(trace, operators) };
            // A shape that was not warmed up is compiled; the trace says so only with a switch of its own.
            facts.recompiles = facts.recompiles.max(observed.cold_shapes.len() as u64);
            // An engine may fall idle once a request and need not: it depends on when they arrive.
            if requests > 1 && facts.idle.high <= requests {
                facts.idle = Interval { low: 0, high: requests };
            }
            (rank_name(trace), facts)
        };
        let versions = plan.versions.iter().map(|(name, version)| format!("{name} {version}"));
        Self {
            owner: Some(Owner { procedure: plan.procedure.clone(), lane: plan.lane.to_string() }),
            seen: versions.collect::<Vec<_>>().join(", "),
            runs: None,
            ledger: Some(LedgerFacts {
                requests,
                prompt_tokens: ledger.requests.iter().map(|served| served.prompt_tokens).sum(),
                output_tokens: ledger.output_tokens(),
            }),
            ranks: grouped(observed.ranks().map(of_rank)),
        }
    }

    /// The structure of traces by themselves: what they say of steps and operators, and nothing of a ledger.
    #[must_use]
    pub(crate) fn of_traces<'a>(traces: impl IntoIterator<Item = (&'a Trace, &'a Operators)>) -> Self {
        let of_rank = |(trace, operators)| {
            (rank_name(trace), RankFacts { steps: sequence(trace), ..rank_facts(trace, operators) })
        };
        Self { ranks: grouped(traces.into_iter().map(of_rank)), ..Self::default() }
    }

    /// What files ran as wholes, their steps aside.
    #[must_use]
    pub(crate) fn of_files<'a>(traces: impl IntoIterator<Item = (&'a Trace, &'a Operators)>) -> Self {
        let of_rank = |(trace, operators): (&Trace, &'a Operators)| {
            (rank_name(trace), operators.steps.first().map(whole_facts).unwrap_or_default())
        };
        Self { ranks: grouped(traces.into_iter().map(of_rank)), ..Self::default() }
    }
}

/// A file as one step: what it ran, whenever that was.
fn whole_facts(counted: &StepOperators) -> RankFacts {
    let mut facts = RankFacts { evidence: "whole file".to_owned(), ..RankFacts::default() };
    let device = counted.device.iter().map(|(name, count)| (&**name, *count));
    if !counted.inside.is_empty() {
        facts.operators.observe(Column::Whole, listed(&counted.inside));
        facts.budgets.observe(Column::Whole, budgets(counted));
    }
    if !counted.device.is_empty() {
        facts.kernels.observe(Column::Whole, device);
    }
    facts
}

fn rank_name(trace: &Trace) -> String {
    trace.rank.map_or_else(|| UNKNOWN.to_owned(), |rank| rank.to_string())
}

/// Stands for a rank that a trace does not say.
const UNKNOWN: &str = "?";

/// Ranks that ran the same stand together: a reviewer reads it once.
pub(super) fn grouped(ranks: impl Iterator<Item = (String, RankFacts)>) -> Vec<RankGroup> {
    let mut groups: Vec<RankGroup> = Vec::new();
    let mut unknown = 0;
    for (mut rank, facts) in ranks {
        // Traces that do not say their rank are still several.
        if rank == UNKNOWN {
            unknown += 1;
            if unknown > 1 {
                rank = format!("{UNKNOWN}{unknown}");
            }
        }
        match groups.iter_mut().find(|group| group.facts == facts) {
            Some(group) => group.ranks.push(rank),
            None => groups.push(RankGroup { ranks: vec![rank], facts }),
        }
    }
    groups
}

fn rank_facts(trace: &Trace, operators: &Operators) -> RankFacts {
    let count =
        |tokens: Option<u64>| tokens.map_or_else(|| "unknown".to_owned(), |tokens| tokens.to_string());
    let mut facts = RankFacts {
        evidence: trace.evidence.name().to_owned(),
        idle: Interval::of(trace.totals.idle),
        context_tokens: count(trace.totals.context_tokens),
        generation_tokens: count(trace.totals.generation_tokens),
        recompiles: trace.recompiles.in_window,
        // What was recorded before the window depends on the window before, where several share a boot.
        problems: trace
            .problems
            .iter()
            .filter(|problem| problem.code != DefectKind::OutsideWindow)
            .map(|problem| problem.code.code())
            .collect(),
        ..RankFacts::default()
    };
    // Without a single operator, as in a trace of high-level events, nothing may claim a closed world.
    if operators.events == 0 {
        return facts;
    }
    for (step, counted) in trace.steps.iter().zip(&operators.steps) {
        let Some(column) = Column::of(step.kind) else { continue };
        facts.operators.observe(column, listed(&counted.inside));
        if trace.tells_refreshes() {
            facts.refresh.observe(column, listed(&counted.refresh));
        }
        facts.sampler.observe(sampled(step), listed(&counted.behind));
        facts.budgets.observe(column, budgets(counted));
        // A device that ran nothing for any step was not recorded, or its launches were not.
        if operators.steps.iter().any(|step| !step.device.is_empty()) {
            facts.kernels.observe(column, counted.device.iter().map(|(name, count)| (&**name, *count)));
        }
        if let Some(calls) = counted.calls.as_ref().filter(|calls| !calls.is_empty()) {
            facts.calls.entry(column).or_default().insert(calls.clone());
            keep_few(facts.calls.entry(column).or_default());
        }
    }
    // Some servers sample inside the step: a closed world of nothing would say nothing.
    if facts.sampler.is_empty() {
        facts.sampler = Table::default();
    }
    facts
}

/// Keeps the first shapes in the order of their text, whatever the order of the steps.
fn keep_few(shapes: &mut BTreeSet<Vec<String>>) {
    let more = vec![format!("(more than {MOST_SHAPES} shapes)")];
    let marked = shapes.remove(&more);
    let mut dropped = marked;
    while shapes.len() > MOST_SHAPES {
        dropped |= shapes.pop_last().is_some();
    }
    if dropped {
        shapes.insert(more);
    }
}

/// Operators that no budget counts. What `aten::item` calls is counted with it; what calls it without
/// `aten::item` stands by itself.
fn listed(counts: &Counts) -> impl Iterator<Item = (&str, u64)> {
    let items = counts.get("aten::item").copied().unwrap_or(0);
    let rest = move |name: &str, count: u64| match name {
        "aten::_local_scalar_dense" => count.saturating_sub(items),
        _ if Budget::of(name).is_some() => 0,
        _ => count,
    };
    counts.iter().map(move |(name, count)| (&**name, rest(name, *count)))
}

fn budgets(counted: &StepOperators) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counted.inside.iter().chain(&counted.refresh).chain(&counted.behind) {
        if let Some(budget) = Budget::of(name) {
            *sums.entry(budget.name()).or_insert(0) += count;
        }
    }
    sums
}

/// The size of the batch that was sampled behind a step.
fn sampled(step: &Step) -> Column {
    match (step.context_requests, step.generation_requests) {
        (Some(context), Some(generation)) if context + generation == 1 => Column::One,
        (Some(_), Some(_)) => Column::Several,
        _ => Column::Some,
    }
}

fn sequence(trace: &Trace) -> StepFacts {
    let mut runs: Vec<(String, u64)> = Vec::new();
    for step in trace.steps.iter().filter(|step| step.kind != StepKind::Idle) {
        let label = describe(step);
        match runs.last_mut() {
            Some((last, times)) if *last == label => *times += 1,
            _ => runs.push((label, 1)),
        }
    }
    StepFacts::Sequence(runs)
}

fn describe(step: &Step) -> String {
    let part = |requests: Option<u64>, tokens: Option<u64>| match (requests, tokens) {
        (Some(requests), Some(tokens)) => format!("{requests}({tokens})"),
        (Some(requests), None) => requests.to_string(),
        _ => "?".to_owned(),
    };
    format!(
        "{} context {} generation {}",
        step.kind,
        part(step.context_requests, step.context_tokens),
        part(step.generation_requests, step.generation_tokens)
    )
}

/// A trace inside the bounds says only that it is: any other of the language is equal to it.
fn language(rank: Rank<'_>, expected: &Expected) -> StepFacts {
    let trace = rank.trace;
    let mut facts = vec![match rank.fits(expected) {
        Ok(()) => format!("sequence within {}", expected.sequence),
        Err(seen) => format!("sequence {seen}, which is not within {}", expected.sequence),
    }];
    if let Some(limit) = expected.max_decode_batch {
        let largest = trace.steps.iter().filter_map(|step| step.generation_requests).max().unwrap_or(0);
        let fits = largest <= limit;
        facts.push(if fits {
            format!("decode batch within {limit}")
        } else {
            format!("decode batch {largest}, which is not within {limit}")
        });
    }
    StepFacts::Language { facts }
}

fn ratios(trace: &Trace) -> BTreeMap<String, Ratio> {
    let mut ratios = BTreeMap::new();
    // One sample shows no typical gap: the next run's may lie anywhere.
    for (pair, gaps) in trace.gaps.iter().filter(|(_, gaps)| gaps.count > 1) {
        let mut durations: Vec<i64> = trace
            .steps
            .iter()
            .filter(|step| step.kind == pair.from && !step.partial)
            .map(|step| step.duration_ns.as_ns())
            .collect();
        durations.sort_unstable();
        let median = durations.get(durations.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        if let Some(ratio) = Ratio::of(gaps.p50_ns.as_ns(), median) {
            ratios.insert(pair.to_string(), ratio);
        }
    }
    ratios
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first eight in the order of the steps were kept, so that runs with the same shapes differed.
    #[test]
    fn which_shapes_are_kept_does_not_depend_on_the_order_of_steps() {
        let shapes: Vec<Vec<String>> = (0..12).map(|name| vec![format!("aten::op{name:02}")]).collect();
        let kept = |order: Vec<&Vec<String>>| {
            let mut kept = BTreeSet::new();
            for shape in order {
                kept.insert(shape.clone());
                keep_few(&mut kept);
            }
            kept
        };
        let forwards = kept(shapes.iter().collect());
        assert_eq!(forwards, kept(shapes.iter().rev().collect()));
        assert_eq!(forwards.len(), MOST_SHAPES + 1);
        assert!(forwards.contains(&vec!["(more than 8 shapes)".to_owned()]));
    }
}
