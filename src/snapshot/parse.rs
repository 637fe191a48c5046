//! Reads the reviewed text back. A line that means nothing is an error with its number, never passed over.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{LedgerFacts, Owner, RankFacts, RankGroup, Ratio, Snapshot, StepFacts};
use super::interval::Interval;
use super::table::{Column, Table};
use super::text::HEAD;

/// Why a text is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SnapshotError {
    /// Line of the text, from 1, insta's header left out.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// What the lines are about.
enum Section {
    Head,
    Ledger,
    Rank,
    Operators,
    Sampler,
    Budgets,
    /// Of these columns; the shape is complete at the next section.
    Calls(Vec<Column>, Vec<String>),
    Ratios,
}

/// The text behind insta's header, and the number of lines of that header.
pub(crate) fn body(text: &str) -> (&str, usize) {
    let behind = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    behind.map_or((text, 0), |(header, body)| (body, header.lines().count() + 2))
}

impl Snapshot {
    /// Reads a text, with or without the header that insta writes.
    ///
    /// # Errors
    /// The first line that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, SnapshotError> {
        let (text, header) = body(text);
        let mut reading = Reading { snapshot: Self::default(), section: Section::Head };
        let mut owner: (Option<String>, Option<String>) = (None, None);
        for (number, line) in text.lines().enumerate() {
            let number = number + 1 + header;
            let fail = |reason: String| SnapshotError { line: number, reason };
            let line = line.trim_end();
            if number == header + 1 {
                if line != HEAD {
                    return Err(fail(format!("{line:?} where {HEAD:?} is expected")));
                }
            } else if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                reading.open(title).ok_or_else(|| fail(format!("[{title}] is no section")))?;
            } else if let (Section::Head, Some((key, value))) = (&reading.section, line.split_once(' ')) {
                match key {
                    "procedure" => owner.0 = Some(value.to_owned()),
                    "lane" => owner.1 = Some(value.to_owned()),
                    "seen" => value.clone_into(&mut reading.snapshot.seen),
                    _ => return Err(fail(format!("{line:?} is no fact of the head"))),
                }
            } else if !line.is_empty() {
                reading.fact(line).ok_or_else(|| fail(format!("{line:?} is no fact of this section")))?;
            }
        }
        reading.close();
        if let (Some(procedure), Some(lane)) = owner {
            reading.snapshot.owner = Some(Owner { procedure, lane });
        }
        for RankGroup { ranks, facts } in &reading.snapshot.ranks {
            for (key, value) in [
                ("evidence", &facts.evidence),
                ("context_tokens", &facts.context_tokens),
                ("generation_tokens", &facts.generation_tokens),
            ] {
                if value.is_empty() {
                    let reason = format!("[rank {}] has no {key}", ranks.join(" "));
                    return Err(SnapshotError { line: header + text.lines().count(), reason });
                }
            }
        }
        if text.trim().is_empty() {
            return Err(SnapshotError { line: 1, reason: "there is no text".to_owned() });
        }
        Ok(reading.snapshot)
    }
}

struct Reading {
    snapshot: Snapshot,
    section: Section,
}

impl Reading {
    fn facts(&mut self) -> Option<&mut RankFacts> {
        self.snapshot.ranks.last_mut().map(|group| &mut group.facts)
    }

    /// Ends the section before: a call tree is whole only then.
    fn close(&mut self) {
        if let Section::Calls(columns, shape) = std::mem::replace(&mut self.section, Section::Head)
            && let Some(facts) = self.facts()
        {
            for column in columns {
                facts.calls.entry(column).or_default().insert(shape.clone());
            }
        }
    }

