//! Steps from Python frames: the forwards that a worker runs between one scheduled batch and the next.

use std::cmp::Reverse;

use super::evidence::Window;
use super::frame_marks::{Frame, FrameMark};
use super::marks::{Marks, Timed};
use super::step::{Batch, RawStep, StepKind};
use crate::time::Nanos;

/// A frame that was open when the profiler stopped ends with the window, but for the rounding of a
/// file that was written again.
const ROUNDING: Nanos = Nanos::from_ns(2_000);

impl Marks {
    /// Batches begin where a worker was given one; a batch runs the model once, on Gaudi once for
    /// each group of prompts and then once for the decodes, and in multi-step scheduling several times.
    pub(super) fn by_frames(&mut self, window: Window) -> Vec<RawStep> {
        self.frames.sort_by_key(|frame| (frame.start, Reverse(frame.duration)));
        let told = |frame: &Timed<Frame>| match frame.what.mark {
            FrameMark::Runs(kind) => Some(RawStep::whole(Batch::of_kind(kind), frame)),
            _ => None,
        };
        let told: Vec<RawStep> = self.frames.iter().filter_map(told).collect();
        if !told.is_empty() {
            return told;
        }
        // A worker's frame holds its runner's, and only one of them begins a batch.
        if self.frames.iter().any(|frame| frame.what.mark == FrameMark::Scheduled) {
            self.frames.retain(|frame| frame.what.mark != FrameMark::Handed);
        }
        let cut = self.cut(window);
        let mut batches = self.batches(&cut);
        batches.retain(|batch| batch.scheduled.is_some() || !batch.forwards.is_empty());
        let trace = Whole {
            // Without any sign of work in the whole trace its absence in one batch proves nothing.
            tells_work: batches.iter().any(ScheduledBatch::works),
            runs: batches.iter().any(|batch| !batch.forwards.is_empty()),
        };
        batches.iter().flat_map(|batch| batch.steps(trace)).collect()
    }

    /// For each frame, whether the window was opened and whether it was closed while it ran. A frame that
    /// was open at the beginning carries another line than its kind does later, and ends are those of the window.
    fn cut(&self, window: Window) -> Vec<Cut> {
        let mut seen: [Option<(u32, bool)>; 256] = [None; 256];
        for frame in &self.frames {
            let (first, later) = seen[usize::from(frame.what.row)].get_or_insert((frame.what.line, false));
            *later |= frame.what.line < *first;
        }
        let end = window.0.map(|(_, end)| end - ROUNDING);
        let mut first = [true; 256];
        let cut = |frame: &Timed<Frame>| {
            let row = usize::from(frame.what.row);
            let opened = std::mem::take(&mut first[row]) && seen[row].is_some_and(|(_, later)| later);
            Cut { opened, closed: end.is_some_and(|end| frame.end() >= end) }
        };
        self.frames.iter().map(cut).collect()
    }

    fn batches(&self, cut: &[Cut]) -> Vec<ScheduledBatch> {
        let begins = |mark| matches!(mark, FrameMark::Scheduled | FrameMark::Handed | FrameMark::Called);
        // A profile of one step is taken without a worker's call. Elsewhere a profiler's steps begin
        // inside a batch: the plugin's between the worker's two calls.
        let scheduled = self.frames.iter().any(|frame| begins(frame.what.mark));
        let profiled = self.profiler_steps.iter().filter(|_| !scheduled).map(|step| (step.start, None));
        let framed = self.frames.iter().zip(cut).map(|(frame, cut)| (frame.start, Some((frame, *cut))));
        let mut marks: Vec<(Nanos, Begun<'_>)> = profiled.chain(framed).collect();
        marks.sort_by_key(|(start, _)| *start);
        let mut batches: Vec<ScheduledBatch> = Vec::new();
        for (_, mark) in marks {
            if batches.is_empty() || mark.is_none_or(|(frame, _)| begins(frame.what.mark)) {
                batches.push(ScheduledBatch::default());
            }
            if let (Some((frame, cut)), Some(batch)) = (mark, batches.last_mut()) {
                batch.take(frame, cut);
            }
        }
        batches.iter_mut().for_each(ScheduledBatch::replayed);
        batches
    }
}

/// A frame with its cut, or the beginning of a profiler's step.
type Begun<'a> = Option<(&'a Timed<Frame>, Cut)>;

