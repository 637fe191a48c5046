//! The reviewed text: one fact a line, sorted, without padding, so that one change is one line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::facts::{LedgerFacts, RankFacts, Snapshot, StepFacts};
use super::table::{Column, Table};
use crate::trace::Budget;

/// First line of every snapshot; a change of the form is a change of the number.
pub(super) const HEAD: &str = "tracegate-snapshot 2";

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, write_all)
    }
}

impl Snapshot {
    /// The text without operators and provenance: what stays the same although single operators
    /// vary from run to run.
    #[must_use]
    pub(crate) fn core_text(&self) -> String {
        let mut text = String::new();
        let bare = Self { seen: String::new(), runs: None, ..self.clone() };
        // Writing to a String cannot fail.
        let _ = bare.write(&mut text, write_core);
        text
    }

    fn write<W: Write>(&self, out: &mut W, rank: fn(&mut W, &RankFacts) -> fmt::Result) -> fmt::Result {
        writeln!(out, "{HEAD}")?;
        if let Some(owner) = &self.owner {
            writeln!(out, "procedure {}\nlane {}", owner.procedure, owner.lane)?;
        }
        if !self.seen.is_empty() {
            writeln!(out, "seen {}", self.seen)?;
        }
        if let Some(runs) = self.runs {
            writeln!(out, "runs {runs}")?;
        }
        if let Some(LedgerFacts { requests, prompt_tokens, output_tokens }) = &self.ledger {
            writeln!(
                out,
                "\n[ledger]\nrequests {requests}\nprompt_tokens {prompt_tokens}\noutput_tokens {output_tokens}"
            )?;
        }
        for group in &self.ranks {
            let word = if group.ranks.len() == 1 { "rank" } else { "ranks" };
            writeln!(out, "\n[{word} {}]", group.ranks.join(" "))?;
            rank(out, &group.facts)?;
        }
        Ok(())
    }
}

fn write_core<W: Write>(out: &mut W, facts: &RankFacts) -> fmt::Result {
    writeln!(out, "evidence {}", facts.evidence)?;
    match &facts.steps {
        StepFacts::Sequence(runs) => {
            for (label, times) in runs {
                let times = if *times > 1 { format!(" x{times}") } else { String::new() };
                writeln!(out, "step {label}{times}")?;
            }
        }
        StepFacts::Language { facts } => facts.iter().try_for_each(|fact| writeln!(out, "{fact}"))?,
    }
    writeln!(out, "idle {}", facts.idle)?;
    writeln!(out, "context_tokens {}", facts.context_tokens)?;
    writeln!(out, "generation_tokens {}", facts.generation_tokens)?;
    writeln!(out, "recompiles {}", facts.recompiles)?;
    facts.problems.iter().try_for_each(|problem| writeln!(out, "problem {problem}"))
}

fn write_all(out: &mut fmt::Formatter<'_>, facts: &RankFacts) -> fmt::Result {
    write_core(out, facts)?;
    write_table(out, "ops", &facts.operators)?;
    write_table(out, "refresh", &facts.refresh)?;
    write_table(out, "sampler", &facts.sampler)?;
    write_table(out, "kernels", &facts.kernels)?;
    write_budgets(out, &facts.budgets)?;
    for (columns, shapes) in same_calls(&facts.calls) {
        for (number, shape) in shapes.iter().enumerate() {
            let or = if number == 0 { "" } else { " or" };
            writeln!(out, "\n[calls {}{or}]\n{}", names(columns.iter().copied()), shape.join("\n"))?;
        }
    }
    if !facts.ratios.is_empty() {
        writeln!(out, "\n[gap/step]")?;
        facts.ratios.iter().try_for_each(|(pair, ratio)| writeln!(out, "{pair}: {ratio}"))?;
    }
    Ok(())
}

fn names(columns: impl IntoIterator<Item = Column>) -> String {
    columns.into_iter().map(Column::name).collect::<Vec<_>>().join(" ")
}

fn write_table(out: &mut impl Write, title: &str, table: &Table) -> fmt::Result {
    if table.columns.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n[{title} {}]", names(table.columns.iter().copied()))?;
    table.lines().iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// All of them, zeros too: a reviewer sees what is held to nothing.
fn write_budgets(out: &mut impl Write, table: &Table) -> fmt::Result {
    if table.columns.is_empty() {
        return Ok(());
    }
    let mut lines = table.lines();
    let spent: BTreeSet<&str> = table.names().collect();
    let unspent = Budget::ALL.into_iter().map(Budget::name).filter(|name| !spent.contains(name));
    lines.extend(unspent.map(|name| format!("{name}: 0")));
    lines.sort();
    writeln!(out, "\n[budgets {}]", names(table.columns.iter().copied()))?;
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Columns with the same shapes, together.
fn same_calls(calls: &BTreeMap<Column, BTreeSet<Vec<String>>>) -> Vec<(Vec<Column>, &BTreeSet<Vec<String>>)> {
    let mut together: Vec<(Vec<Column>, &BTreeSet<Vec<String>>)> = Vec::new();
    for (column, shapes) in calls {
        match together.iter_mut().find(|(_, known)| *known == shapes) {
            Some((columns, _)) => columns.push(*column),
            None => together.push((vec![*column], shapes)),
        }
    }
    together
}
