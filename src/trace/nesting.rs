//! Steps from the slices of Gaudi's high-level profiler: what holds a forward is the step, whatever its name.

use std::cmp::Reverse;

use super::evidence::{SAME_START, Window};
use super::forward_name::Forward;
use super::marks::{Marks, Timed};
use super::step::{Batch, Evidence, Nesting, RawStep, StepKind};
use crate::time::Nanos;

/// Slices that are open at one time, at most; a profiler's own are three deep.
const DEEPEST: usize = 32;

/// A slice that may be the step around a forward.
#[derive(Clone, Copy)]
struct Around {
    /// The phase that its name says; a preparation's says none.
    phase: Option<StepKind>,
}

/// What the slices told.
pub(super) struct Slices {
    pub(super) evidence: Evidence,
    pub(super) nesting: Option<Nesting>,
    pub(super) steps: Vec<RawStep>,
}

impl Marks {
    /// One step for each forward, over the slice that holds it. A forward that nothing holds, and at the end
    /// a phase that holds none, are steps that the file has a part of.
    pub(super) fn by_slices(&self, window: Window) -> Slices {
        let around = self.around();
        let mut held: Vec<Vec<usize>> = vec![Vec::new(); around.len()];
        let mut steps = Vec::new();
        for (place, (forward, holder)) in self.forwards.iter().zip(self.holders(&around)).enumerate() {
            match holder {
                Some(holder) => held[holder].push(place),
                None => steps.push(self.unheld(place, forward, around.is_empty(), window)),
            }
        }
        for (slice, forwards) in around.iter().zip(&held) {
            steps.extend(self.inside(slice, forwards, window));
        }
        steps.extend(self.phases_alone(&around, &held, window));
        let nesting = held.iter().position(|forwards| !forwards.is_empty()).map(|first| {
            match around[first].what.phase {
                Some(_) => Nesting::PhaseHoldsForward,
                None => Nesting::PreparationHoldsForward,
            }
        });
        let evidence = if self.phases.is_empty() && nesting.is_none() {
            if steps.is_empty() { Evidence::None } else { Evidence::ModelForward }
        } else {
            Evidence::HighLevel
        };
        Slices { evidence, nesting, steps }
    }

    /// A forward with no slice around it: the slice was not written before the file ended, or was begun and
    /// never ended (the fork leaves a multi-step batch early). With its sampler it is whole.
    fn unheld(&self, place: usize, forward: &Timed<Forward>, only: bool, window: Window) -> RawStep {
        let batch = self.batch_of(forward, None);
        // Where no slice is around any forward, a forward is all that is recorded of a step.
        if only {
            return RawStep { partial: window.cuts(forward), ..RawStep::whole(batch, forward) };
        }
        let next = self.forwards.get(place + 1).map_or(Nanos::MAX, |next| next.start);
        let (end, sampled) = self.closed(forward, next);
        let span = Timed { what: (), start: forward.start, duration: end - forward.start };
        RawStep { partial: !sampled || window.cuts(&span), ..RawStep::whole(batch, &span) }
    }

    fn around(&self) -> Vec<Timed<Around>> {
        let phases = self.phases.iter().map(|phase| phase.with(Around { phase: Some(phase.what) }));
        let preparations = self.preparations.iter().map(|slice| slice.with(Around { phase: None }));
        let mut around: Vec<_> = phases.chain(preparations).collect();
        around.sort_by_key(|slice| (slice.start, Reverse(slice.duration)));
        around
    }

    /// For each forward the innermost slice that holds it.
    fn holders(&self, around: &[Timed<Around>]) -> Vec<Option<usize>> {
        let mut open: Vec<usize> = Vec::new();
        let mut next = 0;
        let mut find = |forward: &Timed<Forward>| {
            while around.get(next).is_some_and(|slice| slice.start <= forward.start) {
                open.push(next);
                next += 1;
            }
            open.retain(|slice| around[*slice].end() >= forward.start);
            let excess = open.len().saturating_sub(DEEPEST);
            open.drain(..excess);
            open.iter().rev().copied().find(|slice| around[*slice].holds(forward))
        };
        self.forwards.iter().map(&mut find).collect()
    }

