//! Rules: named questions. Built-in ones, those of a procedure and those added in Rust are asked alike.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::answer::Answer;
use super::verdict::Check;
use super::{
    agreement, batches, bounds, client_times, evidence, gaps, ledger, ranks, steps, window, workload,
};
use crate::observe::{Observed, Rank};
use crate::procedure::CustomCheck;

type OfRun = dyn Fn(&Observed) -> Answer + Send + Sync;
type OfRank = dyn Fn(&Observed, Rank<'_>) -> Answer + Send + Sync;

/// What is asked.
#[derive(Clone)]
enum Question {
    /// Once, of the whole run.
    Run(Arc<OfRun>),
    /// Of each rank that tells steps.
    Rank(Arc<OfRank>),
}

/// A named question about an observed run.
#[derive(Clone)]
pub(crate) struct Rule {
    name: String,
    question: Question,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Rule {
    fn of_run(name: &str, ask: impl Fn(&Observed) -> Answer + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), question: Question::Run(Arc::new(ask)) }
    }

    fn of_rank(name: &str, ask: impl Fn(&Observed, Rank<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), question: Question::Rank(Arc::new(ask)) }
    }

    /// The rule of a procedure's `[[check]]`.
    fn of_procedure(check: CustomCheck) -> Self {
        Self::of_rank(&format!("check:{}", check.name), move |_, rank| bounds::hold(&check, rank))
    }

    /// A rule that a test target adds. Whatever it does, there is an answer: a trial that unwinds would lose
    /// its run directory.
    pub(crate) fn added(name: &str, ask: impl Fn(&Observed) -> Answer + Send + Sync + 'static) -> Self {
        Self::of_run(&format!("check:{name}"), move |observed| {
            catch_unwind(AssertUnwindSafe(|| ask(observed))).unwrap_or_else(|payload| {
                Answer::Fails(format!("the check panicked: {}", crate::panic::message(&*payload)))
            })
        })
    }

    fn ask(&self, observed: &Observed) -> Answer {
        match &self.question {
            Question::Run(ask) => ask(observed),
            Question::Rank(ask) => {
                let ranks = observed.telling().into_iter();
                Answer::over_ranks(ranks.map(|rank| (rank.name(), ask(observed, rank))).collect())
            }
        }
    }
}

/// The rules that every run is asked, in the order of the verdict.
fn built_in() -> Vec<Rule> {
    vec![
        Rule::of_run("ranks", ranks::all_there),
        Rule::of_run("frontend", ranks::frontend),
        Rule::of_run("agreement", agreement::same_steps),
        Rule::of_run("evidence", evidence::as_expected),
        Rule::of_run("files", evidence::files),
        Rule::of_rank("presence", steps::presence),
        Rule::of_rank("order", steps::order),
        Rule::of_run("window", window::by_itself),
        Rule::of_run("workload", workload::as_planned),
        Rule::of_rank("ledger", ledger::reconcile),
        Rule::of_rank("batches", batches::bounded),
        Rule::of_rank("client_times", client_times::joined),
        Rule::of_rank("gaps", gaps::within_bounds),
        Rule::of_run("recompiles", steps::recompiles),
        Rule::of_run("leftovers", evidence::leftovers),
    ]
}

/// Asks the built-in rules, the procedure's and the added ones.
pub(super) fn ask_all(observed: &Observed, added: &[Rule]) -> Vec<Check> {
    let mut rules = built_in();
    rules.extend(observed.plan.expected.checks.iter().cloned().map(Rule::of_procedure));
    rules.extend_from_slice(added);
    let mut checks: Vec<Check> = Vec::new();
    for rule in &rules {
        let answer = if checks.iter().any(|check| check.name == rule.name) {
            Answer::Fails(
                "another check has this name, so one of the two would go unread: rename it".to_owned(),
            )
        } else {
            rule.ask(observed)
        };
        checks.push(Check { name: rule.name.clone(), answer });
    }
    checks
}
