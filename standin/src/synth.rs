//! Large deterministic traces for benchmarks, with the true steps beside them. The mix of events per step is
//! that of a Gaudi-flavoured worker with stacks: frames, operators, launches, kernels on two engines, flows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::event_writer::{EventWriter, Slice, base_time, create};
use super::random::SplitMix;

/// What to write.
#[derive(Clone, Debug)]
pub struct SynthOptions {
    /// Events in each file, at least.
    pub events: u64,
    /// Files, one for each rank.
    pub ranks: u32,
    /// Seed of the durations.
    pub seed: u64,
    /// A file, or a directory for several ranks.
    pub out: PathBuf,
}

/// 2026-11-24T00:00:00Z: fixed, so that equal options give equal bytes.
const EPOCH: i64 = 1_795_478_400_000_000_000;
const WORKER: u32 = 4_242;
const DEVICE: u32 = 0;
const FRAMES: usize = 1_500;
/// Frames in the gap in front of the step: the scheduler and the waiting for it.
const GAP_FRAMES: usize = 100;
const OPERATORS: usize = 800;
const KERNELS: usize = 240;
const LAUNCHES: usize = 120;
const FLOWS: usize = 60;
/// The annotation, everything above, and two ends for each flow.
const EVENTS_PER_STEP: usize = 1 + FRAMES + GAP_FRAMES + OPERATORS + KERNELS + LAUNCHES + 2 * FLOWS;

/// Writes the files and returns their paths, each trace followed by its truth.
///
/// # Errors
/// A file cannot be written.
pub fn synthesise(options: &SynthOptions) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for rank in 0..options.ranks {
        let path = if options.ranks == 1 {
            options.out.clone()
        } else {
            std::fs::create_dir_all(&options.out).map_err(|error| named(error, &options.out))?;
            options.out.join(format!("rank{rank}.{EPOCH}.pt.trace.json.gz"))
        };
        let truth_path = PathBuf::from(format!("{}.truth.json", path.display()));
        let truth = write_rank(options, rank, &path).map_err(|error| named(error, &path))?;
        std::fs::write(&truth_path, format!("{truth:#}\n")).map_err(|error| named(error, &truth_path))?;
        files.extend([path, truth_path]);
    }
    Ok(files)
}

