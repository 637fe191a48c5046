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
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// What the lines are about.
#[derive(Default)]
enum Section {
    #[default]
    Head,
    Ledger,
    Rank,
    Operators,
    Refresh,
    Sampler,
    Kernels,
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

/// Lines that a merge leaves; inside a call tree they would pass for operators.
const CONFLICT: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// Facts without which a rank's section would allow anything.
const RANK_FACTS: [&str; 5] = ["evidence", "idle", "context_tokens", "generation_tokens", "recompiles"];

impl Snapshot {
    /// Reads a reviewed text, with or without the header that insta writes.
    ///
    /// # Errors
    /// The first line that cannot be understood, and what is missing.
    pub fn parse(text: &str) -> Result<Self, SnapshotError> {
        let text = text.replace("\r\n", "\n");
        let conflict = |line: &str| CONFLICT.iter().any(|mark| line.starts_with(mark));
        if let Some(line) = text.lines().position(conflict) {
            let reason = "a merge conflict: choose one side, or accept the run again".to_owned();
            return Err(SnapshotError { line: line + 1, reason });
        }
        let (text, header) = body(&text);
        let mut reading = Reading::default();
        for (number, line) in text.lines().enumerate() {
            reading
                .line(number, line.trim_end())
                .map_err(|reason| SnapshotError { line: number + 1 + header, reason })?;
        }
        let end = header + text.lines().count().max(1);
        reading.finish().map_err(|reason| SnapshotError { line: end, reason })
    }
}

#[derive(Default)]
struct Reading {
    snapshot: Snapshot,
    section: Section,
    procedure: Option<String>,
    lane: Option<String>,
    /// Keys of the section that is read, each of which stands once.
    keys: BTreeSet<String>,
}

impl Reading {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if number == 0 {
            let older = line.starts_with("tracegate-snapshot ") && line != HEAD;
            return match line {
                HEAD => Ok(()),
                _ if older => Err(format!(
                    "{line:?} where {HEAD:?} is expected: written by another tracegate; accept the run again (of a run directory, `tracegate check --write RUN_DIR` writes it anew)"
                )),
                _ => Err(format!("{line:?} where {HEAD:?} is expected")),
            };
        }
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            self.close()?;
            return self.open(title).ok_or_else(|| format!("[{title}] is no section, or one too many"));
        }
        if line.is_empty() {
            return Ok(());
        }
        self.fact(line).ok_or_else(|| format!("{line:?} is no fact of this section, or stands twice"))
    }

    /// The whole snapshot, if nothing is missing that would allow anything by not being there.
    fn finish(mut self) -> Result<Snapshot, String> {
        self.close()?;
        let (Some(procedure), Some(lane)) = (self.procedure, self.lane) else {
            return Err("the procedure or the lane is missing".to_owned());
        };
        self.snapshot.owner = Some(Owner { procedure, lane });
        if self.snapshot.ledger.is_none() {
            return Err("the section [ledger] is missing".to_owned());
        }
        Ok(self.snapshot)
    }

    fn facts(&mut self) -> Option<&mut RankFacts> {
        self.snapshot.ranks.last_mut().map(|group| &mut group.facts)
    }

    /// Ends a section: a call tree is whole only then, and what is missing is known.
    fn close(&mut self) -> Result<(), String> {
        let keys = std::mem::take(&mut self.keys);
        let missing = |wanted: &[&str]| match wanted.iter().find(|key| !keys.contains(**key)) {
            Some(key) => Err(format!("{key} is missing in the section above")),
            None => Ok(()),
        };
        match std::mem::take(&mut self.section) {
            Section::Ledger => missing(&["requests", "prompt_tokens", "output_tokens"]),
            Section::Rank => missing(&RANK_FACTS),
            Section::Calls(columns, shape) => {
                let Some(facts) = self.facts() else { return Ok(()) };
                for column in columns {
                    facts.calls.entry(column).or_default().insert(shape.clone());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, title: &str) -> Option<()> {
        let mut words = title.split(' ');
        let kind = words.next()?;
        let words: Vec<&str> = words.collect();
        self.section = match kind {
            "ledger" if self.snapshot.ledger.is_none() => {
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
                let columns: Vec<Column> = words.map(|word| Column::parse(word)).collect::<Option<_>>()?;
                if columns.is_empty() {
                    return None;
                }
                Section::Calls(columns, Vec::new())
            }
            "ops" | "refresh" | "sampler" | "kernels" | "budgets" => {
                let columns: BTreeSet<Column> =
                    words.iter().map(|word| Column::parse(word)).collect::<Option<_>>()?;
                let (section, table) = self.table(kind)?;
                if columns.is_empty() || !table.columns.is_empty() {
                    return None;
                }
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
            "refresh" => (Section::Refresh, &mut facts.refresh),
            "sampler" => (Section::Sampler, &mut facts.sampler),
            "kernels" => (Section::Kernels, &mut facts.kernels),
            _ => (Section::Budgets, &mut facts.budgets),
        })
    }

    fn fact(&mut self, line: &str) -> Option<()> {
        let key = line.split(' ').next().unwrap_or_default();
        // Steps and problems are lists; tables know their own rows.
        let listed = matches!(key, "step" | "problem" | "sequence" | "decode");
        if matches!(self.section, Section::Head | Section::Ledger | Section::Rank)
            && !listed
            && !self.keys.insert(key.to_owned())
        {
            return None;
        }
        match &mut self.section {
            Section::Head => self.head_fact(line),
            Section::Ledger => ledger_fact(self.snapshot.ledger.as_mut()?, line),
            Section::Rank => rank_fact(self.facts()?, line),
            Section::Operators => self.facts()?.operators.read(line),
            Section::Refresh => self.facts()?.refresh.read(line),
            Section::Sampler => self.facts()?.sampler.read(line),
            Section::Kernels => self.facts()?.kernels.read(line),
            Section::Budgets => self.facts()?.budgets.read(line),
            Section::Calls(_, shape) => {
                shape.push(line.to_owned());
                Some(())
            }
            Section::Ratios => ratio_fact(&mut self.facts()?.ratios, line),
        }
    }

    fn head_fact(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(' ')?;
        match key {
            "procedure" => self.procedure = Some(value.to_owned()),
            "lane" => self.lane = Some(value.to_owned()),
            "seen" => value.clone_into(&mut self.snapshot.seen),
            "runs" => self.snapshot.runs = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
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
        // Written before windows shared boots; what came before a window is not its structure.
        "problem" if value == "outside_window" => {}
        "problem" => {
            facts.problems.insert(value.to_owned());
        }
        _ => return None,
    }
    Some(())
}

fn ratio_fact(ratios: &mut BTreeMap<String, Ratio>, line: &str) -> Option<()> {
    let (pair, ratio) = line.split_once(": ")?;
    ratios.insert(pair.to_owned(), Ratio::parse(ratio)?).is_none().then_some(())
}
