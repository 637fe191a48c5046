//! Several ranks of one engine: the same steps on each, at nearly the same time.

use super::answer::Answer;
use crate::observe::Observed;
use crate::time::Nanos;
use crate::trace::{Ranks, Trace};

/// Every rank ran the same batches in the same order, no further apart than allowed.
pub(super) fn same_steps(observed: &Observed) -> Answer {
    let telling: Vec<&Trace> = observed.telling().iter().map(|rank| rank.trace).collect();
    let allowed = observed.plan.expected.max_rank_skew;
    let Some(ranks) = Ranks::of(&telling) else {
        let workers = observed.workers().count();
        let ranks = observed.plan.expected.ranks;
        return Answer::CannotSay(match (workers, ranks) {
            (2.., _) => "only the driver records steps".to_owned(),
            (_, 2..) => {
                format!("{workers} of {ranks} ranks left a trace: there is nothing to compare it with")
            }
            _ => "there is one rank".to_owned(),
        });
    };
    let mut complaints: Vec<String> = ranks.difference.into_iter().collect();
    if let (Some(skew), Some(allowed)) = (ranks.skew, allowed)
        && skew > Nanos::from(allowed.0)
    {
        complaints.push(format!("the same step began {skew} apart on two ranks, allowed are {allowed}"));
    }
    let skew = ranks.skew.map_or_else(|| "skew unknown".to_owned(), |skew| format!("largest skew {skew}"));
    let seen = format!("{} steps on each of {} ranks, {skew}", ranks.steps, ranks.count);
    Answer::from_complaints(&complaints, seen)
}
