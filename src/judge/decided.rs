//! The one door: from a run directory to a verdict, with what it was decided from.

use super::answer::Answer;
use super::review::Review;
use super::rule::{Rule, ask_all};
use super::verdict::{Check, Verdict};
use crate::observe::Observed;
use crate::plan::Reviews;
use crate::run::{RunDirectory, RunError};
use crate::snapshot::Snapshot;

/// A decided run. Terminal, page, JUnit, annotations, trials, replays and history read it; none decides again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decided {
    /// What was observed.
    pub observed: Observed,
    /// The verdict.
    pub verdict: Verdict,
    /// The structure of the run.
    pub(crate) snapshot: Snapshot,
    /// How that compares with what was reviewed.
    pub(crate) review: Review,
}

/// Decides a run from its directory alone: compares it with its reviewed snapshot where the run had it, or where
/// `reviews` says. Writes nothing.
///
/// # Errors
/// As [`Observed::read`].
pub fn decide(directory: &RunDirectory, reviews: Option<&Reviews>) -> Result<Decided, RunError> {
    decide_with(directory, reviews, &[])
}

/// The same, with further rules.
pub(crate) fn decide_with(
    directory: &RunDirectory,
    reviews: Option<&Reviews>,
    added: &[Rule],
) -> Result<Decided, RunError> {
    let observed = Observed::read(directory)?;
    let snapshot = Snapshot::of_run(&observed);
    let review = Review::of(reviews.unwrap_or(&observed.plan.reviews), &observed, &snapshot, directory);
    let mut checks = ask_all(&observed, added);
    checks.push(Check { name: "snapshot".to_owned(), answer: review.answer() });
    checks.extend(asked_elsewhere(directory, &checks));
    Ok(Decided { observed, verdict: Verdict::of(checks), snapshot, review })
}

/// Checks of an earlier verdict that are not asked now: those of a harness are code that is not here.
fn asked_elsewhere(directory: &RunDirectory, asked: &[Check]) -> Vec<Check> {
    let earlier: Result<Verdict, _> = directory.read_json("verdict.json");
    let mut checks = earlier.map(|verdict| verdict.checks).unwrap_or_default();
    checks
        .retain(|check| check.name.starts_with("check:") && !asked.iter().any(|one| one.name == check.name));
    for check in &mut checks {
        check.answer = Answer::CannotSay(
            "asked in Rust by the harness that ran it: TRACEGATE_REPLAY=RUN_DIR cargo test asks it again"
                .to_owned(),
        );
    }
    checks
}
