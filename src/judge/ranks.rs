//! One worker trace for each rank, and the front end's where one is expected.

use std::collections::BTreeSet;

use super::answer::Answer;
use crate::observe::Observed;
use crate::trace::{Trace, TraceRole};

/// Exactly one worker trace for each of the expected ranks.
pub(super) fn all_there(observed: &Observed) -> Answer {
    let workers: Vec<&Trace> = observed.workers().collect();
    let expected = observed.plan.expected.ranks;
    let mut complaints = Vec::new();
    let seen: Vec<u32> = workers.iter().filter_map(|trace| trace.rank).collect();
    // Versions before 0.13 do not say the rank; with one worker there is no question whose it is.
    if expected == 1 && workers.len() == 1 && seen.is_empty() {
        return Answer::Holds("1 worker trace".to_owned());
    }
    let missing: Vec<String> =
        (0..expected).filter(|rank| !seen.contains(rank)).map(|rank| rank.to_string()).collect();
    if !missing.is_empty() {
        complaints.push(format!("no worker trace of rank {}", missing.join(", ")));
    }
    let mut once = BTreeSet::new();
    for trace in &workers {
        match trace.rank {
            Some(rank) if !once.insert(rank) => {
                complaints.push(format!("rank {rank} has a second trace: {}", trace.file));
            }
            Some(rank) if rank >= expected => {
                complaints.push(format!("{} is of rank {rank}, which was not started", trace.file));
            }
            None => complaints.push(format!("{} does not say its rank", trace.file)),
            Some(_) => {}
        }
    }
    Answer::from_complaints(&complaints, format!("{} of {expected} worker traces", workers.len()))
}

/// A front-end trace, where the plan expects one.
pub(super) fn frontend(observed: &Observed) -> Answer {
    if !observed.plan.expected.frontend {
        return Answer::CannotSay("the plan expects no front-end trace".to_owned());
    }
    match observed.traces.iter().find(|trace| trace.role == TraceRole::Frontend) {
        None => Answer::Fails("no *.async_llm.* trace of the front end".to_owned()),
        Some(trace) => Answer::Holds(format!("{} ({} events, no steps)", trace.file, trace.events)),
    }
}
