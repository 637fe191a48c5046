//! `tracegate inspect`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::exit::Exit;
use crate::report::{inspect_markdown, table};
use crate::trace::{Trace, inspect};

#[derive(Args)]
pub(super) struct Inspect {
    /// Trace files, or directories with traces
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
    Markdown,
}

#[derive(Serialize)]
struct Traces<'a> {
    traces: &'a [Trace],
}

impl Inspect {
    pub(super) fn run(self) -> Exit {
        let traces = match inspect(&self.paths) {
            Ok(traces) => traces,
            Err(error) => return Exit::infrastructure(&error),
        };
        match self.format {
            Form::Text => {
                for trace in &traces {
                    println!("{}", table::trace_summary(trace));
                }
            }
            Form::Markdown => print!("{}", inspect_markdown(&traces)),
            Form::Json => match serde_json::to_string_pretty(&Traces { traces: &traces }) {
                Ok(text) => println!("{text}"),
                Err(error) => return Exit::infrastructure(&error),
            },
        }
        traces.iter().fold(Exit::Pass, |exit, trace| exit.and(readable(trace)))
    }
}

/// A file that is cut short is printed as far as it was read, and still an error.
fn readable(trace: &Trace) -> Exit {
    match trace.fatal() {
        None => Exit::Pass,
        Some(problem) => Exit::infrastructure(&format!(
            "{}: {} at byte {}: {}; {} events and {} steps were read before it",
            trace.file,
            problem.code.code(),
            problem.offset,
            problem.detail,
            trace.events,
            trace.steps.len()
        )),
    }
}
