//! Operators: how often each ran in a step and behind it, counted by a second pass over the file, so that a reader
//! who asks for steps only pays for steps only.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::call_tree::{Call, is_shape, lines};
use super::defect::DefectKind;
use super::device::is_device_category;
use super::kernel_name;
use super::launches::{Launches, correlation, is_runtime};
use super::model::Trace;
use super::names::{Names as Interned, Role, decode};
use super::operator_name::{one_line, stable};
use super::pairs::LaneKey;
use super::read::{Sink, read_file};
use super::scan::RawEvent;
use super::step::Step;
use crate::time::Nanos;

/// How often each operator ran, by its stable name.
pub type Counts = BTreeMap<Arc<str>, u64>;

/// Steps whose call trees are kept; the trees of a long trace would need gigabytes.
const TREES: usize = 512;
/// Distinct names counted by themselves. A real worker has some hundred; a hostile file may invent one an event.
const MOST_NAMES: usize = 4_096;
/// What names beyond [`MOST_NAMES`] are counted as.
const OTHERS: &str = "(other names)";

/// The operators of one rank's trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operators {
    /// Operator events that were counted.
    pub events: u64,
    /// Distinct names of which something was left out, such as a hash or an address.
    pub rewritten: usize,
    /// Kernels, copies and fills of a device whose launch is in no step, or not in the file: they are in no count.
    pub unlaunched: u64,
    /// One entry a step, in their order.
    pub steps: Vec<StepOperators>,
}

/// The operators of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOperators {
    /// Those that began inside the step.
    pub inside: Counts,
    /// Those among them that copied the sampler's parameters into a batch that had changed, where Python
    /// stacks say so; they are not counted in `inside`.
    pub refresh: Counts,
    /// Those that began between the step's end and the next step: the sampler.
    pub behind: Counts,
    /// What the step and the sampler behind it made the device run, copies left out: kernels and fills by the name
    /// of what they do.
    pub device: Counts,
    /// Which called which inside the step, as indented lines; absent behind the first 512 steps.
    pub calls: Option<Vec<String>>,
}

/// How kernels are named in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Names {
    /// Without what compilers choose.
    #[default]
    Stable,
    /// As they stand in the file.
    Exact,
}

impl Operators {
    /// Reads the file a second time. Without steps there is nothing to count for.
    ///
    /// Host events only, on the worker's own thread where it is known: what other threads run meanwhile falls into
    /// one step or the next by chance. What a device runs belongs to the step whose launch made it.
    #[must_use]
    pub(crate) fn read(path: &Path, trace: &Trace, kernels: Names) -> Self {
        let Some(origin) = trace.origin else { return Self::default() };
        let span = |step: &Step| Span::new(origin + step.start_ns, origin + step.end_ns());
        let spans = trace.steps.iter().map(span).collect();
        let mut pass = Pass::new(trace.lane.as_ref(), &trace.refreshes, spans, kernels);
        read_file(path, &mut pass);
        pass.into_operators()
    }

    /// The whole file as if it were one step, on every thread.
    #[must_use]
    pub(crate) fn whole(path: &Path, kernels: Names) -> Self {
        let span = Span::new(Nanos::from_ns(i64::MIN), Nanos::from_ns(i64::MAX));
        let mut pass = Pass { whole: true, ..Pass::new(None, &[], vec![span], kernels) };
        read_file(path, &mut pass);
        pass.into_operators()
    }
}

struct Span {
    start: Nanos,
    end: Nanos,
    inside: HashMap<u32, u64>,
    refresh: HashMap<u32, u64>,
    behind: HashMap<u32, u64>,
    device: HashMap<u32, u64>,
    calls: Vec<(u32, Nanos, Nanos)>,
}

impl Span {
    fn new(start: Nanos, end: Nanos) -> Self {
        let none = HashMap::new;
        Self {
            start,
            end,
            inside: none(),
            refresh: none(),
            behind: none(),
            device: none(),
            calls: Vec::new(),
        }
    }
}

