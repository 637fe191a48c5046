//! The collector: gives the scanner's events a meaning while they pass and keeps only what decides.

use super::annotation::Annotation;
use super::code_line::CodeLine;
use super::defect::{DefectKind, Defects, Problem};
use super::device::is_engine;
use super::forward_name::{Forward, Real};
use super::frame_marks::FrameMark;
use super::label::Writer;
use super::marks::{Counters, DeviceLane, Marks, Timed, Values};
use super::names::{NameId, Names, Role};
use super::pairs::{Begun, LaneKey, Paired, Pairs, Place};
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
    /// Objects among the events without a phase and without a time: none of a trace's events lacks both.
    shapeless: u64,
    pub(crate) steps: Vec<RawStep>,
    /// Who named the steps, where that is not vLLM by its form alone.
    pub(crate) writer: Option<Writer>,
    /// pid and tid of the first step: the lane on which the worker runs.
    pub(crate) step_lane: Option<LaneKey>,
    /// Lanes of the device's engines.
    pub(crate) engines: Vec<LaneKey>,
    /// The same of the first frame that tells something.
    pub(crate) frame_lane: Option<LaneKey>,
    pub(crate) window: Option<(Nanos, Nanos)>,
    /// When the sampler's parameters were copied into the batch; once a step at most.
    pub(crate) refreshes: Vec<(Nanos, Nanos)>,
    /// Compilations by start, with their names.
    pub(crate) compiles: Vec<(Nanos, NameId)>,
    pub(crate) marks: Marks,
    /// Annotations that cannot tell a decode from a later chunk of a prompt.
    pub(crate) ambiguous: u64,
    pub(crate) metadata: Metadata,
    categories: Categories,
    names: Names,
    pairs: Pairs,
    defects: Defects,
}

/// What the top-level object and the `M` events say about the file.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) rank: Option<u32>,
    pub(crate) world_size: Option<u32>,
    pub(crate) vllm_version: Option<String>,
    pub(crate) base_time_ns: Option<i64>,
    pub(crate) host: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) process_names: Vec<String>,
}

