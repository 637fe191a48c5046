//! A trace in Perfetto's own form, nothing dropped: slices that overlap on further tracks, steps and gaps as tracks on
//! top, flows kept. Holds the whole file: lanes are written one by one.

mod events;
mod message;
mod rows;
mod writer;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use self::events::{Events, FlowPoint, Lane};
use self::message::{BEGIN, BY_RANK, COUNTER, Counter, END, Event, INSTANT, Track};
use self::rows::{Edge, rows};
use self::writer::Writer;
use super::gap::neighbours;
use super::model::Trace;
use super::pairs::LaneKey;
use super::read::read_file;
use super::step::{Step, StepKind};
use crate::time::Nanos;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    /// Slices of the file.
    pub(crate) slices: u64,
    /// Those among them that overlap others of their lane, each on a further track.
    pub(crate) moved: u64,
    /// Ends of arrows that found a slice, and those that did not.
    pub(crate) flows: u64,
    pub(crate) loose_flows: u64,
    /// Instants and values of counters.
    pub(crate) others: u64,
    /// Events without a form here.
    pub(crate) left_out: u64,
}

/// Writes a trace that was read from `path`.
///
/// # Errors
/// Writing failed.
pub(crate) fn export(path: &Path, trace: &Trace, out: impl Write) -> io::Result<Exported> {
    let mut events = Events::default();
    read_file(path, &mut events);
    events.finish();
    let mut export = Export { writer: Writer::new(out, earliest(&events)), done: Exported::default() };
    export.done.left_out = events.left_out;
    export.steps(trace)?;
    export.processes(&mut events)?;
    export.writer.finish()?;
    Ok(export.done)
}

fn earliest(events: &Events) -> Nanos {
    let of_lane = |lane: &Lane| {
        let slices = lane.slices.iter().map(|slice| slice.start);
        slices.chain(lane.instants.iter().map(|instant| instant.at)).min()
    };
    let counted = events.counters.values().flatten().map(|(at, _)| *at).min();
    events.lanes.values().filter_map(of_lane).chain(counted).min().unwrap_or_default()
}

struct Export<W> {
    writer: Writer<W>,
    done: Exported,
}

/// A slice of our own.
struct Own {
    name: String,
    start: Nanos,
    end: Nanos,
}

impl<W: Write> Export<W> {
    /// The steps and the gaps between them, above everything.
    fn steps(&mut self, trace: &Trace) -> io::Result<()> {
        let Some(origin) = trace.origin else { return Ok(()) };
        let top = self.group("tracegate", -1)?;
        let step = |step: &Step| Own {
            name: label(step),
            start: origin + step.start_ns,
            end: origin + step.end_ns(),
        };
        self.own(top, "steps", 0, &trace.steps.iter().map(step).collect::<Vec<_>>())?;
        let gap = |(before, step): (&Step, &Step)| {
            let gap = step.gap_ns.filter(|gap| *gap > Nanos::ZERO)?;
            let start = origin + step.start_ns;
            let name = format!("gap {} to {}", before.kind, step.kind);
            Some(Own { name, start: start - gap, end: start })
        };
        self.own(top, "step gaps", 1, &neighbours(&trace.steps).filter_map(gap).collect::<Vec<_>>())
    }

