//! One rank's trace with its operators, and the words for its steps.

use crate::plan::Expected;
use crate::procedure::sequence_pattern;
use crate::trace::{Operators, StepKind, Trace};

/// A worker's trace as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) operators: &'a Operators,
}

impl Rank<'_> {
    /// `rank 3`, or the file where the trace does not say its rank.
    pub(crate) fn name(&self) -> String {
        self.trace.rank.map_or_else(|| self.trace.file.clone(), |rank| format!("rank {rank}"))
    }

    /// Whether the steps are of the sequence's language, but for the one decode in which the engine's overrun
    /// ends, where it has one; the steps where they are not.
    pub(crate) fn fits(&self, expected: &Expected) -> Result<(), String> {
        let word = working_steps(self.trace);
        // A step of unknown kind stands for any.
        let needed = if expected.overrun { word.strip_suffix(['D', 'U']) } else { Some(word.as_str()) };
        let pattern = sequence_pattern(&expected.sequence);
        let fits = pattern.is_ok_and(|pattern| needed.is_some_and(|word| pattern.is_match(word)));
        if fits { Ok(()) } else { Err(run_lengths(&word)) }
    }
}

/// Letters of the steps that did work.
pub(crate) fn working_steps(trace: &Trace) -> String {
    let working = trace.steps.iter().filter(|step| step.kind != StepKind::Idle);
    working.map(|step| step.kind.letter()).collect()
}

/// `PDDDDDD` as `P D{6}`.
pub(crate) fn run_lengths(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    let runs = letters.chunk_by(|left, right| left == right).map(|run| match run {
        [letter] => letter.to_string(),
        run => format!("{}{{{}}}", run[0], run.len()),
    });
    let runs: Vec<String> = runs.collect();
    if runs.is_empty() { "none".to_owned() } else { runs.join(" ") }
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
