//! Steps from the best evidence there is: annotations, high-level slices, forward slices, frames. A tier that
//! proves a step but not its kind leaves it unclassified.

use super::frame_marks::FrameMark;
use super::marks::{DeviceLane, Marks, Timed};
use super::step::{Batch, Evidence, RawStep, StepKind};
use crate::time::Nanos;

/// Counters are written with the start of their step, taken a moment before the slice is opened.
const SAME_START: Nanos = Nanos::from_ns(1_000_000);

/// What was found, and what was left out because it lies outside the window.
pub(crate) struct Found {
    pub(crate) evidence: Evidence,
    pub(crate) steps: Vec<RawStep>,
    pub(crate) outside: u64,
    /// The times are the device's: the host's side was not recorded.
    pub(crate) on_device: bool,
}

impl Found {
    fn new(evidence: Evidence, steps: Vec<RawStep>, outside: u64) -> Self {
        Self { evidence, steps, outside, on_device: false }
    }
}

/// Chooses the best tier with at least one step. `annotated` are the steps of annotations.
pub(crate) fn choose(
    mut annotated: Vec<RawStep>,
    marks: &mut Marks,
    window: Option<(Nanos, Nanos)>,
) -> Found {
    marks.add_labels(&mut annotated);
    if !annotated.is_empty() {
        // One that cannot be read is a step all the same.
        annotated.extend(marks.unread.iter().map(RawStep::span));
        return Found::new(Evidence::Annotation, annotated, 0);
    }
    let on_device = marks.on_device(|lane| std::mem::take(&mut lane.steps));
    if !on_device.is_empty() {
        return Found { on_device: true, ..Found::new(Evidence::Annotation, on_device, 0) };
    }
    let outside = marks.keep_load(window);
    let high_level = marks.high_level();
    if !high_level.is_empty() {
        return Found::new(Evidence::HighLevel, high_level, outside);
    }
    let forwards = marks.model_forward();
    if !forwards.is_empty() {
        return Found::new(Evidence::ModelForward, forwards, outside);
    }
    let frames = marks.by_frames();
    if !frames.is_empty() {
        return Found::new(Evidence::Frames, frames, outside);
    }
    marks.bare(outside)
}

impl Marks {
    /// Adds the labels that are no second name of a step: TraceLens has SGLang write vLLM's annotation around its own.
    fn add_labels(&mut self, annotated: &mut Vec<RawStep>) {
        let mut around: Vec<(Nanos, Nanos)> =
            annotated.iter().map(|step| (step.start, step.start + step.duration)).collect();
        around.sort_unstable();
        let named = |label: &RawStep| {
            let behind = around.partition_point(|(start, _)| *start <= label.start);
            behind.checked_sub(1).and_then(|at| around.get(at)).is_some_and(|(_, end)| label.start < *end)
        };
        annotated.extend(self.labels.iter().filter(|label| !named(label)));
    }

    /// Steps of which nothing is known but that they were there: annotations that cannot be read, and the iterations
    /// of a profiler with a schedule, which in a server are its steps.
    fn bare(&mut self, outside: u64) -> Found {
        let unread: Vec<RawStep> = self.unread.iter().map(RawStep::span).collect();
        let mut iterations = std::mem::take(&mut self.profiler_steps);
        if self.captures {
            iterations.clear();
        }
        let found = |steps| Found::new(Evidence::Annotation, steps, outside);
        if !unread.is_empty() {
            return found(unread);
        }
        if self.serving && !iterations.is_empty() {
            return found(iterations.iter().map(RawStep::span).collect());
        }
        let on_device = self.on_device(|lane| lane.iterations.iter().map(RawStep::span).collect());
        if self.serving && !on_device.is_empty() {
            return Found { on_device: true, ..found(on_device) };
        }
        Found::new(Evidence::None, Vec::new(), outside)
    }

    /// The steps of the device's lane that shows most of them.
    fn on_device(&mut self, steps: impl Fn(&mut DeviceLane) -> Vec<RawStep>) -> Vec<RawStep> {
        let lanes = self.device.iter_mut().map(|(_, lane)| steps(lane));
        lanes.fold(Vec::new(), |most, steps| if steps.len() > most.len() { steps } else { most })
    }

    /// Drops the plugin's slices of warm-up: in front of the end of `warmup`, and outside the
    /// profiler's window (in `full` mode what was recorded before the start is written, too:
    /// vllm-gaudi `hpu_worker.py:141-157` is not reached). Returns how many lay outside the window.
    fn keep_load(&mut self, window: Option<(Nanos, Nanos)>) -> u64 {
        let warm = self.warmup_end;
        let loaded = |at: Nanos| warm.is_none_or(|end| at >= end);
        let inside = |at: Nanos| window.is_none_or(|(start, end)| (start..=end).contains(&at));
        let all = self.phases.len();
        self.phases.retain(|phase| inside(phase.start));
        let outside = all - self.phases.len();
        self.phases.retain(|phase| loaded(phase.start));
        self.forwards.retain(|forward| loaded(forward.start) && inside(forward.start));
        self.counters.retain(|counters| loaded(counters.at + SAME_START) && inside(counters.at + SAME_START));
        self.phases.sort_by_key(|phase| (phase.start, phase.duration));
        self.forwards.sort_by_key(|forward| (forward.start, forward.duration));
        self.counters.sort_by_key(|counters| counters.at);
        outside as u64
    }