/// What the trace as a whole shows.
#[derive(Clone, Copy)]
struct Whole {
    /// Some batch is seen to do work.
    tells_work: bool,
    /// Executions are seen, so that a batch without one ran none.
    runs: bool,
}

/// The frames between one scheduled batch and the next.
#[derive(Debug, Default)]
struct ScheduledBatch {
    scheduled: Option<Span>,
    /// The batch came in a call of the fork's worker.
    called: bool,
    /// The plugin's second call for the batch.
    sampled: Option<Span>,
    forwards: Vec<Span>,
    replays: Vec<Span>,
    work: bool,
    /// Places and meanings of what only prompts, or only decodes, reach.
    tells: Vec<(Nanos, StepKind)>,
    /// When requests were found to have their last token.
    finished: Vec<Nanos>,
}

/// Whether the window was opened, and whether it was closed, inside a frame.
#[derive(Clone, Copy, Debug)]
struct Cut {
    opened: bool,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    span: Timed<()>,
    cut: Cut,
}

impl ScheduledBatch {
    fn take(&mut self, frame: &Timed<Frame>, cut: Cut) {
        let span = Span { span: frame.with(()), cut };
        // One forward inside another is the same execution.
        let outermost = |known: &[Span]| known.last().is_none_or(|last| last.span.end() <= frame.start);
        match frame.what.mark {
            FrameMark::Scheduled | FrameMark::Handed => self.scheduled = Some(span),
            FrameMark::Called => (self.scheduled, self.called) = (Some(span), true),
            FrameMark::Sampled => (self.sampled, self.work) = (Some(span), true),
            FrameMark::Forward if outermost(&self.forwards) => self.forwards.push(span),
            FrameMark::Replay if outermost(&self.replays) => self.replays.push(span),
            FrameMark::Forward | FrameMark::Replay | FrameMark::Runs(_) => {}
            FrameMark::Work => self.work = true,
            FrameMark::Prompt => self.tells.push((frame.start, StepKind::Prompt)),
            FrameMark::Decode => self.tells.push((frame.start, StepKind::Decode)),
            FrameMark::Finished => self.finished.push(frame.start),
        }
    }

    /// Replays are executions where no forward is to be seen.
    fn replayed(&mut self) {
        if self.forwards.is_empty() {
            self.forwards = std::mem::take(&mut self.replays);
        }
    }

    fn works(&self) -> bool {
        self.work || !self.tells.is_empty() || !self.forwards.is_empty()
    }

    fn steps(&self, trace: Whole) -> Vec<RawStep> {
        if self.forwards.is_empty() {
            return self.unrun(trace).into_iter().collect();
        }
        let last = self.forwards.len() - 1;
        let step = |(place, forward): (usize, &Span)| {
            // Of several executions in one call the window cuts the first and the last at most.
            let cut = |around: &Span| place == 0 && around.cut.opened || place == last && around.cut.closed;
            let mut around = [self.scheduled, self.sampled].into_iter().flatten();
            let partial =
                around.any(|around| around.span.holds(&forward.span) && cut(&around)) || cut(forward);
            let overrun = if place == last { self.overrun() } else { 0 };
            RawStep { partial, overrun, ..RawStep::whole(Batch::of_kind(self.kind(place)), &forward.span) }
        };
        self.forwards.iter().enumerate().map(step).collect()
    }

    /// Requests that turned out to be finished while the worker ran them.
    fn overrun(&self) -> u64 {
        let Some(call) = self.scheduled.filter(|_| self.called) else { return 0 };
        let inside = |at: &&Nanos| (call.span.start..=call.span.end()).contains(at);
        self.finished.iter().filter(inside).count() as u64
    }

