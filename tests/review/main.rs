//! Reviewing: what a trial says of a snapshot that is missing or differs, what accepting makes of it, and recorded
//! runs decided again elsewhere. One program that re-executes itself as a harness.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

mod accept;
#[path = "../common/mod.rs"]
mod common;
mod replay;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use common::{root, text};
use libtest_mimic::{Arguments, Trial};
use tracegate::harness::Harness;
use tracegate::lane::Lane;

/// Set for the processes that this one starts to be a harness; names their directory.
const HARNESS: &str = "REVIEW_HARNESS";

fn main() -> ExitCode {
    if let Some(code) = tracegate::harness::reexecuted() {
        return code;
    }
    if let Some(directory) = std::env::var_os(HARNESS).map(PathBuf::from) {
        return Harness::new(directory.join("procedures"), directory.join("snapshots"))
            .out(directory.join("runs"))
            .lanes([Lane::Standin, Lane::VllmCpu])
            .run();
    }
    let trials = accept::trials().into_iter().chain(replay::trials());
    let mut arguments = Arguments::from_args();
    // Most of a trial is waiting.
    arguments.test_threads.get_or_insert(8);
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A trial that fails by panicking.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// A downstream repository with one procedure and no snapshot.
fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("procedures")).unwrap();
    std::fs::create_dir(directory.path().join("snapshots")).unwrap();
    let shipped = root().join("procedures/async_single_request.toml");
    std::fs::copy(shipped, directory.path().join("procedures/async_single_request.toml")).unwrap();
    directory
}

/// Runs the harness of a repository: whether it passed, and everything it said.
fn harness(repository: &Path, environment: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(HARNESS, repository)
        .env_remove("CI")
        .env_remove("TRACEGATE_KEEP")
        .env_remove("TRACEGATE_REPLAY")
        .env("INSTA_UPDATE", "no")
        .env("INSTA_WORKSPACE_ROOT", repository)
        .env("CARGO_MANIFEST_DIR", repository)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// The repository's snapshot file.
fn snapshot(repository: &Path) -> PathBuf {
    repository.join("snapshots/standin/async_single_request.snap")
}
