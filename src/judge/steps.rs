//! Steps: both phases present, in the order the procedure allows, nothing compiled in between.

use super::answer::Answer;
use crate::observe::{Observed, Rank, run_lengths, working_steps};
use crate::plan::Command;
use crate::trace::Recompile;

/// Prompt and decode steps are there. Idle steps are never counted; what no evidence classifies may be either.
pub(super) fn presence(observed: &Observed, rank: Rank<'_>) -> Answer {
    let (trace, sequence) = (rank.trace, &observed.plan.expected.sequence);
    let totals = &trace.totals;
    if trace.steps.is_empty() {
        return Answer::Fails(format!("no steps at all among {} events", trace.events));
    }
    // A procedure may ask for one phase only; and one that a short answer does not need is not missed.
    let is_whole = rank.fits(&observed.plan.expected).is_ok();
    let needed = |letters: [char; 2], count: u64, word: &str| {
        let missed = !is_whole && sequence.contains(letters) && count + totals.mixed == 0;
        missed.then(|| format!("no {word} step"))
    };
    let missing = [needed(['P', 'M'], totals.prompt, "prompt"), needed(['D', 'M'], totals.decode, "decode")];
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    let mut counts = format!("prompt {}, decode {}, mixed {}", totals.prompt, totals.decode, totals.mixed);
    if totals.unclassified > 0 {
        counts += &format!(", unclassified {}", totals.unclassified);
    }
    let told = totals.working() - totals.unclassified;
    if totals.unclassified > 0 && (told == 0 || !missing.is_empty()) {
        return Answer::CannotSay(format!("{counts}: nothing tells the kind of those"));
    }
    Answer::from_complaints(&missing, counts)
}

/// The step sequence without idle steps matches the procedure's pattern.
pub(super) fn order(observed: &Observed, rank: Rank<'_>) -> Answer {
    let mut sequence = observed.plan.expected.sequence.clone();
    if observed.plan.expected.overrun {
        sequence += " and one decode of overrun";
    }
    let text = run_lengths(&working_steps(rank.trace));
    let unclassified = rank.trace.totals.unclassified;
    match rank.fits(&observed.plan.expected) {
        Err(seen) => Answer::Fails(format!("the steps were {seen}, expected {sequence}")),
        Ok(()) if unclassified > 0 => Answer::CannotSay(format!(
            "{text} has as many steps as {sequence} allows, and nothing tells the kind of {unclassified} of them"
        )),
        Ok(()) => Answer::Holds(format!("{text} ({sequence})")),
    }
}

/// Nothing was compiled inside the window: by the trace, and by what the Gaudi plugin logs of shapes it
/// had not warmed up.
pub(super) fn recompiles(observed: &Observed) -> Answer {
    let Some(limit) = observed.plan.expected.max_recompiles else {
        return Answer::CannotSay("the procedure sets no limit".to_owned());
    };
    let compiled: u64 = observed.workers().map(|trace| trace.recompiles.in_window).sum();
    let cold = observed.cold_shapes.len() as u64;
    let mut complaints = Vec::new();
    if compiled > limit {
        let all = observed.workers().flat_map(|trace| &trace.recompiles.first);
        let first: Vec<String> = all.take(3).map(described).collect();
        complaints.push(format!(
            "{compiled} compilations inside the window, at most {limit} allowed: the warm-up did not cover the load ({})",
            first.join(", ")
        ));
    }
    if cold > limit {
        let first: Vec<&str> = observed.cold_shapes.iter().take(3).map(String::as_str).collect();
        complaints.push(format!(
            "{cold} shapes were not warmed up, at most {limit} allowed: {}, by the server's log{}",
            first.join(", "),
            without_warm_up(&observed.plan.server)
        ));
    }
    Answer::from_complaints(&complaints, format!("{compiled} in the window"))
}

fn described(compile: &Recompile) -> String {
    match compile.step {
        Some(step) => format!("{} at step {step}", compile.name),
        None => format!("{} behind the last step", compile.name),
    }
}

/// What in the server's command keeps it from warming up.
fn without_warm_up(server: &Command) -> String {
    if let Some(value) = server.env.get("VLLM_SKIP_WARMUP") {
        return format!("; VLLM_SKIP_WARMUP={value} switches warm-up off");
    }
    let eager = server.argv.iter().any(|word| word == "--enforce-eager");
    if eager { "; under --enforce-eager no graph is captured".to_owned() } else { String::new() }
}
