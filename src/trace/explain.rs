//! What filled the worst gaps: a second pass that keeps the Python frames of the gap windows only.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::defect::DefectKind;
use super::frame_name::stable;
use super::model::Trace;
use super::names::decode;
use super::pairs::LaneKey;
use super::read::{Sink, read_file};
use super::scan::RawEvent;
use super::step::{Step, StepKind};
use crate::time::Nanos;

/// A gap and the frames that filled it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedGap {
    /// Index of the step behind the gap.
    pub step: usize,
    /// Kind of the step in front.
    pub from: StepKind,
    /// Kind of the step behind.
    pub to: StepKind,
    /// Length of the gap.
    pub gap_ns: Nanos,
    /// Frames by the time they spent themselves, longest first.
    pub frames: Vec<FrameShare>,
    /// Time in no frame at all: nothing was recorded then.
    pub unexplained_ns: Nanos,
}

/// One function's part of a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FrameShare {
    /// The frame without line number and addresses.
    pub name: String,
    /// Calls that overlap the gap.
    pub calls: u64,
    /// Time inside the gap, less the time of the frames it called.
    pub self_ns: Nanos,
}

/// Frames kept of one gap. A gap of milliseconds has thousands; a damaged file may claim more.
const MOST_FRAMES: usize = 200_000;

/// Explains the `count` largest gaps of a trace, largest first. Reads the file a second time.
///
/// Empty when the trace has no gaps; without Python stacks all time is unexplained.
#[must_use]
pub fn explain_gaps(path: &Path, trace: &Trace, count: usize) -> Vec<ExplainedGap> {
    let (Some(origin), Some(lane)) = (trace.origin, &trace.lane) else { return Vec::new() };
    let mut windows = windows(&trace.steps, origin);
    windows.sort_by_key(|window| std::cmp::Reverse(window.end - window.start));
    windows.truncate(count);
    if windows.is_empty() {
        return Vec::new();
    }
    let mut frames = Frames { lane, windows };
    read_file(path, &mut frames);
    frames.windows.into_iter().map(Window::explain).collect()
}

struct Window {
    step: usize,
    from: StepKind,
    to: StepKind,
    start: Nanos,
    end: Nanos,
    frames: Vec<Frame>,
}

struct Frame {
    name: String,
    start: Nanos,
    end: Nanos,
}

fn windows(steps: &[Step], origin: Nanos) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut previous: Option<&Step> = None;
    for step in steps.iter().filter(|step| step.kind != StepKind::Idle) {
        if let Some(before) = previous
            && step.gap_ns > Some(Nanos::ZERO)
        {
            windows.push(Window {
                step: step.index,
                from: before.kind,
                to: step.kind,
                start: origin + before.end_ns(),
                end: origin + step.start_ns,
                frames: Vec::new(),
            });
        }
        previous = Some(step);
    }
    windows
}

struct Frames<'a> {
    lane: &'a LaneKey,
    windows: Vec<Window>,
}

impl Sink for Frames<'_> {
    fn event(&mut self, event: &RawEvent<'_>, _offset: u64) {
        let wanted = event.cat == b"python_function" && event.ph == b"X";
        if !wanted || *event.pid != *self.lane.0 || *event.tid != *self.lane.1 {
            return;
        }
        let (Some(start), Some(duration)) = (Nanos::parse_micros(event.ts), Nanos::parse_micros(event.dur))
        else {
            return;
        };
        let end = start + duration;
        for window in &mut self.windows {
            if start < window.end && end > window.start && window.frames.len() < MOST_FRAMES {
                let name = stable(&decode(event.name).0);
                window.frames.push(Frame { name, start: start.max(window.start), end: end.min(window.end) });
            }
        }
    }

    fn member(&mut self, _key: &[u8], _value: &[u8]) {}

    // The first pass has reported every defect already.
    fn defect(&mut self, _kind: DefectKind, _offset: u64, _detail: &dyn Fn() -> String) {}
}

impl Window {
    /// Frames nest: what a frame spent itself is its length less that of the frames inside.
    fn explain(mut self) -> ExplainedGap {
        self.frames.sort_by_key(|frame| (frame.start, std::cmp::Reverse(frame.end)));
        let mut own: Vec<Nanos> = self.frames.iter().map(|frame| frame.end - frame.start).collect();
        let mut open: Vec<usize> = Vec::new();
        for (index, frame) in self.frames.iter().enumerate() {
            while open.last().is_some_and(|parent| self.frames[*parent].end <= frame.start) {
                open.pop();
            }
            if let Some(parent) = open.last() {
                let inside = self.frames[*parent].end.min(frame.end) - frame.start;
                own[*parent] = own[*parent] - inside;
            }
            open.push(index);
        }
        let mut by_name: BTreeMap<&str, (u64, Nanos)> = BTreeMap::new();
        for (frame, own) in self.frames.iter().zip(&own) {
            let entry = by_name.entry(&frame.name).or_default();
            entry.0 += 1;
            entry.1 += *own;
        }
        let mut frames: Vec<FrameShare> = by_name
            .into_iter()
            .map(|(name, (calls, self_ns))| FrameShare { name: name.to_owned(), calls, self_ns })
            .collect();
        frames.sort_by(|a, b| b.self_ns.cmp(&a.self_ns).then_with(|| a.name.cmp(&b.name)));
        let gap_ns = self.end - self.start;
        let explained: Nanos = own.iter().copied().sum();
        ExplainedGap {
            step: self.step,
            from: self.from,
            to: self.to,
            gap_ns,
            frames,
            unexplained_ns: gap_ns - explained,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str, start: i64, end: i64) -> Frame {
        Frame { name: name.to_owned(), start: Nanos::from_ns(start), end: Nanos::from_ns(end) }
    }

    #[test]
    fn time_goes_to_the_innermost_frame() {
        let window = Window {
            step: 3,
            from: StepKind::Decode,
            to: StepKind::Decode,
            start: Nanos::from_ns(0),
            end: Nanos::from_ns(100),
            frames: vec![
                frame("wait", 60, 70),
                frame("loop", 0, 90),
                frame("schedule", 10, 50),
                frame("wait", 20, 30),
            ],
        };
        let explained = window.explain();
        let shares: Vec<(&str, u64, i64)> = explained
            .frames
            .iter()
            .map(|share| (share.name.as_str(), share.calls, share.self_ns.as_ns()))
            .collect();
        assert_eq!(shares, [("loop", 1, 40), ("schedule", 1, 30), ("wait", 2, 20)]);
        assert_eq!(explained.unexplained_ns.as_ns(), 10);
    }
}
