//! The device's side: engine events between the steps, by a second pass over the file. A lane is the device's by
//! the category of its events or the name of its thread, never by its pid: pid 0 holds Python frames, too.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::defect::DefectKind;
use super::gap::{GapSummary, StepPair, summaries};
use super::model::Trace;
use super::pairs::LaneKey;
use super::read::{Sink, read_file};
use super::scan::RawEvent;
use super::step::{Step, StepKind};
use crate::time::Nanos;

/// Categories of engine events, in lower case: upstream writes `kernel`, Gaudi's bridge 1.19 `Kernel`
/// (`json_file_parser.cpp:340-354`).
const CATEGORIES: [&str; 5] = ["kernel", "memcpy", "memset", "gpu_memcpy", "gpu_memset"];

/// True for a category of engine events, whatever the case of its letters.
pub(crate) fn is_device_category(category: &str) -> bool {
    CATEGORIES.iter().any(|known| known.eq_ignore_ascii_case(category))
}

/// True for the name of an engine's thread: `[HD0] MME`, `[HD0] TPC 3`, `[D0] SPDMA 0` on Gaudi 3,
/// `…MME`, `…TPC`, `…PDMA` on Gaudi 2 (bridge 1.19).
pub(crate) fn is_engine(thread: &str) -> bool {
    let words = thread.split(|c: char| !c.is_ascii_alphabetic());
    words.into_iter().any(|word| ["MME", "TPC", "DMA"].iter().any(|engine| word.ends_with(engine)))
}

/// What the device did between the steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Device {
    /// Engine events.
    pub events: u64,
    /// The device-idle gap between neighbouring steps by pair: from the end of everything launched
    /// before the later step began to the first event behind that. Never below zero.
    pub gaps: BTreeMap<StepPair, GapSummary>,
}

impl Trace {
    /// Measures the device's side. `None` when the trace has no engine events, as with hardware
    /// tracing off, or no steps: then nothing can be said of the device.
    #[must_use]
    pub fn device(&self, path: &Path) -> Option<Device> {
        let origin = self.origin?;
        let steps: Vec<&Step> = self.steps.iter().filter(|step| step.kind != StepKind::Idle).collect();
        let spans = steps.iter().map(|step| Span { start: origin + step.start_ns, first: None, last: None });
        let mut pass = Pass { engines: &self.engines, spans: spans.collect(), events: 0 };
        read_file(path, &mut pass);
        if pass.events == 0 {
            return None;
        }
        let mut busy_until: Option<Nanos> = None;
        let mut pairs: BTreeMap<StepPair, Vec<Nanos>> = BTreeMap::new();
        for (place, span) in pass.spans.iter().enumerate() {
            if let (Some(until), Some(first), Some(before)) = (busy_until, span.first, place.checked_sub(1)) {
                let pair = StepPair::new(steps[before].kind, steps[place].kind);
                pairs.entry(pair).or_default().push((first - until).max(Nanos::ZERO));
            }
            busy_until = busy_until.max(span.last);
        }
        Some(Device { events: pass.events, gaps: summaries(pairs) })
    }
}

/// Engine events that began between the start of one step and that of the next.
struct Span {
    start: Nanos,
    first: Option<Nanos>,
    last: Option<Nanos>,
}

struct Pass<'a> {
    engines: &'a [LaneKey],
    spans: Vec<Span>,
    events: u64,
}

impl Sink for Pass<'_> {
    fn event(&mut self, event: &RawEvent<'_>, _offset: u64) {
        let by_category = std::str::from_utf8(event.cat).is_ok_and(is_device_category);
        let by_lane = || self.engines.iter().any(|(pid, tid)| *event.pid == **pid && *event.tid == **tid);
        if event.ph != b"X" || !(by_category || by_lane()) {
            return;
        }
        let (Some(start), Some(duration)) = (Nanos::parse_micros(event.ts), Nanos::parse_micros(event.dur))
        else {
            return;
        };
        self.events += 1;
        let behind = self.spans.partition_point(|span| span.start <= start);
        // What ran before the first step is warm-up.
        let Some(span) = behind.checked_sub(1).and_then(|place| self.spans.get_mut(place)) else { return };
        span.first = Some(span.first.map_or(start, |first| first.min(start)));
        span.last = span.last.max(Some(start + duration.max(Nanos::ZERO)));
    }

    fn member(&mut self, _key: &[u8], _value: &[u8]) {}

    // The first pass has reported every defect already.
    fn defect(&mut self, _kind: DefectKind, _offset: u64, _detail: &dyn Fn() -> String) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_told_by_their_threads() {
        for name in ["[HD0] MME", "[HD0] TPC 7", "[D0] SPDMA 0", "0_DCORE_MME", "PDMA"] {
            assert!(is_engine(name), "{name}");
        }
        for name in ["thread 0 (python)", "AccThreadPool", "Synapse Host Profiler", "comms"] {
            assert!(!is_engine(name), "{name}");
        }
        assert!(is_device_category("Kernel") && !is_device_category("cpu_op"));
    }
}
