//! The trace of one worker rank: step annotations, operators, Python frames, metadata events.

use std::io::{self, Write};

use serde_json::Value;

use super::dialect::Dialect;
use super::disguise::Disguise;
use super::engine::Executed;
use super::event_writer::{EventWriter, Slice};
use super::fault::Fault;
use super::ops::{Placed, REFRESH, Template, place, spoil_sampler, spoil_step};

/// Everything a rank's trace is made of. Times are nanoseconds on the Unix clock.
pub(crate) struct WorkerTrace<'a> {
    pub(crate) rank: u32,
    pub(crate) world_size: u32,
    pub(crate) pid: u32,
    pub(crate) dialect: Dialect,
    pub(crate) vllm_version: &'a str,
    pub(crate) window: (i64, i64),
    pub(crate) base: i64,
    pub(crate) steps: &'a [Executed],
    pub(crate) template: &'a Template,
    pub(crate) with_stack: bool,
    /// What is wrong with the operators.
    pub(crate) fault: Option<Fault>,
    pub(crate) disguise: Disguise,
    pub(crate) trace_name: &'a str,
}

/// The process and thread that is always there, around everything.
const OUTER_FRAMES: [&str; 7] = [
    "<string>(1): <module>",
    "multiprocessing/spawn.py(122): spawn_main",
    "multiprocessing/spawn.py(135): _main",
    "multiprocessing/process.py(314): _bootstrap",
    "multiprocessing/process.py(108): run",
    "vllm/v1/executor/multiproc_executor.py(944): worker_main",
    "vllm/v1/executor/multiproc_executor.py(1041): worker_busy_loop",
];

/// The frames around one step.
const STEP_FRAMES: [&str; 5] = [
    "vllm/v1/executor/multiproc_executor.py(1043): _execute_worker_rpc",
    "vllm/v1/worker/worker_base.py(365): execute_model",
    "torch/utils/_contextlib.py(120): decorate_context",
    "vllm/v1/worker/gpu_worker.py(1300): execute_model",
    "vllm/v1/worker/gpu_model_runner.py(3939): execute_model",
];

/// The frames in the gap behind a step that did work.
const SAMPLE_FRAMES: [&str; 4] = [
    "vllm/v1/executor/multiproc_executor.py(1043): _execute_worker_rpc",
    "vllm/v1/worker/worker_base.py(371): sample_tokens",
    "vllm/v1/worker/gpu_worker.py(1293): sample_tokens",
    "vllm/v1/worker/gpu_model_runner.py(4303): sample_tokens",
];

/// What the worker does while it waits for the scheduler.
const WAIT_FRAMES: [&str; 5] = [
    "vllm/distributed/device_communicators/shm_broadcast.py(843): check",
    "<built-in function monotonic>",
    "vllm/distributed/device_communicators/shm_broadcast.py(84): memory_fence",
    "<built-in method __exit__ of _thread.lock object at 0x7f190a8d1ec0>",
    "<built-in function sched_yield>",
];

/// Length of the sampler behind a step, at most.
const SAMPLER_NS: i64 = 250_000;