/// A complete slice, however it was written.
#[derive(Clone, Copy)]
struct Slice<'e> {
    name: NameId,
    category: usize,
    start: Nanos,
    duration: Nanos,
    place: Place,
    /// Empty where begin and end were events of their own.
    args: &'e [u8],
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

    /// Closes the pass: slices still held back are kept, and what has no partner becomes a problem.
    pub(crate) fn finish(&mut self) {
        for paired in self.pairs.finish() {
            self.paired(paired);
        }
    }

    /// Hands over the problems; open ends and flawed names are among them.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.finish();
        for (kind, count, offset, index, name) in self.names.flaws() {
            self.defects.record(kind, count, offset, index, || super::defect::excerpt(name.as_bytes()));
        }
        self.defects.into_problems()
    }

    /// A list of objects none of which is an event.
    pub(crate) fn is_no_trace(&self) -> bool {
        self.events > 0 && self.shapeless == self.events
    }

    pub(crate) fn has_fatal(&self) -> bool {
        self.defects.has_fatal()
    }

    pub(crate) fn note(&mut self, kind: DefectKind, count: u64, detail: &str) {
        self.defects.record(kind, count, 0, self.events, || detail.to_owned());
    }

    /// Says by its name what a file is whose bytes did not tell.
    pub(crate) fn name_format(&mut self, file: &str) {
        let unknown = |detail: &str| {
            detail.starts_with(super::foreign::UNKNOWN).then(|| super::foreign::by_name(file))?
        };
        self.defects.restate(DefectKind::NotATrace, unknown);
    }

    /// Forgets a defect that belongs to the file's format.
    pub(crate) fn forgive(&mut self, kind: DefectKind) {
        self.defects.forget(kind);
    }

    fn flag(&mut self, kind: DefectKind, offset: u64, detail: &[u8]) {
        self.defects.record(kind, 1, offset, self.events, || super::defect::excerpt(detail));
    }

    fn slice(&mut self, slice: Slice<'_>, lane: impl FnOnce(&Self) -> Option<LaneKey>) {
        let Slice { name, category, start, duration, place, .. } = slice;
        // Beyond 64 bits of nanoseconds a time is cut to the last one there is, and said to be.
        if start.as_ns().checked_add(duration.as_ns()).is_none() {
            let detail = format!("{start} and {duration} together are beyond 64 bits of nanoseconds");
            self.defects.record(DefectKind::BadTimestamp, 1, place.offset, place.index, || detail);
        }
        self.categories.0[category].1.duration_ns += i128::from(duration.as_ns());
        let role = self.names.role(name);
        if role != Role::Other {
            self.meant(role, slice, lane);
        }
    }

    /// A slice whose name means something, if it stands in the category of those.
    fn meant(&mut self, role: Role, slice: Slice<'_>, lane: impl FnOnce(&Self) -> Option<LaneKey>) {
        let Slice { name, category, start, duration, args, .. } = slice;
        let category = self.categories.0[category].0.as_str();
        match role {
            // On a GPU the same name appears again as `gpu_user_annotation`: one of them counts.
            Role::Step(annotation) if category == "user_annotation" => {
                if self.step_lane.is_none() {
                    self.step_lane = lane(self);
                }
                self.writer.get_or_insert(annotation.writer());
                self.ambiguous +=
                    u64::from(matches!(annotation, Annotation::NewCached { new: 0, cached: 1.. }));
                if let Annotation::Label(_, batch) = annotation {
                    self.writer = Some(annotation.writer());
                    self.marks.labels.push(RawStep::whole(batch, &Timed { what: (), start, duration }));
                    return;
                }
                if self.steps.is_empty() {
                    self.marks.code_line = Some(CodeLine::VllmV1);
                    // Annotations outweigh frames, of which a file has thousands a step.
                    self.marks.frames = Vec::new();
                }
                self.steps.push(RawStep::whole(annotation.into(), &Timed { what: (), start, duration }));
            }
            Role::UnreadStep if category == "user_annotation" => {
                self.marks.unread.push(Timed { what: (), start, duration });
            }
            // The host's own outweigh them, and stand in front of them.
            Role::Step(_) | Role::ProfilerStep
                if category == "gpu_user_annotation"
                    && self.steps.is_empty()
                    && self.marks.profiler_steps.is_empty() =>
            {
                if let Some(key) = lane(self) {
                    self.on_device(key, role, start, duration);
                }
            }
            Role::Refresh if category == "python_function" => {
                self.refreshes.push((start, start + duration));
            }
            Role::Capture if category == "user_annotation" => self.marks.captures = true,
            Role::Window => self.window = Some((start, start + duration)),
            Role::Compile => self.compiles.push((start, name)),
            // The plugin's slices have no category; an operator may have the same name.
            Role::Phase(what) if category.is_empty() => {
                if self.names.text(name) == "prompt" {
                    self.marks.says_prompt = true;
                    self.marks.code_line.get_or_insert(CodeLine::GaudiForkV0);
                }
                self.marks.phases.push(Timed { what, start, duration });
            }
            Role::Preparation if category.is_empty() => {
                self.marks.preparations.push(Timed { what: (), start, duration });
            }
            Role::Forward(what) if category.is_empty() => {
                let own = if what.kind.is_some() { CodeLine::GaudiForkV0 } else { CodeLine::GaudiPluginV1 };
                self.marks.code_line.get_or_insert(own);
                let what = Forward { real: Real::parse(args), ..what };
                self.marks.forwards.push(Timed { what, start, duration });
            }
            Role::Closing { samples } if category.is_empty() => {
                self.marks.closings.push(Timed { what: samples, start, duration });
            }
            Role::WarmUp if category.is_empty() => {
                self.marks.warmup_end = self.marks.warmup_end.max(Some(start + duration));
            }
            Role::ProfilerStep if category == "user_annotation" => {
                self.marks.profiler_steps.push(Timed { what: (), start, duration });
            }
            Role::Frame(what) if category == "python_function" && self.steps.is_empty() => {
                self.marks.code_line = self.marks.code_line.or(what.code_line);
                if matches!(what.mark, FrameMark::Runs(_)) {
                    self.writer.get_or_insert(Writer::Sglang);
                }
                if self.frame_lane.is_none() {
                    self.frame_lane = lane(self);
                }
                self.marks.frames.push(Timed { what, start, duration });
            }
            _ => {}
        }
    }

    fn on_device(&mut self, key: LaneKey, role: Role, start: Nanos, duration: Nanos) {
        let known = self.marks.device.iter().position(|(lane, _)| *lane == key);
        let place = match known {
            Some(place) => place,
            // A device has some dozens of streams.
            None if self.marks.device.len() >= 256 => return,
            None => {
                self.marks.device.push((key, DeviceLane::default()));
                self.marks.device.len() - 1
            }
        };
        let Some((_, lane)) = self.marks.device.get_mut(place) else { return };
        match role {
            Role::Step(annotation) => {
                self.writer.get_or_insert(annotation.writer());
                lane.steps.push(RawStep::whole(annotation.into(), &Timed { what: (), start, duration }));
            }
            _ => lane.iterations.push(Timed { what: (), start, duration }),
        }
    }

    /// The trace is a server's: its metadata, its processes or its names say so.
    pub(crate) fn serving(&self) -> bool {
        let servers = ["VLLM", "vLLM", "sglang"];
        let process = |name: &String| servers.iter().any(|server| name.starts_with(server));
        self.metadata.vllm_version.is_some()
            || self.names.serving()
            || self.metadata.process_names.iter().any(process)
    }

    fn paired(&mut self, paired: Paired) {
        match paired {
            Paired::Slice { begun, end, lane } => {
                let Begun { name, category, start, place } = begun;
                let slice = Slice { name, category, start, duration: end - start, place, args: &[] };
                self.slice(slice, |all| all.pairs.key(lane).cloned());
            }
            Paired::DanglingBegin(Begun { name, place, .. }) => {
                let name = self.names.text(name);
                let detail = || name.to_owned();
                self.defects.record(DefectKind::DanglingBegin, 1, place.offset, place.index, detail);
            }
            Paired::DanglingEnd(place) => {
                let detail = || "an end without a begin".to_owned();
                self.defects.record(DefectKind::DanglingEnd, 1, place.offset, place.index, detail);
            }
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

    /// The plugin's counters; other counters mean nothing here.
    fn counters(&mut self, event: &RawEvent<'_>) {
        if let (Some(at), Some(values)) = (Nanos::parse_micros(event.ts), Values::parse(event.args)) {
            self.marks.counters.push(Counters { at, values });
        }
    }

    /// Threads that are named after an engine of the device.
    fn thread_name(&mut self, event: &RawEvent<'_>) {
        let lane = || (event.pid.into(), event.tid.into());
        let engine = named(event.args).is_some_and(|name| is_engine(&name));
        // Kineto repeats the names of a thread; a device has some dozens of engines.
        if engine && self.engines.len() < 1_024 && !self.engines.contains(&lane()) {
            self.engines.push(lane());
        }
    }

    /// Python frames that were met most, of workers and model runners where there are any.
    pub(crate) fn most_frames(&self, most: usize) -> Vec<String> {
        self.names.most_frames(most)
    }

    pub(crate) fn name(&self, id: NameId) -> &str {
        self.names.text(id)
    }

    fn process_name(&mut self, args: &[u8]) {
        if let Some(name) = named(args)
            && self.metadata.process_names.len() < 64
            && !self.metadata.process_names.contains(&name)
        {
            self.metadata.process_names.push(name);
        }
    }
}

/// The name inside a metadata event's arguments.
fn named(args: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Args {
        name: String,
    }
    Some(serde_json::from_slice::<Args>(args).ok()?.name)
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
        self.shapeless += u64::from(event.ph.is_empty() && event.ts.is_empty());
        let category = self.categories.find(event.cat);
        self.categories.0[category].1.events += 1;
        match event.ph {
            b"X" | b"B" => {
                let name = self.names.intern(event.name, (offset, self.events));
                let place = Place { offset, index: self.events };
                match Nanos::parse_micros(event.ts) {
                    None => self.flag(DefectKind::BadTimestamp, offset, event.ts),
                    Some(start) if event.ph == b"X" => {
                        let duration = self.duration(event, offset);
                        let args = event.args;
                        let slice = Slice { name, category, start, duration, place, args };
                        self.slice(slice, |_| Some((event.pid.into(), event.tid.into())));
                    }
                    Some(start) => {
                        let begun = Begun { name, category, start, place };
                        let paired = self.pairs.begin(event.pid, event.tid, begun);
                        paired.into_iter().for_each(|paired| self.paired(paired));
                    }
                }
            }
            b"E" => match Nanos::parse_micros(event.ts) {
                None => self.flag(DefectKind::BadTimestamp, offset, event.ts),
                Some(end) => {
                    let place = Place { offset, index: self.events };
                    let paired = self.pairs.end(event.pid, event.tid, end, place);
                    paired.into_iter().for_each(|paired| self.paired(paired));
                }
            },
            b"C" if event.name == b"utils" => self.counters(event),
            b"M" if event.name == b"thread_name" => self.thread_name(event),
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
            b"host_name" => self.metadata.host = serde_json::from_slice(value).ok(),
            b"trace_id" => self.metadata.trace_id = serde_json::from_slice(value).ok(),
            b"baseTimeNanoseconds" => self.metadata.base_time_ns = serde_json::from_slice(value).ok(),
            _ => {}
        }
    }

    fn defect(&mut self, kind: DefectKind, offset: u64, detail: &dyn Fn() -> String) {
        self.defects.record(kind, 1, offset, self.events, detail);
    }
}

