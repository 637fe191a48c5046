//! Checks that fail: one says so, one panics, one cannot be asked.

use std::process::ExitCode;

use tracegate::harness::{Answer, Harness};
use tracegate::lane::Lane;

fn main() -> ExitCode {
    let chosen = std::env::var("CHOSEN").unwrap_or_else(|_| "short_question".to_owned());
    Harness::new("procedures", "snapshots")
        .lanes([Lane::Standin])
        .procedures([chosen])
        .out("target/wrong")
        .check("no_decode", |observed| {
            let decodes: u64 = observed.workers().map(|trace| trace.totals.decode).sum();
            Answer::Fails(format!("{decodes} decode steps, expected none"))
        })
        .check("careless", |observed| {
            let rank = observed.workers().nth(1).expect("a second rank");
            Answer::Holds(rank.file.clone())
        })
        .check("elsewhere", |_| Answer::CannotSay("no second rank".to_owned()))
        .run()
}