/// Something that the device ran.
#[derive(Clone, Copy)]
struct Ran {
    text: u32,
    copy: bool,
    launch: u64,
}

struct Pass<'a> {
    lane: Option<&'a LaneKey>,
    refreshes: &'a [(Nanos, Nanos)],
    spans: Vec<Span>,
    names: Interned,
    kernels: Names,
    launches: Launches,
    /// What the device ran before its launch was met in the file.
    pending: Vec<Ran>,
    unlaunched: u64,
    /// The whole file is one step.
    whole: bool,
    /// By handle of a raw name: the place of its stable one in `texts`.
    known: Vec<Option<u32>>,
    texts: Vec<Arc<str>>,
    rewritten: usize,
    events: u64,
}

/// Categories of host events that run operators or call the device's runtime, in lower case: upstream's, and
/// `Runtime` of Gaudi's bridge 1.19.
const HOST: [&str; 6] = ["cpu_op", "hpu_op", "cuda_runtime", "cuda_driver", "runtime", "privateuse1_runtime"];
/// Categories of copies as the device runs them.
const COPIES: [&str; 3] = ["gpu_memcpy", "memcpy", "privateuse1_memcpy"];

fn is_one_of(category: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| category.eq_ignore_ascii_case(known.as_bytes()))
}

impl<'a> Pass<'a> {
    fn new(
        lane: Option<&'a LaneKey>,
        refreshes: &'a [(Nanos, Nanos)],
        spans: Vec<Span>,
        kernels: Names,
    ) -> Self {
        Self {
            lane,
            refreshes,
            spans,
            names: Interned::default(),
            kernels,
            launches: Launches::default(),
            pending: Vec::new(),
            unlaunched: 0,
            whole: false,
            known: Vec::new(),
            texts: Vec::new(),
            rewritten: 0,
            events: 0,
        }
    }

    /// Something on the device: counted where its launch was, now or when that is known. Without a number that joins
    /// the two, as on Gaudi, only copies are counted, by when they ran.
    fn on_device(&mut self, event: &RawEvent<'_>, start: Nanos) {
        let copy = is_one_of(event.cat, &COPIES);
        let launch = correlation(event);
        if launch.is_none() && !copy && !self.whole {
            return;
        }
        let Some(text) = self.text(event.name, !copy) else { return };
        match launch {
            Some(launch) if !self.whole => {
                let ran = Ran { text, copy, launch };
                match self.launches.begun(launch) {
                    Some(at) => self.ran(ran, at),
                    None => self.pending.push(ran),
                }
            }
            _ => self.ran(Ran { text, copy, launch: 0 }, start),
        }
    }

    fn ran(&mut self, ran: Ran, at: Nanos) {
        let number = self.spans.partition_point(|span| span.start <= at).checked_sub(1);
        let Some(span) = number.and_then(|number| self.spans.get_mut(number)) else {
            self.unlaunched += 1;
            return;
        };
        self.events += 1;
        let counts = match ran.copy {
            true if at < span.end => &mut span.inside,
            true => &mut span.behind,
            false => &mut span.device,
        };
        *counts.entry(ran.text).or_default() += 1;
    }

    fn is_counted(&self, event: &RawEvent<'_>) -> bool {
        match event.ph {
            b"X" if is_one_of(event.cat, &HOST) => {
                self.lane.is_none_or(|(pid, tid)| *event.pid == **pid && *event.tid == **tid)
            }
            // The bridge's own events come as begin and end, in lanes of their own.
            b"B" => is_one_of(event.cat, &HOST),
            _ => false,
        }
    }