    fn high_level(&self) -> Vec<RawStep> {
        self.phases
            .iter()
            .map(|phase| RawStep { batch: self.batch_of(phase), ..RawStep::span(phase) })
            .collect()
    }

    fn batch_of(&self, phase: &Timed<StepKind>) -> Batch {
        let kind = phase.what;
        let first = self.forwards.partition_point(|forward| forward.start < phase.start);
        let bucket = self.forwards.get(first).filter(|forward| phase.holds(forward.start)).map(|f| f.what);
        let near = self.counters.partition_point(|counters| counters.at + SAME_START < phase.start);
        let values = self.counters[near..]
            .iter()
            .take_while(|counters| counters.at <= phase.start + SAME_START)
            .find(|counters| counters.values.is_of(kind))
            .map(|counters| counters.values);
        let requests = values.and_then(|values| values.requests(kind));
        let mut batch = Batch { bucket, ..Batch::of_kind(kind) };
        if kind == StepKind::Prompt {
            batch.context_requests = requests;
            batch.context_tokens = values.and_then(|values| values.prompt_tokens());
        } else {
            batch.generation_requests = requests;
            // One token each, unless the shape has room for speculated ones.
            batch.generation_tokens = requests.filter(|_| bucket.is_some_and(|bucket| bucket.seq == 1));
        }
        batch
    }

    /// The shape tells the phase: one token per request is a decode.
    fn model_forward(&self) -> Vec<RawStep> {
        let step = |forward: &Timed<super::forward_name::Bucket>| {
            let kind = if forward.what.seq == 1 { StepKind::Decode } else { StepKind::Prompt };
            let batch = Batch { bucket: Some(forward.what), ..Batch::of_kind(kind) };
            RawStep { batch, ..RawStep::span(forward) }
        };
        self.forwards.iter().map(step).collect()
    }

    /// Batches begin where a worker was given one; a batch runs the model once, or on Gaudi once for
    /// each group of prompts and then once for the decodes.
    fn by_frames(&mut self) -> Vec<RawStep> {
        self.frames.sort_by_key(|frame| (frame.start, std::cmp::Reverse(frame.duration)));
        let kind = |frame: &Timed<FrameMark>| match frame.what {
            FrameMark::Runs(kind) => Some(RawStep { batch: Batch::of_kind(kind), ..RawStep::span(frame) }),
            _ => None,
        };
        let told: Vec<RawStep> = self.frames.iter().filter_map(kind).collect();
        if !told.is_empty() {
            return told;
        }
        // A worker's frame holds its runner's, and only one of them begins a batch.
        let begins = |mark| self.frames.iter().any(|frame| frame.what == mark);
        let redundant = if begins(FrameMark::Scheduled) { Some(FrameMark::Handed) } else { None };
        self.frames.retain(|frame| Some(frame.what) != redundant);
        let mut batches = self.batches();
        batches.retain(|batch| batch.scheduled.is_some() || !batch.forwards.is_empty());
        // Without any sign of work in the whole trace its absence in one batch proves nothing.
        let tells_work = batches.iter().any(ScheduledBatch::works);
        batches.iter().flat_map(|batch| batch.steps(tells_work)).collect()
    }

    fn batches(&self) -> Vec<ScheduledBatch> {
        let mut batches: Vec<ScheduledBatch> = Vec::new();
        let mut marks: Vec<(Nanos, Option<&Timed<FrameMark>>)> =
            self.profiler_steps.iter().map(|step| (step.start, None)).collect();
        marks.extend(self.frames.iter().map(|frame| (frame.start, Some(frame))));
        marks.sort_by_key(|(start, _)| *start);
        for (_, mark) in marks {
            let begins =
                mark.is_none_or(|frame| matches!(frame.what, FrameMark::Scheduled | FrameMark::Handed));
            if begins || batches.is_empty() {
                batches.push(ScheduledBatch::default());
            }
            let (Some(frame), Some(batch)) = (mark, batches.last_mut()) else { continue };
            match frame.what {
                FrameMark::Scheduled | FrameMark::Handed => {
                    batch.scheduled = Some((frame.start, frame.duration));
                }
                FrameMark::Forward => batch.forwards.push((frame.start, frame.duration)),
                FrameMark::Work => batch.work = true,
                FrameMark::Prompt => batch.prompt = true,
                FrameMark::Decode => batch.decode = true,
                FrameMark::Runs(_) => {}
            }
        }
        batches
    }
}

/// The frames between one scheduled batch and the next.
#[derive(Debug, Default)]
struct ScheduledBatch {
    scheduled: Option<(Nanos, Nanos)>,
    forwards: Vec<(Nanos, Nanos)>,
    work: bool,
    prompt: bool,
    decode: bool,
}

