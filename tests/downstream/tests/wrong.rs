//! Checks that fail: one says so, one panics, one cannot be asked.

use std::process::ExitCode;

use tracegate::check::Outcome;
use tracegate::harness::Harness;
use tracegate::lane::Lane;

fn main() -> ExitCode {
    let chosen = std::env::var("CHOSEN").unwrap_or_else(|_| "short_question".to_owned());
    Harness::new("procedures", "snapshots")
        .lanes([Lane::Standin])
        .procedures([chosen])
        .out("target/wrong")
        .check("no_decode", |decided| {
            let decodes: u64 = decided.workers().map(|trace| trace.totals.decode).sum();
            Outcome::Fail(format!("{decodes} decode steps, expected none"))
        })
        .check("careless", |decided| {
            let rank = decided.workers().nth(1).expect("a second rank");
            Outcome::Pass(rank.file.clone())
        })
        .check("elsewhere", |_| Outcome::NotApplicable("no second rank".to_owned()))
        .run()
}