    /// The place of the event's stable name; nothing for names that mean steps.
    fn text(&mut self, raw: &[u8], kernel: bool) -> Option<u32> {
        let id = self.names.intern(raw, (0, 0));
        if self.names.role(id) != Role::Other {
            return None;
        }
        if self.known.len() <= id.index() {
            self.known.resize(id.index() + 1, None);
        }
        if let Some(place) = self.known[id.index()] {
            return Some(place);
        }
        let whole = decode(raw).0;
        let short = match self.kernels {
            Names::Exact if kernel => one_line(&whole),
            Names::Stable if kernel => kernel_name::stable(&whole),
            _ => stable(&whole),
        };
        self.rewritten += usize::from(short != whole);
        let name = if self.texts.len() < MOST_NAMES { short.as_str() } else { OTHERS };
        let known = self.texts.iter().position(|text| **text == *name);
        let place = known.unwrap_or_else(|| {
            self.texts.push(name.into());
            self.texts.len() - 1
        }) as u32;
        self.known[id.index()] = Some(place);
        Some(place)
    }

    fn into_operators(mut self) -> Operators {
        for ran in std::mem::take(&mut self.pending) {
            match self.launches.begun(ran.launch) {
                Some(at) => self.ran(ran, at),
                None => self.unlaunched += 1,
            }
        }
        let Self { spans, texts, rewritten, events, unlaunched, whole, .. } = self;
        let counts = |counted: &HashMap<u32, u64>| -> Counts {
            counted.iter().map(|(place, count)| (Arc::clone(&texts[*place as usize]), *count)).collect()
        };
        let steps = spans.iter().enumerate().map(|(number, span)| StepOperators {
            inside: counts(&span.inside),
            refresh: counts(&span.refresh),
            behind: counts(&span.behind),
            device: counts(&span.device),
            calls: (number < TREES && !whole).then(|| {
                let call = |(place, start, end): &(u32, Nanos, Nanos)| Call {
                    name: &texts[*place as usize],
                    start: *start,
                    end: *end,
                };
                lines(span.calls.iter().map(call).collect())
            }),
        });
        Operators { events, rewritten, unlaunched, steps: steps.collect() }
    }
}

impl Sink for Pass<'_> {
    fn event(&mut self, event: &RawEvent<'_>, _offset: u64) {
        let slice = |of: fn(&str) -> bool| event.ph == b"X" && std::str::from_utf8(event.cat).is_ok_and(of);
        let (runtime, device) = (slice(is_runtime), slice(is_device_category));
        let counted = self.is_counted(event);
        if !(runtime || device || counted) {
            return;
        }
        let Some(start) = Nanos::parse_micros(event.ts) else { return };
        if device {
            return self.on_device(event, start);
        }
        // Any thread launches; operators are counted on the worker's.
        if runtime {
            self.launches.call(event, start);
        }
        if !counted {
            return;
        }
        // What began before the first step belongs to none.
        let Some(number) = self.spans.partition_point(|span| span.start <= start).checked_sub(1) else {
            return;
        };
        let Some(text) = self.text(event.name, false) else { return };
        self.events += 1;
        let shape = !self.whole && number < TREES && is_shape(&self.texts[text as usize]);
        let span = &mut self.spans[number];
        if start >= span.end {
            *span.behind.entry(text).or_default() += 1;
            return;
        }
        let refresh = self.refreshes.partition_point(|(from, _)| *from <= start).checked_sub(1);
        if refresh.and_then(|at| self.refreshes.get(at)).is_some_and(|(_, until)| start < *until) {
            *span.refresh.entry(text).or_default() += 1;
            return;
        }
        *span.inside.entry(text).or_default() += 1;
        if shape && let Some(duration) = Nanos::parse_micros(event.dur) {
            span.calls.push((text, start, start + duration.max(Nanos::ZERO)));
        }
    }

    fn member(&mut self, _key: &[u8], _value: &[u8]) {}

    // The first pass has reported every defect already.
    fn defect(&mut self, _kind: DefectKind, _offset: u64, _detail: &dyn Fn() -> String) {}
}
