//! What accepting a run makes of a reviewed snapshot: only what differed changes.

use std::collections::BTreeSet;

use super::build::grouped;
use super::difference::by_rank;
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

/// Accepts runs of one procedure: into the reviewed snapshot, or into the first of them where that has what the
/// runs have not (the software lost it) or where there is none. `None` where the runs contradict one another.
pub(crate) fn accept_all(reviewed: Option<&Snapshot>, runs: &[&Snapshot]) -> Option<Merged> {
    let first = *runs.first()?;
    let known = reviewed.filter(|reviewed| reviewed.seen == first.seen).and_then(|reviewed| reviewed.runs);
    let bases = [reviewed, Some(first)];
    bases.into_iter().flatten().find_map(|base| {
        let mut merged = Merged { snapshot: base.clone(), widened: Vec::new() };
        for run in runs {
            if !merged.snapshot.differences(run).is_empty() {
                let Merged { snapshot, widened } = merged.snapshot.accepting(run);
                merged.snapshot = snapshot;
                merged.widened.extend(widened);
            }
        }
        // Steps and tokens are no intervals: of runs that differ in them, the last would hide the others.
        if runs.iter().any(|run| !merged.snapshot.differences(run).is_empty()) {
            return None;
        }
        let before = if std::ptr::eq(base, first) { None } else { known };
        merged.snapshot.runs = Some(before.unwrap_or(0) + runs.len() as u64);
        Some(merged)
    })
}

impl Snapshot {
    /// This snapshot with a run accepted into it. Counts are widened where the versions are the same, and
    /// replaced where they are not. Counts that did not differ stay as they were reviewed, intervals too.
    pub(crate) fn accepting(&self, seen: &Self) -> Merged {
        let accept = if self.seen == seen.seen { Accept::Widen } else { Accept::Replace };
        self.merged(seen, accept)
    }

    /// This snapshot with what differs as it was seen.
    pub(crate) fn replaced_by(&self, seen: &Self) -> Self {
        self.merged(seen, Accept::Replace).snapshot
    }

    fn merged(&self, seen: &Self, accept: Accept) -> Merged {
        let mut widened = Vec::new();
        let before = by_rank(self);
        // Ranks are merged one by one: two that were equal may differ now, and the other way round.
        let ranks = by_rank(seen).into_iter().map(|(rank, facts)| {
            let mut facts = facts.clone();
            if let Some(known) = before.get(rank) {
                merge_rank(known, &mut facts, accept, &mut widened);
            }
            (rank.to_owned(), facts)
        });
        let ranks = grouped(ranks.collect::<Vec<_>>().into_iter());
        let mut distinct = BTreeSet::new();
        widened.retain(|one| distinct.insert(one.clone()));
        Merged { snapshot: Self { ranks, runs: self.runs, ..seen.clone() }, widened }
    }
}

