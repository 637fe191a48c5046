//! `tracegate history`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::exit::Exit;
use super::form::{Form, print_json};
use crate::history::{
    Damage, EpochRecord, History, HistoryError, NightRecord, Overall, Overrides, SeriesView, Verdicts,
    check_night, rebaseline, record_runs, scope, verdicts, views,
};
use crate::report::nights;

#[derive(Args)]
pub(super) struct HistoryVerb {
    #[command(subcommand)]
    verb: Verb,
    /// The history file: JSON lines, only ever appended to
    #[arg(long, global = true, value_name = "FILE", default_value = "tracegate-history.jsonl")]
    history: PathBuf,
}

#[derive(Subcommand)]
enum Verb {
    /// Append one line for each procedure and date of the given runs; those that share both are repetitions
    Record(Record),
    /// Judge the newest night: exit code 1 a check failed, 4 a timing regressed, 5 not enough history or undecided
    Verdict(Verdict),
    /// Accept a change: begin an epoch, for which earlier nights are no baseline
    Rebaseline(Rebaseline),
    /// Print the nights
    Show(Show),
}

#[derive(Args)]
struct Record {
    /// Run directories; those of one date are the repetitions of one night
    #[arg(required = true, value_name = "RUN_DIR")]
    directories: Vec<PathBuf>,
    /// The night of all of them, YYYY-MM-DD, instead of the date (UTC) on which each run began
    #[arg(long)]
    night: Option<String>,
    /// Name of the machines whose timings may be compared, instead of the one read off the machine
    #[arg(long, value_name = "NAME")]
    machine_class: Option<String>,
    /// Further versions and commits as installed, such as vllm-commit=1a2b3c
    #[arg(long, value_name = "NAME=VERSION", value_delimiter = ',', value_parser = pair)]
    sw: Vec<(String, String)>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

#[derive(Args)]
struct Verdict {
    /// Judge this night, YYYY-MM-DD, as if later ones had not been
    #[arg(long)]
    night: Option<String>,
    /// Judge this lane only
    #[arg(long)]
    lane: Option<String>,
    /// Judge this procedure only
    #[arg(long)]
    procedure: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = VerdictForm::Text)]
    format: VerdictForm,
}

#[derive(Clone, Copy, ValueEnum)]
enum VerdictForm {
    Text,
    Json,
    Markdown,
}

#[derive(Args)]
struct Rebaseline {
    /// Why the change is accepted
    #[arg(long)]
    reason: String,
    /// Where it was discussed
    #[arg(long)]
    link: Option<String>,
    /// First night of the epoch, YYYY-MM-DD; today when absent
    #[arg(long, value_name = "NIGHT")]
    from: Option<String>,
    /// For this lane only
    #[arg(long)]
    lane: Option<String>,
    /// For this procedure only
    #[arg(long)]
    procedure: Option<String>,
    /// For this machine class only
    #[arg(long, value_name = "NAME")]
    machine_class: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

#[derive(Args)]
struct Show {
    /// Nights of each series, the newest ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, version)) if !name.is_empty() && !version.is_empty() => {
            Ok((name.to_owned(), version.to_owned()))
        }
        _ => Err("write NAME=VERSION, such as vllm-commit=1a2b3c".to_owned()),
    }
}

impl HistoryVerb {
    pub(super) fn run(self) -> Exit {
        let done = match self.verb {
            Verb::Record(verb) => verb.run(&self.history),
            Verb::Verdict(verb) => verb.run(&self.history),
            Verb::Rebaseline(verb) => verb.run(&self.history),
            Verb::Show(verb) => verb.run(&self.history),
        };
        done.unwrap_or_else(|error| match error {
            HistoryError::Night { .. } | HistoryError::NoMatch { .. } => Exit::usage(&error),
            _ => Exit::infrastructure(&error),
        })
    }
}

/// Reads a history and warns of the lines that were skipped.
fn read(path: &Path) -> Result<History, HistoryError> {
    let history = History::read(path)?;
    for line in nights::damage_text(path, &history.damage) {
        crate::output::error_line(line);
    }
    Ok(history)
}

#[derive(Serialize)]
struct RecordOutput {
    recorded: Vec<NightRecord>,
    known: usize,
}

