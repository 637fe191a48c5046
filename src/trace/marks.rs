//! Evidence of steps other than annotations, as it stands in the file: slices of the Gaudi plugin, Python
//! frames, counters. Collected here; `evidence` makes steps of it.

use serde::Deserialize;

use super::code_line::CodeLine;
use super::forward_name::Forward;
use super::frame_marks::Frame;
use super::pairs::LaneKey;
use super::step::{RawStep, StepKind};
use crate::time::Nanos;

/// Something with a beginning and a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timed<T> {
    pub(crate) what: T,
    pub(crate) start: Nanos,
    pub(crate) duration: Nanos,
}

impl<T> Timed<T> {
    pub(crate) fn end(&self) -> Nanos {
        self.start + self.duration
    }

    /// The same span, said to be something else.
    pub(crate) fn with<U>(&self, what: U) -> Timed<U> {
        Timed { what, start: self.start, duration: self.duration }
    }

    /// True when the other lies wholly inside.
    pub(crate) fn holds<U>(&self, other: &Timed<U>) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }
}

/// Everything of one file.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// `prefill`, `prompt` and `decode` slices.
    pub(crate) phases: Vec<Timed<StepKind>>,
    /// One of them was named `prompt`, as the fork names it.
    pub(crate) says_prompt: bool,
    /// `prepare_input_tensors` slices.
    pub(crate) preparations: Vec<Timed<()>>,
    /// `model_…` slices.
    pub(crate) forwards: Vec<Timed<Forward>>,
    /// Logits and samplers, and whether it is one of the latter.
    pub(crate) closings: Vec<Timed<bool>>,
    pub(crate) frames: Vec<Timed<Frame>>,
    /// `ProfilerStep#N`, of a profiler with a schedule.
    pub(crate) profiler_steps: Vec<Timed<()>>,
    /// Annotations that name a step and cannot be read further.
    pub(crate) unread: Vec<Timed<()>>,
    /// Steps as labels of other servers tell them.
    pub(crate) labels: Vec<RawStep>,
    /// Graphs were captured: iterations of a profiler are no steps then.
    pub(crate) captures: bool,
    /// What was annotated on the device alone, by the lane that shows it: each stream repeats it.
    pub(crate) device: Vec<(LaneKey, DeviceLane)>,
    /// The trace is a server's, whatever tells its steps.
    pub(crate) serving: bool,
    pub(crate) counters: Vec<Counters>,
    /// The code line of the first annotation, slice or frame that is one line's own.
    pub(crate) code_line: Option<CodeLine>,
    /// End of the last slice of warm-up: what began before it is not load.
    pub(crate) warmup_end: Option<Nanos>,
}

/// Annotations as one lane of a device shows them: the host's, over what the host had launched.
#[derive(Debug, Default)]
pub(crate) struct DeviceLane {
    pub(crate) steps: Vec<RawStep>,
    pub(crate) iterations: Vec<Timed<()>>,
}

/// The counters that the plugin writes for one step, with the step's start as their time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counters {
    pub(crate) at: Nanos,
    pub(crate) values: Values,
}

/// The keys that decide, of vllm-gaudi `extension/profiler.py`, `get_counter_dict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Values {
    prompt_batch_size: Option<f64>,
    prompt_bucket_batch_size: Option<f64>,
    prompt_bucket_seq_len: Option<f64>,
    prompt_batch_token_utilization: Option<f64>,
    decode_batch_size: Option<f64>,
    pub(crate) cumulative_graph_compilations: Option<f64>,
}

impl Values {
    pub(crate) fn parse(args: &[u8]) -> Option<Self> {
        serde_json::from_slice(args).ok()
    }

    /// Requests of the step that the counters belong to, padding left out.
    pub(crate) fn requests(&self, kind: StepKind) -> Option<u64> {
        whole(if kind == StepKind::Prompt { self.prompt_batch_size? } else { self.decode_batch_size? })
    }

    /// Prompt tokens without padding: the plugin writes their share of the padded shape.
    pub(crate) fn prompt_tokens(&self) -> Option<u64> {
        let padded = self.prompt_bucket_batch_size? * self.prompt_bucket_seq_len?;
        whole((self.prompt_batch_token_utilization? * padded).round())
    }

    pub(crate) fn is_of(&self, kind: StepKind) -> bool {
        self.requests(kind).is_some()
    }
}

fn whole(value: f64) -> Option<u64> {
    (0.0..=1e9).contains(&value).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_give_what_padding_hides() {
        // 300 real tokens in a bucket of 4 x 128, as `get_counter_dict` computes them.
        let text = br#"{"prompt_bucket_batch_size": 4, "prompt_batch_size": 3, "prompt_bucket_seq_len": 128,
            "prompt_batch_token_utilization": 0.5859375, "average_real_throughput": 12.5}"#;
        let values = Values::parse(text).unwrap();
        assert_eq!(values.requests(StepKind::Prompt), Some(3));
        assert_eq!(values.prompt_tokens(), Some(300));
        assert!(!values.is_of(StepKind::Decode));
        assert_eq!(Values::parse(b"null"), None);
    }
}
