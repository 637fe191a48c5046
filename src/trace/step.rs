//! Steps: what one execution of the model over one scheduled batch looked like in a trace.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::annotation::Annotation;
use super::forward_name::Bucket;
use super::marks::Timed;
use crate::time::Nanos;

/// What a step computed. Told by evidence, never by its duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// Prompt tokens only (prefill).
    Prompt,
    /// Generation tokens only.
    Decode,
    /// Prompt and generation tokens in one batch.
    Mixed,
    /// An empty batch. vLLM 0.32 ends every window with one; it is never counted.
    Idle,
    /// A step whose kind nothing in the trace proves.
    Unclassified,
}

impl StepKind {
    /// The word used everywhere: `prompt`, `decode`, `mixed`, `idle`, `unclassified`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Decode => "decode",
            Self::Mixed => "mixed",
            Self::Idle => "idle",
            Self::Unclassified => "unclassified",
        }
    }

    /// The kind of a step that did work, by its word.
    pub(crate) fn working(name: &str) -> Option<Self> {
        [Self::Prompt, Self::Decode, Self::Mixed, Self::Unclassified]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The letter in a step sequence such as `P D D D E`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Prompt => 'P',
            Self::Decode => 'D',
            Self::Mixed => 'M',
            Self::Idle => 'E',
            Self::Unclassified => 'U',
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What told the kinds of the steps, best first: evidence that is as good or better compares as less or equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Evidence {
    /// Step annotations of vLLM (`execute_context_…`).
    Annotation,
    /// High-level slices (`prefill`, `decode`) of the Gaudi plugin.
    HighLevel,
    /// `model_forward_bs…_seq…` slices.
    ModelForward,
    /// Python frames.
    Frames,
    /// Nothing.
    None,
}

impl Evidence {
    const ALL: [Self; 5] = [Self::Annotation, Self::HighLevel, Self::ModelForward, Self::Frames, Self::None];

    /// The evidence of that word.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|evidence| evidence.name() == name)
    }

    /// The word used in output, such as `annotation`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::HighLevel => "high_level",
            Self::ModelForward => "model_forward",
            Self::Frames => "frames",
            Self::None => "none",
        }
    }
}

/// Which slice of Gaudi's high-level profiler was found around the forwards, and so is the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Nesting {
    /// `prefill`, `prompt` or `decode` holds the forward, as its name says.
    PhaseHoldsForward,
    /// `prepare_input_tensors` holds it: the fork's writer ends the slice begun last, and so swaps two names.
    PreparationHoldsForward,
}

impl Nesting {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::PhaseHoldsForward => "the phase holds the forward",
            Self::PreparationHoldsForward => "prepare_input_tensors holds the forward",
        }
    }
}

/// One execution of the model over one scheduled batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// Place in the trace, from 0.
    pub index: usize,
    /// What it computed.
    pub kind: StepKind,
    /// Requests without an output token so far, chunked prompts included.
    pub context_requests: Option<u64>,
    /// Prompt tokens scheduled.
    pub context_tokens: Option<u64>,
    /// Requests that already had an output token.
    pub generation_requests: Option<u64>,
    /// Tokens scheduled for those; more than requests under speculative decoding.
    pub generation_tokens: Option<u64>,
    /// The padded shape that was run, where the Gaudi plugin says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// Start, counted from the start of the trace's first step.
    pub start_ns: Nanos,
    /// Duration on the host.
    pub duration_ns: Nanos,
    /// The step gap in front: start minus the end of the previous non-idle step on this rank.
    /// `None` for the first step, for idle ones, and beside a partial one. Below zero when steps overlap.
    pub gap_ns: Option<Nanos>,
    /// The window was opened or closed inside the step: it counts, and its duration is that of the part
    /// in the file, which no statistic takes in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Requests in it whose last token had been decided before: the V0 engine, which processes its output
    /// while the next step runs, decodes once more than the tokens need.
    #[serde(default, skip_serializing_if = "none")]
    pub overrun: u64,
}

impl Step {
    /// Nothing in it was needed, as far as the evidence says.
    #[must_use]
    pub fn is_overrun(&self) -> bool {
        self.overrun > 0 && self.generation_requests.is_none_or(|requests| requests <= self.overrun)
    }

    /// End of the step on the same clock as its start.
    #[must_use]
    pub fn end_ns(&self) -> Nanos {
        self.start_ns + self.duration_ns
    }
}

