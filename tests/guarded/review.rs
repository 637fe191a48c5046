//! Reviewing: what a trial says of a snapshot that is missing or differs, what accepting makes of it, and recorded
//! runs decided again elsewhere.

mod accept;
mod replay;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::Trial;
use tracegate::harness::Harness;
use tracegate::lane::Lane;

use crate::common::{root, text};

/// Set for the processes that this one starts to be a harness; names their directory.
const HARNESS: &str = "REVIEW_HARNESS";

/// What a process does that was started to be a harness.
pub(crate) fn part() -> Option<ExitCode> {
    let directory = std::env::var_os(HARNESS).map(PathBuf::from)?;
    let harness = Harness::new(directory.join("procedures"), directory.join("snapshots"))
        .out(directory.join("runs"))
        .lanes([Lane::Standin, Lane::VllmCpu]);
    Some(harness.run())
}

pub(crate) fn trials() -> Vec<Trial> {
    accept::trials().into_iter().chain(replay::trials()).collect()
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
