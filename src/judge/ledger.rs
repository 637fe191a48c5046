//! Reconciles what the client received with what the trace says was computed.

use super::answer::Answer;
use crate::observe::{Observed, Rank};
use crate::plan::Course;
use crate::trace::Trace;

/// Σ context tokens = Σ prompt tokens less cached ones; Σ generation tokens = Σ (output tokens − 1).
///
/// The first output token of a request comes from its last prompt step. Both held in every window
/// measured on vLLM 0.32. Under speculative decoding a step may compute more tokens than it yields:
/// a surplus is then no contradiction, and the check does not apply.
pub(super) fn reconcile(observed: &Observed, rank: Rank<'_>) -> Answer {
    if observed.plan.course == Course::WarmUpStep {
        return Answer::CannotSay("the server ended before it served anybody".to_owned());
    }
    let (trace, ledger) = (rank.trace, &observed.ledger);
    let overrun = overrun(observed);
    let (context, generation) = (ledger.context_tokens(), ledger.generation_tokens() + overrun);
    let besides = if overrun > 0 { format!(", {overrun} of them overrun") } else { String::new() };
    let (Some(seen_context), Some(seen_generation)) =
        (trace.totals.context_tokens, trace.totals.generation_tokens)
    else {
        return Answer::CannotSay(format!("the evidence ({}) does not count tokens", trace.evidence.name()));
    };
    if speculates(trace) {
        return Answer::CannotSay("speculative decoding: more tokens are computed than served".to_owned());
    }
    let mut complaints = Vec::new();
    if seen_context != context {
        complaints
            .push(format!("the trace has {seen_context} context tokens, the client's prompts had {context}"));
    }
    if seen_generation != generation {
        complaints.push(format!(
            "the trace has {seen_generation} generation tokens, the client's {} output tokens require {generation} (one per request comes from its prompt{besides})",
            ledger.output_tokens()
        ));
    }
    Answer::from_complaints(
        &complaints,
        format!("context tokens {context}, generation tokens {generation}{besides}"),
    )
}

/// Decodes that the engine runs although the last token is decided: one for each request that got any.
pub(super) fn overrun(observed: &Observed) -> u64 {
    let served = observed.ledger.requests.iter().filter(|served| served.output_tokens > 0);
    if observed.plan.expected.overrun { served.count() as u64 } else { 0 }
}

/// More generation tokens than generation requests in one step.
pub(super) fn speculates(trace: &Trace) -> bool {
    trace.steps.iter().any(|step| step.generation_tokens > step.generation_requests)
}