impl Record {
    fn run(self, history: &Path) -> Result<Exit, HistoryError> {
        let overrides = Overrides {
            night: self.night,
            machine_class: self.machine_class,
            sw: self.sw.into_iter().collect(),
        };
        let recorded = record_runs(history, &self.directories, &overrides)?;
        if self.format == Form::Json {
            print_json(&RecordOutput { recorded: recorded.nights, known: recorded.known });
            return Ok(Exit::Pass);
        }
        for night in &recorded.nights {
            crate::output::line(format_args!(
                "recorded {}/{} on {}, night {}: {}, {}, verdict {}",
                night.lane,
                night.procedure,
                night.machine_class,
                night.night,
                nights::counted(night.n_reps as usize, "repetition"),
                nights::counted(night.metrics.len(), "metric"),
                night.verdict
            ));
            for error in &night.errors {
                crate::output::line(format_args!("  infrastructure error: {error}"));
            }
        }
        if recorded.known > 0 {
            crate::output::line(format_args!(
                "{} of {} runs are in the history already",
                recorded.known,
                self.directories.len()
            ));
        }
        Ok(Exit::Pass)
    }
}

#[derive(Serialize)]
struct VerdictOutput<'a> {
    state: Option<Overall>,
    rerun: bool,
    #[serde(flatten)]
    verdicts: &'a Verdicts,
    damage: &'a [Damage],
}

impl Verdict {
    fn run(self, path: &Path) -> Result<Exit, HistoryError> {
        if let Some(night) = &self.night {
            check_night(night)?;
        }
        let mut history = read(path)?;
        let mut known: Vec<String> = history
            .nights
            .iter()
            .map(|night| format!("{}/{} of {}", night.lane, night.procedure, night.night))
            .collect();
        known.sort();
        known.dedup();
        history.nights.retain(|night| {
            self.lane.as_ref().is_none_or(|lane| *lane == night.lane)
                && self.procedure.as_ref().is_none_or(|name| *name == night.procedure)
        });
        let judged = verdicts(&history, self.night.as_deref());
        if judged.series.is_empty()
            && judged.absent.is_empty()
            && (self.night.is_some() || self.lane.is_some() || self.procedure.is_some())
        {
            let asked = [("night", &self.night), ("lane", &self.lane), ("procedure", &self.procedure)];
            let asked = asked.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
            let listed = known.iter().rev().take(8).cloned().collect::<Vec<_>>().join(", ");
            return Err(HistoryError::NoMatch {
                path: path.to_owned(),
                wanted: asked.collect::<Vec<_>>().join(", "),
                known: if known.is_empty() { "no nights".to_owned() } else { listed },
            });
        }
        match self.format {
            VerdictForm::Text => crate::output::text(nights::verdicts_text(&judged)),
            VerdictForm::Markdown => crate::output::text(nights::verdicts_markdown(&judged)),
            VerdictForm::Json => print_json(&VerdictOutput {
                state: judged.worst(),
                rerun: judged.series.iter().any(|series| series.rerun),
                verdicts: &judged,
                damage: &history.damage,
            }),
        }
        Ok(exit_of(&judged))
    }
}

/// `suspect` and `improved` ask for a look and fail nothing; they do not hide what could not be judged.
fn exit_of(judged: &Verdicts) -> Exit {
    match judged.worst() {
        Some(Overall::Regressed) => Exit::Regressed,
        Some(Overall::Failed) => Exit::Failed,
        Some(Overall::Infrastructure) => Exit::Infrastructure,
        Some(Overall::Ok | Overall::Improved | Overall::Suspect) if !judged.undecided() => Exit::Pass,
        _ => Exit::Insufficient,
    }
}

impl Rebaseline {
    fn run(self, history: &Path) -> Result<Exit, HistoryError> {
        if self.reason.trim().is_empty() {
            return Ok(Exit::usage(&"--reason is empty: write why the change is accepted"));
        }
        let utc = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let today = utc.chars().take(10).collect();
        let epoch = rebaseline(
            history,
            EpochRecord {
                schema_version: 0,
                record: String::new(),
                utc,
                from: self.from.unwrap_or(today),
                lane: self.lane,
                procedure: self.procedure,
                machine_class: self.machine_class,
                reason: self.reason,
                link: self.link,
            },
        )?;
        match self.format {
            Form::Json => print_json(&epoch),
            Form::Text => crate::output::line(format_args!(
                "a new epoch begins on {} for {}: {}",
                epoch.from,
                scope(&epoch),
                epoch.reason
            )),
        }
        Ok(Exit::Pass)
    }
}

#[derive(Serialize)]
struct ShowOutput<'a> {
    series: Vec<SeriesView>,
    damage: &'a [Damage],
}

impl Show {
    fn run(self, path: &Path) -> Result<Exit, HistoryError> {
        let history = read(path)?;
        let series = views(&history, self.last);
        match self.format {
            Form::Text => crate::output::text(nights::views_text(&series)),
            Form::Json => print_json(&ShowOutput { series, damage: &history.damage }),
        }
        Ok(Exit::Pass)
    }
}
