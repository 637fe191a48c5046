//! Checks that a test target adds in Rust: asked behind the built-in ones, and named `check:NAME` in the verdict, as those of a
//! procedure's `[[check]]` are.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::check::{Decided, Outcome};

type Ask = dyn Fn(&Decided) -> Outcome + Send + Sync;

/// A named question about a decided run.
#[derive(Clone)]
pub(super) struct AddedCheck {
    name: String,
    ask: Arc<Ask>,
}

impl fmt::Debug for AddedCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddedCheck").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AddedCheck {
    pub(super) fn new(
        name: impl Into<String>,
        ask: impl Fn(&Decided) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self { name: format!("check:{}", name.into()), ask: Arc::new(ask) }
    }

    /// Asks, and adds the answer to the verdict. Whatever the check does, there is an answer: a trial
    /// that unwinds would lose its run directory.
    pub(super) fn add_to(&self, decided: &mut Decided) {
        let outcome = if decided.verdict.checks.iter().any(|check| check.name == self.name) {
            Outcome::Fail(
                "another check has this name, so one of the two would go unread: rename it".to_owned(),
            )
        } else {
            catch_unwind(AssertUnwindSafe(|| (self.ask)(decided))).unwrap_or_else(|payload| {
                Outcome::Fail(format!("the check panicked: {}", crate::panic::message(&*payload)))
            })
        };
        decided.verdict.add(&self.name, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::client::Ledger;
    use crate::lane::{Lane, assume};

    fn asked(checks: &[AddedCheck]) -> Verdict {
        let site = assume(Lane::Standin, [("vllm".to_owned(), "0.32.0".to_owned())].into());
        let procedure = &crate::procedure::builtin().unwrap()[0];
        let mut decided = Decided {
            plan: crate::plan::resolve(procedure, &site).unwrap(),
            record: crate::run::RunRecord::begun(),
            ledger: Ledger::default(),
            traces: Vec::new(),
            operators: Vec::new(),
            verdict: Verdict::of(vec![("order", Outcome::Pass("P".to_owned()))]),
        };
        checks.iter().for_each(|check| check.add_to(&mut decided));
        decided.verdict
    }

    fn pass(_: &Decided) -> Outcome {
        Outcome::Pass("seen".to_owned())
    }

    #[test]
    fn answers_stand_behind_the_built_in_ones_under_their_names() {
        let verdict = asked(&[AddedCheck::new("mine", pass)]);
        assert!(verdict.passed);
        let names: Vec<&str> = verdict.checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["order", "check:mine"]);
    }

    #[test]
    fn a_panic_is_a_failure_with_the_name_of_its_check() {
        let verdict =
            asked(&[AddedCheck::new("mine", |_| panic!("no {}", 7)), AddedCheck::new("next", pass)]);
        assert!(!verdict.passed);
        let failed: Vec<_> = verdict.failed().collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(
            (failed[0].name.as_str(), failed[0].outcome.detail()),
            ("check:mine", "the check panicked: no 7")
        );
    }

    #[test]
    fn two_checks_of_one_name_are_refused() {
        let verdict = asked(&[AddedCheck::new("mine", pass), AddedCheck::new("mine", pass)]);
        assert_eq!(verdict.failed().count(), 1);
    }
}
