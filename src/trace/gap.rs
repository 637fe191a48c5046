//! Step gaps: the host-side time between neighbouring steps that did work, by the pair of their kinds.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::step::{Step, StepKind};
use crate::time::Nanos;

/// Neighbouring steps by kind. Written `decode_to_decode`, in traces' facts as in procedures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StepPair {
    /// Kind of the step in front.
    pub from: StepKind,
    /// Kind of the step behind.
    pub to: StepKind,
}

impl StepPair {
    /// The pair of two steps.
    #[must_use]
    pub fn new(from: StepKind, to: StepKind) -> Self {
        Self { from, to }
    }
}

/// In the order of their names.
impl Ord for StepPair {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.from.name(), self.to.name()).cmp(&(other.from.name(), other.to.name()))
    }
}

impl PartialOrd for StepPair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for StepPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}_to_{}", self.from.name(), self.to.name()))
    }
}

impl FromStr for StepPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text
            .split_once("_to_")
            .and_then(|(from, to)| Some(Self { from: StepKind::working(from)?, to: StepKind::working(to)? }));
        pair.ok_or_else(|| {
            format!(
                "{text:?} is no pair of prompt, decode, mixed, unclassified, written FROM_to_TO, such as decode_to_decode"
            )
        })
    }
}

impl Serialize for StepPair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepPair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for StepPair {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StepPair".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let kind = "(prompt|decode|mixed|unclassified)";
        schemars::json_schema!({ "type": "string", "pattern": format!("^{kind}_to_{kind}$") })
    }
}

/// The steps that did work, each with the one in front of it.
pub(crate) fn neighbours(steps: &[Step]) -> impl Iterator<Item = (&Step, &Step)> {
    let working = || steps.iter().filter(|step| step.kind != StepKind::Idle);
    working().zip(working().skip(1))
}

/// The distribution of the gaps of one pair of kinds. Percentiles are nearest-rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GapSummary {
    /// How many.
    pub count: u64,
    /// Smallest.
    pub min_ns: Nanos,
    /// Half are at or below.
    pub p50_ns: Nanos,
    /// Nine in ten are at or below.
    pub p90_ns: Nanos,
    /// Largest.
    pub max_ns: Nanos,
}

/// Step gaps by pair.
#[must_use]
pub(crate) fn gaps_by_pair(steps: &[Step]) -> BTreeMap<StepPair, GapSummary> {
    let mut pairs: BTreeMap<StepPair, Vec<Nanos>> = BTreeMap::new();
    for (before, step) in neighbours(steps) {
        if let Some(gap) = step.gap_ns {
            pairs.entry(StepPair::new(before.kind, step.kind)).or_default().push(gap);
        }
    }
    summaries(pairs)
}

/// The distribution of each pair's gaps.
pub(crate) fn summaries(pairs: BTreeMap<StepPair, Vec<Nanos>>) -> BTreeMap<StepPair, GapSummary> {
    pairs
        .into_iter()
        .filter_map(|(pair, mut gaps)| {
            gaps.sort_unstable();
            let summary = GapSummary {
                count: gaps.len() as u64,
                min_ns: *gaps.first()?,
                p50_ns: nearest_rank(&gaps, 50)?,
                p90_ns: nearest_rank(&gaps, 90)?,
                max_ns: *gaps.last()?,
            };
            Some((pair, summary))
        })
        .collect()
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
fn nearest_rank(sorted: &[Nanos], percent: usize) -> Option<Nanos> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<_> = (1..=10).map(Nanos::from_ns).collect();
        assert_eq!(nearest_rank(&values, 50).unwrap().as_ns(), 5);
        assert_eq!(nearest_rank(&values, 90).unwrap().as_ns(), 9);
        assert_eq!(nearest_rank(&values[..1], 90).unwrap().as_ns(), 1);
        assert_eq!(nearest_rank(&values[..6], 90).unwrap().as_ns(), 6);
        assert_eq!(nearest_rank(&[], 50), None);
    }

    #[test]
    fn a_pair_reads_as_it_is_written() {
        for text in ["prompt_to_decode", "unclassified_to_mixed"] {
            assert_eq!(text.parse::<StepPair>().unwrap().to_string(), text);
        }
        for text in
            ["", "_to_", "idle_to_decode", "decode_to_", "decode-to-decode", "decode_to_decode_to_decode"]
        {
            assert!(text.parse::<StepPair>().unwrap_err().contains("is no pair"), "{text}");
        }
    }
}
