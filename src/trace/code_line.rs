//! The code lines of vLLM whose workers are known: what tells them in a trace and by what is installed, and how
//! their servers differ. A line that is not here is unknown, and nothing is decided of it.

use serde::{Deserialize, Serialize};

use super::frame_marks::FrameMark;
use super::step::StepKind;

/// A line of worker code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CodeLine {
    /// vLLM's own workers, V1.
    VllmV1,
    /// The vllm-gaudi plugin, V1.
    GaudiPluginV1,
    /// HabanaAI/vllm-fork, V0.
    GaudiForkV0,
}

/// (end of the file's path, function, meaning).
type Row = (&'static str, &'static str, FrameMark);

/// vLLM 0.11 and 0.32 traces, measured; the CPU worker is a subclass. `_prepare_inputs` is behind the early return
/// for an empty batch (measured on 0.11: in seven of eight batches, the last being idle). CPU attention of
/// 0.11: prompts and decodes take different calls (`cpu_attn.py:584-636`, measured); a GPU's attention takes one
/// for both and proves neither.
const VLLM_V1: &[Row] = &[
    ("worker/gpu_worker.py", "execute_model", FrameMark::Scheduled),
    ("worker/gpu_model_runner.py", "_prepare_inputs", FrameMark::Work),
    ("attention/backends/cpu_attn.py", "_run_sdpa_forward", FrameMark::Prompt),
    ("llm/modules/mha_fusion.py", "flash_attn_varlen_func", FrameMark::Prompt),
    ("attention/backends/cpu_attn.py", "forward_decode", FrameMark::Decode),
    // The runner's own frame stands in for the worker's where a trace has only that (TraceLens' MI300 traces).
    ("worker/gpu_model_runner.py", "execute_model", FrameMark::Handed),
];

/// SGLang, which is no code line of vLLM's: `model_runner.py` runs each batch through one of these; `replay` is a decode
/// from a graph.
const SGLANG: &[Row] = &[
    ("model_executor/model_runner.py", "forward_decode", FrameMark::Runs(StepKind::Decode)),
    ("model_executor/model_runner.py", "forward_extend", FrameMark::Runs(StepKind::Prompt)),
    ("model_executor/model_runner.py", "forward_split_prefill", FrameMark::Runs(StepKind::Prompt)),
    ("model_executor/model_runner.py", "forward_idle", FrameMark::Runs(StepKind::Idle)),
    ("model_executor/cuda_graph_runner.py", "replay", FrameMark::Runs(StepKind::Decode)),
];

/// vllm-gaudi 0.26.0, measured on a CPU.
const GAUDI_PLUGIN_V1: &[Row] = &[
    ("v1/worker/hpu_worker.py", "execute_model", FrameMark::Scheduled),
    ("v1/worker/hpu_worker.py", "sample_tokens", FrameMark::Sampled),
    ("v1/worker/hpu_model_runner.py", "_execute_model_generic", FrameMark::Forward),
    ("v1/worker/hpu_model_runner.py", "forward", FrameMark::Forward),
    ("v1/worker/hpu_model_runner.py", "_create_decode_input_data", FrameMark::Decode),
    ("hpu_attn.py", "make_decode_metadata", FrameMark::Decode),
    ("hpu_attn.py", "make_prefill_metadata", FrameMark::Prompt),
    ("v1/worker/hpu_model_runner.py", "_set_attn_bias", FrameMark::Prompt),
    ("v1/worker/hpu_model_runner.py", "_set_block_mapping", FrameMark::Decode),
    ("vllm_gaudi/extension/ops.py", "prompt_attention", FrameMark::Prompt),
    ("vllm_gaudi/extension/ops.py", "flat_pa", FrameMark::Decode),
];

