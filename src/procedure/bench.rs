//! The workload of `vllm bench serve` as a procedure writes it: its flags, with its names and meanings.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `vllm bench serve`, random dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Bench {
    /// `--backend`.
    #[serde(default = "default_backend")]
    pub backend: String,
    /// `--dataset-name`; only `random` is made natively.
    #[serde(default)]
    pub dataset_name: Dataset,
    /// `--random-input-len`: prompt tokens.
    pub random_input_len: u32,
    /// `--random-output-len`: output tokens.
    pub random_output_len: u32,
    /// `--random-range-ratio`, as the manual has it.
    #[serde(default)]
    pub random_range_ratio: f64,
    /// `--ignore-eos`.
    #[serde(default)]
    pub ignore_eos: bool,
    /// `--max-concurrency`: requests in flight at most; no limit where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// `--request-rate`: requests per second, or `"inf"` for all at once.
    #[serde(default)]
    pub request_rate: Rate,
    /// `--burstiness`: shape of the gamma distribution of intervals; 1 is a Poisson process.
    #[serde(default = "one")]
    pub burstiness: f64,
    /// `--num-prompts`.
    pub num_prompts: u32,
    /// `--num-warmups`: copies of the first request, sent before the window.
    #[serde(default)]
    pub num_warmups: u32,
    /// `--percentile-metrics`.
    pub percentile_metrics: Vec<Metric>,
    /// `--metric-percentiles`.
    #[serde(default = "ninety_nine")]
    pub metric_percentiles: Vec<f64>,
    /// `--seed`.
    #[serde(default)]
    pub seed: u64,
    /// Sampling temperature, always sent.
    pub temperature: f64,
    /// `--ramp-up-strategy` with its rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_up: Option<RampUp>,
    /// `--goodput`: limits in milliseconds that a good request meets.
    #[serde(default, skip_serializing_if = "Goodput::is_empty")]
    pub goodput: Goodput,
    /// Prompts as token ids (exact lengths, no tokenizer) or as text made by the server's tokenizer.
    #[serde(default)]
    pub prompts: PromptForm,
    /// Size of the tokenizer's vocabulary, from which random ids are drawn.
    pub vocab_size: u32,
    /// Ids that are never drawn.
    #[serde(default)]
    pub special_token_ids: Vec<u32>,
    /// Packages the manual installs for the real client.
    #[serde(default)]
    pub python_packages: Vec<String>,
}

fn default_backend() -> String {
    "vllm".to_owned()
}

fn one() -> f64 {
    1.0
}

fn ninety_nine() -> Vec<f64> {
    vec![99.0]
}

/// Datasets of `vllm bench serve` that can be made without downloading anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dataset {
    /// Random token ids.
    #[default]
    Random,
}

/// How random prompts are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PromptForm {
    /// An array of token ids.
    #[default]
    Ids,
    /// Text, re-cut through `/detokenize` and `/tokenize` until its length is right.
    Text,
}

/// Client-side latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Time to first token.
    Ttft,
    /// Time per output token, the first excluded.
    Tpot,
    /// Inter-token latency, pooled over requests.
    Itl,
    /// End-to-end latency, until the last token.
    E2el,
    /// Wait on the concurrency limit.
    ClientQueueTime,
    /// End-to-end latency with that wait.
    E2elIncludingClientQueue,
}

/// `--ramp-up-strategy`, `--ramp-up-start-rps`, `--ramp-up-end-rps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RampUp {
    /// Shape of the ramp over the request index.
    pub strategy: RampUpStrategy,
    /// Rate of the first request, per second.
    pub start_rps: u32,
    /// Rate of the last request, per second.
    pub end_rps: u32,
}

/// Shapes of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RampUpStrategy {
    /// Rates in equal differences.
    Linear,
    /// Rates in equal ratios.
    Exponential,
}

/// Limits in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Goodput {
    /// Time to first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    /// Time per output token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpot: Option<f64>,
    /// End-to-end latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2el: Option<f64>,
}

impl Goodput {
    /// No limit is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Requests per second; infinite means all at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

impl Default for Rate {
    fn default() -> Self {
        Self(f64::INFINITY)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_infinite() { serializer.serialize_str("inf") } else { serializer.serialize_f64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrInf;
        impl Visitor<'_> for NumberOrInf {
            type Value = Rate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("requests per second, or \"inf\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
                if text == "inf" {
                    Ok(Rate::default())
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
            fn visit_f64<E: de::Error>(self, rate: f64) -> Result<Rate, E> {
                Ok(Rate(rate))
            }
            fn visit_i64<E: de::Error>(self, rate: i64) -> Result<Rate, E> {
                Ok(Rate(rate as f64))
            }
        }
        deserializer.deserialize_any(NumberOrInf)
    }
}
