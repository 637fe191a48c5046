//! Python frames that tell something of a step. Line numbers change with every version; they are looked at for
//! nothing but to know a frame that was open when the profiler started.

use super::code_line::{CodeLine, ROWS};

use super::step::StepKind;

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
    /// A request has its last token and is taken out of the scheduler.
    Finished,
    /// One execution of the model that says its kind by itself.
    Runs(StepKind),
    /// A worker that hands a batch on to the model; inside `Scheduled`, where the worker's own frame is there.
    Handed,
}

/// A frame of the table, as its name tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) mark: FrameMark,
    /// Whose frame it is.
    pub(crate) code_line: Option<CodeLine>,
    /// Place in the table.
    pub(crate) row: u8,
    /// The line of the `def`, except in a frame that was open when the profiler started: that one
    /// carries the line that it had reached (measured).
    pub(crate) line: u32,
}

/// The meaning of a frame such as `vllm/v1/worker/gpu_worker.py(1300): execute_model`.
pub(crate) fn frame_mark(name: &str) -> Option<Frame> {
    let (path, line, function) = parts(name)?;
    let rows = ROWS.iter().flat_map(|(rows, of)| rows.iter().map(|row| (*row, *of))).enumerate();
    let mut fitting = rows.filter(|(_, ((file, wanted, _), _))| *wanted == function && ends(path, file));
    let (row, ((_, _, mark), code_line)) = fitting.next()?;
    Some(Frame { mark, code_line, row: row as u8, line })
}

/// A Python frame, with its line number left out.
pub(crate) fn without_line(name: &str) -> Option<String> {
    let (path, _, function) = parts(name)?;
    Some(format!("{path}.py: {function}"))
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
