//! Slices of one lane in rows in which they nest: one that overlaps another goes to a further row, for Perfetto drops
//! slices that overlap without nesting.

use crate::time::Nanos;

/// What happens on a row, in order. Slices are named by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Begin(usize),
    End(Nanos),
}

/// The rows of some slices, as few as nesting allows when each goes to the first that takes it.
pub(super) fn rows(spans: &[(Nanos, Nanos)]) -> Vec<Vec<Edge>> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    // A slice around others stands in front of them.
    order.sort_by_key(|at| (spans[*at].0, std::cmp::Reverse(spans[*at].1)));
    let mut rows: Vec<Row> = Vec::new();
    for at in order {
        let (start, end) = spans[at];
        let free = rows.iter_mut().find_map(|row| row.takes(start, end).then_some(row));
        let row = match free {
            Some(row) => row,
            None => {
                rows.push(Row::default());
                let last = rows.len() - 1;
                &mut rows[last]
            }
        };
        row.open.push(end);
        row.edges.push(Edge::Begin(at));
    }
    rows.into_iter().map(Row::close).collect()
}

#[derive(Default)]
struct Row {
    edges: Vec<Edge>,
    open: Vec<Nanos>,
}

impl Row {
    /// Ends what has ended before, and says whether a slice nests here.
    fn takes(&mut self, start: Nanos, end: Nanos) -> bool {
        while let Some(until) = self.open.last().copied().filter(|until| *until <= start) {
            self.open.pop();
            self.edges.push(Edge::End(until));
        }
        self.open.last().is_none_or(|until| end <= *until)
    }

    fn close(mut self) -> Vec<Edge> {
        while let Some(until) = self.open.pop() {
            self.edges.push(Edge::End(until));
        }
        self.edges
    }
}

#[cfg(test)]
mod tests {
    use super::Edge::{Begin, End};
    use super::*;

    fn of(spans: &[(i64, i64)]) -> Vec<Vec<Edge>> {
        let ns = Nanos::from_ns;
        rows(&spans.iter().map(|(start, end)| (ns(*start), ns(*end))).collect::<Vec<_>>())
    }

    #[test]
    fn what_nests_or_touches_shares_a_row_and_what_overlaps_does_not() {
        let end = |at| End(Nanos::from_ns(at));
        assert_eq!(
            of(&[(2, 5), (0, 10), (10, 12)]),
            [[Begin(1), Begin(0), end(5), end(10), Begin(2), end(12)]]
        );
        assert_eq!(
            of(&[(0, 10), (5, 15), (6, 9)]),
            [vec![Begin(0), Begin(2), end(9), end(10)], vec![Begin(1), end(15)]]
        );
        // Without a duration a slice nests in the one that begins with it, and stands behind the one that ends.
        assert_eq!(of(&[(5, 5), (0, 5), (5, 9)]), [[Begin(1), end(5), Begin(2), Begin(0), end(5), end(9)]]);
        assert!(of(&[]).is_empty());
    }
}