    fn open(&mut self, title: &str) -> Option<()> {
        self.close();
        let mut words = title.split(' ');
        let kind = words.next()?;
        let words: Vec<&str> = words.collect();
        self.section = match kind {
            "ledger" => {
                self.snapshot.ledger = Some(LedgerFacts { requests: 0, prompt_tokens: 0, output_tokens: 0 });
                Section::Ledger
            }
            "rank" | "ranks" if !words.is_empty() => {
                let ranks = words.iter().map(ToString::to_string).collect();
                self.snapshot.ranks.push(RankGroup { ranks, facts: RankFacts::default() });
                Section::Rank
            }
            "gap/step" if self.facts().is_some() => Section::Ratios,
            "calls" if self.facts().is_some() => {
                let words = words.iter().filter(|word| **word != "or");
                Section::Calls(words.map(|word| Column::parse(word)).collect::<Option<_>>()?, Vec::new())
            }
            "ops" | "sampler" | "budgets" => {
                let columns: BTreeSet<Column> =
                    words.iter().map(|word| Column::parse(word)).collect::<Option<_>>()?;
                let (section, table) = self.table(kind)?;
                table.columns = columns;
                section
            }
            _ => return None,
        };
        Some(())
    }

    fn table(&mut self, kind: &str) -> Option<(Section, &mut Table)> {
        let facts = self.facts()?;
        Some(match kind {
            "ops" => (Section::Operators, &mut facts.operators),
            "sampler" => (Section::Sampler, &mut facts.sampler),
            _ => (Section::Budgets, &mut facts.budgets),
        })
    }

    fn fact(&mut self, line: &str) -> Option<()> {
        match &mut self.section {
            Section::Head => None,
            Section::Ledger => ledger_fact(self.snapshot.ledger.as_mut()?, line),
            Section::Rank => rank_fact(self.facts()?, line),
            Section::Operators => self.facts()?.operators.read(line),
            Section::Sampler => self.facts()?.sampler.read(line),
            Section::Budgets => self.facts()?.budgets.read(line),
            Section::Calls(_, shape) => {
                shape.push(line.to_owned());
                Some(())
            }
            Section::Ratios => ratio_fact(&mut self.facts()?.ratios, line),
        }
    }
}

fn ledger_fact(ledger: &mut LedgerFacts, line: &str) -> Option<()> {
    let (key, count) = line.split_once(' ')?;
    let count = count.parse().ok()?;
    match key {
        "requests" => ledger.requests = count,
        "prompt_tokens" => ledger.prompt_tokens = count,
        "output_tokens" => ledger.output_tokens = count,
        _ => return None,
    }
    Some(())
}

fn rank_fact(facts: &mut RankFacts, line: &str) -> Option<()> {
    let (key, value) = line.split_once(' ')?;
    match key {
        "evidence" => value.clone_into(&mut facts.evidence),
        "step" => {
            let times = value.rsplit_once(" x").and_then(|(label, times)| Some((label, times.parse().ok()?)));
            let (label, times) = times.unwrap_or((value, 1));
            match &mut facts.steps {
                StepFacts::Sequence(runs) => runs.push((label.to_owned(), times)),
                StepFacts::Language { .. } => return None,
            }
        }
        "sequence" | "decode" => match &mut facts.steps {
            StepFacts::Language { facts } => facts.push(line.to_owned()),
            StepFacts::Sequence(runs) if runs.is_empty() => {
                facts.steps = StepFacts::Language { facts: vec![line.to_owned()] };
            }
            StepFacts::Sequence(_) => return None,
        },
        "idle" => facts.idle = Interval::parse(value)?,
        "context_tokens" => value.clone_into(&mut facts.context_tokens),
        "generation_tokens" => value.clone_into(&mut facts.generation_tokens),
        "recompiles" => facts.recompiles = value.parse().ok()?,
        "problem" => {
            facts.problems.insert(value.to_owned());
        }
        _ => return None,
    }
    Some(())
}

fn ratio_fact(ratios: &mut BTreeMap<String, Ratio>, line: &str) -> Option<()> {
    let (pair, ratio) = line.split_once(": ")?;
    ratios.insert(pair.to_owned(), Ratio::parse(ratio)?);
    Some(())
}
