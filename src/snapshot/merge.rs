//! What accepting a run makes of a reviewed snapshot: only what differed changes.

use std::collections::BTreeSet;

use super::facts::{RankFacts, Snapshot, StepFacts};
use super::table::{Column, Table};

/// What becomes of a count that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Both are allowed from now on: two clean runs of the same software disagree.
    Widen,
    /// What was seen takes the place of what was reviewed: the software changed.
    Replace,
}

/// A merged snapshot and what was made wider.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) snapshot: Snapshot,
    /// `decode aten::slice 120 → 117..120`.
    pub(crate) widened: Vec<String>,
}

impl Snapshot {
    /// This snapshot with a run accepted into it. Counts are widened where the versions are the same, and
    /// replaced where they are not. Counts that did not differ stay as they were reviewed, intervals too.
    pub(crate) fn accepting(&self, seen: &Self) -> Merged {
        let accept = if self.seen == seen.seen { Accept::Widen } else { Accept::Replace };
        self.merged(seen, accept)
    }

    /// What this run and another of the same software have in common, counts widened to hold both.
    #[must_use]
    pub(crate) fn with(&self, other: &Self) -> Self {
        self.merged(other, Accept::Widen).snapshot
    }

    /// This snapshot with what differs as it was seen.
    pub(crate) fn replaced_by(&self, seen: &Self) -> Self {
        self.merged(seen, Accept::Replace).snapshot
    }

    fn merged(&self, seen: &Self, accept: Accept) -> Merged {
        let mut widened = Vec::new();
        let mut snapshot = seen.clone();
        for group in &mut snapshot.ranks {
            let same_rank =
                |known: &&super::facts::RankGroup| known.ranks.iter().any(|r| group.ranks.contains(r));
            if let Some(known) = self.ranks.iter().find(same_rank) {
                merge_rank(&known.facts, &mut group.facts, accept, &mut widened);
            }
        }
        Merged { snapshot, widened }
    }
}

fn merge_rank(before: &RankFacts, after: &mut RankFacts, accept: Accept, widened: &mut Vec<String>) {
    merge_table(&before.operators, &mut after.operators, accept, widened);
    merge_table(&before.sampler, &mut after.sampler, accept, widened);
    merge_table(&before.budgets, &mut after.budgets, accept, widened);
    if before.idle.covers(after.idle) {
        after.idle = before.idle;
    } else if accept == Accept::Widen && matches!(after.steps, StepFacts::Language { .. }) {
        let hull = before.idle.hull(after.idle);
        widened.push(format!("idle steps {} → {hull}", before.idle));
        after.idle = hull;
    }
    for (column, shapes) in &before.calls {
        let seen = after.calls.entry(*column).or_default();
        if seen.is_subset(shapes) {
            seen.clone_from(shapes);
        } else if accept == Accept::Widen {
            widened.push(format!("{column} calls, {} shapes → {}", shapes.len(), seen.union(shapes).count()));
            seen.extend(shapes.iter().cloned());
        }
    }
    for (pair, ratio) in &before.ratios {
        match after.ratios.get(pair) {
            Some(seen) if !seen.is_near(*ratio) => {}
            _ => {
                after.ratios.insert(pair.clone(), *ratio);
            }
        }
    }
}

fn merge_table(before: &Table, after: &mut Table, accept: Accept, widened: &mut Vec<String>) {
    let names: BTreeSet<String> = before.names().chain(after.names()).map(str::to_owned).collect();
    let columns: Vec<Column> = before.columns.iter().copied().collect();
    let seen_columns = after.columns.clone();
    for column in columns {
        for name in &names {
            let (was, is) = (before.get(name, column), after.get(name, column));
            let merged = if !seen_columns.contains(&column) || was.covers(is) {
                was
            } else if accept == Accept::Widen {
                let hull = was.hull(is);
                widened.push(format!("{column} {name} {was} → {hull}"));
                hull
            } else {
                is
            };
            after.set(name, column, merged);
        }
    }
}
