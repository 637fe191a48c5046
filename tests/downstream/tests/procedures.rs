//! Every procedure of this crate, with one check of its own.

use std::process::ExitCode;

use tracegate::harness::{Answer, Harness, Observed};

fn main() -> ExitCode {
    Harness::new("procedures", "snapshots").check("short_answer", short_answer).run()
}

/// The manual of this crate promises an answer of three tokens.
fn short_answer(observed: &Observed) -> Answer {
    match observed.ledger.output_tokens() {
        3 => Answer::Holds("3 output tokens".to_owned()),
        other => Answer::Fails(format!("{other} output tokens, expected 3")),
    }
}