impl WorkerTrace<'_> {
    /// Writes the whole file.
    pub(crate) fn write<W: Write>(&self, out: W) -> io::Result<W> {
        let distributed = format!(
            "{{\"backend\": \"gloo\", \"rank\": {}, \"world_size\": {}, \"pg_count\": 0, \"pg_config\": []}}",
            self.rank, self.world_size
        );
        let mut writer = EventWriter::begin(
            out,
            self.base,
            &[
                ("with_stack", u8::from(self.with_stack).to_string()),
                ("distributedInfo", distributed),
                ("vllm_version", Value::from(self.vllm_version).to_string()),
                ("host_name", Value::from(self.disguise.host()).to_string()),
            ],
        )?;
        self.write_metadata(&mut writer)?;
        self.write_operators(&mut writer)?;
        if self.with_stack {
            Frames { trace: self, writer: &mut writer, next_id: 0 }.write()?;
        }
        writer.end(self.window, self.trace_name)
    }

    fn write_metadata<W: Write>(&self, writer: &mut EventWriter<W>) -> io::Result<()> {
        let (at, pid) = (self.window.0, self.pid);
        let process = self.process_name();
        writer.metadata("process_name", pid, 0, at, "name", &Value::from(process.as_str()))?;
        writer.metadata("process_labels", pid, 0, at, "labels", &Value::from("CPU"))?;
        writer.metadata("process_sort_index", pid, 0, at, "sort_index", &Value::from(pid))?;
        // Kineto repeats the names of a thread; a reader must not mind.
        for _ in 0..2 {
            let thread = Value::from(self.disguise.thread(format!("thread {pid} ({process})")));
            writer.metadata("thread_name", pid, pid, at, "name", &thread)?;
            writer.metadata("thread_sort_index", pid, pid, at, "sort_index", &Value::from(pid))?;
        }
        Ok(())
    }

    fn process_name(&self) -> String {
        if self.world_size > 1 { format!("VLLM::Worker_TP{}", self.rank) } else { "VLLM::Worker".to_owned() }
    }

    fn write_operators<W: Write>(&self, writer: &mut EventWriter<W>) -> io::Result<()> {
        let mut external_id = 0u64;
        let mut placed: Vec<Placed> = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            if let Some(name) = self.annotation(step) {
                external_id += 1;
                let annotation = self.span("user_annotation", &name, step.start, step.end - step.start);
                writer.slice(
                    annotation,
                    format_args!("\"External id\": {external_id},\"Record function id\": 0"),
                )?;
            }
            placed.clear();
            if self.fault == Some(Fault::Recompile) && number == 1 {
                let compile = self.span("user_annotation", "compile_id=0/0", step.start + 1_000, 500_000);
                writer.slice(compile, format_args!("\"External id\": 0,\"Record function id\": 0"))?;
            }
            let before = self.steps[..number].iter().rfind(|step| !step.is_idle());
            self.place_step(before, step, self.steps.get(number + 1), &mut placed);
            for op in &placed {
                if op.name == REFRESH {
                    self.write_refresh(writer, op)?;
                    continue;
                }
                external_id += 1;
                let name = self.disguise.operator(op.name);
                let slice = self.span("cpu_op", &name, op.start, op.duration);
                writer
                    .slice(slice, format_args!("\"External id\": {external_id},\"Record function id\": 0"))?;
            }
        }
        Ok(())
    }

    fn write_refresh<W: Write>(&self, writer: &mut EventWriter<W>, placed: &Placed) -> io::Result<()> {
        if !self.with_stack {
            return Ok(());
        }
        let name = self.disguise.frame(REFRESH);
        let slice = self.span("python_function", &name, placed.start, placed.duration);
        writer.slice(slice, format_args!("\"Python parent id\": null, \"Python id\": 0"))
    }

    /// How the imitated version names its step; 0.11 does not.
    fn annotation(&self, step: &Executed) -> Option<String> {
        match self.dialect {
            Dialect::Vllm011 => None,
            Dialect::Vllm013 => {
                Some(format!("execute_new_{}_cached_{}", step.context_requests, step.generation_requests))
            }
            _ => Some(format!(
                "execute_context_{}({})_generation_{}({})",
                step.context_requests, step.context_tokens, step.generation_requests, step.generation_tokens
            )),
        }
    }

    fn place_step(
        &self,
        before: Option<&Executed>,
        step: &Executed,
        next: Option<&Executed>,
        placed: &mut Vec<Placed>,
    ) {
        let span = step.end - step.start;
        // The annotation opens and closes a little before and after the work inside.
        let (start, span) = (step.start + span / 100, span * 98 / 100);
        if step.is_idle() {
            return place(&self.template.idle, start, span, placed);
        }
        let size = |step: &Executed| step.context_requests + step.generation_requests;
        // A prompt joins the batch, or a request has left it.
        let changed = step.context_requests > 0 || before.is_some_and(|before| size(before) != size(step));
        let mut ops = self.template.step(changed);
        let template = self.template;
        let mut sampler =
            if size(step) > 1 { template.sampler_several.clone() } else { template.sampler.clone() };
        if let Some(fault) = self.fault {
            spoil_step(&mut ops, fault, step.context_requests == 0);
            spoil_sampler(&mut sampler, fault);
        }
        place(&ops, start, span, placed);
        let gap = next.map_or(SAMPLER_NS, |next| next.start - step.end);
        place(&sampler, step.end + gap / 10, SAMPLER_NS.min(gap / 2), placed);
    }

    fn span<'n>(&self, cat: &'n str, name: &'n str, start: i64, duration: i64) -> Slice<'n> {
        Slice { cat, name, pid: self.pid, tid: self.pid, start, duration }
    }
}

