//! Operators: how often each ran in a step and behind it, counted by a second pass over the file, so that a reader
//! who asks for steps only pays for steps only.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::call_tree::{Call, is_shape, lines};
use super::defect::DefectKind;
use super::model::Trace;
use super::names::{Names, Role, decode};
use super::operator_name::stable;
use super::pairs::LaneKey;
use super::read::{Sink, read_file};
use super::scan::RawEvent;
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
    /// Which called which inside the step, as indented lines; absent behind the first 512 steps.
    pub calls: Option<Vec<String>>,
}

impl Operators {
    /// Reads the file a second time. Without steps there is nothing to count for.
    ///
    /// Host events only, on the worker's own thread where it is known: what a device runs late and what
    /// other threads run meanwhile falls into one step or the next by chance. Copies of the device are
    /// counted for the budgets.
    #[must_use]
    pub(crate) fn read(path: &Path, trace: &Trace) -> Self {
        let Some(origin) = trace.origin else { return Self::default() };
        let spans = trace.steps.iter().map(|step| Span {
            start: origin + step.start_ns,
            end: origin + step.end_ns(),
            inside: HashMap::new(),
            refresh: HashMap::new(),
            behind: HashMap::new(),
            calls: Vec::new(),
        });
        let mut pass = Pass {
            lane: trace.lane.as_ref(),
            refreshes: &trace.refreshes,
            spans: spans.collect(),
            names: Names::default(),
            known: Vec::new(),
            texts: Vec::new(),
            rewritten: 0,
            events: 0,
        };
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
    calls: Vec<(u32, Nanos, Nanos)>,
}

struct Pass<'a> {
    lane: Option<&'a LaneKey>,
    refreshes: &'a [(Nanos, Nanos)],
    spans: Vec<Span>,
    names: Names,
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

impl Pass<'_> {
    fn is_counted(&self, event: &RawEvent<'_>) -> bool {
        match event.ph {
            b"X" if is_one_of(event.cat, &HOST) => {
                self.lane.is_none_or(|(pid, tid)| *event.pid == **pid && *event.tid == **tid)
            }
            b"X" => is_one_of(event.cat, &COPIES),
            // The bridge's own events come as begin and end, in lanes of their own.
            b"B" => is_one_of(event.cat, &HOST),
            _ => false,
        }
    }

    /// The place of the event's stable name; nothing for names that mean steps.
    fn text(&mut self, raw: &[u8]) -> Option<u32> {
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
        let short = stable(&whole);
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

    fn into_operators(self) -> Operators {
        let Self { spans, texts, rewritten, events, .. } = self;
        let counts = |counted: &HashMap<u32, u64>| -> Counts {
            counted.iter().map(|(place, count)| (Arc::clone(&texts[*place as usize]), *count)).collect()
        };
        let steps = spans.iter().enumerate().map(|(number, span)| StepOperators {
            inside: counts(&span.inside),
            refresh: counts(&span.refresh),
            behind: counts(&span.behind),
            calls: (number < TREES).then(|| {
                let call = |(place, start, end): &(u32, Nanos, Nanos)| Call {
                    name: &texts[*place as usize],
                    start: *start,
                    end: *end,
                };
                lines(span.calls.iter().map(call).collect())
            }),
        });
        Operators { events, rewritten, steps: steps.collect() }
    }
}

impl Sink for Pass<'_> {
    fn event(&mut self, event: &RawEvent<'_>, _offset: u64) {
        if !self.is_counted(event) {
            return;
        }
        let Some(start) = Nanos::parse_micros(event.ts) else { return };
        // What began before the first step belongs to none.
        let Some(number) = self.spans.partition_point(|span| span.start <= start).checked_sub(1) else {
            return;
        };
        let Some(text) = self.text(event.name) else { return };
        self.events += 1;
        let shape = number < TREES && is_shape(&self.texts[text as usize]);
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
