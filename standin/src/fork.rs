//! What is the fork's own (HabanaAI/vllm-fork 95af7009, V0), as in genuine files written on a CPU: its frames, and the
//! overrun of its asynchronous output processing.

use std::io::{self, Write};

use super::engine::Executed;
use super::event_writer::{EventWriter, Slice};

/// The decodes as the engine runs them: a request's end is found while it is decoded once more. A decode has
/// then all requests of the one in front of it, and one is added at the end, before `closed`.
pub(crate) fn with_overrun(mut steps: Vec<Executed>, closed: i64) -> Vec<Executed> {
    let mut running = 0;
    for step in steps.iter_mut().filter(|step| !step.is_idle()) {
        let needed = step.generation_requests;
        if step.context_requests == 0 {
            (step.generation_requests, step.generation_tokens) = (running, running);
            running = needed;
        } else {
            running += step.context_requests;
        }
    }
    let Some(at) = steps.iter().rposition(|step| !step.is_idle()) else { return steps };
    steps.truncate(at + 1);
    let last = steps[at];
    let room = closed - last.end;
    let start = last.end + (room / 4).min(1_000_000);
    let end = (start + last.end - last.start).min(closed - room / 8);
    steps.push(Executed {
        context_requests: 0,
        context_tokens: 0,
        generation_requests: running,
        generation_tokens: running,
        batch: last.batch + 1,
        start,
        end,
    });
    steps
}

/// The worker's frames of each execution.
pub(super) fn write_frames<W: Write>(
    writer: &mut EventWriter<W>,
    pid: u32,
    steps: &[Executed],
    overruns: bool,
) -> io::Result<()> {
    let mut frame = |name: &str, start: i64, end: i64| {
        let duration = (end - start).max(100);
        let slice = Slice { cat: "python_function", name, pid, tid: pid, start, duration };
        writer.slice(slice, format_args!("\"Python id\": 1"))
    };
    let working: Vec<&Executed> = steps.iter().filter(|step| !step.is_idle()).collect();
    for (place, step) in working.iter().enumerate() {
        let (start, end) = (step.start, step.end);
        frame("vllm/worker/hpu_worker.py(190): execute_model", start - 120_000, end + 60_000)?;
        let runner = |function: &str| format!("vllm/worker/hpu_model_runner.py{function}");
        // Both run in every execution.
        frame(&runner("(1512): _prepare_prompt"), start - 100_000, start - 80_000)?;
        frame(&runner("(1872): _prepare_decode"), start - 70_000, start - 50_000)?;
        frame(&runner("(3584): execute_model"), start - 20_000, end + 50_000)?;
        frame(&runner("(695): forward"), start, end)?;
        let own =
            if step.context_requests > 0 { "(420): _set_attn_bias" } else { "(503): _set_block_mapping" };
        frame(&runner(own), start + 1_000, start + 9_000)?;
        let attention = if step.context_requests > 0 { "(370): prompt_attention" } else { "(183): flat_pa" };
        frame(&format!("vllm_hpu_extension/ops.py{attention}"), start + 20_000, start + 60_000)?;
        frame(&runner("(747): compute_logits"), end + 2_000, end + 10_000)?;
        for _ in 0..finished(&working[place..]) {
            let name = "vllm/core/scheduler.py(698): _free_seq_group_cross_attn_blocks";
            // Otherwise the output is processed between two calls.
            let at = end + if overruns { 20_000 } else { 80_000 };
            frame(name, at, at + 1_000)?;
        }
    }
    Ok(())
}

/// Requests that leave the batch behind the first of these steps.
fn finished(steps: &[&Executed]) -> u64 {
    let Some((step, later)) = steps.split_first().filter(|(step, _)| step.context_requests == 0) else {
        return 0;
    };
    let decode = later.iter().position(|step| step.context_requests == 0);
    let between = &later[..decode.unwrap_or(later.len())];
    let entered: u64 = between.iter().map(|step| step.context_requests).sum();
    let next = decode.map_or(0, |decode| later[decode].generation_requests);
    (step.generation_requests + if decode.is_some() { entered } else { 0 }).saturating_sub(next)
}
