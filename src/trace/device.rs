//! The device's side: engine events between the steps, by a second pass over the file. A lane is the device's by
//! the category of its events or the name of its thread, never by its pid: pid 0 holds Python frames, too.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::defect::DefectKind;
use super::gap::{GapSummary, StepPair, summaries};
use super::launches::{Launches, correlation, is_runtime};
use super::model::Trace;
use super::pairs::LaneKey;
use super::read::{Sink, read_file};
use super::scan::RawEvent;
use super::step::{Step, StepKind};
use crate::time::Nanos;

/// Categories of engine events, in lower case: upstream writes `kernel`, Gaudi's bridge 1.19 `Kernel`
/// (`json_file_parser.cpp:340-354`).
const CATEGORIES: [&str; 6] =
    ["kernel", "memcpy", "memset", "gpu_memcpy", "gpu_memset", "privateuse1_memcpy"];

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

/// What the device did, as a whole and between the steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Device {
    /// Engine events.
    pub events: u64,
    /// Time in which at least one of them ran.
    pub busy_ns: Nanos,
    /// The rest, from the start of the first to the end of the last.
    pub idle_ns: Nanos,
    /// The device-idle gap between neighbouring steps by pair: from the end of everything that earlier steps had
    /// launched to the first event that the later one did. What carries no launch, as on Gaudi, counts by when it
    /// ran. Never below zero.
    pub gaps: BTreeMap<StepPair, GapSummary>,
}

impl Trace {
    /// Measures the device's side. `None` when the trace has no engine events, as with hardware tracing off: then
    /// nothing can be said of the device.
    #[must_use]
    pub fn device(&self, path: &Path) -> Option<Device> {
        let steps: Vec<&Step> = self.steps.iter().filter(|step| step.kind != StepKind::Idle).collect();
        let origin = self.origin.unwrap_or_default();
        let spans = steps.iter().map(|step| Span { start: origin + step.start_ns, first: None, last: None });
        let mut pass = Pass {
            engines: &self.engines,
            spans: spans.collect(),
            launches: Launches::default(),
            ran: Vec::new(),
        };
        read_file(path, &mut pass);
        pass.attribute();
        let mut busy_until: Option<Nanos> = None;
        let mut pairs: BTreeMap<StepPair, Vec<Nanos>> = BTreeMap::new();
        for (place, span) in pass.spans.iter().enumerate() {
            if let (Some(until), Some(first), Some(before)) = (busy_until, span.first, place.checked_sub(1)) {
                let pair = StepPair::new(steps[before].kind, steps[place].kind);
                pairs.entry(pair).or_default().push((first - until).max(Nanos::ZERO));
            }
            busy_until = busy_until.max(span.last);
        }
        let (busy_ns, idle_ns) = pass.busy_and_idle()?;
        Some(Device { events: pass.ran.len() as u64, busy_ns, idle_ns, gaps: summaries(pairs) })
    }
}

/// Engine events launched between the start of one step and that of the next.
struct Span {
    start: Nanos,
    first: Option<Nanos>,
    last: Option<Nanos>,
}

/// One engine event; some 24 bytes each.
struct Ran {
    start: Nanos,
    end: Nanos,
    launch: Option<u64>,
}

struct Pass<'a> {
    engines: &'a [LaneKey],
    spans: Vec<Span>,
    launches: Launches,
    ran: Vec<Ran>,
}

impl Pass<'_> {
    /// Gives each event to the step that launched it; what was launched before the window is of none.
    fn attribute(&mut self) {
        for ran in &self.ran {
            let launched = match ran.launch {
                Some(number) => self.launches.begun(number),
                None => Some(ran.start),
            };
            let Some(at) = launched else { continue };
            let behind = self.spans.partition_point(|span| span.start <= at);
            // What ran before the first step is warm-up.
            let Some(span) = behind.checked_sub(1).and_then(|place| self.spans.get_mut(place)) else {
                continue;
            };
            span.first = Some(span.first.map_or(ran.start, |first| first.min(ran.start)));
            span.last = span.last.max(Some(ran.end));
        }
    }

    fn busy_and_idle(&mut self) -> Option<(Nanos, Nanos)> {
        self.ran.sort_unstable_by_key(|ran| ran.start);
        let first = self.ran.first()?.start;
        let (mut until, mut busy) = (first, Nanos::ZERO);
        for ran in &self.ran {
            busy += (ran.end - until.max(ran.start)).max(Nanos::ZERO);
            until = until.max(ran.end);
        }
        Some((busy, until - first - busy))
    }
}

impl Sink for Pass<'_> {
    fn event(&mut self, event: &RawEvent<'_>, _offset: u64) {
        if event.ph != b"X" {
            return;
        }
        let category = std::str::from_utf8(event.cat).unwrap_or_default();
        let by_lane = || self.engines.iter().any(|(pid, tid)| *event.pid == **pid && *event.tid == **tid);
        let engine = is_device_category(category) || by_lane();
        let runtime = is_runtime(category);
        if !engine && !runtime {
            return;
        }
        let (Some(start), Some(duration)) = (Nanos::parse_micros(event.ts), Nanos::parse_micros(event.dur))
        else {
            return;
        };
        if engine {
            let end = start + duration.max(Nanos::ZERO);
            self.ran.push(Ran { start, end, launch: correlation(event) });
        } else {
            self.launches.call(event, start);
        }
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
