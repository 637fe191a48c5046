//! Steps from the best evidence there is: annotations, high-level slices, forward slices, frames. A tier that
//! proves a step but not its kind leaves it unclassified.

use super::marks::{DeviceLane, Marks, Timed};
use super::nesting::Slices;
use super::step::{Evidence, Nesting, RawStep};
use crate::time::Nanos;

/// Counters are written with the start of their step, taken a moment before the slice is opened; and the
/// clocks of two profilers in one file differ by less (16 µs, measured).
pub(super) const SAME_START: Nanos = Nanos::from_ns(1_000_000);

/// What was found, and what was left out because it lies outside the window.
pub(crate) struct Found {
    pub(crate) evidence: Evidence,
    pub(crate) nesting: Option<Nesting>,
    pub(crate) steps: Vec<RawStep>,
    pub(crate) outside: u64,
    /// The times are the device's: the host's side was not recorded.
    pub(crate) on_device: bool,
}

impl Found {
    fn new(evidence: Evidence, steps: Vec<RawStep>, outside: u64) -> Self {
        Self { evidence, nesting: None, steps, outside, on_device: false }
    }
}

/// When the profiler recorded, where the file says it.
#[derive(Clone, Copy)]
pub(super) struct Window(pub(super) Option<(Nanos, Nanos)>);

impl Window {
    pub(super) fn holds(self, at: Nanos) -> bool {
        self.0.is_none_or(|(start, end)| (start..=end).contains(&at))
    }

    fn meets<T>(self, slice: &Timed<T>) -> bool {
        self.0.is_none_or(|(start, end)| slice.start <= end && start <= slice.end())
    }

    /// True for what began before the window or ended behind it.
    pub(super) fn cuts<T>(self, slice: &Timed<T>) -> bool {
        self.0.is_some_and(|(start, end)| slice.start + SAME_START < start || end + SAME_START < slice.end())
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
        annotated.extend(marks.unread.iter().map(RawStep::unknown));
        return Found::new(Evidence::Annotation, annotated, 0);
    }
    let on_device = marks.on_device(|lane| std::mem::take(&mut lane.steps));
    if !on_device.is_empty() {
        return Found { on_device: true, ..Found::new(Evidence::Annotation, on_device, 0) };
    }
    let window = Window(window);
    let outside = marks.keep_load(window);
    let Slices { evidence, nesting, steps } = marks.by_slices(window);
    if !steps.is_empty() {
        return Found { nesting, ..Found::new(evidence, steps, outside) };
    }
    let frames = marks.by_frames(window);
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
        let unread: Vec<RawStep> = self.unread.iter().map(RawStep::unknown).collect();
        let mut iterations = std::mem::take(&mut self.profiler_steps);
        if self.captures {
            iterations.clear();
        }
        let found = |steps| Found::new(Evidence::Annotation, steps, outside);
        if !unread.is_empty() {
            return found(unread);
        }
        if self.serving && !iterations.is_empty() {
            return found(iterations.iter().map(RawStep::unknown).collect());
        }
        let on_device = self.on_device(|lane| lane.iterations.iter().map(RawStep::unknown).collect());
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

