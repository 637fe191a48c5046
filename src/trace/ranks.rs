//! Several ranks of one engine seen together: whether they ran the same steps, and how far apart.

use super::model::Trace;
use super::step::Step;
use crate::time::Nanos;

/// What the ranks have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ranks {
    /// How many.
    pub count: usize,
    /// Steps on the first rank.
    pub steps: usize,
    /// The first difference between the first rank's steps and another's.
    pub difference: Option<String>,
    /// Largest distance between the starts of one step on two ranks; `None` where a trace's clock is
    /// not known.
    pub skew: Option<Nanos>,
}

impl Ranks {
    /// Compares worker traces; `None` for fewer than two.
    #[must_use]
    pub fn of(workers: &[&Trace]) -> Option<Self> {
        let (first, others) = workers.split_first().filter(|(_, others)| !others.is_empty())?;
        Some(Self {
            count: workers.len(),
            steps: first.steps.len(),
            difference: others.iter().find_map(|other| difference(first, other)),
            skew: skew(workers),
        })
    }
}

fn difference(first: &Trace, other: &Trace) -> Option<String> {
    let name = |trace: &Trace| trace.rank.map_or_else(|| trace.file.clone(), |rank| format!("rank {rank}"));
    let (left, right) = (name(first), name(other));
    if first.steps.len() != other.steps.len() {
        return Some(format!("{left} has {} steps, {right} has {}", first.steps.len(), other.steps.len()));
    }
    let counts = |step: &Step| {
        let context = (step.context_requests, step.context_tokens);
        (step.kind, context, step.generation_requests, step.generation_tokens)
    };
    let pairs = first.steps.iter().zip(&other.steps);
    let (at, there) = pairs.into_iter().find(|(at, there)| counts(at) != counts(there))?;
    Some(format!(
        "step {} is {} on {left} and {} on {right}, or of other counts",
        at.index, at.kind, there.kind
    ))
}

fn skew(workers: &[&Trace]) -> Option<Nanos> {
    let steps = workers.iter().map(|trace| trace.steps.len()).min()?;
    let origins: Vec<i64> = workers.iter().map(|trace| trace.epoch_ns).collect::<Option<_>>()?;
    let spread = |index: usize| {
        let starts = workers
            .iter()
            .zip(&origins)
            .filter_map(|(trace, origin)| origin.checked_add(trace.steps.get(index)?.start_ns.as_ns()));
        let (least, most) = starts.fold((i64::MAX, i64::MIN), |(l, m), at| (l.min(at), m.max(at)));
        most.checked_sub(least).map(Nanos::from_ns)
    };
    (0..steps).filter_map(spread).max()
}
