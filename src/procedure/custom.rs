//! `[[check]]`: bounds that a procedure sets on anything a trace counts, in words that are checked when the file is
//! read.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::model::Span;
use crate::lane::Lane;
use crate::trace::{Budget, StepKind};

/// One bound on a counted quantity, or on a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CustomCheck {
    /// Its name in the verdict, behind `check:`.
    pub name: String,
    /// What is bounded: `op NAME`, `sampler NAME`, `budget NAME`, `batch`, `context_tokens`,
    /// `generation_tokens` (per step), `steps`, `recompiles` (per rank), `gap PAIR PERCENTILE`.
    pub quantity: String,
    /// Kind of the steps; every working step where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<StepKind>,
    /// Smallest allowed: a number, or a time for gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Limit>,
    /// Largest allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Limit>,
    /// Lanes on which it is asked; all where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<Lane>,
}

/// A bound: a count, or a time such as `"2ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a number, or a time with its unit such as \"2ms\"")]
#[non_exhaustive]
pub enum Limit {
    /// Of anything counted.
    Count(u64),
    /// Of a gap.
    Time(Span),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Time(span) => span.fmt(f),
        }
    }
}

/// A quantity that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Calls of an operator in one step; a name that ends in `*` counts all that begin so.
    Operator(String),
    /// The same behind one step.
    Sampler(String),
    /// What costs a wait, in one step and behind it.
    Budget(Budget),
    /// Requests in one step.
    Batch,
    ContextTokens,
    GenerationTokens,
    /// Steps of the phase.
    Steps,
    /// Compilations in the window.
    Recompiles,
    /// A percentile of the step gaps of a pair such as `decode_to_decode`.
    Gap(String, Percentile),
}

/// Which of the gaps of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Percentile {
    Min,
    P50,
    P90,
    Max,
}

/// What a quantity may be, for messages.
const QUANTITIES: &str = "\"op NAME\", \"sampler NAME\", \"budget NAME\", \"batch\", \"context_tokens\", \"generation_tokens\", \"steps\", \"recompiles\", \"gap PAIR PERCENTILE\"";

impl Quantity {
    /// Reads the words of a procedure file; what is wrong with them otherwise.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("op" | "sampler", "" | "*") => Err(format!("{word:?} needs the name of an operator")),
            ("op" | "sampler", name) if name.trim_end_matches('*').contains('*') => {
                Err(format!("{name:?}: a * stands at the end of a name only"))
            }
            ("op", name) => Ok(Self::Operator(name.to_owned())),
            ("sampler", name) => Ok(Self::Sampler(name.to_owned())),
            ("budget", name) => {
                let known = Budget::ALL.into_iter().find(|budget| budget.name() == name);
                known.map(Self::Budget).ok_or_else(|| {
                    let names: Vec<&str> = Budget::ALL.into_iter().map(Budget::name).collect();
                    format!("{name:?} is no budget; there are {}", names.join(", "))
                })
            }
            ("gap", rest) => gap(rest),
            ("batch", "") => Ok(Self::Batch),
            ("context_tokens", "") => Ok(Self::ContextTokens),
            ("generation_tokens", "") => Ok(Self::GenerationTokens),
            ("steps", "") => Ok(Self::Steps),
            ("recompiles", "") => Ok(Self::Recompiles),
            _ => Err(format!("{text:?} is no quantity; there are {QUANTITIES}")),
        }
    }

    /// It is of a step, and a phase may narrow it.
    fn has_phase(&self) -> bool {
        !matches!(self, Self::Recompiles | Self::Gap(..))
    }
}

fn gap(text: &str) -> Result<Quantity, String> {
    let wrong = || {
        format!(
            "{text:?} is no gap: write a pair and min, p50, p90 or max, as in \"gap decode_to_decode p90\""
        )
    };
    let (pair, percentile) = text.split_once(' ').ok_or_else(wrong)?;
    let percentile = match percentile {
        "min" => Percentile::Min,
        "p50" => Percentile::P50,
        "p90" => Percentile::P90,
        "max" => Percentile::Max,
        _ => return Err(wrong()),
    };
    let is_kind = |word: &str| {
        [StepKind::Prompt, StepKind::Decode, StepKind::Mixed, StepKind::Unclassified]
            .iter()
            .any(|kind| kind.name() == word)
    };
    match pair.split_once("_to_") {
        Some((from, to)) if is_kind(from) && is_kind(to) => Ok(Quantity::Gap(pair.to_owned(), percentile)),
        _ => Err(format!(
            "{pair:?} is no pair of prompt, decode, mixed, unclassified, as in \"decode_to_decode\""
        )),
    }
}

/// The first key that cannot be meant, and why.
pub(super) fn complaint(check: &CustomCheck) -> Option<(&'static str, String)> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if check.name.is_empty() || !check.name.bytes().all(fits) {
        return Some(("name", format!("{:?} must be lower-case letters, digits and _", check.name)));
    }
    let quantity = match Quantity::parse(&check.quantity) {
        Ok(quantity) => quantity,
        Err(message) => return Some(("quantity", message)),
    };
    if check.phase.is_some() && !quantity.has_phase() {
        return Some(("phase", format!("{:?} is not per phase", check.quantity)));
    }
    let is_time = matches!(quantity, Quantity::Gap(..));
    for (key, limit) in [("min", check.min), ("max", check.max)] {
        match limit {
            Some(Limit::Count(_)) if is_time => {
                return Some((key, "a gap needs a time, such as \"2ms\"".to_owned()));
            }
            Some(Limit::Time(_)) if !is_time => return Some((key, "a count needs a number".to_owned())),
            _ => {}
        }
    }
    match (check.min, check.max) {
        (None, None) => Some(("quantity", "needs min or max, or it could not fail".to_owned())),
        (Some(Limit::Time(Span(time))), None) if time.is_zero() => {
            Some(("min", "no time at all holds always: the check could not fail".to_owned()))
        }
        (Some(Limit::Count(0)), None) => Some(("min", "0 holds always: the check could not fail".to_owned())),
        (Some(Limit::Count(min)), Some(Limit::Count(max))) if min > max => {
            Some(("min", format!("{min} is above max = {max}")))
        }
        (Some(Limit::Time(min)), Some(Limit::Time(max))) if min > max => {
            Some(("min", format!("{min} is above max = {max}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_understood_or_named() {
        for (text, expected) in [
            ("op aten::mm", Quantity::Operator("aten::mm".to_owned())),
            (
                "op ## Call CompiledFxGraph <H> ##",
                Quantity::Operator("## Call CompiledFxGraph <H> ##".to_owned()),
            ),
            ("sampler aten::*", Quantity::Sampler("aten::*".to_owned())),
            ("budget d2h", Quantity::Budget(Budget::D2h)),
            ("batch", Quantity::Batch),
            ("gap decode_to_decode p90", Quantity::Gap("decode_to_decode".to_owned(), Percentile::P90)),
        ] {
            assert_eq!(Quantity::parse(text), Ok(expected));
        }
        for (text, part) in [
            ("ops aten::mm", "is no quantity; there are \"op NAME\""),
            ("batch 3", "is no quantity"),
            ("op", "needs the name of an operator"),
            ("budget D2H", "is no budget; there are d2h, graph_calls, h2d, item, sync"),
            ("gap decode_to_decode", "is no gap"),
            ("gap decode_to_decode p99", "is no gap"),
            ("gap prefill_to_decode p50", "is no pair"),
        ] {
            let message = Quantity::parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
