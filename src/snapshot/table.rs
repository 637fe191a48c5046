//! Counts by name and by column, a column being a kind of step or a size of the sampled batch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::interval::Interval;
use crate::trace::StepKind;

/// What a count is per: one step of a kind, or one call of the sampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Prompt,
    Mixed,
    Decode,
    Unclassified,
    /// A whole file, whatever its steps.
    Whole,
    /// The sampler over one request; it takes other operators then.
    One,
    /// The sampler over several requests.
    Several,
    /// The sampler where the trace does not say over how many.
    Some,
}

impl Column {
    const ALL: [Self; 8] = [
        Self::Prompt,
        Self::Mixed,
        Self::Decode,
        Self::Unclassified,
        Self::Whole,
        Self::One,
        Self::Several,
        Self::Some,
    ];

    /// Idle steps have no column: they do no work to be reviewed.
    pub(crate) fn of(kind: StepKind) -> Option<Self> {
        Some(match kind {
            StepKind::Prompt => Self::Prompt,
            StepKind::Mixed => Self::Mixed,
            StepKind::Decode => Self::Decode,
            StepKind::Unclassified => Self::Unclassified,
            StepKind::Idle => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Mixed => "mixed",
            Self::Decode => "decode",
            Self::Unclassified => "unclassified",
            Self::Whole => "whole",
            Self::One => "one",
            Self::Several => "several",
            Self::Some => "some",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == text)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A closed world: a name that is not here did not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: BTreeSet<Column>,
    rows: BTreeMap<String, BTreeMap<Column, Interval>>,
}

impl Table {
    /// Adds what one step counted. A name's interval covers every step of the column.
    pub(crate) fn observe<'a>(&mut self, column: Column, counts: impl IntoIterator<Item = (&'a str, u64)>) {
        let known = !self.columns.insert(column);
        let mut counts: BTreeMap<&str, u64> = counts.into_iter().collect();
        for (name, row) in &mut self.rows {
            let count = counts.remove(name.as_str());
            let before = row.get(&column).copied().or(known.then_some(Interval::NONE));
            let now = Interval::of(count.unwrap_or(0));
            if before.is_some() || count.is_some() {
                row.insert(column, before.map_or(now, |before| before.hull(now)));
            }
        }
        for (name, count) in counts {
            let now = Interval { low: if known { 0 } else { count }, high: count };
            self.rows.entry(name.to_owned()).or_default().insert(column, now);
        }
        self.drop_nothings();
    }

    pub(crate) fn set(&mut self, name: &str, column: Column, interval: Interval) {
        self.columns.insert(column);
        self.rows.entry(name.to_owned()).or_default().insert(column, interval);
        self.drop_nothings();
    }

    /// What never ran needs no row.
    fn drop_nothings(&mut self) {
        self.rows.retain(|_, row| {
            row.retain(|_, interval| *interval != Interval::NONE);
            !row.is_empty()
        });
    }

    /// Nothing ran in any column.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str, column: Column) -> Interval {
        self.rows.get(name).and_then(|row| row.get(&column)).copied().unwrap_or(Interval::NONE)
    }

    /// What a column may show. A mixed step that was never seen runs what a prompt or a decode step runs:
    /// whether one occurs depends on when requests arrive. `None` where nothing is known of the column.
    pub(crate) fn allowed(&self, name: &str, column: Column) -> Option<Interval> {
        if self.columns.contains(&column) {
            return Some(self.get(name, column));
        }
        let parts = [Column::Prompt, Column::Decode];
        let known = column == Column::Mixed && parts.iter().all(|part| self.columns.contains(part));
        known.then(|| self.get(name, Column::Prompt).hull(self.get(name, Column::Decode)))
    }

    /// `aten::addmm: 48` where every column has the same, otherwise `aten::slice: prompt 123, decode 117..123`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|(name, row)| format!("{name}: {}", self.cells(row))).collect()
    }

    fn cells(&self, row: &BTreeMap<Column, Interval>) -> String {
        let mut different: Vec<Interval> = Vec::new();
        for column in &self.columns {
            let interval = row.get(column).copied().unwrap_or(Interval::NONE);
            if !different.contains(&interval) {
                different.push(interval);
            }
        }
        match different.as_slice() {
            [same] => same.to_string(),
            _ => {
                let cells = row.iter().map(|(column, interval)| format!("{column} {interval}"));
                cells.collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// Reads one line of [`Table::lines`].
    pub(crate) fn read(&mut self, line: &str) -> Option<()> {
        let (name, cells) = line.rsplit_once(": ")?;
        if self.rows.contains_key(name) {
            return None;
        }
        if let Some(interval) = Interval::parse(cells) {
            for column in self.columns.clone() {
                self.set(name, column, interval);
            }
            return Some(());
        }
        for cell in cells.split(", ") {
            let (column, interval) = cell.split_once(' ')?;
            let column = Column::parse(column).filter(|column| self.columns.contains(column))?;
            self.set(name, column, Interval::parse(interval)?);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::default();
        table.observe(Column::Prompt, [("aten::slice", 123), ("aten::addmm", 48), ("aten::once", 1)]);
        table.observe(Column::Decode, [("aten::slice", 120), ("aten::addmm", 48)]);
        table.observe(Column::Decode, [("aten::slice", 117), ("aten::addmm", 48), ("x: y", 2)]);
        table
    }

    #[test]
    fn steps_of_one_column_make_intervals_and_equal_columns_one_number() {
        let lines = ["aten::addmm: 48", "aten::once: prompt 1", "aten::slice: prompt 123, decode 117..120"];
        assert_eq!(sample().lines()[..3], lines);
        assert_eq!(sample().lines()[3], "x: y: decode 0..2");
    }

    #[test]
    fn a_table_reads_as_it_is_written() {
        let table = sample();
        let mut read = Table { columns: table.columns.clone(), ..Table::default() };
        for line in table.lines() {
            read.read(&line).unwrap();
        }
        assert_eq!(read, table);
        for damaged in ["aten::addmm", "aten::addmm: x", "aten::addmm: mixed 3", "aten::addmm: prompt"] {
            assert_eq!(read.read(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn an_unseen_mixed_step_may_run_what_prompts_and_decodes_run() {
        let table = sample();
        assert_eq!(table.allowed("aten::slice", Column::Mixed), Some(Interval { low: 117, high: 123 }));
        assert_eq!(table.allowed("aten::once", Column::Mixed), Some(Interval { low: 0, high: 1 }));
        assert_eq!(table.allowed("aten::once", Column::Decode), Some(Interval::NONE));
        assert_eq!(table.allowed("aten::once", Column::Unclassified), None);
    }
}
