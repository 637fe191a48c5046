//! Every event of a file, held by lane until the file is read: slices that overlap are told only when a lane is whole.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::time::Nanos;
use crate::trace::defect::DefectKind;
use crate::trace::names::{NameId, Names, decode};
use crate::trace::pairs::{Begun, LaneKey, Paired, Pairs, Place};
use crate::trace::read::Sink;
use crate::trace::scan::RawEvent;

/// A slice, some 48 bytes, and its arguments' text.
pub(super) struct Slice {
    pub(super) name: NameId,
    pub(super) category: u32,
    pub(super) start: Nanos,
    pub(super) end: Nanos,
    pub(super) args: Args,
}

/// Where arguments stand among all arguments' text.
#[derive(Clone, Copy, Default)]
pub(super) struct Args {
    at: usize,
    length: usize,
}

pub(super) struct Instant {
    pub(super) name: NameId,
    pub(super) category: u32,
    pub(super) at: Nanos,
    pub(super) args: Args,
}

/// One end of an arrow.
pub(super) struct FlowPoint {
    pub(super) id: u64,
    pub(super) at: Nanos,
    /// The last end of the arrow.
    pub(super) ends: bool,
    /// It belongs to the slice around it; otherwise to the next one that begins.
    pub(super) around: bool,
}

/// Everything of one (pid, tid).
#[derive(Default)]
pub(super) struct Lane {
    pub(super) slices: Vec<Slice>,
    pub(super) instants: Vec<Instant>,
    pub(super) flows: Vec<FlowPoint>,
    pub(super) name: Option<String>,
}

/// Values of one counter over time.
pub(super) type Series = Vec<(Nanos, f64)>;

/// A whole file.
#[derive(Default)]
pub(super) struct Events {
    pub(super) lanes: BTreeMap<LaneKey, Lane>,
    pub(super) processes: BTreeMap<Box<[u8]>, String>,
    /// By pid and by name and key.
    pub(super) counters: BTreeMap<(Box<[u8]>, String), Series>,
    pub(super) names: Names,
    pub(super) categories: Vec<String>,
    category_ids: HashMap<Box<[u8]>, u32>,
    arguments: Vec<u8>,
    pairs: Pairs,
    /// Arguments of the begin events that wait for their ends, by the place of the event.
    begun: HashMap<u64, Args>,
    /// Events that have no form here: asynchronous ones, objects, ends without begins.
    pub(super) left_out: u64,
    events: u64,
}

impl Events {
    pub(super) fn arguments(&self, args: Args) -> &[u8] {
        self.arguments.get(args.at..args.at + args.length).unwrap_or_default()
    }

    fn keep(&mut self, args: &[u8]) -> Args {
        if args.len() < 3 {
            return Args::default();
        }
        let at = self.arguments.len();
        self.arguments.extend_from_slice(args);
        Args { at, length: args.len() }
    }

    fn category(&mut self, raw: &[u8]) -> u32 {
        if let Some(known) = self.category_ids.get(raw) {
            return *known;
        }
        let id = self.categories.len() as u32;
        self.categories.push(decode(raw).0);
        self.category_ids.insert(raw.into(), id);
        id
    }

    fn lane(&mut self, event: &RawEvent<'_>) -> &mut Lane {
        self.lanes.entry((event.pid.into(), event.tid.into())).or_default()
    }

    fn paired(&mut self, paired: Paired) {
        let Paired::Slice { begun, end, lane } = paired else {
            self.left_out += 1;
            return;
        };
        let Some(key) = self.pairs.key(lane).cloned() else { return };
        let args = self.begun.remove(&begun.place.index).unwrap_or_default();
        let slice =
            Slice { name: begun.name, category: begun.category as u32, start: begun.start, end, args };
        self.lanes.entry(key).or_default().slices.push(slice);
    }

    /// Closes the pass: slices still held back are kept.
    pub(super) fn finish(&mut self) {
        for paired in self.pairs.finish() {
            self.paired(paired);
        }
    }

    fn slice(&mut self, event: &RawEvent<'_>, start: Nanos, place: Place) {
        let (name, category) = (self.names.intern(event.name, (0, 0)), self.category(event.cat));
        let args = self.keep(event.args);
        if event.ph == b"X" {
            let duration = Nanos::parse_micros(event.dur).unwrap_or_default().max(Nanos::ZERO);
            self.lane(event).slices.push(Slice { name, category, start, end: start + duration, args });
            return;
        }
        self.begun.insert(place.index, args);
        let begun = Begun { name, category: category as usize, start, place };
        let paired = self.pairs.begin(event.pid, event.tid, begun);
        paired.into_iter().for_each(|paired| self.paired(paired));
    }

    fn named(&mut self, event: &RawEvent<'_>) {
        let name = serde_json::from_slice::<serde_json::Value>(event.args).ok();
        let Some(name) = name.as_ref().and_then(|args| args.get("name")?.as_str()) else { return };
        match event.name {
            b"process_name" => {
                self.processes.insert(event.pid.into(), name.to_owned());
            }
            b"thread_name" => self.lane(event).name = Some(name.to_owned()),
            _ => {}
        }
    }

    fn counted(&mut self, event: &RawEvent<'_>, at: Nanos) {
        let name = decode(event.name).0;
        let Ok(serde_json::Value::Object(values)) = serde_json::from_slice(event.args) else {
            self.left_out += 1;
            return;
        };
        for (key, value) in values {
            let Some(value) = value.as_f64() else { continue };
            let name = if key.is_empty() { name.clone() } else { format!("{name} {key}") };
            self.counters.entry((event.pid.into(), name)).or_default().push((at, value));
        }
    }
}

impl Sink for Events {
    fn event(&mut self, event: &RawEvent<'_>, offset: u64) {
        let place = Place { offset, index: self.events };
        self.events += 1;
        if event.ph == b"M" {
            return self.named(event);
        }
        let Some(at) = Nanos::parse_micros(event.ts) else {
            self.left_out += 1;
            return;
        };
        match event.ph {
            b"X" | b"B" => self.slice(event, at, place),
            b"E" => {
                let paired = self.pairs.end(event.pid, event.tid, at, place);
                paired.into_iter().for_each(|paired| self.paired(paired));
            }
            b"i" | b"I" | b"R" => {
                let (name, category) = (self.names.intern(event.name, (0, 0)), self.category(event.cat));
                let args = self.keep(event.args);
                self.lane(event).instants.push(Instant { name, category, at, args });
            }
            b"C" => self.counted(event, at),
            b"s" | b"t" | b"f" => {
                let id = FixedState::with_seed(0).hash_one((event.cat, event.name, event.id));
                let around = event.ph != b"f" || event.bp == b"e";
                self.lane(event).flows.push(FlowPoint { id, at, ends: event.ph == b"f", around });
            }
            _ => self.left_out += 1,
        }
    }

    fn member(&mut self, _key: &[u8], _value: &[u8]) {}

    // The first pass has reported every defect already.
    fn defect(&mut self, _kind: DefectKind, _offset: u64, _detail: &dyn Fn() -> String) {}
}
