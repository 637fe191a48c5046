//! Steps: both phases present, in the order the procedure allows, nothing compiled in between.

use super::outcome::Outcome;
use crate::procedure::sequence_pattern;
use crate::trace::{StepKind, Trace};

/// Prompt and decode steps are there. Idle steps are never counted.
pub(super) fn presence(workers: &[&Trace], sequence: &str) -> Outcome {
    // A procedure may ask for one phase only.
    let asks_for = |letters: [char; 2]| sequence.contains(letters);
    let (prompts, decodes) = (asks_for(['P', 'M']), asks_for(['D', 'M']));
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for trace in workers {
        let totals = &trace.totals;
        let rank = label(trace, workers.len());
        if trace.steps.is_empty() {
            complaints.push(format!("{rank}no steps at all among {} events", trace.events));
            continue;
        }
        // What no evidence classifies may be either.
        let unknown = totals.mixed + totals.unclassified;
        if prompts && totals.prompt + unknown == 0 {
            complaints.push(format!("{rank}no prompt step"));
        }
        if decodes && totals.decode + unknown == 0 {
            complaints.push(format!("{rank}no decode step"));
        }
        let mut counts =
            format!("{rank}prompt {}, decode {}, mixed {}", totals.prompt, totals.decode, totals.mixed);
        if totals.unclassified > 0 {
            counts += &format!(", unclassified {}", totals.unclassified);
        }
        seen.push(counts);
    }
    Outcome::from_complaints(&complaints, seen.join("; "))
}

/// The step sequence without idle steps matches the procedure's pattern.
pub(super) fn order(workers: &[&Trace], sequence: &str) -> Outcome {
    let pattern = match sequence_pattern(sequence) {
        Ok(pattern) => pattern,
        Err(error) => return Outcome::NotApplicable(format!("the plan's sequence {sequence:?} {error}")),
    };
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for trace in workers {
        let rank = label(trace, workers.len());
        let word = working_steps(trace);
        let text = run_lengths(&word);
        if pattern.is_match(&word) {
            seen.push(format!("{rank}{text}"));
        } else {
            complaints.push(format!("{rank}the steps were {text}, expected {sequence}"));
        }
    }
    Outcome::from_complaints(&complaints, format!("{} ({sequence})", seen.join("; ")))
}

/// Whether a trace's steps are of the sequence's language; the steps where they are not.
pub(crate) fn fits_sequence(trace: &Trace, sequence: &str) -> Result<(), String> {
    let word = working_steps(trace);
    let fits = sequence_pattern(sequence).is_ok_and(|pattern| pattern.is_match(&word));
    if fits { Ok(()) } else { Err(run_lengths(&word)) }
}

/// Nothing was compiled inside the window: by the trace, and by what the Gaudi plugin logs of shapes it
/// had not warmed up.
pub(super) fn recompiles(workers: &[&Trace], limit: Option<u64>, cold_shapes: u64) -> Outcome {
    let Some(limit) = limit else {
        return Outcome::NotApplicable("the procedure sets no limit".to_owned());
    };
    let count: u64 = workers.iter().map(|trace| trace.recompiles.in_window).sum::<u64>().max(cold_shapes);
    if count > limit {
        let first = workers.iter().flat_map(|trace| &trace.recompiles.first).take(3).map(|compile| {
            match compile.step {
                Some(step) => format!("{} at step {step}", compile.name),
                None => format!("{} behind the last step", compile.name),
            }
        });
        let mut first: Vec<String> = first.collect();
        if cold_shapes > 0 {
            first.push(format!("{cold_shapes} shapes \"not warmed-up\" in the server's log"));
        }
        return Outcome::Fail(format!(
            "{count} compilations inside the window, at most {limit} allowed: the warm-up did not cover the load ({})",
            first.join(", ")
        ));
    }
    Outcome::Pass(format!("{count} in the window"))
}

/// Letters of the steps that did work.
fn working_steps(trace: &Trace) -> String {
    let working = trace.steps.iter().filter(|step| step.kind != StepKind::Idle);
    working.map(|step| step.kind.letter()).collect()
}

/// `PDDDDDD` as `P D{6}`.
pub(crate) fn run_lengths(word: &str) -> String {
    let mut runs: Vec<(char, usize)> = Vec::new();
    for letter in word.chars() {
        match runs.last_mut() {
            Some((last, count)) if *last == letter => *count += 1,
            _ => runs.push((letter, 1)),
        }
    }
    if runs.is_empty() {
        return "none".to_owned();
    }
    let parts = runs.into_iter().map(|(letter, count)| match count {
        1 => letter.to_string(),
        _ => format!("{letter}{{{count}}}"),
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// `rank 3: `, where there is more than one.
pub(super) fn label(trace: &Trace, traces: usize) -> String {
    match trace.rank {
        Some(rank) if traces > 1 => format!("rank {rank}: "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_read_as_the_pattern_that_matches_them() {
        assert_eq!(run_lengths("PDDDDDD"), "P D{6}");
        assert_eq!(run_lengths("PMDDD"), "P M D{3}");
        assert_eq!(run_lengths(""), "none");
    }
}
