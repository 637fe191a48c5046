//! Every procedure of this crate, with one check of its own.

use std::process::ExitCode;

use tracegate::check::{Decided, Outcome};
use tracegate::harness::Harness;

fn main() -> ExitCode {
    Harness::new("procedures", "snapshots").check("short_answer", short_answer).run()
}

/// The manual of this crate promises an answer of three tokens.
fn short_answer(decided: &Decided) -> Outcome {
    match decided.ledger.output_tokens() {
        3 => Outcome::Pass("3 output tokens".to_owned()),
        other => Outcome::Fail(format!("{other} output tokens, expected 3")),
    }
}
