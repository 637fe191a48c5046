//! The result of a check and of all of them.

use serde::{Deserialize, Serialize};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "detail", rename_all = "snake_case")]
pub enum Outcome {
    /// The property holds; what was seen.
    Pass(String),
    /// It does not; what was seen and what was expected.
    Fail(String),
    /// It cannot be asked of this run; why.
    NotApplicable(String),
}

impl Outcome {
    /// Fails with every complaint, or passes with what was seen.
    pub(crate) fn from_complaints(complaints: &[String], seen: impl Into<String>) -> Self {
        if complaints.is_empty() { Self::Pass(seen.into()) } else { Self::Fail(complaints.join("; ")) }
    }

    /// `pass`, `FAIL`, `n/a`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail(_) => "FAIL",
            Self::NotApplicable(_) => "n/a",
        }
    }

    /// What was seen, or why it was not asked.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Pass(text) | Self::Fail(text) | Self::NotApplicable(text) => text,
        }
    }
}

/// One named property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// `ranks`, `presence`, `order`, `ledger`, `gaps`, …
    pub name: String,
    /// What it found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All checks of one run; the contents of `verdict.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Version of this file's shape.
    pub schema: u32,
    /// No check failed.
    pub passed: bool,
    /// In the order they were made.
    pub checks: Vec<Check>,
}

impl Verdict {
    pub(crate) fn of(checks: Vec<(&str, Outcome)>) -> Self {
        let mut verdict = Self { schema: 1, passed: true, checks: Vec::new() };
        checks.into_iter().for_each(|(name, outcome)| verdict.add(name, outcome));
        verdict
    }

    /// Adds a check that others than this room make.
    pub(crate) fn add(&mut self, name: &str, outcome: Outcome) {
        self.passed &= !matches!(outcome, Outcome::Fail(_));
        self.checks.push(Check { name: name.to_owned(), outcome });
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.outcome, Outcome::Fail(_)))
    }
}
