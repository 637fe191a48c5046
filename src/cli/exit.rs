//! Exit codes: distinct per cause, as scripts rely on them.

use std::fmt::Display;
use std::process::ExitCode;

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything passed.
    Pass,
    /// Not enough history, or undecided: too few nights, or a procedure without a record.
    Insufficient,
    /// A timing is worse than the nights before.
    Regressed,
    /// A check failed.
    Failed,
    /// The arguments or a procedure file are wrong.
    Usage,
    /// The run could not answer: no boot, no trace, an unreadable trace.
    Infrastructure,
}

impl Exit {
    /// Says what happened on standard error.
    pub(super) fn infrastructure(error: &dyn Display) -> Self {
        crate::output::error_line(format_args!("error: {error}"));
        Self::Infrastructure
    }

    /// Says what is wrong with the arguments on standard error.
    pub(super) fn usage(error: &dyn Display) -> Self {
        crate::output::error_line(format_args!("error: {error}"));
        Self::Usage
    }

    /// The worse of two: an infrastructure error outweighs a failed check, which outweighs a timing.
    pub(super) fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Pass => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Infrastructure => 3,
            Exit::Regressed => 4,
            Exit::Insufficient => 5,
        })
    }
}