/// The fork at 95af7009, measured on a CPU. What prepares inputs runs for prompts and decodes alike.
const GAUDI_FORK_V0: &[Row] = &[
    ("worker/hpu_worker.py", "execute_model", FrameMark::Called),
    ("worker/hpu_model_runner.py", "forward", FrameMark::Forward),
    ("worker/hpu_model_runner.py", "_set_attn_bias", FrameMark::Prompt),
    ("worker/hpu_model_runner.py", "_update_use_window_sdpa", FrameMark::Prompt),
    ("worker/hpu_model_runner.py", "_set_block_mapping", FrameMark::Decode),
    ("vllm_hpu_extension/ops.py", "prompt_attention", FrameMark::Prompt),
    ("vllm_hpu_extension/ops.py", "flat_pa", FrameMark::Decode),
    ("vllm_hpu_extension/ops.py", "pipelined_pa", FrameMark::Decode),
    // Once for each finished request. Inside the worker's call it is the output of the step in front that is
    // processed, meanwhile.
    ("core/scheduler.py", "_free_seq_group_cross_attn_blocks", FrameMark::Finished),
];

/// Gaudi's software below both: the replay of a captured graph. Read in a screenshot, never met.
const GAUDI: &[Row] = &[("hpu/graphs.py", "wrapped_hpugraph_forward", FrameMark::Replay)];

/// The rows of all lines with whose they are. The first that fits a frame holds.
pub(super) const ROWS: [(&[Row], Option<CodeLine>); 5] = [
    (VLLM_V1, Some(CodeLine::VllmV1)),
    (SGLANG, None),
    (GAUDI_PLUGIN_V1, Some(CodeLine::GaudiPluginV1)),
    (GAUDI_FORK_V0, Some(CodeLine::GaudiForkV0)),
    (GAUDI, None),
];

impl CodeLine {
    /// Which line installed distributions make.
    #[must_use]
    pub fn of_packages(installed: impl Fn(&str) -> bool) -> Option<Self> {
        if installed("vllm-gaudi") {
            Some(Self::GaudiPluginV1)
        } else if installed("vllm-hpu-extension") {
            Some(Self::GaudiForkV0)
        } else {
            installed("vllm").then_some(Self::VllmV1)
        }
    }

    /// The word used in output, such as `gaudi_fork_v0`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VllmV1 => "vllm_v1",
            Self::GaudiPluginV1 => "gaudi_plugin_v1",
            Self::GaudiForkV0 => "gaudi_fork_v0",
        }
    }

    /// In words, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::VllmV1 => "vLLM's own worker (V1)",
            Self::GaudiPluginV1 => "the vllm-gaudi plugin (V1)",
            Self::GaudiForkV0 => "HabanaAI/vllm-fork (V0)",
        }
    }

    /// Gaudi software, which reads variables of its own.
    #[must_use]
    pub fn is_gaudi(self) -> bool {
        self != Self::VllmV1
    }

    /// A front end of its own process profiles itself beside the workers.
    #[must_use]
    pub fn has_frontend(self) -> bool {
        self != Self::GaudiForkV0
    }

    /// The engine begins a step before it has processed the output of the one in front, and so runs one
    /// decode more for each request than its tokens need, unless the flag switches that off.
    #[must_use]
    pub fn overruns(self, arguments: &[String]) -> bool {
        self == Self::GaudiForkV0 && !arguments.iter().any(|word| word == "--disable-async-output-proc")
    }

    /// The variable, and its value, under which the manual's buckets are those that are used; by default
    /// both Gaudi lines space them exponentially and overwrite the user's.
    #[must_use]
    pub fn linear_buckets(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::VllmV1 => None,
            Self::GaudiPluginV1 => Some(("VLLM_BUCKETING_STRATEGY", "lin")),
            Self::GaudiForkV0 => Some(("VLLM_EXPONENTIAL_BUCKETING", "false")),
        }
    }

    /// What `/stop_profile` without a start, and a second `/start_profile`, do.
    #[must_use]
    pub fn misuse(self) -> &'static str {
        match self {
            Self::VllmV1 => {
                "a stop without a start is answered 200 and does nothing; a second start is answered 409"
            }
            Self::GaudiPluginV1 => {
                "a stop without a start is answered 500 (\"Profiler must be initialized before stopping trace\"), and generation goes on"
            }
            Self::GaudiForkV0 => {
                "a stop without a start is answered 200 and kills the engine; a second start is answered 200 and silently discards the first window"
            }
        }
    }
}