fn named(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// One step of the truth, in nanoseconds from the epoch.
struct Step {
    context: (u64, u64),
    generation: u64,
    /// Time since the step before ended.
    gap: i64,
    start: i64,
    duration: i64,
}

fn write_rank(options: &SynthOptions, rank: u32, path: &Path) -> io::Result<Value> {
    let count = options.events.div_ceil(EVENTS_PER_STEP as u64).max(1);
    let mut random = SplitMix::new(options.seed ^ (u64::from(rank) << 32));
    let gzip = path.extension().is_some_and(|end| end == "gz");
    let distributed = json!({"backend": "hccl", "rank": rank, "world_size": options.ranks});
    let metadata = [
        ("with_stack", "1".to_owned()),
        ("distributedInfo", distributed.to_string()),
        ("vllm_version", "\"0.32.0\"".to_owned()),
        ("host_name", "\"synth\"".to_owned()),
    ];
    let mut writer = EventWriter::begin(create(path, gzip)?, base_time(EPOCH), &metadata)?;
    let mut at = EPOCH + 1_000_000;
    let mut steps = Vec::new();
    let mut events = 0;
    for number in 0..count {
        let step = next_step(number, &mut at, &mut random);
        events += write_step(&mut writer, &step, number, &mut random)?;
        steps.push(step);
    }
    for (pid, name) in [(WORKER, "VLLM::Worker"), (DEVICE, "/device:HPU:0")] {
        writer.metadata("process_name", pid, 0, EPOCH, "name", &Value::from(name))?;
    }
    for (tid, name) in [(1, "[HD0] MME"), (2, "[HD0] TPC 0")] {
        writer.metadata("thread_name", DEVICE, tid, EPOCH, "name", &Value::from(name))?;
    }
    writer.end((EPOCH, at + 1_000_000), "tmpsynth.json")?.finish()?;
    // Four metadata events, the window, two instants.
    Ok(truth(&steps, events + 7))
}

/// Requests come in groups of 50 steps: one prompt, then decodes.
fn next_step(number: u64, at: &mut i64, random: &mut SplitMix) -> Step {
    let prompt = number.is_multiple_of(50);
    let length = if prompt { 40_000_000 } else { 12_000_000 };
    let gap = random.around(1_500_000, 0.3);
    let start = *at + gap;
    let duration = random.around(length, 0.1);
    *at = start + duration;
    let context = if prompt { (4, 512) } else { (0, 0) };
    Step { context, generation: if prompt { 0 } else { 4 }, gap, start, duration }
}

fn write_step<W: Write>(
    writer: &mut EventWriter<W>,
    step: &Step,
    number: u64,
    random: &mut SplitMix,
) -> io::Result<u64> {
    let name = format!(
        "execute_context_{}({})_generation_{}({})",
        step.context.0, step.context.1, step.generation, step.generation
    );
    let slice = |cat, name, pid, tid, start, duration| Slice { cat, name, pid, tid, start, duration };
    let id = number * EVENTS_PER_STEP as u64;
    writer.slice(
        slice("user_annotation", &name, WORKER, WORKER, step.start, step.duration),
        format_args!("\"External id\": {id},\"Record function id\": 0"),
    )?;
    let place = |count: usize, index: usize, random: &mut SplitMix| {
        let each = step.duration / count as i64;
        (step.start + each * index as i64, random.around(each / 2, 0.5).max(1))
    };
    for index in 0..OPERATORS {
        let (start, duration) = place(OPERATORS, index, random);
        let op = OPERATOR_NAMES[index % OPERATOR_NAMES.len()];
        writer.slice(
            slice("cpu_op", op, WORKER, WORKER, start, duration),
            format_args!("\"External id\": {},\"Record function id\": 0", id + index as u64),
        )?;
    }
    for index in 0..FRAMES {
        let (start, duration) = place(FRAMES, index, random);
        // Deep model code calls many functions: names recur, but not the same few all the time.
        let frame = FRAME_NAMES[(index * 7 + index / 13) % FRAME_NAMES.len()];
        writer.slice(
            slice("python_function", frame, WORKER, WORKER, start, duration),
            format_args!("\"Python parent id\": {}, \"Python id\": {}", id + 1, id + 2 + index as u64),
        )?;
    }
    for index in 0..GAP_FRAMES {
        let each = step.gap / GAP_FRAMES as i64;
        let frame = GAP_FRAME_NAMES[index % GAP_FRAME_NAMES.len()];
        let start = step.start - step.gap + each * index as i64;
        writer.slice(
            slice("python_function", frame, WORKER, WORKER, start, random.around(each / 2, 0.5).max(1)),
            format_args!("\"Python parent id\": {}, \"Python id\": {}", id, id + 3 + index as u64),
        )?;
    }
    for index in 0..LAUNCHES {
        let (start, duration) = place(LAUNCHES, index, random);
        writer.slice(
            slice("Runtime", "synLaunchWithExternalEvents", WORKER, WORKER + 1, start, duration),
            format_args!("\"correlation\": {}", id + index as u64),
        )?;
    }
    for index in 0..KERNELS {
        let (start, duration) = place(KERNELS, index, random);
        let (kernel, engine) = if index % 2 == 0 { ("gemm_bf16", 1) } else { ("softmax_fwd_bf16", 2) };
        writer.slice(
            slice("Kernel", kernel, DEVICE, engine, start, duration),
            format_args!(
                "\"device\": 0, \"recipeId\": {}, \"correlation\": {}",
                number % 7,
                id + index as u64
            ),
        )?;
    }
    for index in 0..FLOWS {
        let (start, _) = place(FLOWS, index, random);
        writer.flow(id + index as u64, (WORKER, WORKER + 1, start), (DEVICE, 1, start + 40_000))?;
    }
    Ok(EVENTS_PER_STEP as u64)
}

const OPERATOR_NAMES: [&str; 10] = [
    "aten::addmm",
    "aten::linear",
    "aten::view",
    "aten::slice",
    "aten::as_strided",
    "aten::copy_",
    "aten::empty",
    "hpu::fused_attention",
    "aten::add",
    "aten::narrow",
];

const FRAME_NAMES: [&str; 13] = [
    "vllm_gaudi/v1/worker/hpu_worker.py(569): execute_model",
    "vllm_gaudi/v1/worker/hpu_model_runner.py(4435): sample_tokens",
    "vllm_gaudi/v1/worker/hpu_model_runner.py(3643): _execute_model_generic",
    "torch/nn/modules/module.py(1779): _wrapped_call_impl",
    "nn.Module: OPTDecoderLayer_7",
    "<built-in method as_strided of Tensor object at 0x7f190a0e6580>",
    "<built-in function linear>",
    "habana_frameworks/torch/hpu/graphs.py(716): wrapped_hpugraph_forward",
    "vllm/v1/core/sched/scheduler.py(212): schedule",
    "<built-in method replayV3 of HPUGraph object at 0x7f19832d61d0>",
    "torch/_ops.py(1267): __call__",
    "enum.py(1230): __hash__",
    "<built-in function len>",
];

const GAP_FRAME_NAMES: [&str; 4] = [
    "vllm/v1/core/sched/scheduler.py(212): schedule",
    "vllm/distributed/device_communicators/shm_broadcast.py(843): check",
    "<built-in function sched_yield>",
    "vllm/v1/worker/hpu_worker.py(590): sample_tokens",
];

fn truth(steps: &[Step], events: u64) -> Value {
    let first = steps.first().map_or(0, |step| step.start);
    let mut end = None;
    let rows: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let gap = end.replace(step.start + step.duration).map(|end: i64| step.start - end);
            json!({
                "index": index,
                "kind": if step.context.0 > 0 { "prompt" } else { "decode" },
                "context_requests": step.context.0, "context_tokens": step.context.1,
                "generation_requests": step.generation, "generation_tokens": step.generation,
                "start_ns": step.start - first, "duration_ns": step.duration, "gap_ns": gap,
            })
        })
        .collect();
    json!({"events": events, "steps": rows})
}
