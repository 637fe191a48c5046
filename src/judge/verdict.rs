//! The answers of all rules to one run.

use serde::{Deserialize, Serialize};

use super::answer::Answer;

/// One rule and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// `ranks`, `presence`, `order`, `ledger`, `gaps`, …
    pub name: String,
    /// What the rule answers.
    #[serde(flatten)]
    pub answer: Answer,
}

/// All checks of one run; the contents of `verdict.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Version of this file's shape.
    pub schema: u32,
    /// No check failed.
    pub passed: bool,
    /// In the order in which they were asked.
    pub checks: Vec<Check>,
}

impl Verdict {
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        let passed = !checks.iter().any(|check| matches!(check.answer, Answer::Fails(_)));
        Self { schema: 1, passed, checks }
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.answer, Answer::Fails(_)))
    }
}