impl ScheduledBatch {
    fn works(&self) -> bool {
        self.work || self.prompt || self.decode || !self.forwards.is_empty()
    }

    fn steps(&self, tells_work: bool) -> Vec<RawStep> {
        let step = |kind, (start, duration)| RawStep { batch: Batch::of_kind(kind), start, duration };
        if self.forwards.is_empty() {
            let kind = match (self.prompt, self.decode) {
                (true, true) => StepKind::Mixed,
                (true, false) => StepKind::Prompt,
                (false, true) => StepKind::Decode,
                (false, false) if tells_work && !self.work => StepKind::Idle,
                (false, false) => StepKind::Unclassified,
            };
            return self.scheduled.map(|span| step(kind, span)).into_iter().collect();
        }
        let last = self.forwards.len() - 1;
        let kind = |place: usize| match (self.prompt, self.decode) {
            // Prompts run first, then all decodes at once.
            (true, true) if place == last && last > 0 => StepKind::Decode,
            (true, true) if last > 0 => StepKind::Prompt,
            (true, false) => StepKind::Prompt,
            (false, true) => StepKind::Decode,
            _ => StepKind::Unclassified,
        };
        self.forwards.iter().enumerate().map(|(place, span)| step(kind(place), *span)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::forward_name::Bucket;

    fn timed<T>(what: T, start: i64, duration: i64) -> Timed<T> {
        Timed { what, start: Nanos::from_ns(start), duration: Nanos::from_ns(duration) }
    }

    fn word(found: &Found) -> String {
        found.steps.iter().map(|step| step.batch.kind.letter()).collect()
    }

    fn frames(marks: &[(FrameMark, i64)]) -> Found {
        let frames = marks.iter().map(|(mark, at)| timed(*mark, *at, 5)).collect();
        choose(Vec::new(), &mut Marks { frames, ..Marks::default() }, None)
    }

    #[test]
    fn frames_count_steps_without_guessing_their_kind() {
        use FrameMark::{Scheduled, Work};
        let found = frames(&[(Scheduled, 0), (Work, 1), (Scheduled, 10), (Work, 11), (Scheduled, 20)]);
        assert_eq!((found.evidence, word(&found).as_str()), (Evidence::Frames, "UUE"));
        // In a trace that never shows work, an empty batch cannot be told.
        assert_eq!(word(&frames(&[(Scheduled, 0), (Scheduled, 10)])), "UU");
    }

    #[test]
    fn gaudi_frames_tell_prompts_from_decodes() {
        use FrameMark::{Decode, Forward, Prompt, Scheduled};
        let found = frames(&[
            (Scheduled, 0),
            (Prompt, 1),
            (Forward, 10),
            (Scheduled, 20),
            (Prompt, 21),
            (Decode, 22),
            (Forward, 30),
            (Forward, 36),
            (Forward, 42),
            (Scheduled, 50),
            (Decode, 51),
            (Forward, 60),
            (Scheduled, 70),
        ]);
        assert_eq!(word(&found), "PPPDDE");
    }

    #[test]
    fn one_forward_for_both_phases_proves_neither() {
        use FrameMark::{Decode, Forward, Prompt, Scheduled};
        assert_eq!(word(&frames(&[(Scheduled, 0), (Prompt, 1), (Decode, 2), (Forward, 3)])), "U");
    }

    #[test]
    fn warm_up_that_leaked_into_the_trace_is_left_out() {
        let mut marks = Marks {
            phases: vec![
                timed(StepKind::Prompt, 10, 5),
                timed(StepKind::Prompt, 110, 5),
                timed(StepKind::Decode, 120, 5),
            ],
            forwards: vec![
                timed(Bucket { batch: 4, seq: 128, ctx: 0, graphs: false }, 111, 2),
                timed(Bucket { batch: 4, seq: 1, ctx: 128, graphs: false }, 121, 2),
            ],
            ..Marks::default()
        };
        let window = Some((Nanos::from_ns(100), Nanos::from_ns(200)));
        let found = choose(Vec::new(), &mut marks, window);
        assert_eq!((found.evidence, found.outside), (Evidence::HighLevel, 1));
        assert_eq!(word(&found), "PD");
        assert_eq!(found.steps[0].batch.bucket.map(|bucket| bucket.seq), Some(128));
        assert_eq!(found.steps[1].batch.generation_tokens, None, "no counter tells the requests");
    }

    #[test]
    fn the_shape_tells_the_phase_where_slices_do_not() {
        let bucket = |seq| Bucket { batch: 1, seq, ctx: 0, graphs: true };
        let mut marks =
            Marks { forwards: vec![timed(bucket(1), 9, 2), timed(bucket(128), 1, 2)], ..Marks::default() };
        let found = choose(Vec::new(), &mut marks, None);
        assert_eq!((found.evidence, word(&found).as_str()), (Evidence::ModelForward, "PD"));
    }
}
