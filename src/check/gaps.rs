//! Step gaps within the procedure's bounds for the lane.

use std::collections::BTreeMap;

use super::outcome::Outcome;
use super::steps::label;
use crate::procedure::Bound;
use crate::time::Nanos;
use crate::trace::{GapSummary, Trace};

/// Every gap of every bounded pair lies within its bounds, ends included.
pub(super) fn within_bounds(workers: &[&Trace], bounds: &BTreeMap<String, Bound>) -> Outcome {
    if bounds.is_empty() {
        return Outcome::NotApplicable("the procedure has no gap bounds for this lane".to_owned());
    }
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for trace in workers {
        let rank = label(trace, workers.len());
        for (pair, bound) in bounds {
            let Some(summary) = trace.gaps.get(pair) else { continue };
            seen.push(format!("{rank}{pair} {} to {}", summary.min_ns, summary.max_ns));
            complaints.extend(complaint(&format!("{rank}{pair}"), summary, *bound));
        }
    }
    if seen.is_empty() {
        let pairs: Vec<&str> = bounds.keys().map(String::as_str).collect();
        return Outcome::NotApplicable(format!(
            "no gap of a bounded pair ({}) in the trace",
            pairs.join(", ")
        ));
    }
    Outcome::from_complaints(&complaints, seen.join("; "))
}

fn complaint(pair: &str, summary: &GapSummary, bound: Bound) -> Vec<String> {
    let mut complaints = Vec::new();
    if summary.max_ns > Nanos::from(bound.max.0) {
        complaints.push(format!(
            "{pair}: the largest of {} gaps is {}, allowed are {}",
            summary.count, summary.max_ns, bound.max
        ));
    }
    if let Some(min) = bound.min
        && summary.min_ns < Nanos::from(min.0)
    {
        complaints.push(format!(
            "{pair}: the smallest of {} gaps is {}, at least {min} is expected",
            summary.count, summary.min_ns
        ));
    }
    complaints
}
