//! `[[check]]`: bounds that a procedure sets on anything a trace counts, in words that are checked when the file is
//! read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::model::Span;
use crate::lane::Lane;
use crate::trace::{Budget, StepKind, StepPair};

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
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) quantity: Quantity,
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

/// What is bounded. Read and written in the words of a procedure file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
    Gap(StepPair, Percentile),
}

/// Which of the gaps of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Percentile {
    Min,
    P50,
    P90,
    Max,
}

impl Percentile {
    const ALL: [Self; 4] = [Self::Min, Self::P50, Self::P90, Self::Max];

    fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::Max => "max",
        }
    }
}

/// What a quantity may be, for messages.
const QUANTITIES: &str = "\"op NAME\", \"sampler NAME\", \"budget NAME\", \"batch\", \"context_tokens\", \"generation_tokens\", \"steps\", \"recompiles\", \"gap PAIR PERCENTILE\"";

impl FromStr for Quantity {
    type Err = String;

    /// Reads the words of a procedure file; what is wrong with them otherwise.
    fn from_str(text: &str) -> Result<Self, String> {
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
}

impl TryFrom<String> for Quantity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.to_string()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "op {name}"),
            Self::Sampler(name) => write!(f, "sampler {name}"),
            Self::Budget(budget) => write!(f, "budget {}", budget.name()),
            Self::Batch => f.write_str("batch"),
            Self::ContextTokens => f.write_str("context_tokens"),
            Self::GenerationTokens => f.write_str("generation_tokens"),
            Self::Steps => f.write_str("steps"),
            Self::Recompiles => f.write_str("recompiles"),
            Self::Gap(pair, percentile) => write!(f, "gap {pair} {}", percentile.name()),
        }
    }
}

impl Quantity {
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
    let percentile = Percentile::ALL.into_iter().find(|one| one.name() == percentile).ok_or_else(wrong)?;
    Ok(Quantity::Gap(pair.parse()?, percentile))
}

/// The first key that cannot be meant, and why.
pub(super) fn complaint(check: &CustomCheck) -> Option<(&'static str, String)> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if check.name.is_empty() || !check.name.bytes().all(fits) {
        return Some(("name", format!("{:?} must be lower-case letters, digits and _", check.name)));
    }
    let quantity = &check.quantity;
    if check.phase.is_some() && !quantity.has_phase() {
        return Some(("phase", format!("\"{quantity}\" is not per phase")));
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
            ("gap decode_to_decode p90", Quantity::Gap("decode_to_decode".parse().unwrap(), Percentile::P90)),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()));
            assert_eq!(expected.to_string(), text);
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
            let message = text.parse::<Quantity>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