/// What a step computed, as far as its evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) kind: StepKind,
    pub(crate) context_requests: Option<u64>,
    pub(crate) context_tokens: Option<u64>,
    pub(crate) generation_requests: Option<u64>,
    pub(crate) generation_tokens: Option<u64>,
    pub(crate) bucket: Option<Bucket>,
}

impl Batch {
    /// A batch of which only the kind is known, and what follows from it: a prompt step has no
    /// generation tokens, a decode step no context tokens, an idle one neither.
    pub(crate) fn of_kind(kind: StepKind) -> Self {
        let context = matches!(kind, StepKind::Decode | StepKind::Idle).then_some(0);
        let generation = matches!(kind, StepKind::Prompt | StepKind::Idle).then_some(0);
        Self {
            kind,
            context_requests: context,
            context_tokens: context,
            generation_requests: generation,
            generation_tokens: generation,
            bucket: None,
        }
    }

    fn counted(
        context: u64,
        context_tokens: Option<u64>,
        generation: u64,
        generation_tokens: Option<u64>,
    ) -> Self {
        let kind = match (context > 0, generation > 0) {
            (true, false) => StepKind::Prompt,
            (true, true) => StepKind::Mixed,
            (false, true) => StepKind::Decode,
            (false, false) => StepKind::Idle,
        };
        Self {
            kind,
            context_requests: Some(context),
            context_tokens,
            generation_requests: Some(generation),
            generation_tokens,
            bucket: None,
        }
    }
}

impl From<Annotation> for Batch {
    fn from(annotation: Annotation) -> Self {
        match annotation {
            Annotation::ContextGeneration {
                context_requests,
                context_tokens,
                generation_requests,
                generation_tokens,
            } => Self::counted(
                context_requests,
                Some(context_tokens),
                generation_requests,
                Some(generation_tokens),
            ),
            Annotation::NewCached { new, cached } => Self::counted(new, None, cached, None),
            Annotation::Label(_, batch) => batch,
        }
    }
}

/// A step as it stands in the file: not sorted, on the trace's own clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawStep {
    pub(crate) batch: Batch,
    pub(crate) start: Nanos,
    pub(crate) duration: Nanos,
    /// The window was opened or closed inside it.
    pub(crate) partial: bool,
    /// Requests in it that were finished.
    pub(crate) overrun: u64,
}

impl RawStep {
    /// A whole step of which nothing but its span is known.
    pub(crate) fn unknown<T>(timed: &Timed<T>) -> Self {
        Self::whole(Batch::of_kind(StepKind::Unclassified), timed)
    }

    /// A whole step over a span.
    pub(crate) fn whole<T>(batch: Batch, timed: &Timed<T>) -> Self {
        Self { batch, start: timed.start, duration: timed.duration, partial: false, overrun: 0 }
    }
}

/// Puts steps in order and measures the gaps between them.
pub(crate) fn arrange(mut raw: Vec<RawStep>) -> Vec<Step> {
    raw.sort_by_key(|step| (step.start, step.duration));
    let first = raw.first().map_or(Nanos::ZERO, |step| step.start);
    let mut previous_end = None;
    let mut steps = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let batch = raw.batch;
        let mut step = Step {
            index,
            kind: batch.kind,
            context_requests: batch.context_requests,
            context_tokens: batch.context_tokens,
            generation_requests: batch.generation_requests,
            generation_tokens: batch.generation_tokens,
            bucket: batch.bucket,
            start_ns: raw.start - first,
            duration_ns: raw.duration,
            gap_ns: None,
            partial: raw.partial,
            overrun: raw.overrun,
        };
        if step.partial {
            previous_end = None;
        } else if step.kind != StepKind::Idle {
            step.gap_ns = previous_end.map(|end| step.start_ns - end);
            previous_end = Some(step.end_ns());
        }
        steps.push(step);
    }
    steps
}

/// Counts over the steps of one trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Prompt steps.
    pub prompt: u64,
    /// Decode steps.
    pub decode: u64,
    /// Mixed steps.
    pub mixed: u64,
    /// Idle steps.
    pub idle: u64,
    /// Steps of unknown kind.
    pub unclassified: u64,
    /// Steps, counted above, of which the window holds a part only.
    #[serde(default, skip_serializing_if = "none")]
    pub partial: u64,
    /// Decodes of requests whose last token had been decided, over all steps.
    #[serde(default, skip_serializing_if = "none")]
    pub overrun: u64,
    /// Prompt tokens over all steps; `None` when a step does not say.
    pub context_tokens: Option<u64>,
    /// Generation tokens over all steps; `None` when a step does not say.
    pub generation_tokens: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn none(count: &u64) -> bool {
    *count == 0
}

