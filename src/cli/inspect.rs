//! `tracegate inspect`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::exit::Exit;
use crate::report::{inspect_markdown, table};
use crate::trace::{Device, ExplainedGap, Trace, TraceRole, explain_gaps, inspect};

#[derive(Args)]
pub(super) struct Inspect {
    /// Trace files, or directories with traces
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
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
    Markdown,
}

#[derive(Serialize)]
struct Traces {
    traces: Vec<Inspected>,
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
    pub(super) fn run(self) -> Exit {
        let traces = match inspect(&self.paths) {
            Ok(traces) => traces,
            Err(error) => return Exit::infrastructure(&error),
        };
        let exit = traces.iter().fold(Exit::Pass, |exit, trace| exit.and(readable(trace)));
        let explain = |trace: &Trace| explain_gaps(Path::new(&trace.file), trace, self.explain_gaps);
        let device = |trace: &Trace| self.device.then(|| trace.device(Path::new(&trace.file))).flatten();
        match self.format {
            Form::Text => {
                for trace in &traces {
                    crate::output::line(table::trace_summary(trace));
                    crate::output::text(table::explained(&explain(trace)));
                    if self.device && trace.role == TraceRole::Worker {
                        crate::output::line(table::device(device(trace).as_ref()));
                    }
                }
                let workers: Vec<&Trace> =
                    traces.iter().filter(|trace| trace.role == TraceRole::Worker).collect();
                table::ranks(&workers).into_iter().for_each(crate::output::line);
            }
            Form::Markdown => crate::output::text(inspect_markdown(&traces)),
            Form::Json => {
                let inspected = |trace: Trace| Inspected {
                    explained_gaps: explain(&trace),
                    device: device(&trace),
                    trace,
                };
                let traces = Traces { traces: traces.into_iter().map(inspected).collect() };
                crate::output::note(print_json(&traces));
            }
        }
        exit
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

/// Written as it is made: the steps of a day's trace do not fit twice.
fn print_json(traces: &Traces) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, traces)?;
    writeln!(out)?;
    out.flush()
}
