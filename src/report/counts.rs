//! The operators of a run for the report page: counts per step, beside what was reviewed where they differ.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::snapshot::{Column, Difference, Group, Snapshot, Table};
use crate::trace::Budget;

/// The operators of ranks that ran the same.
#[derive(Serialize)]
pub(super) struct OperatorsData {
    ranks: String,
    tables: Vec<TableData>,
}

/// Counts by name and by kind of step, or by size of the sampled batch.
#[derive(Serialize)]
struct TableData {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<RowData>,
}

/// One name; a cell is empty where it did not run.
#[derive(Serialize)]
struct RowData {
    name: String,
    cells: Vec<String>,
    /// What was reviewed, in the cells that differ.
    before: Vec<Option<String>>,
}

/// One entry for each group of equal ranks; none for a run whose trace holds no operators.
pub(super) fn operators(seen: &Snapshot, differences: &[Difference]) -> Vec<OperatorsData> {
    let groups = seen.ranks.iter().filter(|group| !group.facts.operators.columns.is_empty());
    let of_group = |group: &crate::snapshot::RankGroup| {
        let facts = &group.facts;
        let here: Vec<&Difference> = differences
            .iter()
            .filter(|difference| difference.ranks.iter().any(|rank| group.ranks.contains(rank)))
            .collect();
        let budgets: BTreeSet<&str> = Budget::ALL.into_iter().map(Budget::name).collect();
        let none = BTreeSet::new();
        let tables = [
            ("Operators in one step", &facts.operators, &none, is_operator as fn(Group) -> bool),
            ("Sampler: operators after one step", &facts.sampler, &none, |group| group == Group::Sampler),
            ("What may cause a wait, in one step and after it", &facts.budgets, &budgets, |group| {
                group == Group::Budget
            }),
        ];
        OperatorsData {
            ranks: group.ranks.join(" "),
            tables: tables
                .into_iter()
                .filter(|(_, table, ..)| !table.columns.is_empty())
                .map(|(title, counts, always, is_of)| {
                    let differing: Vec<&Difference> =
                        here.iter().copied().filter(|difference| is_of(difference.group)).collect();
                    table(title, counts, always, &differing)
                })
                .collect(),
        }
    };
    groups.map(of_group).collect()
}

fn is_operator(group: Group) -> bool {
    matches!(group, Group::OpAdded | Group::OpRemoved | Group::OpMore | Group::OpFewer)
}

fn table(
    title: &'static str,
    counts: &Table,
    always: &BTreeSet<&str>,
    differing: &[&Difference],
) -> TableData {
    let columns: Vec<Column> = counts.columns.iter().copied().collect();
    let gone = differing.iter().filter(|difference| difference.phase.is_some());
    let names: BTreeSet<&str> =
        counts.names().chain(always.iter().copied()).chain(gone.map(|one| one.what.as_str())).collect();
    let row = |name: &str| {
        let before = |column: &Column| {
            let here = |one: &&&Difference| one.what == name && one.phase.as_deref() == Some(column.name());
            differing.iter().find(here).map(|one| one.before.clone())
        };
        RowData {
            name: name.to_owned(),
            cells: columns.iter().map(|column| counts.get(name, *column).to_string()).collect(),
            before: columns.iter().map(before).collect(),
        }
    };
    TableData {
        title,
        columns: columns.iter().map(|column| column.name()).collect(),
        rows: names.into_iter().map(row).collect(),
    }
}
