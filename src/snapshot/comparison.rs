//! A run beside its reviewed file.

use super::describe::{describe, headline, unified};
use super::difference::Difference;
use super::facts::Snapshot;
use super::parse::SnapshotError;
use super::reviews::{Missing, text};
use crate::check::{Decided, Outcome, decide};
use crate::plan::Reviews;
use crate::run::{RunDirectory, RunError};

/// How a run and a reviewed file compare.
#[derive(Debug)]
pub(crate) enum Comparison {
    /// Nothing was reviewed, or the run is of another configuration; why.
    None(String),
    Unreadable(SnapshotError),
    Equal,
    Different(Box<Differing>),
}

/// Everything to be said of a difference.
#[derive(Debug)]
pub(crate) struct Differing {
    pub(crate) differences: Vec<Difference>,
    /// The file and what was seen, facts that do not differ left as they were reviewed.
    pub(crate) diff: String,
}

impl Differing {
    /// Groups first, then lines.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", describe(&self.differences), self.diff)
    }
}

/// Compares a decided run with what was reviewed; the second is what that is called.
pub(crate) fn compare_run(reviews: &Reviews, decided: &Decided, run: &RunDirectory) -> (Comparison, String) {
    let plan = &decided.plan;
    if !plan.options.is_empty() {
        let options = plan.options.join(", ");
        let reason = format!("the run is not of the reviewed configuration ({options})");
        return (Comparison::None(reason), String::new());
    }
    let reviewed = match text(reviews, plan, run) {
        Ok(reviewed) => reviewed,
        Err(Missing::None(reason)) => return (Comparison::None(reason), String::new()),
        Err(Missing::Unreadable(error)) => {
            return (Comparison::Unreadable(error), "the reviewed snapshot".to_owned());
        }
    };
    let seen = Snapshot::of_run(decided);
    let known = Snapshot::parse(&reviewed.text).map(|snapshot| snapshot.seen).unwrap_or_default();
    let comparison = if reviewed.of_its_versions && known != seen.seen {
        Comparison::None(format!("{} was reviewed with {known}, this is {}", reviewed.label, seen.seen))
    } else {
        compare_text(&reviewed.text, &seen)
    };
    (comparison, reviewed.label)
}

/// Compares the text of a reviewed file with what was seen.
fn compare_text(text: &str, seen: &Snapshot) -> Comparison {
    let committed = match Snapshot::parse(text) {
        Ok(committed) => committed,
        Err(error) => return Comparison::Unreadable(error),
    };
    let differences = committed.differences(seen);
    if differences.is_empty() {
        return Comparison::Equal;
    }
    let diff = unified(&committed, &committed.replaced_by(seen), ("committed", "observed"));
    Comparison::Different(Box::new(Differing { differences, diff }))
}

/// Decides a recorded run, and compares it with its reviewed snapshot: where the run had it, or where
/// `reviews` says. Writes nothing.
///
/// # Errors
/// As [`decide`].
pub(crate) fn judge(directory: &RunDirectory, reviews: Option<&Reviews>) -> Result<Decided, RunError> {
    let mut decided = decide(directory)?;
    let outcome = outcome(reviews.unwrap_or(&decided.plan.reviews), &decided, directory);
    decided.verdict.add("snapshot", outcome);
    Ok(decided)
}

/// The comparison as a check of the verdict.
fn outcome(reviews: &Reviews, decided: &Decided, run: &RunDirectory) -> Outcome {
    match compare_run(reviews, decided, run) {
        (Comparison::None(reason), _) => Outcome::NotApplicable(reason),
        (Comparison::Unreadable(error), label) => Outcome::Fail(format!("{label}: {error}")),
        (Comparison::Equal, label) => Outcome::Pass(format!("equal to {label}")),
        (Comparison::Different(differing), label) => {
            Outcome::Fail(format!("{} (reviewed: {label})", headline(&differing.differences)))
        }
    }
}