    /// The step of a batch in which no execution is seen. Where others are seen it is an idle one or none:
    /// the fork's worker is called for nothing, and a window that closes leaves the beginning of a batch.
    fn unrun(&self, trace: Whole) -> Option<RawStep> {
        let Span { span, cut } = self.scheduled?;
        let kind = match self.among(|_| true) {
            (true, true) => StepKind::Mixed,
            (true, false) => StepKind::Prompt,
            (false, true) => StepKind::Decode,
            (false, false) if trace.tells_work && !self.work => StepKind::Idle,
            (false, false) => StepKind::Unclassified,
        };
        let idle = kind == StepKind::Idle && !self.called && !cut.opened && !cut.closed;
        (idle || !trace.runs).then(|| RawStep {
            partial: cut.opened || cut.closed,
            ..RawStep::whole(Batch::of_kind(kind), &span)
        })
    }

    /// What is reached inside a forward tells its kind. Where nothing is, as in a compiled one, what
    /// was reached beside the forwards does: prompts run first, then all decodes at once.
    fn kind(&self, place: usize) -> StepKind {
        let inside = |forward: &Span, at: Nanos| (forward.span.start..=forward.span.end()).contains(&at);
        let last = self.forwards.len() - 1;
        let beside = || self.among(|at| !self.forwards.iter().any(|forward| inside(forward, at)));
        match self.among(|at| inside(&self.forwards[place], at)) {
            (true, false) => StepKind::Prompt,
            (false, true) => StepKind::Decode,
            (true, true) => StepKind::Unclassified,
            (false, false) => match beside() {
                (true, true) if place == last && last > 0 => StepKind::Decode,
                (true, true) if last > 0 => StepKind::Prompt,
                (true, false) => StepKind::Prompt,
                (false, true) => StepKind::Decode,
                _ => StepKind::Unclassified,
            },
        }
    }

