//! The collector: gives the scanner's events a meaning while they pass and keeps only what decides.

use std::collections::HashMap;

use super::defect::{DefectKind, Defects, Problem};
use super::names::{NameId, Names, Role};
use super::read::Sink;
use super::scan::RawEvent;
use super::step::RawStep;
use crate::time::Nanos;

/// Events of one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CategoryTotal {
    pub(crate) events: u64,
    pub(crate) duration_ns: i128,
}

/// Everything kept from one pass.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    pub(crate) events: u64,
    pub(crate) steps: Vec<RawStep>,
    /// pid and tid of the first step: the lane on which the worker runs.
    pub(crate) step_lane: Option<LaneKey>,
    pub(crate) window: Option<(Nanos, Nanos)>,
    pub(crate) compiles: Vec<Nanos>,
    pub(crate) metadata: Metadata,
    categories: Categories,
    names: Names,
    lanes: Lanes,
    open: HashMap<LaneId, Vec<Begun>>,
    defects: Defects,
}

/// What the top-level object and the `M` events say about the file.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) rank: Option<u32>,
    pub(crate) world_size: Option<u32>,
    pub(crate) vllm_version: Option<String>,
    pub(crate) base_time_ns: Option<i64>,
    pub(crate) process_names: Vec<String>,
}

#[derive(Debug)]
struct Begun {
    name: NameId,
    category: usize,
    start: Nanos,
    offset: u64,
    index: u64,
}

impl Collector {
    /// Category totals in order of first appearance; events without a category under `""`.
    pub(crate) fn categories(&self) -> impl Iterator<Item = (&str, CategoryTotal)> {
        self.categories.0.iter().map(|(name, total)| (name.as_str(), *total))
    }

    /// True when an event of this category was met, whatever the case of its letters.
    pub(crate) fn has_category(&self, wanted: &str) -> bool {
        self.categories().any(|(name, total)| total.events > 0 && name.eq_ignore_ascii_case(wanted))
    }

    /// Closes the pass: open slices and flawed names become problems.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        for begun in self.open.values().flatten() {
            let name = self.names.text(begun.name);
            self.defects.record(DefectKind::DanglingBegin, 1, begun.offset, begun.index, || name.to_owned());
        }
        for (kind, count, offset, index, name) in self.names.flaws() {
            self.defects.record(kind, count, offset, index, || super::defect::excerpt(name.as_bytes()));
        }
        self.defects.into_problems()
    }

    pub(crate) fn has_fatal(&self) -> bool {
        self.defects.has_fatal()
    }

    pub(crate) fn note(&mut self, kind: DefectKind, count: u64, detail: &str) {
        self.defects.record(kind, count, 0, self.events, || detail.to_owned());
    }

    fn flag(&mut self, kind: DefectKind, offset: u64, detail: &[u8]) {
        self.defects.record(kind, 1, offset, self.events, || super::defect::excerpt(detail));
    }

    fn slice(&mut self, name: NameId, category: usize, start: Nanos, duration: Nanos, event: &RawEvent<'_>) {
        self.categories.0[category].1.duration_ns += i128::from(duration.as_ns());
        match self.names.role(name) {
            Role::Other => {}
            // On a GPU the same name appears again as `gpu_user_annotation`: one of them counts.
            Role::Step(annotation) if self.categories.0[category].0 == "user_annotation" => {
                self.step_lane.get_or_insert_with(|| (event.pid.into(), event.tid.into()));
                self.steps.push(RawStep { annotation, start, duration });
            }
            Role::Step(_) => {}
            Role::Window => self.window = Some((start, start + duration)),
            Role::Compile => self.compiles.push(start),
        }
    }

    fn duration(&mut self, event: &RawEvent<'_>, offset: u64) -> Nanos {
        match Nanos::parse_micros(event.dur) {
            Some(duration) if duration < Nanos::ZERO => {
                self.flag(DefectKind::NegativeDuration, offset, event.dur);
                Nanos::ZERO
            }
            Some(duration) => duration,
            None => {
                self.flag(DefectKind::BadTimestamp, offset, event.dur);
                Nanos::ZERO
            }
        }
    }

    fn end_slice(&mut self, lane: LaneId, end: Nanos, offset: u64, event: &RawEvent<'_>) {
        match self.open.get_mut(&lane).and_then(Vec::pop) {
            Some(begun) => self.slice(begun.name, begun.category, begun.start, end - begun.start, event),
            None => self.flag(DefectKind::DanglingEnd, offset, b"an end without a begin"),
        }
    }

    fn process_name(&mut self, args: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Args {
            name: String,
        }
        if let Ok(args) = serde_json::from_slice::<Args>(args)
            && self.metadata.process_names.len() < 64
            && !self.metadata.process_names.contains(&args.name)
        {
            self.metadata.process_names.push(args.name);
        }
    }
}

