//! Joins the client's clock with the trace's: a token cannot arrive before the step that made it has begun.

use super::answer::Answer;
use crate::observe::{Observed, Rank, join};
use crate::time::Nanos;

/// Each client token falls in or after the step that made it.
pub(super) fn joined(observed: &Observed, rank: Rank<'_>) -> Answer {
    let join = match join(rank.trace, &observed.ledger) {
        Ok(join) => join,
        Err(reason) => return Answer::CannotSay(reason),
    };
    let mut medians: Vec<Nanos> = join.arrivals.iter().map(|arrivals| arrivals.median_ns).collect();
    medians.sort_unstable();
    let median = medians.get(medians.len() / 2).copied().unwrap_or_default();
    let largest = medians.last().copied().unwrap_or_default();
    Answer::from_complaints(
        &join.too_early,
        format!("tokens arrive {median} after the end of their step (largest {largest})"),
    )
}