fn merge_rank(before: &RankFacts, after: &mut RankFacts, accept: Accept, widened: &mut Vec<String>) {
    merge_table(&before.operators, &mut after.operators, accept, widened);
    merge_table(&before.refresh, &mut after.refresh, accept, widened);
    merge_table(&before.sampler, &mut after.sampler, accept, widened);
    merge_table(&before.kernels, &mut after.kernels, accept, widened);
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

#[cfg(test)]
mod tests {
    use super::super::interval::Interval;
    use super::*;
    use crate::snapshot::RankGroup;

    fn rank(rank: &str, count: &str) -> RankGroup {
        let mut facts = RankFacts::default();
        facts.operators.columns.insert(Column::Decode);
        facts.operators.read(&format!("aten::mm: {count}")).unwrap();
        RankGroup { ranks: vec![rank.to_owned()], facts }
    }

    fn lines(snapshot: &Snapshot) -> Vec<String> {
        let of =
            |group: &RankGroup| format!("{} {}", group.ranks.join(" "), group.facts.operators.lines()[0]);
        snapshot.ranks.iter().map(of).collect()
    }

    /// Found by a second reader: the first rank of a group stood for all of them.
    #[test]
    fn each_rank_is_merged_with_itself() {
        let reviewed = Snapshot { ranks: vec![rank("0", "1"), rank("1", "3..4")], ..Snapshot::default() };
        let both = RankGroup { ranks: vec!["0".to_owned(), "1".to_owned()], ..rank("0", "2") };
        let seen = Snapshot { ranks: vec![both], ..Snapshot::default() };
        let merged = reviewed.accepting(&seen);
        assert_eq!(lines(&merged.snapshot), ["0 aten::mm: 1..2", "1 aten::mm: 2..4"]);
        assert_eq!(merged.widened, ["decode aten::mm 1 → 1..2", "decode aten::mm 3..4 → 2..4"]);
        assert_eq!(lines(&reviewed.replaced_by(&seen)), ["0 1 aten::mm: 2"]);
    }

    fn reviewed() -> Snapshot {
        let text = include_str!("../../snapshots/vllm-cpu/async_multiple_requests.snap");
        Snapshot::parse(text).unwrap()
    }

    fn changed(change: impl Fn(&mut RankFacts)) -> Snapshot {
        let mut seen = reviewed();
        change(&mut seen.ranks[0].facts);
        seen
    }

    /// Of a run that had lost something, "the runs contradict one another" was said, and nothing was proposed:
    /// only deleting the file helped.
    #[test]
    fn a_run_that_lost_something_can_be_accepted() {
        let without_stacks = changed(|facts| facts.refresh = Table::default());
        let without_operators = changed(|facts| {
            facts.operators = Table::default();
            facts.calls.clear();
        });
        let weaker = changed(|facts| {
            facts.evidence = "frames".to_owned();
            facts.context_tokens = "unknown".to_owned();
        });
        let without_prompt = changed(|facts| {
            for table in [&mut facts.operators, &mut facts.refresh, &mut facts.budgets] {
                let text: Vec<String> = table.lines();
                table.columns.remove(&Column::Prompt);
                let mut rest = Table::default();
                rest.columns.clone_from(&table.columns);
                for line in text {
                    let (name, _) = line.rsplit_once(": ").unwrap();
                    for column in rest.columns.clone() {
                        rest.set(name, column, table.get(name, column));
                    }
                }
                *table = rest;
            }
            facts.calls.remove(&Column::Prompt);
        });
        for seen in [without_stacks, without_operators, weaker, without_prompt] {
            assert!(!reviewed().differences(&seen).is_empty());
            let merged = accept_all(Some(&reviewed()), &[&seen]).expect("one run contradicts nothing");
            assert!(merged.snapshot.differences(&seen).is_empty());
            let again = Snapshot::parse(&merged.snapshot.to_string()).unwrap();
            assert!(again.differences(&seen).is_empty(), "what is written allows the run, too");
        }
    }

    /// A snapshot of one run failed clean runs later, and nothing said that it had seen one.
    #[test]
    fn accepted_runs_are_counted_and_contradictions_are_refused() {
        let one = reviewed();
        assert_eq!(accept_all(None, &[&one]).unwrap().snapshot.runs, Some(1));
        let other = changed(|facts| facts.operators.set("aten::mm", Column::Decode, Interval::of(99)));
        let both = accept_all(None, &[&one, &other]).unwrap();
        assert_eq!(both.snapshot.runs, Some(2));
        assert_eq!(both.widened, ["decode aten::mm 0 → 0..99"]);
        assert!(both.snapshot.differences(&one).is_empty() && both.snapshot.differences(&other).is_empty());
        let third = accept_all(Some(&both.snapshot), &[&one]).unwrap();
        assert_eq!(third.snapshot.runs, Some(3));
        assert!(third.snapshot.to_string().contains("\nruns 3\n"));
        let weaker = changed(|facts| facts.evidence = "frames".to_owned());
        assert!(accept_all(Some(&one), &[&one, &weaker]).is_none());
    }
}
