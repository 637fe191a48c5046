//! `tracegate inspect`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use tempfile::TempDir;

use super::exit::Exit;
use crate::report::{inspect_markdown, table};
use crate::trace::{Census, Device, ExplainedGap, Trace, TraceRole, explain_gaps, inspect_under};

#[derive(Args)]
pub(super) struct Inspect {
    /// Trace files, or directories with traces; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// Read each worker trace again and say which Python frames filled its K largest gaps
    #[arg(long, value_name = "K", default_value_t = 0)]
    explain_gaps: usize,
    /// Read each worker trace again and measure how long the device was idle between the steps; needs
    /// engine events, which hardware tracing leaves
    #[arg(long)]
    device: bool,
    /// Go into the directories of a directory, too; without it only where no trace lies at the top
    #[arg(long)]
    recursive: bool,
    /// Missing ranks are no error
    #[arg(long)]
    partial: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
    Markdown,
}

#[derive(Serialize)]
struct Inspection {
    traces: Vec<Inspected>,
    ranks: Option<Census>,
}

#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    trace: Trace,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explained_gaps: Vec<ExplainedGap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device>,
}

impl Inspect {
    pub(super) fn run(mut self) -> Exit {
        let whole = !self.partial && self.names_directory();
        let spooled = match self.spool() {
            Ok(spooled) => spooled,
            Err(error) => return Exit::infrastructure(&format!("standard input: {error}")),
        };
        let mut traces = match inspect_under(&self.paths, self.recursive) {
            Ok(traces) => traces,
            Err(error) => return Exit::infrastructure(&error),
        };
        let read_again = |trace: &Trace| {
            let path = Path::new(&trace.file);
            let device = self.device.then(|| trace.device(path)).flatten();
            (explain_gaps(path, trace, self.explain_gaps), device)
        };
        let further: Vec<_> = traces.iter().map(read_again).collect();
        for trace in traces.iter_mut().filter(|trace| spooled.as_ref().is_some_and(|dir| dir.holds(trace))) {
            "-".clone_into(&mut trace.file);
        }
        let exit = traces.iter().fold(Exit::Pass, |exit, trace| exit.and(readable(trace)));
        let ranks = Census::of(&traces);
        let exit = exit.and(ranks.as_ref().filter(|_| whole).map_or(Exit::Pass, complete));
        self.print(traces, further, ranks);
        exit
    }

    fn names_directory(&self) -> bool {
        self.paths.iter().any(|path| path.is_dir())
    }

    /// Standard input as a file, for it may be read twice.
    fn spool(&mut self) -> std::io::Result<Option<Spooled>> {
        let Some(path) = self.paths.iter_mut().find(|path| path.as_os_str() == "-") else { return Ok(None) };
        let directory = tempfile::tempdir()?;
        *path = directory.path().join("stdin");
        std::io::copy(&mut std::io::stdin().lock(), &mut std::fs::File::create(&*path)?)?;
        Ok(Some(Spooled { path: path.clone(), _directory: directory }))
    }

    fn print(
        &self,
        traces: Vec<Trace>,
        further: Vec<(Vec<ExplainedGap>, Option<Device>)>,
        ranks: Option<Census>,
    ) {
        // Of one file that was named nobody expects the other ranks.
        let counted = ranks.as_ref().filter(|_| traces.len() > 1 || self.names_directory());
        match self.format {
            Form::Text => {
                for (trace, (gaps, device)) in traces.iter().zip(&further) {
                    crate::output::line(table::trace_summary(trace));
                    crate::output::text(table::explained(gaps));
                    if self.device && trace.role == TraceRole::Worker {
                        crate::output::line(table::device(device.as_ref()));
                    }
                }
                let workers: Vec<&Trace> =
                    traces.iter().filter(|trace| trace.role == TraceRole::Worker).collect();
                table::ranks(&workers).into_iter().for_each(crate::output::line);
                counted.iter().for_each(|ranks| crate::output::text(table::census(ranks)));
            }
            Form::Markdown => {
                crate::output::text(inspect_markdown(&traces));
                counted.iter().for_each(|ranks| crate::output::text(table::census(ranks)));
            }
            Form::Json => {
                let inspected =
                    |(trace, (explained_gaps, device))| Inspected { trace, explained_gaps, device };
                let traces = traces.into_iter().zip(further).map(inspected).collect();
                crate::output::note(print_json(&Inspection { traces, ranks }));
            }
        }
    }
}

struct Spooled {
    path: PathBuf,
    _directory: TempDir,
}

impl Spooled {
    fn holds(&self, trace: &Trace) -> bool {
        Path::new(&trace.file) == self.path
    }
}

/// A file that is cut short is printed as far as it was read, and still an error.
fn readable(trace: &Trace) -> Exit {
    match trace.fatal() {
        None => Exit::Pass,
        Some(problem) => Exit::infrastructure(&format!(
            "{}: {} at byte {} {}: {}; {} events and {} steps were read before it",
            trace.file,
            problem.code.code(),
            problem.offset,
            problem.code.offset_in(),
            problem.detail,
            trace.events,
            trace.steps.len()
        )),
    }
}

/// Half the ranks answer no question about all of them.
fn complete(ranks: &Census) -> Exit {
    if ranks.missing.is_empty() {
        return Exit::Pass;
    }
    Exit::infrastructure(&format!(
        "{}what to do: fetch the traces of these ranks, or pass --partial",
        table::census(ranks)
    ))
}

/// Written as it is made: the steps of a day's trace do not fit twice.
fn print_json(traces: &Inspection) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, traces)?;
    writeln!(out)?;
    out.flush()
}
