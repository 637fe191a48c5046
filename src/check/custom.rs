//! The bounds that a procedure sets itself: `[[check]]`.

use std::collections::BTreeSet;

use super::outcome::Outcome;
use super::steps::label;
use crate::procedure::{CustomCheck, Limit, Percentile, Quantity};
use crate::time::Nanos;
use crate::trace::{Budget, Counts, Operators, Step, StepKind, StepOperators, Trace};

/// Names offered for one that never ran.
const NEAR: usize = 3;

/// Every value of every rank lies within the bounds, ends included.
pub(super) fn bounded(check: &CustomCheck, workers: &[(&Trace, &Operators)]) -> Outcome {
    let quantity = match Quantity::parse(&check.quantity) {
        Ok(quantity) => quantity,
        // The file was checked when it was read; a plan may be written by hand.
        Err(message) => return Outcome::Fail(message),
    };
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    let mut reasons = Vec::new();
    for (trace, operators) in workers {
        let rank = label(trace, workers.len());
        match values(&quantity, check.phase, trace, operators) {
            Err(reason) => reasons.push(format!("{rank}{reason}")),
            Ok(values) => {
                let text = range(&quantity, &values);
                match values.iter().find(|(_, value)| !holds(check, *value)) {
                    None => {
                        let near = values
                            .first()
                            .map_or_else(String::new, |(_, value)| near(&quantity, *value, operators));
                        seen.push(format!("{rank}{text}{near}"));
                    }
                    Some((place, value)) => complaints.push(format!(
                        "{rank}{} is {}{place}, {}{}",
                        check.quantity,
                        shown(&quantity, *value),
                        bounds(check),
                        near(&quantity, *value, operators)
                    )),
                }
            }
        }
    }
    // What one rank cannot say is not known to hold on every rank.
    if complaints.is_empty() && !reasons.is_empty() {
        reasons.extend(seen);
        return Outcome::NotApplicable(reasons.join("; "));
    }
    Outcome::from_complaints(&complaints, format!("{} {}", check.quantity, seen.join("; ")))
}

/// What was measured, each with where it was.
type Values = Vec<(String, u64)>;

fn values(
    quantity: &Quantity,
    phase: Option<StepKind>,
    trace: &Trace,
    operators: &Operators,
) -> Result<Values, String> {
    let of_phase = |step: &&Step| match phase {
        Some(kind) => step.kind == kind,
        None => step.kind != StepKind::Idle,
    };
    let steps: Vec<&Step> = trace.steps.iter().filter(of_phase).collect();
    let per_step = |count: &dyn Fn(&Step) -> Option<u64>| -> Result<Values, String> {
        if steps.is_empty() {
            return Err(format!("no {} step in the trace", phase.map_or("working", StepKind::name)));
        }
        let of = |step: &&Step| Some((format!(" in step {} ({})", step.index, step.kind), count(step)?));
        let values: Values = steps.iter().filter_map(of).collect();
        if values.is_empty() { Err("the evidence of the steps does not say".to_owned()) } else { Ok(values) }
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
        Quantity::Steps => Ok(vec![(String::new(), steps.len() as u64)]),
        Quantity::Recompiles => Ok(vec![(String::new(), trace.recompiles.in_window)]),
        Quantity::Gap(pair, percentile) => {
            let gaps = trace.gaps.get(pair).ok_or_else(|| format!("no gap {pair} in the trace"))?;
            let gap = match percentile {
                Percentile::Min => gaps.min_ns,
                Percentile::P50 => gaps.p50_ns,
                Percentile::P90 => gaps.p90_ns,
                Percentile::Max => gaps.max_ns,
            };
            // Steps that overlap have a gap below zero, which is within any bound but a smallest one.
            Ok(vec![(String::new(), gap.as_ns().max(0) as u64)])
        }
    }
}

fn calls(counts: &Counts, name: &str) -> u64 {
    match name.strip_suffix('*') {
        Some(prefix) => counts.iter().filter(|(known, _)| known.starts_with(prefix)).map(|(_, n)| n).sum(),
        None => counts.get(name).copied().unwrap_or(0),
    }
}

fn holds(check: &CustomCheck, value: u64) -> bool {
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
fn range(quantity: &Quantity, values: &Values) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A trace of one decode step, with an operator or without.
    fn decode(directory: &std::path::Path, rank: u32, operator: &str) -> (Trace, Operators) {
        let path = directory.join(format!("rank{rank}.1.pt.trace.json"));
        let event = |cat: &str, name: &str, ts: u32| {
            format!(r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":1,"tid":1,"ts":{ts},"dur":5}}"#)
        };
        let step = event("user_annotation", "execute_context_0(0)_generation_1(1)", 0);
        std::fs::write(&path, format!("[{step},{}]", event(operator, "aten::mm", 1))).unwrap();
        let trace = Trace::read(&path);
        let operators = Operators::read(&path, &trace);
        (trace, operators)
    }

    /// Found by a second reader: a rank that could not say was left out, and the check passed.
    #[test]
    fn a_rank_that_cannot_say_is_no_pass() {
        let directory = tempfile::tempdir().unwrap();
        let check: CustomCheck = toml::from_str("name = \"n\"\nquantity = \"op aten::mm\"\nmax = 1").unwrap();
        let (told, silent) =
            (decode(directory.path(), 0, "cpu_op"), decode(directory.path(), 1, "python_function"));
        let asked = |ranks: &[&(Trace, Operators)]| {
            let ranks: Vec<(&Trace, &Operators)> = ranks.iter().map(|(t, o)| (t, o)).collect();
            bounded(&check, &ranks)
        };
        assert_eq!(asked(&[&told]), Outcome::Pass("op aten::mm 1".to_owned()));
        let reason = "rank 1: there are no operators in the trace; rank 0: 1";
        assert_eq!(asked(&[&told, &silent]), Outcome::NotApplicable(reason.to_owned()));
    }
}
