//! What a rule answers, and how the answers of several ranks become one.

use serde::{Deserialize, Serialize};

/// The answer to one question. In JSON `pass`, `fail` and `not_applicable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "detail")]
pub enum Answer {
    /// The property holds; what was seen.
    #[serde(rename = "pass")]
    Holds(String),
    /// It does not; what was seen and what was expected.
    #[serde(rename = "fail")]
    Fails(String),
    /// It cannot be told from this run; why.
    #[serde(rename = "not_applicable")]
    CannotSay(String),
}

impl Answer {
    /// Fails with every complaint, or holds with what was seen.
    pub(crate) fn from_complaints(complaints: &[String], seen: impl Into<String>) -> Self {
        if complaints.is_empty() { Self::Holds(seen.into()) } else { Self::Fails(complaints.join("; ")) }
    }

    /// As [`Self::from_complaints`] of a part that could be looked at: where another part could not, for
    /// `unseen`, what holds of the rest does not hold of all.
    pub(crate) fn of_part(complaints: &[String], seen: impl Into<String>, unseen: Option<String>) -> Self {
        match (Self::from_complaints(complaints, seen), unseen) {
            (Self::Holds(seen), Some(unseen)) => Self::CannotSay(format!("{unseen}; elsewhere {seen}")),
            (Self::Fails(why), Some(unseen)) => Self::Fails(format!("{why}; {unseen}")),
            (answer, _) => answer,
        }
    }

    /// `pass`, `FAIL`, `n/a`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Holds(_) => "pass",
            Self::Fails(_) => "FAIL",
            Self::CannotSay(_) => "n/a",
        }
    }

    /// What was seen, or why it cannot be told.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Holds(text) | Self::Fails(text) | Self::CannotSay(text) => text,
        }
    }

    /// The answer over all ranks. A failure anywhere wins; then what a rank cannot say is not known to hold
    /// on every rank, so those that could not be seen are named; only then it holds.
    pub(crate) fn over_ranks(answers: Vec<(String, Self)>) -> Self {
        let first = answers.first().map(|(_, answer)| answer.clone());
        if let Some(first) = first.filter(|first| answers.iter().all(|(_, answer)| answer == first)) {
            return first;
        }
        let (mut failed, mut silent, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for (rank, answer) in answers {
            let side = match answer {
                Self::Fails(_) => &mut failed,
                Self::CannotSay(_) => &mut silent,
                Self::Holds(_) => &mut held,
            };
            side.push(format!("{rank}: {}", answer.detail()));
        }
        if !failed.is_empty() {
            failed.append(&mut silent);
            return Self::Fails(failed.join("; "));
        }
        if !silent.is_empty() {
            silent.append(&mut held);
            return Self::CannotSay(silent.join("; "));
        }
        Self::Holds(held.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds() -> Answer {
        Answer::Holds("h".to_owned())
    }

    fn fails() -> Answer {
        Answer::Fails("f".to_owned())
    }

    fn silent() -> Answer {
        Answer::CannotSay("s".to_owned())
    }

    /// Three checks had an order of their own, in which a rank that says nothing hid one that fails.
    #[test]
    fn a_failure_anywhere_wins_then_what_cannot_be_said() {
        let over = |answers: Vec<Answer>| {
            let named =
                answers.into_iter().enumerate().map(|(rank, answer)| (format!("rank {rank}"), answer));
            Answer::over_ranks(named.collect())
        };
        assert_eq!(over(vec![holds()]), holds());
        assert_eq!(over(vec![fails()]), fails());
        for (answers, expected) in [
            (vec![silent(), fails()], Answer::Fails("rank 1: f; rank 0: s".to_owned())),
            (vec![fails(), silent()], Answer::Fails("rank 0: f; rank 1: s".to_owned())),
            (vec![holds(), fails()], Answer::Fails("rank 1: f".to_owned())),
            (vec![holds(), silent()], Answer::CannotSay("rank 1: s; rank 0: h".to_owned())),
            (vec![silent(), silent()], silent()),
            (vec![holds(), Answer::Holds("i".to_owned())], Answer::Holds("rank 0: h; rank 1: i".to_owned())),
        ] {
            assert_eq!(over(answers), expected);
        }
    }

    #[test]
    fn what_holds_of_a_part_does_not_hold_of_all() {
        let unseen = || Some("2 of 8 steps do not say".to_owned());
        assert_eq!(
            Answer::of_part(&[], "1 to 3", unseen()),
            Answer::CannotSay("2 of 8 steps do not say; elsewhere 1 to 3".to_owned())
        );
        assert_eq!(
            Answer::of_part(&["4".to_owned()], "1 to 4", unseen()),
            Answer::Fails("4; 2 of 8 steps do not say".to_owned())
        );
        assert_eq!(Answer::of_part(&[], "1", None), Answer::Holds("1".to_owned()));
    }
}
