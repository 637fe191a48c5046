//! The shape of a procedure file. Every key is here; a key that is not here is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bench::Bench;
use super::custom::CustomCheck;
use crate::lane::Lane;
use crate::trace::StepPair;
use tracegate_standin::Dialect;

/// One documented way to profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Procedure {
    /// Name of the file and of the trial: lower case, digits and `_`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where the manual says it.
    pub manual: Manual,
    /// Hardware tracing, set through `hl-prof-config`; only Gaudi has it. No such step where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_trace: Option<HardwareTrace>,
    /// The profiler to enable.
    pub profiler: Profiler,
    /// The server to boot.
    pub server: Server,
    /// Whether other procedures whose server is the same may share its boot.
    #[serde(default)]
    pub boot: BootPolicy,
    /// What is sent between start and stop.
    #[serde(default)]
    pub load: Load,
    /// How long each part may take.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Where it can run; every lane where absent.
    #[serde(default = "every_lane")]
    pub lanes: Vec<Lane>,
    /// The server that the stand-in imitates for this procedure.
    #[serde(default)]
    pub dialect: Dialect,
    /// What the trace must show.
    pub expect: Expect,
    /// Bounds on anything that a trace counts.
    #[serde(default, rename = "check", skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CustomCheck>,
    /// Bounds of the step gaps by lane, then by pair (`decode_to_decode`).
    #[serde(default)]
    pub gaps: BTreeMap<Lane, BTreeMap<StepPair, Bound>>,
}

fn every_lane() -> Vec<Lane> {
    Lane::ALL.to_vec()
}

/// Whether a procedure takes part in a boot group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BootPolicy {
    /// It shares the boot of procedures whose server is the same.
    #[default]
    Shared,
    /// A server boots for it alone.
    Own,
}

/// The manual's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manual {
    /// Project and file.
    pub document: String,
    /// Heading.
    pub section: String,
}

/// `hl-prof-config --use-template TEMPLATE --hw-trace off`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HardwareTrace {
    /// Template name given to `hl-prof-config`.
    pub template: String,
    /// `off` runs the step with `--hw-trace off`; `on` keeps the hardware trace and runs the step
    /// only for `options`.
    pub hw_trace: HwTrace,
    /// Further arguments of `hl-prof-config`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Whether the hardware trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HwTrace {
    /// Keep it.
    On,
    /// Switch it off, as the manual advises.
    Off,
}

/// How profiling is enabled; the plan turns it into flags and variables for the version found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Profiler {
    /// Kind of profiler.
    pub kind: ProfilerKind,
    /// Python stacks in the trace; vLLM's default (on) where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_stack: Option<bool>,
    /// The one step that `specific_step` profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<SpecificStep>,
}

/// `VLLM_PT_PROFILE=<phase>_<batch_size>_<size>_<t|f>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SpecificStep {
    /// Prompt or decode.
    pub phase: ProfiledKind,
    /// Batch size to profile.
    pub batch_size: u32,
    /// Input length of a prompt, or blocks of a decode.
    pub size: u32,
    /// Run it as an HPU graph; must be the opposite of `--enforce-eager`.
    pub hpu_graph: bool,
}

/// A phase of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProfiledKind {
    /// The prompt is processed (prefill).
    Prompt,
    /// Tokens are generated.
    Decode,
}

impl fmt::Display for SpecificStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = if self.phase == ProfiledKind::Prompt { "prompt" } else { "decode" };
        let graph = if self.hpu_graph { 't' } else { 'f' };
        write!(f, "{phase}_{}_{}_{graph}", self.batch_size, self.size)
    }
}

/// Kinds of profiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProfilerKind {
    /// PyTorch's, through `/start_profile` and `/stop_profile`, or the same calls of a script.
    Torch,
    /// The Gaudi plugin's high-level events, from boot to end.
    HighLevel,
    /// The Gaudi plugin's profile of one step of warm-up; the server ends by an intended assertion.
    SpecificStep,
}

/// The server's flags and environment, as the manual writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Server {
    /// `--model`, also the name in requests.
    pub model: String,
    /// `--tensor-parallel-size`: ranks, each with a trace.
    #[serde(default = "one")]
    pub tensor_parallel_size: u32,
    /// `--max-num-seqs`: largest batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_num_seqs: Option<u32>,
    /// `--dtype`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// `--max-model-len`: most tokens of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_model_len: Option<u32>,
    /// Further flags, passed as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

/// What is sent inside the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Load {
    /// Who sends `bench`.
    #[serde(default)]
    pub client: LoadClient,
    /// Completions, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request: Vec<Request>,
    /// The workload of `vllm bench serve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bench: Option<Bench>,
}

/// Who sends the workload of `vllm bench serve`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LoadClient {
    /// tracegate itself, without Python.
    #[default]
    Native,
    /// `vllm bench serve` as a child, where the lane has it.
    Vllm,
    /// A Python script with `LLM(…)` instead of a server; all requests in one call.
    Script,
}

/// One `POST /v1/completions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Request {
    /// Text of the prompt.
    pub prompt: String,
    /// Output tokens at most.
    pub max_tokens: u32,
    /// Sampling temperature, always sent: the default changed between versions and changes the trace.
    pub temperature: f64,
}

impl Request {
    /// The body as it is sent, printed in plans and written into scripts.
    pub(crate) fn body(&self, model: &str) -> serde_json::Value {
        serde_json::json!({
            "model": model,
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        })
    }
}

/// The longest each part of a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Deadlines {
    /// One command before the server.
    pub prepare: Span,
    /// From spawn to the first healthy answer, warm-up included.
    pub boot: Span,
    /// One request, and `/start_profile`.
    pub request: Span,
    /// From the last answer until the server runs nothing any more.
    pub quiet: Span,
    /// `/stop_profile`; 47 s were measured for one request, more than 20 min reported (vllm#22748).
    pub stop: Span,
    /// From the accepted stop to complete trace files.
    pub trace: Span,
    /// From SIGTERM to the end of every process.
    pub shutdown: Span,
}

impl Default for Deadlines {
    fn default() -> Self {
        let minutes = |minutes: u64| Span(Duration::from_secs(60 * minutes));
        Self {
            prepare: minutes(1),
            boot: minutes(15),
            request: minutes(5),
            quiet: minutes(1),
            stop: minutes(10),
            trace: minutes(5),
            shutdown: minutes(1),
        }
    }
}

/// What the trace must show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expect {
    /// A front-end trace (`*.async_llm.*`) is expected where the version writes one.
    #[serde(default)]
    pub frontend: bool,
    /// The steps in order as a pattern over `P`, `D`, `M`, idle steps left out: `P D{6}`.
    pub sequence: String,
    /// Requests decoded in one step at most; not checked where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_decode_batch: Option<u64>,
    /// Compilations allowed inside the window; not checked where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recompiles: Option<u64>,
    /// Largest distance between the same step's starts on two ranks; not checked where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rank_skew: Option<Span>,
    /// Further files that the server leaves in its working directory, as the end of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// Bounds of a gap; both ends are allowed values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Bound {
    /// Smallest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Span>,
    /// Largest.
    pub max: Span,
}

/// A span of time, written `250us`, `10ms`, `30s`, `10m` in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as \"250us\", \"10ms\" or \"10m\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                humantime::parse_duration(text)
                    .map(Span)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