    /// Drops slices of warm-up, which all lie in front of its end, and what lies outside the
    /// profiler's window (in `full` mode what was recorded before the start is written, too:
    /// vllm-gaudi `hpu_worker.py:141-157` is not reached). Returns how many phases lay outside the window.
    fn keep_load(&mut self, window: Window) -> u64 {
        let warm = self.warmup_end;
        let loaded = |at: Nanos| warm.is_none_or(|end| at >= end);
        let all = self.phases.len();
        self.phases.retain(|phase| window.meets(phase));
        let outside = all - self.phases.len();
        self.phases.retain(|phase| loaded(phase.start));
        self.preparations.retain(|slice| loaded(slice.start) && window.meets(slice));
        self.forwards.retain(|forward| loaded(forward.start) && window.holds(forward.start));
        let at = |counters: &super::marks::Counters| counters.at + SAME_START;
        self.counters.retain(|counters| loaded(at(counters)) && window.holds(at(counters)));
        self.forwards.sort_by_key(|forward| (forward.start, forward.duration));
        self.closings.sort_by_key(|closing| closing.start);
        self.counters.sort_by_key(|counters| counters.at);
        outside as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::forward_name::Forward;
    use crate::trace::step::StepKind;

    fn timed<T>(what: T, start: i64, duration: i64) -> Timed<T> {
        Timed { what, start: Nanos::from_ns(start), duration: Nanos::from_ns(duration) }
    }

    fn forward(name: &str, start: i64, duration: i64) -> Timed<Forward> {
        timed(Forward::parse(name).unwrap(), start, duration)
    }

    fn word(found: &Found) -> String {
        found.steps.iter().map(|step| step.batch.kind.letter()).collect()
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
                forward("model_forward_bs4_seq128_ctx0_graphsF", 111, 2),
                forward("model_forward_bs4_seq1_ctx128_graphsF", 121, 2),
            ],
            ..Marks::default()
        };
        let window = Some((Nanos::from_ns(100), Nanos::from_ns(200)));
        let found = choose(Vec::new(), &mut marks, window);
        assert_eq!((found.evidence, found.outside), (Evidence::HighLevel, 1));
        assert_eq!(found.nesting, Some(Nesting::PhaseHoldsForward));
        assert_eq!(word(&found), "PD");
        assert_eq!(found.steps[0].batch.bucket.map(|bucket| bucket.seq), Some(128));
        assert_eq!(found.steps[1].batch.generation_tokens, None, "no counter tells the requests");
    }

    #[test]
    fn the_shape_tells_the_phase_where_slices_do_not() {
        let forwards = vec![
            forward("model_forward_bs1_seq1_ctx0_graphsT", 9, 2),
            forward("model_forward_bs1_seq128_ctx0_graphsT", 1, 2),
        ];
        let found = choose(Vec::new(), &mut Marks { forwards, ..Marks::default() }, None);
        assert_eq!((found.evidence, word(&found).as_str()), (Evidence::ModelForward, "PD"));
    }

    /// The fork's writer swaps the names of two slices: `decode` is as long as the preparation.
    #[test]
    fn the_slice_that_holds_the_forward_is_the_step() {
        let decode = "model_decode_bs1_seq1_ctx128_graphsF";
        let mut swapped = Marks {
            phases: vec![timed(StepKind::Decode, 1, 2)],
            preparations: vec![timed((), 0, 100)],
            forwards: vec![forward(decode, 5, 80)],
            ..Marks::default()
        };
        let found = choose(Vec::new(), &mut swapped, None);
        assert_eq!(found.nesting, Some(Nesting::PreparationHoldsForward));
        assert_eq!((word(&found).as_str(), found.steps[0].duration.as_ns()), ("D", 100));
        // A release that mends the writer: the preparation ends before the forward.
        let mut mended = Marks {
            phases: vec![timed(StepKind::Decode, 1, 99)],
            preparations: vec![timed((), 0, 3)],
            forwards: vec![forward(decode, 5, 80)],
            ..Marks::default()
        };
        let found = choose(Vec::new(), &mut mended, None);
        assert_eq!(found.nesting, Some(Nesting::PhaseHoldsForward));
        assert_eq!((word(&found).as_str(), found.steps[0].duration.as_ns()), ("D", 99));
    }

    /// Multi-step scheduling runs several forwards under one slice; each ends with its sampler.
    #[test]
    fn several_forwards_under_one_slice_are_several_steps() {
        let decode = "model_decode_bs1_seq1_ctx128_graphsF";
        let mut marks = Marks {
            phases: vec![timed(StepKind::Decode, 1, 2)],
            preparations: vec![timed((), 0, 100)],
            forwards: vec![forward(decode, 5, 20), forward(decode, 40, 20), forward(decode, 70, 20)],
            closings: vec![timed(false, 26, 3), timed(true, 30, 5), timed(true, 61, 2), timed(true, 95, 2)],
            ..Marks::default()
        };
        let mut left_early = Marks {
            preparations: Vec::new(),
            forwards: marks.forwards.clone(),
            closings: marks.closings.clone(),
            phases: marks.phases.clone(),
            ..Marks::default()
        };
        let found = choose(Vec::new(), &mut marks, None);
        let spans: Vec<_> =
            found.steps.iter().map(|step| (step.start.as_ns(), step.duration.as_ns())).collect();
        assert_eq!((word(&found).as_str(), spans), ("DDD", vec![(0, 35), (40, 23), (70, 30)]));
        // A batch that is left early never ends its slice; its forwards are whole all the same.
        let found = choose(Vec::new(), &mut left_early, None);
        let spans: Vec<_> = found
            .steps
            .iter()
            .map(|step| (step.start.as_ns(), step.duration.as_ns(), step.partial))
            .collect();
        assert_eq!(spans, [(5, 30, false), (40, 23, false), (70, 27, false)]);
    }

    /// The file holds the sampler of the step in front of the window, and of the step behind its end the
    /// beginning; slices are written when they end.
    #[test]
    fn steps_that_the_window_cuts_are_partial() {
        let ms = |ms: i64| ms * 1_000_000;
        let decode = "model_decode_bs1_seq1_ctx128_graphsF";
        let mut marks = Marks {
            phases: vec![timed(StepKind::Decode, ms(101), ms(1)), timed(StepKind::Decode, ms(201), ms(1))],
            preparations: vec![timed((), ms(0), ms(90)), timed((), ms(100), ms(90))],
            forwards: vec![
                forward(decode, ms(5), ms(40)),
                forward(decode, ms(105), ms(70)),
                forward(decode, ms(205), ms(70)),
            ],
            ..Marks::default()
        };
        let window = Some((Nanos::from_ns(ms(50)), Nanos::from_ns(ms(290))));
        let found = choose(Vec::new(), &mut marks, window);
        let partial: Vec<bool> = found.steps.iter().map(|step| step.partial).collect();
        assert_eq!((word(&found).as_str(), partial), ("DD", vec![true, false]));
    }
}