    /// The steps of one slice: over all of it for one forward; for several, each from its forward to
    /// the end of its sampler, the first from the slice's beginning and the last to its end.
    fn inside(&self, slice: &Timed<Around>, forwards: &[usize], window: Window) -> Vec<RawStep> {
        let step = |(nth, place): (usize, &usize)| {
            let forward = &self.forwards[*place];
            let start = if nth == 0 { slice.start } else { forward.start };
            let end = match forwards.get(nth + 1) {
                Some(next) => self.closed(forward, self.forwards[*next].start).0,
                None => slice.end(),
            };
            let span = Timed { what: (), start, duration: end - start };
            let batch = self.batch_of(forward, Some(slice));
            RawStep { partial: window.cuts(&span), ..RawStep::whole(batch, &span) }
        };
        forwards.iter().enumerate().map(step).collect()
    }

    /// When what follows a forward was done, in front of the next one, and whether its tokens were sampled.
    fn closed(&self, forward: &Timed<Forward>, next: Nanos) -> (Nanos, bool) {
        let from = self.closings.partition_point(|closing| closing.start < forward.end());
        let closings = self.closings[from..].iter().take_while(|closing| closing.start < next);
        closings
            .filter(|closing| closing.end() <= next)
            .fold((forward.end(), false), |(end, sampled), closing| {
                (end.max(closing.end()), sampled || closing.what)
            })
    }

    /// Phases without a forward. Where no forward is in the file at all, they are all there is. Otherwise
    /// one behind the last step is one that was begun: its forward was not written any more.
    fn phases_alone(&self, around: &[Timed<Around>], held: &[Vec<usize>], window: Window) -> Vec<RawStep> {
        let last = self.forwards.iter().map(Timed::end).max();
        // The fork's phases end before the forward: alone, one says nothing about the step's length.
        let whole = last.is_none() && !self.says_prompt;
        let alone = around.iter().zip(held).filter(|(slice, held)| {
            held.is_empty() && last.is_none_or(|last| slice.start >= last) && window.holds(slice.start)
        });
        let step = |(slice, _): (&Timed<Around>, &Vec<usize>)| {
            let kind = slice.what.phase?;
            let batch = self.counted(slice.start, Batch::of_kind(kind));
            Some(RawStep { partial: !whole, ..RawStep::whole(batch, slice) })
        };
        alone.filter_map(step).collect()
    }

    fn batch_of(&self, forward: &Timed<Forward>, slice: Option<&Timed<Around>>) -> Batch {
        let kind = slice.and_then(|slice| slice.what.phase).unwrap_or(forward.what.kind());
        let mut batch = Batch { bucket: Some(forward.what.bucket), ..Batch::of_kind(kind) };
        if let Some(real) = forward.what.real {
            let of_kind = |kind| batch.kind == kind;
            if of_kind(StepKind::Prompt) {
                (batch.context_requests, batch.context_tokens) = (Some(real.requests), real.tokens);
            } else if of_kind(StepKind::Decode) {
                batch.generation_requests = Some(real.requests);
            }
        } else {
            batch = self.counted(slice.map_or(forward.start, |slice| slice.start), batch);
        }
        // One token for each request, unless the shape has room for speculated ones.
        if kind == StepKind::Decode && forward.what.bucket.seq == 1 {
            batch.generation_tokens = batch.generation_requests;
        }
        batch
    }

    /// Requests and tokens of the counters that stand at the start of a step.
    fn counted(&self, start: Nanos, mut batch: Batch) -> Batch {
        let near = self.counters.partition_point(|counters| counters.at + SAME_START < start);
        let values = self.counters[near..]
            .iter()
            .take_while(|counters| counters.at <= start + SAME_START)
            .find(|counters| counters.values.is_of(batch.kind))
            .map(|counters| counters.values);
        let requests = values.and_then(|values| values.requests(batch.kind));
        if batch.kind == StepKind::Prompt {
            batch.context_requests = requests;
            batch.context_tokens = values.and_then(|values| values.prompt_tokens());
        } else {
            batch.generation_requests = requests;
        }
        batch
    }
}
