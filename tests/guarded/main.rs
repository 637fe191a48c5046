//! Tests that start themselves again as a guard, a stand-in or a harness, so their `main` is not libtest's: supervision,
//! reviewing, endurance. One program, because most of its trials wait for most of their time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

#[path = "../it/common/mod.rs"]
mod common;
mod endurance;
mod groups;
mod review;
mod supervision;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let part = tracegate::harness::reexecuted().or_else(review::part).or_else(supervision::part);
    if let Some(code) = part {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Endurance counts what the whole process holds; everything else mostly waits.
    let threads = if arguments.ignored || arguments.include_ignored { 1 } else { 24 };
    arguments.test_threads.get_or_insert(threads);
    let trials = [supervision::trials(), groups::trials(), review::trials(), endurance::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A trial that fails by panicking.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
