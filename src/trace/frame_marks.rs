//! Python frames that tell something of a step, as one table: file, function, meaning, source. Line numbers
//! change with every version and are never looked at.

/// What a frame proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameMark {
    /// A worker got one scheduled batch, which may be empty.
    Scheduled,
    /// A worker of the fork was called, for no execution, one, or several.
    Called,
    /// The plugin's worker runs and samples the batch that it was given.
    Sampled,
    /// One execution of the model. One inside another is the same.
    Forward,
    /// The replay of a captured graph: an execution where no forward is to be seen.
    Replay,
    /// Work is done for the batch: it is not empty.
    Work,
    /// Reached only for prompts.
    Prompt,
    /// Reached only for decodes.
    Decode,
}

/// A frame of the table, as its name tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) mark: FrameMark,
    /// Place in the table.
    pub(crate) row: u8,
    /// The line of the `def`, except in a frame that was open when the profiler started: that one
    /// carries the line that it had reached (measured).
    pub(crate) line: u32,
}

/// (end of the file's path, function, meaning). The first that fits holds.
///
/// Workers: vLLM 0.11 and 0.32 traces (measured; the CPU worker is a subclass). `_prepare_inputs` is
/// behind the early return for an empty batch (measured on 0.11: in seven of eight batches, the last
/// being idle). CPU attention of 0.11: prompts and decodes take different calls (`cpu_attn.py:584-636`,
/// measured); a GPU's attention takes one for both and proves neither. Gaudi: the plugin 0.26.0 and the fork
/// 95af7009, measured on a CPU; replays of graphs were read in a screenshot and never met.
const TABLE: &[(&str, &str, FrameMark)] = &[
    ("worker/gpu_worker.py", "execute_model", FrameMark::Scheduled),
    ("worker/gpu_model_runner.py", "_prepare_inputs", FrameMark::Work),
    ("attention/backends/cpu_attn.py", "_run_sdpa_forward", FrameMark::Prompt),
    ("llm/modules/mha_fusion.py", "flash_attn_varlen_func", FrameMark::Prompt),
    ("attention/backends/cpu_attn.py", "forward_decode", FrameMark::Decode),
    ("v1/worker/hpu_worker.py", "execute_model", FrameMark::Scheduled),
    ("v1/worker/hpu_worker.py", "sample_tokens", FrameMark::Sampled),
    ("worker/hpu_worker.py", "execute_model", FrameMark::Called),
    ("worker/hpu_model_runner.py", "_execute_model_generic", FrameMark::Forward),
    ("worker/hpu_model_runner.py", "forward", FrameMark::Forward),
    ("hpu/graphs.py", "wrapped_hpugraph_forward", FrameMark::Replay),
    ("worker/hpu_model_runner.py", "_create_decode_input_data", FrameMark::Decode),
    ("hpu_attn.py", "make_decode_metadata", FrameMark::Decode),
    ("hpu_attn.py", "make_prefill_metadata", FrameMark::Prompt),
    ("worker/hpu_model_runner.py", "_set_attn_bias", FrameMark::Prompt),
    ("worker/hpu_model_runner.py", "_update_use_window_sdpa", FrameMark::Prompt),
    ("extension/ops.py", "prompt_attention", FrameMark::Prompt),
    ("worker/hpu_model_runner.py", "_set_block_mapping", FrameMark::Decode),
    ("extension/ops.py", "flat_pa", FrameMark::Decode),
    ("extension/ops.py", "pipelined_pa", FrameMark::Decode),
];

/// The meaning of a frame such as `vllm/v1/worker/gpu_worker.py(1300): execute_model`.
pub(crate) fn frame_mark(name: &str) -> Option<Frame> {
    let (path, line, function) = parts(name)?;
    let known = |(file, wanted, _): &(&str, &str, FrameMark)| *wanted == function && ends(path, file);
    let row = TABLE.iter().position(known)?;
    Some(Frame { mark: TABLE[row].2, row: row as u8, line })
}

/// True for the frame under which the sampler's parameters are copied into the batch: vLLM calls it in every
/// step, and it runs operators where the batch changed (0.32, measured).
pub(crate) fn is_refresh(name: &str) -> bool {
    parts(name).is_some_and(|(path, _, function)| {
        function == "refresh_metadata" && ends(path, "worker/gpu_input_batch.py")
    })
}

fn ends(path: &str, file: &str) -> bool {
    file.strip_suffix(".py").is_some_and(|file| path.ends_with(file))
}

/// Path without its end, line, and function.
fn parts(name: &str) -> Option<(&str, u32, &str)> {
    let (path, rest) = name.split_once(".py(")?;
    let (line, function) = rest.split_once("): ")?;
    let line = line.parse().ok().filter(|_| line.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((path, line, function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_prefixes_do_not_matter() {
        for (name, expected) in [
            ("vllm/v1/worker/gpu_worker.py(1300): execute_model", Some(FrameMark::Scheduled)),
            ("/opt/x/vllm/v1/worker/gpu_worker.py(7): execute_model", Some(FrameMark::Scheduled)),
            ("vllm/v1/worker/worker_base.py(365): execute_model", None),
            ("vllm_gaudi/v1/worker/hpu_worker.py(568): execute_model", Some(FrameMark::Scheduled)),
            ("/workspace/vllm-fork/vllm/worker/hpu_worker.py(190): execute_model", Some(FrameMark::Called)),
            ("vllm/model_executor/layers/sampler.py(231): forward", None),
            (
                "vllm_gaudi/v1/worker/hpu_model_runner.py(4490): _execute_model_generic",
                Some(FrameMark::Forward),
            ),
            (
                "vllm_gaudi/v1/attention/backends/hpu_attn.py(55): make_prefill_metadata",
                Some(FrameMark::Prompt),
            ),
            ("vllm/v1/worker/gpu_worker.py(x): execute_model", None),
            ("vllm/v1/worker/gpu_worker.py(1): execute_model_now", None),
            ("<built-in function execute_model>", None),
        ] {
            assert_eq!(frame_mark(name).map(|frame| frame.mark), expected, "{name}");
        }
    }
}
