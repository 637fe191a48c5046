//! Batches of concurrent requests: bounded, and every request's prompt before its first decode.

use super::outcome::Outcome;
use super::steps::label;
use crate::client::Ledger;
use crate::trace::{StepKind, Trace};

/// Decode batches stay within the limit; no step decodes more requests than had their prompt in an
/// earlier step; and there are as many decode steps as the longest request needs, and not more than
/// all requests one after the other would.
pub(super) fn bounded(workers: &[&Trace], ledger: &Ledger, limit: Option<u64>) -> Outcome {
    let Some(limit) = limit else {
        return Outcome::NotApplicable("the procedure sets no largest decode batch".to_owned());
    };
    let mut complaints = Vec::new();
    let mut largest = 0;
    for trace in workers {
        let rank = label(trace, workers.len());
        let mut prompted = 0;
        let mut decoding_steps = 0;
        for step in trace.steps.iter().filter(|step| step.kind != StepKind::Idle) {
            let (Some(context), Some(generation)) = (step.context_requests, step.generation_requests) else {
                return Outcome::NotApplicable(format!(
                    "the evidence ({}) does not count requests",
                    trace.evidence.name()
                ));
            };
            largest = largest.max(generation);
            decoding_steps += u64::from(generation > 0);
            if generation > limit {
                complaints.push(format!(
                    "{rank}step {} decodes {generation} requests, at most {limit} are allowed",
                    step.index
                ));
            }
            if generation > prompted {
                complaints.push(format!(
                    "{rank}step {} decodes {generation} requests, and only {prompted} had their prompt before",
                    step.index
                ));
            }
            prompted += context;
        }
        complaints.extend(count_complaint(&rank, decoding_steps, ledger));
    }
    Outcome::from_complaints(&complaints, format!("largest decode batch {largest} of {limit}"))
}

fn count_complaint(rank: &str, steps: u64, ledger: &Ledger) -> Option<String> {
    let decodes = || ledger.requests.iter().map(|served| served.output_tokens.saturating_sub(1));
    let (least, most) = (decodes().max()?, decodes().sum());
    let fits = (least..=most).contains(&steps);
    (!fits).then(|| format!("{rank}{steps} steps decode, expected are {least} to {most}"))
}
