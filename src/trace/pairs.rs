//! Begin and end events (`ph` B and E) paired into slices, per (pid, tid) and nested. Knows names and categories
//! as handles only.

use std::collections::{HashMap, VecDeque};

use super::names::NameId;
use crate::time::Nanos;

/// Begin and end events held back per lane before they are paired. Within this distance they may
/// stand in any order in the file, an end in front of its begin included; it bounds the memory.
const REORDER: usize = 256;

/// Begin events of one file that may be open or held back at a time, and lanes that are told apart: a trace of a
/// thousand threads a thousand calls deep has as many. Those beyond are refused, so that a file without ends needs
/// no memory.
const MOST_OPEN: usize = 1 << 18;
const MOST_LANES: usize = 1 << 16;

/// pid and tid as written, quotes removed.
pub(crate) type LaneKey = (Box<[u8]>, Box<[u8]>);

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) index: u64,
}

/// The beginning of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) name: NameId,
    pub(crate) category: usize,
    pub(crate) start: Nanos,
    pub(crate) place: Place,
}

/// What became of events that were held back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Paired {
    Slice { begun: Begun, end: Nanos, lane: LaneId },
    DanglingBegin(Begun),
    DanglingEnd(Place),
}

#[derive(Clone, Copy, Debug)]
enum Edge {
    Begin(Begun),
    End(Nanos, Place),
}

impl Edge {
    fn at(&self) -> Nanos {
        match self {
            Self::Begin(begun) => begun.start,
            Self::End(at, _) => *at,
        }
    }

    fn alone(self) -> Paired {
        match self {
            Self::Begin(begun) => Paired::DanglingBegin(begun),
            Self::End(_, place) => Paired::DanglingEnd(place),
        }
    }
}

/// Handle of a (pid, tid) pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LaneId(usize);

#[derive(Debug)]
struct Lane {
    key: LaneKey,
    held: VecDeque<Edge>,
    open: Vec<Begun>,
    /// Begins that were refused while others were open: their ends come first.
    refused: u64,
}

/// The lanes of one file.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    ids: HashMap<LaneKey, LaneId>,
    lanes: Vec<Lane>,
    /// Begin events that are open or held back.
    begins: usize,
}

impl Pairs {
    pub(crate) fn begin(&mut self, pid: &[u8], tid: &[u8], begun: Begun) -> Option<Paired> {
        self.push(pid, tid, Edge::Begin(begun))
    }

    pub(crate) fn end(&mut self, pid: &[u8], tid: &[u8], at: Nanos, place: Place) -> Option<Paired> {
        self.push(pid, tid, Edge::End(at, place))
    }

    /// The lane's pid and tid.
    pub(crate) fn key(&self, lane: LaneId) -> Option<&LaneKey> {
        self.lanes.get(lane.0).map(|lane| &lane.key)
    }

    /// What was still held back, in order; then the slices that nothing ended.
    pub(crate) fn finish(&mut self) -> Vec<Paired> {
        let mut rest = Vec::new();
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            while let Some(edge) = lane.held.pop_front() {
                rest.extend(lane.pair(edge, LaneId(number)));
            }
            rest.extend(lane.open.drain(..).map(Paired::DanglingBegin));
        }
        rest
    }

    fn push(&mut self, pid: &[u8], tid: &[u8], edge: Edge) -> Option<Paired> {
        let next = LaneId(self.lanes.len());
        let key: LaneKey = (pid.into(), tid.into());
        if next.0 >= MOST_LANES && !self.ids.contains_key(&key) {
            return Some(edge.alone());
        }
        let id = *self.ids.entry(key).or_insert_with_key(|key| {
            self.lanes.push(Lane { key: key.clone(), held: VecDeque::new(), open: Vec::new(), refused: 0 });
            next
        });
        let lane = self.lanes.get_mut(id.0)?;
        match edge {
            Edge::Begin(_) if self.begins >= MOST_OPEN => {
                lane.refused += 1;
                return Some(edge.alone());
            }
            Edge::Begin(_) => self.begins += 1,
            Edge::End(..) if lane.refused > 0 => {
                lane.refused -= 1;
                return None;
            }
            Edge::End(..) => {}
        }
        // Equal times keep the order of the file: an end and the begin of the next slice share one.
        let place = lane.held.iter().rposition(|held| held.at() <= edge.at()).map_or(0, |place| place + 1);
        lane.held.insert(place, edge);
        if lane.held.len() <= REORDER {
            return None;
        }
        let first = lane.held.pop_front()?;
        let paired = lane.pair(first, id);
        if matches!(paired, Some(Paired::Slice { .. })) {
            self.begins -= 1;
        }
        paired
    }
}

