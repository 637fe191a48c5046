//! Python frames that tell something of a step, as one table: file, function, meaning, source. Line numbers
//! change with every version and are never looked at.

use super::step::StepKind;

/// What a frame proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameMark {
    /// A worker got one scheduled batch, which may be empty.
    Scheduled,
    /// One execution of the model.
    Forward,
    /// Work is done for the batch: it is not empty.
    Work,
    /// Reached only for prompts.
    Prompt,
    /// Reached only for decodes.
    Decode,
    /// One execution of the model that says its kind by itself.
    Runs(StepKind),
    /// A worker that hands a batch on to the model; inside `Scheduled`, where the worker's own frame is there.
    Handed,
}

/// (end of the file's path, function, meaning).
///
/// Workers: vLLM 0.11 and 0.32 traces (measured; the CPU worker is a subclass). `_prepare_inputs` is
/// behind the early return for an empty batch (measured on 0.11: in seven of eight batches, the last
/// being idle). CPU attention of 0.11: prompts and decodes take different calls (`cpu_attn.py:584-636`,
/// measured); a GPU's attention takes one for both and proves neither. Gaudi: vllm-gaudi `hpu_worker.py:569-592` and
/// `hpu_model_runner.py:2724-2726, 3074-3086, 4435-4560` at 091bbadd, read and never run on hardware.
///
/// The runner's own frame stands in for the worker's where a trace has only that (TraceLens' MI300 traces). SGLang:
/// `model_runner.py` runs each batch through one of these; `replay` is a decode from a graph.
const TABLE: &[(&str, &str, FrameMark)] = &[
    ("worker/gpu_worker.py", "execute_model", FrameMark::Scheduled),
    ("worker/gpu_model_runner.py", "_prepare_inputs", FrameMark::Work),
    ("attention/backends/cpu_attn.py", "_run_sdpa_forward", FrameMark::Prompt),
    ("llm/modules/mha_fusion.py", "flash_attn_varlen_func", FrameMark::Prompt),
    ("attention/backends/cpu_attn.py", "forward_decode", FrameMark::Decode),
    ("worker/gpu_model_runner.py", "execute_model", FrameMark::Handed),
    ("model_executor/model_runner.py", "forward_decode", FrameMark::Runs(StepKind::Decode)),
    ("model_executor/model_runner.py", "forward_extend", FrameMark::Runs(StepKind::Prompt)),
    ("model_executor/model_runner.py", "forward_split_prefill", FrameMark::Runs(StepKind::Prompt)),
    ("model_executor/model_runner.py", "forward_idle", FrameMark::Runs(StepKind::Idle)),
    ("model_executor/cuda_graph_runner.py", "replay", FrameMark::Runs(StepKind::Decode)),
    ("worker/hpu_worker.py", "execute_model", FrameMark::Scheduled),
    ("worker/hpu_model_runner.py", "_execute_model_generic", FrameMark::Forward),
    ("worker/hpu_model_runner.py", "_create_decode_input_data", FrameMark::Decode),
    ("hpu_attn.py", "make_decode_metadata", FrameMark::Decode),
    ("hpu_attn.py", "make_prefill_metadata", FrameMark::Prompt),
];

/// The meaning of a frame such as `vllm/v1/worker/gpu_worker.py(1300): execute_model`.
pub(crate) fn frame_mark(name: &str) -> Option<FrameMark> {
    let (path, function) = parts(name)?;
    let known = |(file, wanted, _): &&(&str, &str, FrameMark)| *wanted == function && ends(path, file);
    TABLE.iter().find(known).map(|(_, _, mark)| *mark)
}

/// True for the frame under which the sampler's parameters are copied into the batch: vLLM calls it in every
/// step, and it runs operators where the batch changed (0.32, measured).
pub(crate) fn is_refresh(name: &str) -> bool {
    parts(name).is_some_and(|(path, function)| {
        function == "refresh_metadata" && ends(path, "worker/gpu_input_batch.py")
    })
}

fn ends(path: &str, file: &str) -> bool {
    file.strip_suffix(".py").is_some_and(|file| path.ends_with(file))
}

/// Path without its end, and function.
fn parts(name: &str) -> Option<(&str, &str)> {
    let (path, rest) = name.split_once(".py(")?;
    let (line, function) = rest.split_once("): ")?;
    if line.is_empty() || !line.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((path, function))
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
            assert_eq!(frame_mark(name), expected, "{name}");
        }
    }
}
