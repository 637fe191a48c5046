//! The bounds that a procedure sets itself: `[[check]]`.

use std::collections::BTreeSet;

use super::answer::Answer;
use crate::observe::Rank;
use crate::procedure::{CustomCheck, Limit, Percentile, Quantity};
use crate::time::Nanos;
use crate::trace::{Budget, Counts, Operators, Step, StepKind, StepOperators};

/// Names offered for one that never ran.
const NEAR: usize = 3;

/// Every value lies within the bounds, ends included. Steps that do not say are named: of them nothing is known.
pub(super) fn hold(check: &CustomCheck, rank: Rank<'_>) -> Answer {
    let quantity = &check.quantity;
    let Values { all, unseen } = match values(quantity, check.phase, rank) {
        Ok(values) => values,
        Err(reason) => return Answer::CannotSay(reason),
    };
    let broken = all.iter().find(|(_, value)| !is_within(check, *value));
    let complaint = broken.map(|(place, value)| {
        format!(
            "{quantity} is {}{place}, {}{}",
            shown(quantity, *value),
            bounds(check),
            near(quantity, *value, rank.operators)
        )
    });
    let near = all.first().map_or_else(String::new, |(_, value)| near(quantity, *value, rank.operators));
    let seen = format!("{quantity} {}{near}", range(quantity, &all));
    Answer::of_part(complaint.as_slice(), seen, unseen)
}

/// What was measured, each with where it was, and what could not be.
struct Values {
    all: Vec<(String, u64)>,
    unseen: Option<String>,
}

impl Values {
    fn one(value: u64) -> Self {
        Self { all: vec![(String::new(), value)], unseen: None }
    }
}

fn values(quantity: &Quantity, phase: Option<StepKind>, rank: Rank<'_>) -> Result<Values, String> {
    let Rank { trace, operators } = rank;
    let of_phase = |step: &&Step| match phase {
        Some(kind) => step.kind == kind,
        None => step.kind != StepKind::Idle,
    };
    let steps: Vec<&Step> = trace.steps.iter().filter(of_phase).collect();
    let unclassified = trace.totals.unclassified;
    let of_unknown_kind = || match phase {
        Some(kind) if kind != StepKind::Unclassified && unclassified > 0 => {
            Some(format!("{unclassified} steps are of unknown kind"))
        }
        _ => None,
    };
    let per_step = |count: &dyn Fn(&Step) -> Option<u64>| -> Result<Values, String> {
        if steps.is_empty() {
            return Err(format!("no {} step in the trace", phase.map_or("working", StepKind::name)));
        }
        let of = |step: &&Step| Some((format!(" in step {} ({})", step.index, step.kind), count(step)?));
        let all: Vec<(String, u64)> = steps.iter().filter_map(of).collect();
        let silent = steps.len() - all.len();
        if all.is_empty() {
            return Err("the evidence of the steps does not say".to_owned());
        }
        let silent = (silent > 0).then(|| format!("{silent} of {} steps do not say", steps.len()));
        Ok(Values { all, unseen: silent.or_else(of_unknown_kind) })
    };
    let counted = |count: &dyn Fn(&StepOperators) -> u64| {
        if operators.events == 0 {
            return Err("there are no operators in the trace".to_owned());
        }
        per_step(&|step| operators.steps.get(step.index).map(count))
    };
    match quantity {
        Quantity::Operator(name) => counted(&|step| calls(&step.inside, name) + calls(&step.refresh, name)),
        Quantity::Sampler(name) => counted(&|step| calls(&step.behind, name)),
        Quantity::Budget(budget) => counted(&|step| {
            let all = step.inside.iter().chain(&step.refresh).chain(&step.behind);
            all.filter(|(name, _)| Budget::of(name) == Some(*budget)).map(|(_, count)| count).sum()
        }),
        Quantity::Batch => per_step(&|step| Some(step.context_requests? + step.generation_requests?)),
        Quantity::ContextTokens => per_step(&|step| step.context_tokens),
        Quantity::GenerationTokens => per_step(&|step| step.generation_tokens),
        Quantity::Steps => Ok(Values { unseen: of_unknown_kind(), ..Values::one(steps.len() as u64) }),
        Quantity::Recompiles => Ok(Values::one(trace.recompiles.in_window)),
        Quantity::Gap(pair, percentile) => {
            let gaps = trace.gaps.get(pair).ok_or_else(|| format!("no gap {pair} in the trace"))?;
            let gap = match percentile {
                Percentile::Min => gaps.min_ns,
                Percentile::P50 => gaps.p50_ns,
                Percentile::P90 => gaps.p90_ns,
                Percentile::Max => gaps.max_ns,
            };
            // Steps that overlap have a gap below zero, which is within any bound but a smallest one.
            Ok(Values::one(gap.as_ns().max(0) as u64))
        }
    }
}

fn calls(counts: &Counts, name: &str) -> u64 {
    match name.strip_suffix('*') {
        Some(prefix) => counts.iter().filter(|(known, _)| known.starts_with(prefix)).map(|(_, n)| n).sum(),
        None => counts.get(name).copied().unwrap_or(0),
    }
}

fn is_within(check: &CustomCheck, value: u64) -> bool {
    let limit = |limit: Limit| match limit {
        Limit::Count(count) => count,
        Limit::Time(span) => u64::try_from(span.0.as_nanos()).unwrap_or(u64::MAX),
    };
    check.min.is_none_or(|min| limit(min) <= value) && check.max.is_none_or(|max| value <= limit(max))
}

fn bounds(check: &CustomCheck) -> String {
    match (check.min, check.max) {
        (Some(min), Some(max)) if min == max => format!("expected is {min}"),
        (Some(min), Some(max)) => format!("allowed are {min} to {max}"),
        (Some(min), None) => format!("at least {min} is expected"),
        (_, Some(max)) => format!("at most {max} is allowed"),
        (None, None) => String::new(),
    }
}

fn shown(quantity: &Quantity, value: u64) -> String {
    match quantity {
        Quantity::Gap(..) => Nanos::from_ns(i64::try_from(value).unwrap_or(i64::MAX)).to_string(),
        _ => value.to_string(),
    }
}

/// `48`, or `47 to 48`.
fn range(quantity: &Quantity, values: &[(String, u64)]) -> String {
    let of = |value: Option<u64>| shown(quantity, value.unwrap_or_default());
    let all = values.iter().map(|(_, value)| *value);
    let (low, high) = (of(all.clone().min()), of(all.max()));
    if low == high { low } else { format!("{low} to {high}") }
}

/// For an operator that never ran, names that look like it: it may be a slip of the pen.
fn near(quantity: &Quantity, value: u64, operators: &Operators) -> String {
    let (Quantity::Operator(name) | Quantity::Sampler(name), 0) = (quantity, value) else {
        return String::new();
    };
    let all = operators
        .steps
        .iter()
        .flat_map(|step| step.inside.keys().chain(step.refresh.keys()).chain(step.behind.keys()));
    let names: BTreeSet<&str> = all.map(|name| &**name).collect();
    let known = |known: &&str| name.strip_suffix('*').is_some_and(|prefix| known.starts_with(prefix));
    if names.contains(name.as_str()) || names.iter().any(known) {
        return String::new();
    }
    let names: Vec<&str> = names.into_iter().collect();
    let close = similar::get_close_matches(name.as_str(), &names, NEAR, 0.6);
    let close = if close.is_empty() { String::new() } else { format!("; there are {}", close.join(", ")) };
    format!(" (no operator of this name ran{close})")
}