impl Lane {
    fn pair(&mut self, edge: Edge, lane: LaneId) -> Option<Paired> {
        match edge {
            Edge::Begin(begun) => {
                self.open.push(begun);
                None
            }
            Edge::End(end, place) => Some(match self.open.pop() {
                Some(begun) => Paired::Slice { begun, end, lane },
                None => Paired::DanglingEnd(place),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trace::names::Names;

    fn place(offset: u64) -> Place {
        Place { offset, index: offset }
    }

    /// Spans of all slices and the number of dangling events, for edges (begins?, microsecond).
    fn paired(edges: &[(bool, i64)]) -> (Vec<(i64, i64)>, usize) {
        let name = Names::default().intern(b"op", (0, 0));
        let mut pairs = Pairs::default();
        let mut found = Vec::new();
        for (number, (begins, at)) in edges.iter().enumerate() {
            let (at, place) = (Nanos::from_ns(*at), place(number as u64));
            let begun = Begun { name, category: 0, start: at, place };
            let paired =
                if *begins { pairs.begin(b"1", b"1", begun) } else { pairs.end(b"1", b"1", at, place) };
            found.extend(paired);
        }
        found.extend(pairs.finish());
        let mut spans = Vec::new();
        let mut dangling = 0;
        for paired in found {
            match paired {
                Paired::Slice { begun, end, .. } => spans.push((begun.start.as_ns(), end.as_ns())),
                _ => dangling += 1,
            }
        }
        spans.sort_unstable();
        (spans, dangling)
    }

    #[test]
    fn an_end_in_front_of_its_begin_is_paired() {
        assert_eq!(paired(&[(false, 9), (false, 5), (true, 3), (true, 1)]), (vec![(1, 9), (3, 5)], 0));
        assert_eq!(paired(&[(true, 1), (false, 8), (true, 5), (false, 10)]), (vec![(1, 10), (5, 8)], 0));
    }

    #[test]
    fn neighbours_that_touch_stay_apart() {
        let touching = [(true, 1), (false, 5), (true, 5), (false, 9)];
        assert_eq!(paired(&touching), (vec![(1, 5), (5, 9)], 0));
    }

    #[test]
    fn what_has_no_partner_dangles() {
        assert_eq!(paired(&[(false, 1), (true, 2)]), (vec![], 2));
    }

    /// Begins without ends were all kept.
    #[test]
    fn begins_without_ends_need_no_memory() {
        let name = Names::default().intern(b"op", (0, 0));
        let begun = |at: usize| Begun {
            name,
            category: 0,
            start: Nanos::from_ns(at as i64),
            place: place(at as u64),
        };
        let mut pairs = Pairs::default();
        let refused = (0..MOST_OPEN + 10).filter(|at| pairs.begin(b"1", b"1", begun(*at)).is_some()).count();
        assert_eq!(refused, 10);
        // The ends of those that were refused end nothing else.
        let end = MOST_OPEN as i64 + 100;
        for _ in 0..10 {
            assert_eq!(pairs.end(b"1", b"1", Nanos::from_ns(end), place(0)), None);
        }
        let more = MOST_LANES + 5;
        let alone = (1..more).filter(|lane| {
            let lane = lane.to_string();
            pairs.end(b"2", lane.as_bytes(), Nanos::ZERO, place(0)).is_some()
        });
        assert_eq!(alone.count(), 5);
    }

    proptest! {
        /// Slices one behind the other, written in any order within the distance.
        #[test]
        fn the_order_in_the_file_does_not_matter(order in Just((0..100usize).collect::<Vec<_>>()).prop_shuffle()) {
            let edge = |number: usize| (number.is_multiple_of(2), number as i64 * 10);
            let edges: Vec<(bool, i64)> = order.into_iter().map(edge).collect();
            let expected: Vec<(i64, i64)> = (0..50).map(|n| (n * 20, n * 20 + 10)).collect();
            prop_assert_eq!(paired(&edges), (expected, 0));
        }
    }
}