    fn own(&mut self, parent: u64, name: &str, rank: i32, slices: &[Own]) -> io::Result<()> {
        let spans: Vec<(Nanos, Nanos)> = slices.iter().map(|slice| (slice.start, slice.end)).collect();
        for (number, row) in rows(&spans).into_iter().enumerate() {
            let track = self.row(parent, name, rank, number)?;
            for edge in row {
                match edge {
                    Edge::End(at) => self.end(track, at)?,
                    Edge::Begin(place) => {
                        let name = Some(self.writer.name(&slices[place].name));
                        let categories = self.writer.category("tracegate");
                        let event = Event { name, categories, kind: BEGIN, track, ..Event::default() };
                        self.writer.event(slices[place].start, event)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The lanes of each process, in the order of their numbers.
    fn processes(&mut self, events: &mut Events) -> io::Result<()> {
        let mut lanes: Vec<(LaneKey, Lane)> = std::mem::take(&mut events.lanes).into_iter().collect();
        lanes.sort_by_cached_key(|((pid, tid), _)| (number(pid), number(tid)));
        let mut groups: BTreeMap<Box<[u8]>, u64> = BTreeMap::new();
        for (rank, ((pid, tid), lane)) in lanes.into_iter().enumerate() {
            if lane.slices.is_empty() && lane.instants.is_empty() {
                self.done.loose_flows += lane.flows.len() as u64;
                continue;
            }
            let group = self.process(&mut groups, events, &pid)?;
            let tid = String::from_utf8_lossy(&tid).into_owned();
            let name = titled(lane.name.as_deref().unwrap_or("thread"), &tid);
            self.lane(group, &name, rank as i32, lane, events)?;
        }
        let counters = std::mem::take(&mut events.counters);
        for ((pid, name), series) in counters {
            let group = self.process(&mut groups, events, &pid)?;
            let counter = Some(Counter {});
            let track =
                self.writer.track(Track { name, parent: Some(group), counter, ..Track::default() })?;
            for (at, value) in series {
                self.done.others += 1;
                let event = Event { kind: COUNTER, track, counter: Some(value), ..Event::default() };
                self.writer.event(at, event)?;
            }
        }
        Ok(())
    }

    fn process(
        &mut self,
        groups: &mut BTreeMap<Box<[u8]>, u64>,
        events: &Events,
        pid: &[u8],
    ) -> io::Result<u64> {
        if let Some(known) = groups.get(pid) {
            return Ok(*known);
        }
        let number = String::from_utf8_lossy(pid);
        let name = titled(events.processes.get(pid).map_or("process", String::as_str), &number);
        let group = self.group(&name, groups.len() as i32)?;
        groups.insert(pid.into(), group);
        Ok(group)
    }

    fn group(&mut self, name: &str, rank: i32) -> io::Result<u64> {
        let name = name.to_owned();
        self.writer.track(Track { name, rank, child_ordering: BY_RANK, ..Track::default() })
    }

    /// The first row has the lane's name; further ones hold what overlaps.
    fn row(&mut self, parent: u64, name: &str, rank: i32, number: usize) -> io::Result<u64> {
        let name = if number == 0 { name.to_owned() } else { format!("{name} (overlapping {number})") };
        self.writer.track(Track { name, rank, parent: Some(parent), ..Track::default() })
    }

    fn end(&mut self, track: u64, at: Nanos) -> io::Result<()> {
        self.writer.event(at, Event { kind: END, track, ..Event::default() })
    }

    fn lane(&mut self, group: u64, name: &str, rank: i32, lane: Lane, events: &Events) -> io::Result<()> {
        let spans: Vec<(Nanos, Nanos)> = lane.slices.iter().map(|slice| (slice.start, slice.end)).collect();
        let flows = self.bound(&spans, &lane.flows);
        let rows = rows(&spans);
        self.done.slices += spans.len() as u64;
        let mut first = None;
        for (number, row) in rows.into_iter().enumerate() {
            let track = self.row(group, name, rank, number)?;
            first.get_or_insert(track);
            for edge in row {
                let place = match edge {
                    Edge::End(at) => {
                        self.end(track, at)?;
                        continue;
                    }
                    Edge::Begin(place) => place,
                };
                self.done.moved += u64::from(number > 0);
                let slice = &lane.slices[place];
                let ends = |wanted| {
                    let of_slice = flows.get(&place).into_iter().flatten();
                    of_slice.filter(|(ends, _)| *ends == wanted).map(|(_, id)| *id).collect()
                };
                let event = Event {
                    name: Some(self.writer.name(events.names.text(slice.name))),
                    categories: self.writer.category(&events.categories[slice.category as usize]),
                    annotations: self.writer.annotations(events.arguments(slice.args)),
                    kind: BEGIN,
                    track,
                    flows: ends(false),
                    ending_flows: ends(true),
                    counter: None,
                };
                self.writer.event(slice.start, event)?;
            }
        }
        let track = match first {
            Some(track) => track,
            None => self.row(group, name, rank, 0)?,
        };
        for instant in &lane.instants {
            self.done.others += 1;
            let event = Event {
                name: Some(self.writer.name(events.names.text(instant.name))),
                categories: self.writer.category(&events.categories[instant.category as usize]),
                annotations: self.writer.annotations(events.arguments(instant.args)),
                kind: INSTANT,
                track,
                ..Event::default()
            };
            self.writer.event(instant.at, event)?;
        }
        Ok(())
    }

    /// The ends of arrows by the slice that each belongs to: the innermost around it, or the next to begin.
    fn bound(&mut self, spans: &[(Nanos, Nanos)], flows: &[FlowPoint]) -> BTreeMap<usize, Vec<(bool, u64)>> {
        let mut points: Vec<&FlowPoint> = flows.iter().collect();
        points.sort_by_key(|point| point.at);
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|at| (spans[*at].0, std::cmp::Reverse(spans[*at].1)));
        let mut open: Vec<usize> = Vec::new();
        let mut next = 0;
        let mut bound: BTreeMap<usize, Vec<(bool, u64)>> = BTreeMap::new();
        for point in points {
            while let Some(at) = order.get(next).filter(|at| spans[**at].0 <= point.at) {
                open.push(*at);
                next += 1;
            }
            open.retain(|at| spans[*at].1 >= point.at);
            let slice = if point.around { open.last() } else { order.get(next).or(open.last()) };
            match slice {
                Some(slice) => {
                    self.done.flows += 1;
                    bound.entry(*slice).or_default().push((point.ends, point.id));
                }
                None => self.done.loose_flows += 1,
            }
        }
        bound
    }
}

/// A name and the number behind it, which may be missing.
fn titled(name: &str, number: &str) -> String {
    format!("{name} {number}").trim().to_owned()
}

/// For the order of lanes: those with a number by it, the others behind.
fn number(id: &[u8]) -> i64 {
    std::str::from_utf8(id).ok().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX)
}

/// `decode 3, generation 4 (4)`.
fn label(step: &Step) -> String {
    let part = |name: &str, requests: Option<u64>, tokens: Option<u64>| match (requests, tokens) {
        (Some(0) | None, _) => String::new(),
        (Some(requests), Some(tokens)) => format!(", {name} {requests} ({tokens})"),
        (Some(requests), None) => format!(", {name} {requests}"),
    };
    if step.kind == StepKind::Idle {
        return format!("idle {}", step.index);
    }
    format!(
        "{} {}{}{}",
        step.kind,
        step.index,
        part("context", step.context_requests, step.context_tokens),
        part("generation", step.generation_requests, step.generation_tokens)
    )
}
