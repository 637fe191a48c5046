//! The high-level events of the Gaudi plugin: phases, forwards and counters, as `extension/profiler.py` writes
//! them, field by field as in genuine files (plugin 0.26.0 on a CPU). Times are epoch microseconds; the array is
//! never closed.

use serde_json::{Value, json};

use super::engine::Executed;

/// Blocks of the stand-in's cache, as the counters tell of them, and tokens in each.
const CACHE_BLOCKS: u64 = 64;
const BLOCK: u64 = 128;

/// Padded shapes: batches to powers of two, prompts to 128 tokens.
fn padded(requests: u64, longest: u64) -> (u64, u64) {
    (requests.next_power_of_two().max(1), longest.next_multiple_of(BLOCK).max(BLOCK))
}

/// What one process has recorded, which its counters sum up.
#[derive(Clone, Debug, Default)]
pub(crate) struct HighLevel {
    pid: u32,
    /// Forwards so far.
    iteration: u64,
    /// The scheduled batch of the last one: inputs are prepared once for each.
    batch: Option<u64>,
    /// Tokens and seconds so far.
    made: (u64, f64),
    /// The longest context of the requests that run.
    context: u64,
}

impl HighLevel {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, ..Self::default() }
    }

    fn slice(&self, name: &str, from: i64, to: i64) -> Value {
        let micros = |ns: i64| ns as f64 / 1e3;
        json!({"pid": self.pid, "tid": 3, "ph": "X", "name": name, "ts": micros(from), "dur": micros(to - from), "args": null})
    }

    /// Events of one execution, in the order in which they are written: the slices as they end, then the
    /// counters, whose time is the start.
    pub(crate) fn events(&mut self, step: &Executed) -> Vec<Value> {
        if step.is_idle() {
            return Vec::new();
        }
        let prompt = step.context_requests > 0;
        let (start, span) = (step.start, step.end - step.start);
        let requests = if prompt { step.context_requests } else { step.generation_requests };
        // Every request of the stand-in's workloads has the same length.
        let longest = if prompt { step.context_tokens.div_ceil(requests) } else { 1 };
        self.context = if prompt { self.context.max(longest) } else { self.context + 1 };
        let (batch, bucket) = padded(requests, longest);
        let (seq, ctx) = if prompt { (bucket, 0) } else { (1, batch * self.context.div_ceil(BLOCK).max(1)) };
        let at = |percent: i64| start + span * percent / 100;
        let mut events = Vec::new();
        if self.batch.replace(step.batch) != Some(step.batch) {
            events.push(self.slice("prepare_input_tensors", start - 400_000, start - 4_000));
        }
        events.extend([
            self.slice(&format!("model_forward_bs{batch}_seq{seq}_ctx{ctx}_graphsT"), at(10), at(60)),
            self.slice(&format!("compute_logits{batch}_seq{seq}_ctx{ctx}"), at(62), at(70)),
            self.slice("sampler", at(72), at(90)),
            self.slice(if prompt { "prefill" } else { "decode" }, start, step.end),
        ]);
        let counters = self.counters(step, batch, seq, ctx);
        let ts = (start - 3_000) as f64 / 1e3;
        events
            .push(json!({"pid": self.pid, "tid": 1, "ph": "C", "name": "utils", "ts": ts, "args": counters}));
        self.iteration += 1;
        events
    }

    /// `get_counter_dict`, with its quirks: a decode's token utilisation counts contexts against one token
    /// each, and its length is that of the longest context.
    fn counters(&mut self, step: &Executed, batch: u64, seq: u64, ctx: u64) -> Value {
        let prompt = step.context_requests > 0;
        let phase = if prompt { "prompt" } else { "decode" };
        let seconds = (step.end - step.start).max(1) as f64 / 1e9;
        let requests = if prompt { step.context_requests } else { step.generation_requests };
        let real = if prompt { step.context_tokens } else { requests * self.context };
        self.made = (self.made.0 + requests, self.made.1 + seconds);
        let used = requests * self.context.div_ceil(BLOCK).max(1);
        let length = if prompt { step.context_tokens.div_ceil(requests) } else { self.context };
        let mut counters = serde_json::Map::new();
        let mut of_phase = |name: &str, value: Value| counters.insert(format!("{phase}_{name}"), value);
        of_phase("bucket_batch_size", json!(batch));
        of_phase("batch_size", json!(requests));
        of_phase("bucket_seq_len", json!(seq));
        of_phase("bucket_ctx_blocks", json!(ctx));
        of_phase("seq_len", json!(length));
        of_phase("ctx_len", json!(if prompt { 0 } else { length }));
        of_phase("bucket_gen_throughput", json!(batch as f64 / seconds));
        of_phase("real_gen_throughput", json!(requests as f64 / seconds));
        of_phase("batch_token_utilization", json!(real as f64 / (batch * seq) as f64));
        of_phase("batch_block_utilization", json!(requests as f64 / batch as f64));
        if prompt {
            of_phase("bucket_in_throughput", json!((batch * seq) as f64 / seconds));
            of_phase("real_in_throughput", json!(real as f64 / seconds));
        }
        let mut all = |name: &str, value: Value| counters.insert(name.to_owned(), value);
        all("average_real_throughput", json!(self.made.0 as f64 / self.made.1));
        all("engine_iteration", json!(self.iteration));
        all("cache_num_blocks_used", json!(used));
        all("cache_num_free_blocks", json!(CACHE_BLOCKS.saturating_sub(used)));
        all("cache_computed_utilization", json!(used as f64 / CACHE_BLOCKS as f64));
        if self.iteration == 0 {
            all("const_cache_num_blocks", json!(CACHE_BLOCKS));
            all("const_gpu_memory_utilization", json!(0.9));
            all("const_block_size", json!(BLOCK));
        }
        Value::Object(counters)
    }

    /// The plugin's warm-up: one slice around one prompt and one decode, before the server listens.
    pub(crate) fn warm_up(&mut self, begin: i64, end: i64) -> Vec<Value> {
        let third = (end - begin) / 3;
        let mut all = self.events(&executed(begin + third / 2, begin + third, true));
        all.extend(self.events(&executed(begin + third + third / 2, begin + 2 * third, false)));
        all.push(self.slice("warmup", begin, end));
        self.context = 0;
        all
    }
}

/// A graph compilation, as `PT_HPU_METRICS_GC_DETAILS=1` shows it.
pub(super) fn compilation(start: i64, pid: u32) -> Value {
    let name = "GRAPH COMPILE: recipe_0x7f12ab34";
    json!({"pid": pid, "tid": 3, "ph": "X", "name": name, "ts": start as f64 / 1e3, "dur": 500.0, "args": null})
}

fn executed(start: i64, end: i64, prompt: bool) -> Executed {
    let (context, generation) = if prompt { (1, 0) } else { (0, 1) };
    Executed {
        context_requests: context,
        context_tokens: context * 128,
        generation_requests: generation,
        generation_tokens: generation,
        // Batches of traffic count from 0.
        batch: u64::MAX - u64::from(prompt),
        start,
        end,
    }
}
