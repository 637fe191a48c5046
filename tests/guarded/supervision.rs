//! Servers that never leak, runs that never lie: supervision, the window protocol, identity, completeness
//! and evidence. `docs/supervision.md` says which failure is which trial.

mod completeness;
mod deadlines;
mod evidence;
mod full;
mod identity;
mod kill;
mod window;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::Trial;
use tracegate::harness::Harness;
use tracegate::job::Job;
use tracegate::lane::Lane;
use tracegate::procedure::Procedure;
use tracegate::run::Phase;

/// Set for the processes that this one starts to be a harness, or to panic; names their directory.
const PART: &str = "SUPERVISION_PART";

/// What a process does that was started to be a part.
pub(crate) fn part() -> Option<ExitCode> {
    std::env::var_os(PART).map(PathBuf::from).map(|directory| play(&directory))
}

pub(crate) fn trials() -> Vec<Trial> {
    let trials = [
        kill::trials(),
        identity::trials(),
        full::trials(),
        completeness::trials(),
        deadlines::trials(),
        evidence::trials(),
        window::trials(),
    ];
    trials.into_iter().flatten().collect()
}

/// This program as a harness with one trial, or as one that panics with the window open.
fn play(directory: &Path) -> ExitCode {
    let procedures = directory.join("procedures");
    if !directory.join("panic").exists() {
        return Harness::new(procedures, directory.join("snapshots")).out(directory.join("runs")).run();
    }
    let procedure = Procedure::load(&procedures.join("quick.toml")).unwrap();
    let job = Job::new(procedure, Lane::Standin, directory.join("runs"));
    let _ = job.run(&|phase, _| assert_ne!(phase, Phase::Quiet, "as the test asks"));
    ExitCode::SUCCESS
}