/// Writes nested Python frames with their ids.
struct Frames<'a, 'w, W: Write> {
    trace: &'a WorkerTrace<'a>,
    writer: &'w mut EventWriter<W>,
    next_id: u64,
}

impl<W: Write> Frames<'_, '_, W> {
    fn write(mut self) -> io::Result<()> {
        let (start, end) = self.trace.window;
        let outer = self.chain(&OUTER_FRAMES, None, start + 10_000, end - start - 20_000)?;
        for (number, step) in self.trace.steps.iter().enumerate() {
            let call = step.start - 90_000;
            let inner = self.chain(&STEP_FRAMES, outer, call, step.end - call + 30_000)?;
            if self.trace.dialect == Dialect::Vllm011 {
                self.attention(step, inner)?;
            }
            if step.is_idle() {
                continue;
            }
            let next = self.trace.steps.get(number + 1);
            let gap = next.map_or(SAMPLER_NS * 2, |next| next.start - step.end);
            self.chain(&SAMPLE_FRAMES, outer, step.end + gap / 12, SAMPLER_NS.min(gap / 2) + 20_000)?;
            let (waiting, each) = (step.end + gap * 7 / 10, gap / 60);
            for turn in 0..10 {
                let name = WAIT_FRAMES[turn % WAIT_FRAMES.len()];
                self.frame(name, outer, waiting + each * turn as i64, each * 9 / 10)?;
            }
        }
        Ok(())
    }

    /// The frames of 0.11 that tell prompts from decodes: its CPU attention takes different calls.
    fn attention(&mut self, step: &Executed, parent: Option<u64>) -> io::Result<()> {
        if step.is_idle() {
            return Ok(());
        }
        let (span, layer) = (step.end - step.start, (step.end - step.start) / 20);
        self.frame(
            "vllm/v1/worker/gpu_model_runner.py(958): _prepare_inputs",
            parent,
            step.start,
            span / 20,
        )?;
        for number in 0..super::ops::LAYERS as i64 {
            let at = step.start + span / 10 + number * layer;
            if step.context_requests > 0 {
                let name =
                    "intel_extension_for_pytorch/llm/modules/mha_fusion.py(355): flash_attn_varlen_func";
                self.frame(name, parent, at, layer / 3)?;
            }
            if step.generation_requests > 0 {
                let name = "vllm/v1/attention/backends/cpu_attn.py(885): forward_decode";
                self.frame(name, parent, at + layer / 2, layer / 3)?;
            }
        }
        Ok(())
    }

    /// Frames that call one another; returns the id of the innermost.
    fn chain(
        &mut self,
        names: &[&str],
        parent: Option<u64>,
        start: i64,
        duration: i64,
    ) -> io::Result<Option<u64>> {
        let mut parent = parent;
        for (depth, name) in names.iter().enumerate() {
            let inset = depth as i64 * 1_500;
            parent = Some(self.frame(name, parent, start + inset, duration - 2 * inset)?);
        }
        Ok(parent)
    }

    fn frame(&mut self, name: &str, parent: Option<u64>, start: i64, duration: i64) -> io::Result<u64> {
        self.next_id += 1;
        let id = self.next_id;
        let name = self.trace.disguise.frame(name);
        let slice = self.trace.span("python_function", &name, start, duration.max(100));
        match parent {
            Some(parent) => self
                .writer
                .slice(slice, format_args!("\"Python parent id\": {parent}, \"Python id\": {id}"))?,
            None => {
                self.writer.slice(slice, format_args!("\"Python parent id\": null, \"Python id\": {id}"))?;
            }
        }
        Ok(id)
    }
}