    /// Whether prompts and decodes are told at the wanted places.
    fn among(&self, wanted: impl Fn(Nanos) -> bool) -> (bool, bool) {
        let told = |kind| self.tells.iter().any(|(at, of)| *of == kind && wanted(*at));
        (told(StepKind::Prompt), told(StepKind::Decode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(marks: &[(FrameMark, u32, i64, i64)], window: Option<(i64, i64)>) -> Vec<RawStep> {
        let frame = |&(mark, line, at, long): &(FrameMark, u32, i64, i64)| {
            let kinds = [FrameMark::Scheduled, FrameMark::Called, FrameMark::Sampled, FrameMark::Forward];
            let row = kinds.iter().position(|kind| *kind == mark).unwrap_or(kinds.len()) as u8;
            let what = Frame { mark, code_line: None, row, line };
            Timed { what, start: Nanos::from_micros(at), duration: Nanos::from_micros(long) }
        };
        let mut marks = Marks { frames: marks.iter().map(frame).collect(), ..Marks::default() };
        marks.by_frames(Window(window.map(|(from, to)| (Nanos::from_micros(from), Nanos::from_micros(to)))))
    }

    fn word(steps: &[RawStep]) -> String {
        steps.iter().map(|step| step.batch.kind.letter()).collect()
    }

    fn frames(marks: &[(FrameMark, i64)]) -> String {
        word(&named(&marks.iter().map(|(mark, at)| (*mark, 1, *at, 5)).collect::<Vec<_>>(), None))
    }

    #[test]
    fn frames_count_steps_without_guessing_their_kind() {
        use FrameMark::{Scheduled, Work};
        assert_eq!(frames(&[(Scheduled, 0), (Work, 1), (Scheduled, 10), (Work, 11), (Scheduled, 20)]), "UUE");
        // In a trace that never shows work, an empty batch cannot be told.
        assert_eq!(frames(&[(Scheduled, 0), (Scheduled, 10)]), "UU");
    }

    #[test]
    fn gaudi_frames_tell_prompts_from_decodes() {
        use FrameMark::{Decode, Forward, Prompt, Scheduled};
        let marks = [
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
        ];
        assert_eq!(frames(&marks), "PPPDDE");
    }

    #[test]
    fn one_forward_for_both_phases_proves_neither() {
        use FrameMark::{Decode, Forward, Prompt, Scheduled};
        assert_eq!(frames(&[(Scheduled, 0), (Prompt, 1), (Decode, 2), (Forward, 6)]), "U");
        // Inside the forward they outweigh what stands beside it: the fork prepares both for each batch.
        assert_eq!(frames(&[(Scheduled, 0), (Prompt, 1), (Decode, 2), (Forward, 6), (Decode, 7)]), "D");
    }

    /// A multi-step server of the fork calls its worker for four executions at once, and for none.
    #[test]
    fn the_forks_steps_are_counted_by_the_forward() {
        use FrameMark::{Called, Decode, Forward};
        let mut marks = vec![(Called, 1, 0, 100)];
        for at in [10, 30, 50, 70] {
            // The adapter's forward is inside another that is the same execution.
            marks.extend([(Forward, 2, at, 15), (Forward, 2, at + 1, 10), (Decode, 3, at + 2, 1)]);
        }
        marks.extend([(Called, 1, 200, 10), (Called, 1, 300, 10)]);
        assert_eq!(word(&named(&marks, None)), "DDDD");
    }

    /// Found in a genuine trace of `VLLM_PROFILE_STEPS`: a profiler's steps begin between the plugin's two
    /// calls, and the last call was cut by the window; three idle steps were read.
    #[test]
    fn a_call_that_is_followed_by_its_forward_is_no_idle_step() {
        use FrameMark::{Decode, Forward, Sampled, Scheduled};
        let marks = [
            (Scheduled, 576, 1, 1),
            (Sampled, 565, 4, 30),
            (Decode, 9, 5, 1),
            (Forward, 9, 10, 20),
            (Scheduled, 568, 40, 1),
            (Sampled, 565, 44, 30),
            (Decode, 9, 45, 1),
            (Forward, 9, 50, 20),
            (Scheduled, 568, 90, 10),
        ];
        let steps = named(&marks, Some((0, 100)));
        assert_eq!(word(&steps), "DD");
        // The forwards lie in the window whole, and the call in front of the first held none.
        assert!(steps.iter().all(|step| !step.partial));
    }

    /// The output of a step is processed while the next one runs, and a request that is finished by it is run
    /// once more for nothing; without that its end is found between two calls.
    #[test]
    fn a_step_of_requests_that_were_finished_is_an_overrun() {
        use FrameMark::{Called, Decode, Finished, Forward};
        let run = |finished| {
            let marks = [
                (Called, 1, 0, 20),
                (Forward, 2, 5, 10),
                (Decode, 3, 6, 1),
                (Called, 1, 30, 20),
                (Forward, 2, 35, 10),
                (Decode, 3, 36, 1),
                (Finished, 4, finished, 1),
            ];
            named(&marks, None).iter().map(|step| step.overrun).collect::<Vec<_>>()
        };
        assert_eq!((run(47), run(52)), (vec![0, 1], vec![0, 0]));
    }

    #[test]
    fn steps_that_the_window_cuts_are_partial() {
        use FrameMark::{Called, Decode, Forward};
        let marks = [
            // Open when the profiler started, which shows by its line; the forward was over.
            (Called, 195, 0, 10),
            (Called, 190, 20, 20),
            (Forward, 9, 22, 10),
            (Decode, 9, 23, 1),
            // Open when the profiler stopped: the sampler is missing.
            (Called, 190, 50, 20),
            (Forward, 9, 52, 10),
            (Decode, 9, 53, 1),
        ];
        let steps = named(&marks, Some((0, 70)));
        let partial: Vec<bool> = steps.iter().map(|step| step.partial).collect();
        assert_eq!((word(&steps).as_str(), partial), ("DD", vec![false, true]));
    }
}
