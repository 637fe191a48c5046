//! Batches of concurrent requests: bounded, and every request's prompt before its first decode.

use super::answer::Answer;
use super::ledger::{overrun, speculates};
use crate::observe::{Observed, Rank};
use crate::trace::StepKind;

/// Decode batches stay within the limit; no step decodes more requests than had their prompt in an
/// earlier step; and there are as many decode steps as the longest request needs, and not more than
/// all requests one after the other would.
pub(super) fn bounded(observed: &Observed, rank: Rank<'_>) -> Answer {
    let Some(limit) = observed.plan.expected.max_decode_batch else {
        return Answer::CannotSay("the procedure sets no largest decode batch".to_owned());
    };
    let trace = rank.trace;
    let mut complaints = Vec::new();
    let (mut largest, mut prompted, mut decoding, mut silent, mut steps) = (0, 0, 0, 0, 0);
    for step in trace.steps.iter().filter(|step| step.kind != StepKind::Idle) {
        steps += 1;
        let (Some(context), Some(generation)) = (step.context_requests, step.generation_requests) else {
            silent += 1;
            continue;
        };
        largest = largest.max(generation);
        decoding += u64::from(generation > 0);
        if generation > limit {
            complaints.push(format!(
                "step {} decodes {generation} requests, at most {limit} are allowed",
                step.index
            ));
        }
        // Behind a step that does not say, more requests may have had their prompt.
        if generation > prompted && silent == 0 {
            complaints.push(format!(
                "step {} decodes {generation} requests, and only {prompted} had their prompt before",
                step.index
            ));
        }
        prompted += context;
    }
    if silent == 0 {
        complaints.extend(count_complaint(decoding, speculates(trace), observed));
    }
    let unseen = match silent {
        0 => None,
        _ if silent == steps => {
            return Answer::CannotSay(format!(
                "the evidence ({}) does not count requests",
                trace.evidence.name()
            ));
        }
        _ => Some(format!("{silent} of {steps} steps do not say how many requests they had")),
    };
    Answer::of_part(&complaints, format!("largest decode batch {largest} of {limit}"), unseen)
}

/// A step yields at least one token to each of its requests; under speculative decoding it may yield several,
/// so that fewer steps do.
fn count_complaint(steps: u64, speculative: bool, observed: &Observed) -> Option<String> {
    let decodes = || observed.ledger.requests.iter().map(|served| served.output_tokens.saturating_sub(1));
    let overrun = overrun(observed);
    let (longest, most): (u64, u64) = (decodes().max()? + overrun.min(1), decodes().sum::<u64>() + overrun);
    let least = if speculative { u64::from(longest > 0) } else { longest };
    let fits = (least..=most).contains(&steps);
    let besides =
        if overrun > 0 { format!(", overrun of {overrun} requests included") } else { String::new() };
    (!fits).then(|| format!("{steps} steps decode, expected are {least} to {most}{besides}"))
}
