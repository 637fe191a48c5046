//! What `diff` can compare: a run directory, traces, or a reviewed file.

use std::path::{Path, PathBuf};

use super::describe::footer;
use super::facts::{RankFacts, Snapshot};
use super::parse::SnapshotError;
use crate::observe::Observed;
use crate::run::{RunDirectory, RunError};
use crate::trace::{Evidence, KernelNames, Operators, Trace, TraceRole, inspect_with};

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

/// How bare traces are looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// As wholes, their steps aside.
    pub whole: bool,
    /// Kernels by their whole names.
    pub exact_kernels: bool,
}

/// One side of a comparison.
#[derive(Debug)]
pub struct Source {
    /// What it says of its steps, in words; empty where it has some.
    no_steps: String,
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
    pub fn read(path: &Path, view: View) -> Result<Self, SourceError> {
        // Of a run only the traces are files.
        if path.join("run.json").is_file() && !view.whole {
            let observed = Observed::read(&RunDirectory::open(path)?)?;
            return Ok(Self {
                snapshot: Snapshot::of_run(&observed),
                left_out: footer(&observed.traces, &observed.operators),
                no_steps: String::new(),
            });
        }
        if path.extension().is_some_and(|end| end == "snap" || end == "new") {
            let text = std::fs::read_to_string(path)
                .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            let snapshot = Snapshot::parse(&text)
                .map_err(|error| SourceError::Snapshot { path: path.to_owned(), error })?;
            return Ok(Self { snapshot, left_out: String::new(), no_steps: String::new() });
        }
        let names = if view.exact_kernels { KernelNames::Exact } else { KernelNames::Stable };
        let mut read = inspect_with(&[path.to_owned()], |file, trace| {
            if view.whole { Operators::whole(file, names) } else { Operators::read(file, trace, names) }
        })?;
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
        let both = traces.iter().zip(&operators);
        let snapshot = if view.whole { Snapshot::of_files(both) } else { Snapshot::of_traces(both) };
        let told = traces.iter().any(|trace| trace.evidence != Evidence::None);
        let server = if traces.iter().any(|trace| trace.serving) {
            "nothing that tells steps"
        } else {
            "no serving steps"
        };
        let no_steps = if told { String::new() } else { format!("{} has {server}", path.display()) };
        Ok(Self { snapshot, left_out: footer(&traces, &operators), no_steps })
    }

    /// Why the two have nothing in common that could be compared, if they have not.
    #[must_use]
    pub fn nothing_in_common(&self, other: &Self, view: View) -> Option<String> {
        let empty = |side: &Self| {
            let nothing = |facts: &RankFacts| facts.operators.is_empty() && facts.kernels.is_empty();
            side.snapshot.ranks.iter().all(|group| nothing(&group.facts))
        };
        if view.whole {
            let reason = "nothing comparable: neither operators nor kernels are recorded in one of the two";
            return (empty(self) || empty(other)).then(|| reason.to_owned());
        }
        let reasons: Vec<&str> = [self, other]
            .into_iter()
            .map(|side| side.no_steps.as_str())
            .filter(|why| !why.is_empty())
            .collect();
        (!reasons.is_empty()).then(|| {
            format!(
                "nothing comparable: {}\n  what to do: --whole compares what the whole files ran, without steps",
                reasons.join(", and ")
            )
        })
    }
}
