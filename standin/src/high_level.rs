//! The high-level events of the Gaudi plugin: phases, forwards and counters, as `extension/profiler.py` writes
//! them. Times are epoch microseconds; the array is never closed.

use serde_json::{Value, json};

use super::engine::Executed;

/// Padded shapes: batches to powers of two, prompts to 128 tokens, contexts to 128 blocks.
fn padded(requests: u64, longest: u64) -> (u64, u64) {
    (requests.next_power_of_two().max(1), longest.next_multiple_of(128).max(128))
}

/// Events of one execution, in the order in which they are written: the slices as they end, then the
/// counters, whose time is the start.
pub(crate) fn events(step: &Executed, pid: u32, iteration: u64) -> Vec<Value> {
    if step.is_idle() {
        return Vec::new();
    }
    let prompt = step.context_requests > 0;
    let micros = |ns: i64| ns as f64 / 1e3;
    let (start, span) = (step.start, step.end - step.start);
    let slice = |name: &str, from: i64, to: i64, args: Value| json!({"pid": pid, "tid": 3, "ph": "X", "name": name, "ts": micros(from), "dur": micros(to - from), "args": args});
    let (name, phase) = if prompt { ("prefill", "prompt") } else { ("decode", "decode") };
    let requests = if prompt { step.context_requests } else { step.generation_requests };
    // Every request of the stand-in's workloads has the same length.
    let longest = if prompt { step.context_tokens.div_ceil(requests) } else { 1 };
    let (batch, bucket) = padded(requests, longest);
    let seq = if prompt { bucket } else { 1 };
    let shape = if prompt { format!("bs{batch}_seq{seq}_ctx0") } else { format!("bs{batch}_seq1_ctx128") };
    let at = |percent: i64| start + span * percent / 100;
    let mut events = vec![
        slice(&format!("model_forward_{shape}_graphsT"), at(10), at(60), json!({"real_seq_len": longest})),
        slice(&format!("compute_logits{batch}_seq{seq}_ctx0"), at(62), at(70), Value::Null),
        slice("sampler", at(72), at(90), Value::Null),
        slice(name, start, step.end, Value::Null),
    ];
    let real = if prompt { step.context_tokens } else { requests * 100 };
    let mut counters = json!({
        format!("{phase}_bucket_batch_size"): batch,
        format!("{phase}_batch_size"): requests,
        format!("{phase}_bucket_seq_len"): bucket,
        format!("{phase}_seq_len"): longest,
        format!("{phase}_batch_token_utilization"): real as f64 / (batch * bucket) as f64,
        "average_real_throughput": 1.0e9 / span as f64,
        "engine_iteration": iteration,
    });
    if iteration == 0 {
        counters["const_block_size"] = json!(128);
    }
    events.push(json!({"pid": pid, "tid": 1, "ph": "C", "name": "utils", "ts": micros(start - 3_000), "args": counters}));
    events
}

/// A graph compilation, as `PT_HPU_METRICS_GC_DETAILS=1` shows it.
pub(super) fn compilation(start: i64, pid: u32) -> Value {
    let name = "GRAPH COMPILE: recipe_0x7f12ab34";
    json!({"pid": pid, "tid": 3, "ph": "X", "name": name, "ts": start as f64 / 1e3, "dur": 500.0, "args": null})
}

/// The plugin's warm-up: one slice around one prompt and one decode, before the server listens.
pub(crate) fn warm_up(begin: i64, end: i64, pid: u32) -> Vec<Value> {
    let third = (end - begin) / 3;
    let prompt = executed(begin + third / 2, begin + third, true);
    let decode = executed(begin + third + third / 2, begin + 2 * third, false);
    let mut all = events(&prompt, pid, 0);
    all.extend(events(&decode, pid, 1));
    let micros = |ns: i64| ns as f64 / 1e3;
    all.push(json!({"pid": pid, "tid": 3, "ph": "X", "name": "warmup", "ts": micros(begin), "dur": micros(end - begin), "args": null}));
    all
}

fn executed(start: i64, end: i64, prompt: bool) -> Executed {
    let (context, generation) = if prompt { (1, 0) } else { (0, 1) };
    Executed {
        context_requests: context,
        context_tokens: context * 128,
        generation_requests: generation,
        generation_tokens: generation,
        batch: 0,
        start,
        end,
    }
}