/// Categories that are told apart.
const MOST_CATEGORIES: usize = 1_000;
/// Stands for all others.
const OTHER: &str = "(other categories)";

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
            // A hostile file may invent a category per event; those beyond a thousand share one of their own, so
            // that none is taken for one that means something.
            None if self.0.len() > MOST_CATEGORIES => MOST_CATEGORIES,
            None => {
                let name = if self.0.len() == MOST_CATEGORIES { OTHER.to_owned() } else { text.into_owned() };
                self.0.push((name, CategoryTotal::default()));
                self.0.len() - 1
            }
        };
        self.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::read::read_bytes;

    /// The 1,002nd category shared the place of the first, and its events became decode steps.
    #[test]
    fn a_category_too_many_is_no_known_one() {
        let event = |cat: &str| {
            format!(
                r#"{{"ph":"X","cat":"{cat}","name":"execute_context_0(0)_generation_1(1)","pid":1,"tid":1,"ts":1,"dur":1}}"#
            )
        };
        let mut events = vec![event("user_annotation")];
        events.extend((0..1_100).map(|number| event(&format!("made_up_{number}"))));
        events.push(event("user_annotation"));
        let mut collector = Collector::default();
        read_bytes(format!("[{}]", events.join(",")).as_bytes(), usize::MAX, &mut collector);
        assert_eq!(collector.steps.len(), 2);
        let last = collector.categories().last().map(|(name, total)| (name.to_owned(), total.events));
        assert_eq!(last, Some((OTHER.to_owned(), 101)));
    }

    /// Measured once: frames kept beside annotations took 2 bytes an event, 38 MB of 20 million.
    #[test]
    fn frames_are_not_kept_where_annotations_tell_the_steps() {
        let frame = r#"{"ph":"X","cat":"python_function","name":"vllm/v1/worker/gpu_worker.py(1): execute_model","pid":1,"tid":1,"ts":1,"dur":1}"#;
        let step = r#"{"ph":"X","cat":"user_annotation","name":"execute_context_1(4)_generation_0(0)","pid":1,"tid":1,"ts":1,"dur":1}"#;
        let kept = |events: &[&str]| {
            let mut collector = Collector::default();
            read_bytes(format!("[{}]", events.join(",")).as_bytes(), usize::MAX, &mut collector);
            (collector.steps.len(), collector.marks.frames.len())
        };
        assert_eq!(kept(&[frame, frame]), (0, 2));
        assert_eq!(kept(&[frame, step, frame]), (1, 0));
    }
}
