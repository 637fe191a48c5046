//! What is reviewed of a run, as data. Holds no durations, ids, addresses, line numbers or host names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::interval::Interval;
use super::table::{Column, Table};

/// The structure of a run, of bare traces, or of a reviewed file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Absent for bare traces.
    pub(crate) owner: Option<Owner>,
    /// Versions it was seen with. Not compared.
    pub(crate) seen: String,
    /// Runs that were accepted into it; of the same software they may disagree in what is an interval. Absent where
    /// nothing was accepted, or where it was before runs were counted. Not compared.
    pub(crate) runs: Option<u64>,
    /// Absent for bare traces.
    pub(crate) ledger: Option<LedgerFacts>,
    /// Ranks that ran the same stand together.
    pub(crate) ranks: Vec<RankGroup>,
}

/// Whose snapshot it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) procedure: String,
    pub(crate) lane: String,
}

/// What the client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LedgerFacts {
    pub(crate) requests: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// Ranks with one structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RankGroup {
    /// As numbers, or `?` where a trace does not say.
    pub(crate) ranks: Vec<String>,
    pub(crate) facts: RankFacts,
}

/// The structure of one rank's trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RankFacts {
    pub(crate) evidence: String,
    pub(crate) steps: StepFacts,
    /// Idle steps.
    pub(crate) idle: Interval,
    /// `unknown` where the evidence does not say.
    pub(crate) context_tokens: String,
    pub(crate) generation_tokens: String,
    pub(crate) recompiles: u64,
    pub(crate) problems: BTreeSet<String>,
    /// Operators in one step.
    pub(crate) operators: Table,
    /// Operators inside a step that copy the sampler's parameters into a batch that changed; empty where no
    /// Python stacks tell them.
    pub(crate) refresh: Table,
    /// Operators behind one step.
    pub(crate) sampler: Table,
    /// What a step and the sampler behind it made the device run; empty where launches and kernels are not joined.
    pub(crate) kernels: Table,
    /// What costs a wait, in a step and behind it.
    pub(crate) budgets: Table,
    /// The shapes that the call tree of a step may have.
    pub(crate) calls: BTreeMap<Column, BTreeSet<Vec<String>>>,
    /// Median gap over median step, by pair.
    pub(crate) ratios: BTreeMap<String, Ratio>,
}

/// The steps without idle ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StepFacts {
    /// One request makes one sequence: labels with the number of equal neighbours.
    Sequence(Vec<(String, u64)>),
    /// Several may be batched in more than one way: what every way has in common.
    Language { facts: Vec<String> },
}

impl Default for StepFacts {
    fn default() -> Self {
        Self::Sequence(Vec::new())
    }
}

/// A ratio as the largest of 1, 2, 5 times a power of ten that is not above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio(i32);

impl Ratio {
    /// The place of `gap / step` among 0.001, 0.002, 0.005, 0.01, …; zero counts as the smallest.
    pub(crate) fn of(gap: i64, step: i64) -> Option<Self> {
        if gap < 0 || step <= 0 {
            return None;
        }
        let places = (0..30).take_while(|place| {
            let (per_mille, power) = Self::parts(*place);
            i128::from(gap) * 1_000 >= i128::from(step) * per_mille * power
        });
        Some(Self(places.count().saturating_sub(1) as i32))
    }

    fn parts(place: i32) -> (i128, i128) {
        let digit = [1, 2, 5][place.rem_euclid(3) as usize];
        (digit, 10_i128.pow(place.div_euclid(3).unsigned_abs()))
    }

    /// Neighbours are equal: a value at a boundary falls on both sides.
    pub(crate) fn is_near(self, other: Self) -> bool {
        (self.0 - other.0).abs() <= 1
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        (0..30).map(Self).find(|ratio| ratio.to_string() == text)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digit, power) = Self::parts(self.0);
        let per_mille = digit * power;
        if per_mille >= 1_000 {
            write!(f, "{}", per_mille / 1_000)
        } else {
            let text = format!("0.{per_mille:03}");
            f.write_str(text.trim_end_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_bucketed_and_neighbours_are_near() {
        for (gap, step, text) in [
            (0, 4, "0.001"),
            (1, 1_000, "0.001"),
            (1, 4, "0.2"),
            (3, 4, "0.5"),
            (499, 100, "2"),
            (5, 1, "5"),
            (10, 1, "10"),
        ] {
            let ratio = Ratio::of(gap, step).unwrap();
            assert_eq!(ratio.to_string(), text);
            assert_eq!(Ratio::parse(text), Some(ratio));
        }
        let ratio = |text| Ratio::parse(text).unwrap();
        assert!(ratio("0.2").is_near(ratio("0.5")) && !ratio("0.2").is_near(ratio("1")));
        assert_eq!(Ratio::of(-1, 4), None);
        assert_eq!(Ratio::of(1, 0), None);
        assert_eq!(Ratio::parse("0.3"), None);
        assert_eq!(Ratio::of(i64::MAX, 1).unwrap().0, 29);
    }
}
