//! Several ranks of one engine: the same steps on each, at nearly the same time.

use super::outcome::Outcome;
use crate::procedure::Span;
use crate::time::Nanos;
use crate::trace::{Ranks, Trace};

/// Every rank ran the same batches in the same order, no further apart than allowed.
pub(super) fn same_steps(workers: &[&Trace], allowed: Option<Span>) -> Outcome {
    let Some(ranks) = Ranks::of(workers) else {
        return Outcome::NotApplicable("there is one rank".to_owned());
    };
    let mut complaints: Vec<String> = ranks.difference.into_iter().collect();
    if let (Some(skew), Some(allowed)) = (ranks.skew, allowed)
        && skew > Nanos::from(allowed.0)
    {
        complaints.push(format!("the same step began {skew} apart on two ranks, allowed are {allowed}"));
    }
    let skew = ranks.skew.map_or_else(|| "skew unknown".to_owned(), |skew| format!("largest skew {skew}"));
    let seen = format!("{} steps on each of {} ranks, {skew}", ranks.steps, ranks.count);
    Outcome::from_complaints(&complaints, seen)
}
