//! The trace of one Gaudi rank, Python stacks on: frames of the plugin, begin and end events of the bridge, and no
//! device events, as with `--hw-trace off`. From the public sources of vllm-gaudi (091bbadd) and the bridge
//! (1.19), never from a real trace.

use std::io::{self, Write};

use serde_json::Value;

use super::engine::Executed;
use super::event_writer::{EventWriter, Slice};

/// Everything the trace is made of. Times are nanoseconds on the Unix clock.
pub(crate) struct GaudiTrace<'a> {
    pub(crate) rank: u32,
    pub(crate) world_size: u32,
    pub(crate) pid: u32,
    pub(crate) window: (i64, i64),
    pub(crate) base: i64,
    pub(crate) steps: &'a [Executed],
    /// `full` mode switches the stacks off.
    pub(crate) with_stack: bool,
    /// The fork's frames, and whether its engine has overrun.
    pub(crate) fork: Option<bool>,
}

/// pid of the bridge's host lanes, counted from the worker's (bridge 1.19).
const BRIDGE: u32 = 20_000;
const SYNAPSE: u32 = 10_000;

impl GaudiTrace<'_> {
    /// Writes the whole file.
    pub(crate) fn write<W: Write>(&self, out: W) -> io::Result<W> {
        let distributed = format!(
            "{{\"backend\": \"hccl\", \"rank\": {}, \"world_size\": {}}}",
            self.rank, self.world_size
        );
        let metadata = [
            ("with_stack", u8::from(self.with_stack).to_string()),
            ("distributedInfo", distributed),
            ("host_name", "\"standin\"".to_owned()),
        ];
        let mut writer = EventWriter::begin(out, self.base, &metadata)?;
        let lanes = [
            (self.pid, "VLLM::EngineCore"),
            (self.pid + BRIDGE, "Bridge Logs"),
            (self.pid + SYNAPSE, "Synapse Logger"),
        ];
        for (pid, name) in lanes {
            writer.metadata("process_name", pid, 0, self.window.0, "name", &Value::from(name))?;
        }
        for (number, batch) in self.batches().enumerate() {
            self.write_host(&mut writer, batch, number)?;
            if self.with_stack && self.fork.is_none() {
                self.write_frames(&mut writer, batch)?;
            }
        }
        if let Some(overruns) = self.fork {
            super::fork::write_frames(&mut writer, self.pid, self.steps, overruns)?;
        }
        writer.end(self.window, "tmpgaudi.json")
    }

    /// Executions of one scheduled batch.
    fn batches(&self) -> impl Iterator<Item = &[Executed]> {
        self.steps.chunk_by(|left, right| left.batch == right.batch)
    }

    /// What the bridge always records around a launch. The inner end is written in front of its
    /// begin now and then: the logger's threads flush in no order.
    fn write_host<W: Write>(
        &self,
        writer: &mut EventWriter<W>,
        batch: &[Executed],
        number: usize,
    ) -> io::Result<()> {
        for step in batch.iter().filter(|step| !step.is_idle()) {
            let span = step.end - step.start;
            let (pid, tid) = (self.pid + BRIDGE, self.pid);
            let at = |percent: i64| step.start + span * percent / 100;
            writer.begin_slice("SyncTensorsGraphInternal", pid, tid, at(20))?;
            if number % 3 == 2 {
                writer.end_slice(pid, tid, at(60))?;
                writer.begin_slice("LaunchSyncTensorsGraph", pid, tid, at(30))?;
            } else {
                writer.begin_slice("LaunchSyncTensorsGraph", pid, tid, at(30))?;
                writer.end_slice(pid, tid, at(60))?;
            }
            writer.end_slice(pid, tid, at(70))?;
            let (pid, tid) = (self.pid + SYNAPSE, self.pid);
            writer.begin_slice("synLaunchWithExternalEvents", pid, tid, at(35))?;
            writer.end_slice(pid, tid, at(50))?;
        }
        Ok(())
    }

    fn write_frames<W: Write>(&self, writer: &mut EventWriter<W>, batch: &[Executed]) -> io::Result<()> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let mut frame = |name: &str, start: i64, end: i64| {
            let slice = Slice {
                cat: "python_function",
                name,
                pid: self.pid,
                tid: self.pid,
                start,
                duration: (end - start).max(100),
            };
            writer.slice(slice, format_args!("\"Python id\": 1"))
        };
        let begin = first.start - 120_000;
        frame("vllm_gaudi/v1/worker/hpu_worker.py(572): execute_model", begin, begin + 60_000)?;
        if first.is_idle() {
            return Ok(());
        }
        frame(
            "vllm_gaudi/v1/worker/hpu_model_runner.py(4380): execute_model",
            begin + 5_000,
            begin + 50_000,
        )?;
        let sample = begin + 65_000;
        frame("vllm_gaudi/v1/worker/hpu_model_runner.py(4435): sample_tokens", sample, last.end + 20_000)?;
        // Called without prompts, too; then it returns early.
        frame(
            "vllm_gaudi/v1/worker/hpu_model_runner.py(2724): _form_prefill_batch",
            sample + 1_000,
            sample + 9_000,
        )?;
        if batch.iter().any(|step| step.context_requests > 0) {
            frame(
                "vllm_gaudi/v1/attention/backends/hpu_attn.py(61): make_prefill_metadata",
                sample + 3_000,
                sample + 6_000,
            )?;
        }
        if batch.iter().any(|step| step.generation_requests > 0) {
            frame(
                "vllm_gaudi/v1/worker/hpu_model_runner.py(3074): _create_decode_input_data",
                sample + 11_000,
                sample + 25_000,
            )?;
            frame(
                "vllm_gaudi/v1/attention/backends/hpu_attn.py(97): make_decode_metadata",
                sample + 15_000,
                sample + 19_000,
            )?;
        }
        for step in batch {
            frame(
                "vllm_gaudi/v1/worker/hpu_model_runner.py(3660): _execute_model_generic",
                step.start,
                step.end,
            )?;
            let inner = (step.start + (step.end - step.start) / 5, step.start + (step.end - step.start) / 2);
            frame("habana_frameworks/torch/hpu/graphs.py(742): wrapped_hpugraph_forward", inner.0, inner.1)?;
            let address = 0x7f3a_8c00_0000_u64 + u64::from(self.rank) * 4096;
            frame(
                &format!("<built-in method replayV3 of HPUGraph object at {address:#x}>"),
                inner.0 + 2_000,
                inner.1 - 2_000,
            )?;
        }
        Ok(())
    }
}
