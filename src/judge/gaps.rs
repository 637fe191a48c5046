//! Step gaps within the procedure's bounds for the lane.

use super::answer::Answer;
use crate::observe::{Observed, Rank};
use crate::procedure::Bound;
use crate::time::Nanos;
use crate::trace::{GapSummary, StepPair};

/// Every gap of every bounded pair lies within its bounds, ends included.
pub(super) fn within_bounds(observed: &Observed, rank: Rank<'_>) -> Answer {
    let bounds = &observed.plan.expected.gaps;
    if bounds.is_empty() {
        return Answer::CannotSay("the procedure has no gap bounds for this lane".to_owned());
    }
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for (pair, bound) in bounds {
        let Some(summary) = rank.trace.gaps.get(pair) else { continue };
        seen.push(format!("{pair} {} to {}", summary.min_ns, summary.max_ns));
        complaints.extend(complaint(*pair, summary, *bound));
    }
    if seen.is_empty() {
        let pairs: Vec<String> = bounds.keys().map(ToString::to_string).collect();
        return Answer::CannotSay(format!("no gap of a bounded pair ({}) in the trace", pairs.join(", ")));
    }
    Answer::from_complaints(&complaints, seen.join("; "))
}

fn complaint(pair: StepPair, summary: &GapSummary, bound: Bound) -> Vec<String> {
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
