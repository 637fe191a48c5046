//! Why a history file could not be read or written.

use std::path::PathBuf;

/// An operation on the history that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be read or written.
    #[error("the history {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// There is no history file.
    #[error(
        "the history {path} does not exist\n  what to do: tracegate history record RUN_DIR… --history {path}"
    )]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// A run directory that cannot be measured.
    #[error(transparent)]
    Run(Box<crate::run::RunError>),
    /// A night that is no date.
    #[error("{text:?} is not a night: write YYYY-MM-DD")]
    Night {
        /// What was written.
        text: String,
    },
    /// Nothing in the history has the wanted name.
    #[error("no record in {path} matches {wanted}; it has {known}")]
    NoMatch {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What is there.
        known: String,
    },
}

impl From<crate::run::RunError> for HistoryError {
    fn from(error: crate::run::RunError) -> Self {
        Self::Run(Box::new(error))
    }
}