impl Sink for Collector {
    fn event(&mut self, event: &RawEvent<'_>, offset: u64) {
        if event.duplicate_key {
            self.flag(DefectKind::DuplicateKey, offset, event.name);
        }
        if event.stray_comma {
            self.flag(DefectKind::StrayComma, offset, event.name);
        }
        if event.non_finite {
            self.flag(DefectKind::NonFinite, offset, event.args);
        }
        let category = self.categories.find(event.cat);
        self.categories.0[category].1.events += 1;
        match event.ph {
            b"X" | b"B" => {
                let name = self.names.intern(event.name, (offset, self.events));
                match Nanos::parse_micros(event.ts) {
                    None => self.flag(DefectKind::BadTimestamp, offset, event.ts),
                    Some(start) if event.ph == b"X" => {
                        let duration = self.duration(event, offset);
                        self.slice(name, category, start, duration, event);
                    }
                    Some(start) => {
                        let lane = self.lanes.find(event.pid, event.tid);
                        let begun = Begun { name, category, start, offset, index: self.events };
                        self.open.entry(lane).or_default().push(begun);
                    }
                }
            }
            b"E" => match Nanos::parse_micros(event.ts) {
                None => self.flag(DefectKind::BadTimestamp, offset, event.ts),
                Some(end) => {
                    let lane = self.lanes.find(event.pid, event.tid);
                    self.end_slice(lane, end, offset, event);
                }
            },
            b"M" if event.name == b"process_name" => self.process_name(event.args),
            _ => {}
        }
        self.events += 1;
    }

    fn member(&mut self, key: &[u8], value: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Distributed {
            rank: Option<u32>,
            world_size: Option<u32>,
        }
        match key {
            b"distributedInfo" => {
                if let Ok(info) = serde_json::from_slice::<Distributed>(value) {
                    self.metadata.rank = info.rank.or(self.metadata.rank);
                    self.metadata.world_size = info.world_size.or(self.metadata.world_size);
                }
            }
            b"vllm_version" => self.metadata.vllm_version = serde_json::from_slice(value).ok(),
            b"baseTimeNanoseconds" => self.metadata.base_time_ns = serde_json::from_slice(value).ok(),
            _ => {}
        }
    }

    fn defect(&mut self, kind: DefectKind, offset: u64, detail: &dyn Fn() -> String) {
        self.defects.record(kind, 1, offset, self.events, detail);
    }
}

/// The categories met so far. There are some twenty, and runs of one category are long, so the last
/// one is tried first and the rest in turn.
#[derive(Debug, Default)]
struct Categories(Vec<(String, CategoryTotal)>, usize);

impl Categories {
    fn find(&mut self, raw: &[u8]) -> usize {
        if let Some((name, _)) = self.0.get(self.1)
            && name.as_bytes() == raw
        {
            return self.1;
        }
        let text = String::from_utf8_lossy(raw);
        self.1 = match self.0.iter().position(|(name, _)| *name == text) {
            Some(known) => known,
            // A hostile file may invent a category per event; those beyond a thousand share one.
            None if self.0.len() > 1_000 => 0,
            None => {
                self.0.push((text.into_owned(), CategoryTotal::default()));
                self.0.len() - 1
            }
        };
        self.1
    }
}

/// Handle of a (pid, tid) pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LaneId(usize);

#[derive(Debug, Default)]
struct Lanes(HashMap<LaneKey, LaneId>);

/// pid and tid as written, quotes removed.
pub(crate) type LaneKey = (Box<[u8]>, Box<[u8]>);

impl Lanes {
    fn find(&mut self, pid: &[u8], tid: &[u8]) -> LaneId {
        let next = LaneId(self.0.len());
        *self.0.entry((pid.into(), tid.into())).or_insert(next)
    }
}
