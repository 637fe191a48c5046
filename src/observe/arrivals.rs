//! When the client's tokens arrived, seen from the steps that made them.

use crate::client::Ledger;
use crate::time::Nanos;
use crate::trace::{Step, StepKind, Trace};

/// When the tokens of one step arrived, counted from the end of the step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrivals {
    /// Index of the step.
    pub step: usize,
    /// Tokens it made.
    pub tokens: usize,
    /// Median of their arrivals after the end of the step; below zero while the step still ran.
    pub median_ns: Nanos,
}

/// Arrivals per step, for tables; empty where they cannot be joined.
pub(crate) fn arrivals(trace: &Trace, ledger: &Ledger) -> Vec<Arrivals> {
    join(trace, ledger).map(|join| join.arrivals).unwrap_or_default()
}

/// The two clocks joined.
pub(crate) struct Join {
    pub(crate) arrivals: Vec<Arrivals>,
    /// Tokens that were there before their step began.
    pub(crate) too_early: Vec<String>,
}

/// In order of time, the k-th token to arrive cannot have been made later than the k-th token made.
/// Which request a token belongs to is not needed, and the trace does not tell.
pub(crate) fn join(trace: &Trace, ledger: &Ledger) -> Result<Join, String> {
    let mut times: Vec<Nanos> =
        ledger.requests.iter().flat_map(|served| served.token_ns.iter().copied()).collect();
    times.sort_unstable();
    if times.is_empty() {
        return Err("the answers were not streamed: no token has a time".to_owned());
    }
    let Some(epoch) = trace.epoch_ns else {
        return Err("the trace does not say when it began on the Unix clock".to_owned());
    };
    let working: Vec<&Step> = trace.steps.iter().filter(|step| step.kind != StepKind::Idle).collect();
    let Some(made) = working.iter().map(|step| tokens_of(step)).sum::<Option<u64>>() else {
        return Err(format!("the evidence ({}) does not count requests", trace.evidence.name()));
    };
    if made != times.len() as u64 {
        return Err(
            "steps and tokens do not pair one to one (chunked prompts, or several tokens in a chunk)"
                .to_owned(),
        );
    }
    let mut rest = times.as_slice();
    let mut joined = Join { arrivals: Vec::new(), too_early: Vec::new() };
    for step in working {
        let (mine, later) = rest.split_at(tokens_of(step).unwrap_or_default() as usize);
        rest = later;
        let start = Nanos::from_ns(epoch) + step.start_ns;
        let end = start + step.duration_ns;
        if let Some(early) = mine.first().filter(|first| **first < start) {
            joined.too_early.push(format!(
                "a token arrived {} before step {} began, which made it",
                start - *early,
                step.index
            ));
        }
        if let Some(median) = mine.get(mine.len() / 2) {
            joined.arrivals.push(Arrivals { step: step.index, tokens: mine.len(), median_ns: *median - end });
        }
    }
    Ok(joined)
}

/// A prompt makes its request's first token, a generation step one for each request that is not finished.
fn tokens_of(step: &Step) -> Option<u64> {
    Some((step.context_requests? + step.generation_requests?).saturating_sub(step.overrun))
}
