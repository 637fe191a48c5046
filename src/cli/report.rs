//! `tracegate report`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::exit::Exit;
use crate::history::{History, Verdicts, check_night, verdicts, views};
use crate::report::page::{Reported, page};
use crate::report::{annotations, junit, summary};

#[derive(Args)]
pub(super) struct ReportVerb {
    /// Run directories
    #[arg(value_name = "RUN_DIR", required_unless_present = "history")]
    directories: Vec<PathBuf>,
    /// File to write; standard output when absent, except for html
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Form::Html)]
    format: Form,
    /// Show the nights of this history and the verdict of the newest
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Judge this night of the history, YYYY-MM-DD, instead of the newest
    #[arg(long, requires = "history")]
    night: Option<String>,
    /// Nights shown of each series
    #[arg(long, value_name = "N", default_value_t = 90)]
    last: usize,
    /// Directory of reviewed snapshots, as LANE/PROCEDURE.snap, instead of where each run had them
    #[arg(long, value_name = "DIR", value_parser = super::snapshots::directory)]
    snapshots: Option<PathBuf>,
    /// Append the Markdown summary to the file that GITHUB_STEP_SUMMARY names, as well
    #[arg(long)]
    job_summary: bool,
    /// Print at most eight annotations of failures for GitHub, as well
    #[arg(long)]
    annotate: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Html,
    Markdown,
    Junit,
}

impl ReportVerb {
    pub(super) fn run(self) -> Exit {
        if let Some(Err(error)) = self.night.as_deref().map(check_night) {
            return Exit::usage(&error);
        }
        let reviews = self.snapshots.as_deref().map(super::snapshots::reviews);
        let read = |path: &PathBuf| Reported::read(path, reviews.as_ref());
        let directories = super::directories::runs(self.directories.clone());
        let runs: Result<Vec<Reported>, _> = directories.iter().map(read).collect();
        let runs = match runs {
            Ok(runs) => runs,
            Err(error) => return Exit::infrastructure(&error),
        };
        let history = match self.history.as_deref().map(History::read).transpose() {
            Ok(history) => history,
            Err(error) => return Exit::infrastructure(&error),
        };
        if let (Some(history), Some(path)) = (&history, &self.history) {
            for line in crate::report::nights::damage_text(path, &history.damage) {
                crate::output::error_line(line);
            }
        }
        let night = history.as_ref().map(|history| verdicts(history, self.night.as_deref()));
        let text = match self.format {
            Form::Markdown => Ok(summary::markdown(&runs, night.as_ref())),
            Form::Junit => Ok(junit::junit(&runs)),
            Form::Html => {
                let points = history.as_ref().map(|history| views(history, self.last)).unwrap_or_default();
                page(&runs, points, night.as_ref())
            }
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => return Exit::infrastructure(&error),
        };
        let written = self.write(&text).and(self.surfaces(&runs, night.as_ref()));
        written.map_or_else(|exit| exit, |()| Exit::Pass)
    }

    fn write(&self, text: &str) -> Result<(), Exit> {
        match (&self.out, self.format) {
            (Some(path), _) => {
                std::fs::write(path, text).map_err(|error| failed(path, &error))?;
                crate::output::detail(format_args!("report: {}", path.display()));
            }
            (None, Form::Html) => return Err(Exit::usage(&"a page needs a file: -o FILE")),
            (None, _) => crate::output::text(text),
        }
        Ok(())
    }

    fn surfaces(&self, runs: &[Reported], night: Option<&Verdicts>) -> Result<(), Exit> {
        if self.annotate {
            crate::output::text(annotations::annotations(
                runs,
                night,
                self.snapshots.as_deref().unwrap_or(Path::new("snapshots")),
            ));
        }
        if !self.job_summary {
            return Ok(());
        }
        let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) else {
            return Err(Exit::usage(
                &"--job-summary needs the variable GITHUB_STEP_SUMMARY, which names the file",
            ));
        };
        // Steps of one job share nothing here: each has a file of its own, which may hold text already.
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| failed(&path, &error))?;
        file.write_all(summary::markdown(runs, night).as_bytes()).map_err(|error| failed(&path, &error))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Exit {
    Exit::infrastructure(&format!("{}: {error}", path.display()))
}