impl Totals {
    pub(crate) fn of(steps: &[Step]) -> Self {
        let count = |kind| steps.iter().filter(|step| step.kind == kind).count() as u64;
        // Of no steps the sum is not zero but unknown.
        let sum = |field: fn(&Step) -> Option<u64>| {
            if steps.is_empty() {
                return None;
            }
            steps.iter().map(field).try_fold(0u64, |sum, tokens| sum.checked_add(tokens?))
        };
        Self {
            prompt: count(StepKind::Prompt),
            decode: count(StepKind::Decode),
            mixed: count(StepKind::Mixed),
            idle: count(StepKind::Idle),
            unclassified: count(StepKind::Unclassified),
            partial: steps.iter().filter(|step| step.partial).count() as u64,
            overrun: steps.iter().fold(0, |sum, step| sum.saturating_add(step.overrun)),
            context_tokens: sum(|step| step.context_tokens),
            generation_tokens: sum(|step| step.generation_tokens),
        }
    }

    /// Steps that did work.
    #[must_use]
    pub fn working(&self) -> u64 {
        self.prompt + self.decode + self.mixed + self.unclassified
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::gap::gaps_by_pair;

    fn raw(name: &str, start: i64, duration: i64) -> RawStep {
        RawStep {
            batch: Annotation::parse(name.as_bytes()).unwrap().into(),
            start: Nanos::from_ns(start),
            duration: Nanos::from_ns(duration),
            partial: false,
            overrun: 0,
        }
    }

    /// A part of a step has neither a duration nor a gap that says anything.
    #[test]
    fn no_gap_stands_beside_a_partial_step() {
        let decode = |start| raw("execute_context_0(0)_generation_1(1)", start, 10);
        let cut = |start| RawStep { partial: true, ..decode(start) };
        let steps = arrange(vec![cut(0), decode(20), decode(40), cut(60)]);
        let gaps: Vec<_> = steps.iter().map(|step| step.gap_ns.map(Nanos::as_ns)).collect();
        assert_eq!(gaps, [None, None, Some(10), None]);
        let totals = Totals::of(&steps);
        assert_eq!((totals.decode, totals.partial), (4, 2));
    }

    #[test]
    fn gaps_pass_over_idle_steps() {
        // Out of file order, with an idle step between two decodes.
        let steps = arrange(vec![
            raw("execute_context_0(0)_generation_1(1)", 200, 10),
            raw("execute_context_1(4)_generation_0(0)", 100, 50),
            raw("execute_context_0(0)_generation_0(0)", 215, 5),
            raw("execute_context_0(0)_generation_1(1)", 230, 10),
        ]);
        let kinds: String = steps.iter().map(|step| step.kind.letter()).collect();
        assert_eq!(kinds, "PDED");
        let gaps: Vec<_> = steps.iter().map(|step| step.gap_ns.map(Nanos::as_ns)).collect();
        assert_eq!(gaps, [None, Some(50), None, Some(20)]);
        assert_eq!(steps[0].start_ns, Nanos::ZERO);
        assert_eq!(steps[3].start_ns.as_ns(), 130);
        let pairs = gaps_by_pair(&steps);
        assert_eq!(pairs[&"prompt_to_decode".parse().unwrap()].p50_ns.as_ns(), 50);
        assert_eq!(pairs[&"decode_to_decode".parse().unwrap()].count, 1);
    }

    #[test]
    fn overlapping_steps_have_a_gap_below_zero() {
        let steps = arrange(vec![
            raw("execute_context_0(0)_generation_1(1)", 0, 30),
            raw("execute_context_0(0)_generation_1(1)", 20, 30),
        ]);
        assert_eq!(steps[1].gap_ns, Some(Nanos::from_ns(-10)));
    }

    #[test]
    fn token_sums_are_unknown_where_a_step_does_not_say() {
        let steps = arrange(vec![raw("execute_new_1_cached_0", 0, 1), raw("execute_new_0_cached_1", 5, 1)]);
        let totals = Totals::of(&steps);
        assert_eq!((totals.prompt, totals.decode), (1, 1));
        assert_eq!(totals.context_tokens, None);
        assert_eq!(Totals::of(&[]).generation_tokens, None);
    }
}
