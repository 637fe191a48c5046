//! Servers that never leak, runs that never lie: supervision, the window protocol, identity, completeness
//! and evidence. One program, because most of these trials wait for most of their time, and because it
//! re-executes itself as a harness and as a guard. `docs/supervision.md` says which failure is which trial.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

#[path = "../common/mod.rs"]
mod common;
mod completeness;
mod deadlines;
mod evidence;
mod full;
mod identity;
mod kill;
mod window;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use tracegate::harness::Harness;
use tracegate::job::Job;
use tracegate::lane::Lane;
use tracegate::procedure::Procedure;
use tracegate::run::Phase;

/// Set for the processes that this one starts to be a harness, or to panic; names their directory.
const PART: &str = "SUPERVISION_PART";

fn main() -> ExitCode {
    if let Some(code) = tracegate::harness::reexecuted() {
        return code;
    }
    if let Some(directory) = std::env::var_os(PART).map(PathBuf::from) {
        return part(&directory);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(24);
    let trials = [
        kill::trials(),
        identity::trials(),
        full::trials(),
        completeness::trials(),
        deadlines::trials(),
        evidence::trials(),
        window::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A trial that fails by panicking.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// This program as a harness with one trial, or as one that panics with the window open.
fn part(directory: &Path) -> ExitCode {
    let procedures = directory.join("procedures");
    if !directory.join("panic").exists() {
        return Harness::new(procedures, directory.join("snapshots")).out(directory.join("runs")).run();
    }
    let procedure = Procedure::load(&procedures.join("quick.toml")).unwrap();
    let job = Job::new(procedure, Lane::Standin, directory.join("runs"));
    let _ = job.run(&|phase, _| assert_ne!(phase, Phase::Quiet, "as the test asks"));
    ExitCode::SUCCESS
}
