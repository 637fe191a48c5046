//! A run beside its reviewed snapshot: the rule `snapshot`.

use super::answer::Answer;
use super::reviewed::{Missing, ReviewedText};
use crate::observe::Observed;
use crate::plan::Reviews;
use crate::run::RunDirectory;
use crate::snapshot::{Difference, Snapshot, SnapshotError, describe, headline, unified};

/// How a run and what was reviewed compare.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    /// What the reviewed text is called; empty where there is none.
    pub(crate) label: String,
    /// The reviewed file as it was read.
    pub(crate) text: Option<String>,
    pub(crate) comparison: Comparison,
}

#[derive(Clone, Debug)]
pub(crate) enum Comparison {
    /// Nothing was reviewed, or the run is of another configuration; why.
    None(String),
    Unreadable(SnapshotError),
    Equal,
    Different(Box<Differing>),
}

/// Everything to be said of a difference.
#[derive(Clone, Debug)]
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

impl Review {
    pub(super) fn of(reviews: &Reviews, observed: &Observed, seen: &Snapshot, run: &RunDirectory) -> Self {
        let none = |reason| Self { label: String::new(), text: None, comparison: Comparison::None(reason) };
        let plan = &observed.plan;
        if !plan.options.is_empty() {
            let options = plan.options.join(", ");
            return none(format!("the run is not of the reviewed configuration ({options})"));
        }
        let ReviewedText { text, label, of_its_versions } = match ReviewedText::of(reviews, plan, run) {
            Ok(reviewed) => reviewed,
            Err(Missing::None(reason)) => return none(reason),
            Err(Missing::Unreadable(error)) => {
                let label = "the reviewed snapshot".to_owned();
                return Self { label, text: None, comparison: Comparison::Unreadable(error) };
            }
        };
        let committed = match Snapshot::parse(&text) {
            Ok(committed) => committed,
            Err(error) => return Self { label, text: Some(text), comparison: Comparison::Unreadable(error) },
        };
        if of_its_versions && committed.seen != seen.seen {
            return none(format!("{label} was reviewed with {}, this is {}", committed.seen, seen.seen));
        }
        let comparison = Comparison::between(&committed, seen);
        Self { label, text: Some(text), comparison }
    }

    /// How the run differs; nothing where it does not, and where there is nothing to compare with.
    pub(crate) fn differing(&self) -> Option<&Differing> {
        match &self.comparison {
            Comparison::Different(differing) => Some(differing),
            _ => None,
        }
    }

    /// The reviewed text's name, where the run was compared with it.
    pub(crate) fn compared_with(&self) -> Option<&str> {
        matches!(self.comparison, Comparison::Equal | Comparison::Different(_)).then_some(self.label.as_str())
    }

    /// The comparison as a rule's answer.
    pub(super) fn answer(&self) -> Answer {
        let label = &self.label;
        match &self.comparison {
            Comparison::None(reason) => Answer::CannotSay(reason.clone()),
            Comparison::Unreadable(error) => Answer::Fails(format!("{label}: {error}")),
            Comparison::Equal => Answer::Holds(format!("equal to {label}")),
            Comparison::Different(differing) => {
                Answer::Fails(format!("{} (reviewed: {label})", headline(&differing.differences)))
            }
        }
    }
}

impl Comparison {
    fn between(committed: &Snapshot, seen: &Snapshot) -> Self {
        let differences = committed.differences(seen);
        if differences.is_empty() {
            return Self::Equal;
        }
        let diff = unified(committed, &committed.replaced_by(seen), ("committed", "observed"));
        Self::Different(Box::new(Differing { differences, diff }))
    }
}
