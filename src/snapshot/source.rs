//! What `diff` can compare: a run directory, traces, or a reviewed file.

use std::path::{Path, PathBuf};

use super::describe::footer;
use super::facts::Snapshot;
use super::parse::SnapshotError;
use crate::observe::Observed;
use crate::run::{RunDirectory, RunError};
use crate::trace::{Operators, Trace, TraceRole, inspect_with_operators};

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A run without a verdict.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A snapshot that cannot be read.
    #[error("{path}: {error}", path = path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// The first line that cannot be understood.
        error: SnapshotError,
    },
    /// A file or directory that cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A trace that is cut short.
    #[error("{file}: {code}: {detail}; half a trace is compared with nothing")]
    Trace {
        /// The file.
        file: String,
        /// Code of the problem.
        code: String,
        /// What happened.
        detail: String,
    },
    /// Traces without a worker among them.
    #[error("{path}: no worker trace: a front end's has no steps to compare", path = path.display())]
    NoWorker {
        /// What was read.
        path: PathBuf,
    },
}

/// One side of a comparison.
#[derive(Debug)]
pub struct Source {
    /// Its structure.
    pub snapshot: Snapshot,
    /// What was left out, and where the raw trace is; empty for a reviewed file.
    pub left_out: String,
}

impl Source {
    /// Reads a run directory, a trace or a directory of traces, or a `.snap` file.
    ///
    /// # Errors
    /// As [`SourceError`]: infrastructure errors, never differences.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        if path.join("run.json").is_file() {
            let observed = Observed::read(&RunDirectory::open(path)?)?;
            return Ok(Self {
                snapshot: Snapshot::of_run(&observed),
                left_out: footer(&observed.traces, &observed.operators),
            });
        }
        if path.extension().is_some_and(|end| end == "snap" || end == "new") {
            let text = std::fs::read_to_string(path)
                .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            let snapshot = Snapshot::parse(&text)
                .map_err(|error| SourceError::Snapshot { path: path.to_owned(), error })?;
            return Ok(Self { snapshot, left_out: String::new() });
        }
        let mut read = inspect_with_operators(&[path.to_owned()])?;
        read.retain(|(trace, _)| trace.role == TraceRole::Worker);
        read.sort_by_key(|(trace, _)| trace.rank);
        if read.is_empty() {
            return Err(SourceError::NoWorker { path: path.to_owned() });
        }
        for (trace, _) in &read {
            if let Some(problem) = trace.fatal() {
                let (code, detail) = (problem.code.code(), crate::text::inert(&problem.detail, 200));
                return Err(SourceError::Trace { file: trace.file.clone(), code, detail });
            }
        }
        let (traces, operators): (Vec<Trace>, Vec<Operators>) = read.into_iter().unzip();
        let snapshot = Snapshot::of_traces(traces.iter().zip(&operators));
        Ok(Self { snapshot, left_out: footer(&traces, &operators) })
    }
}
