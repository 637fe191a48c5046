//! Which run directories stay: every run that failed, was cut off or had no verdict, and the newest of
//! those that passed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::directory::RunDirectory;
use super::record::{RunRecord, RunState};
use super::shared::{NAME as BOOT, RECORD as BOOT_RECORD};

/// Run directories of a procedure in its lane's directory, with their numbers, in the order of the runs.
pub(super) fn numbered(lane: &Path, procedure: &str) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(lane) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        // A link is nothing that a run made, and removing what it leads to would be worse.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix(procedure)?.strip_prefix('-')?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Removes passed runs beside a run and of its procedure, but for the newest `keep`, itself included;
/// returns how many. One that cannot be removed stays.
pub fn prune(run: &RunDirectory, procedure: &str, keep: usize) -> usize {
    let Some(lane) = run.path().parent() else { return 0 };
    let mut passed: Vec<PathBuf> = numbered(lane, procedure)
        .into_iter()
        .map(|(_, path)| path)
        .filter(|path| path == run.path() || has_passed(path))
        .collect();
    passed.truncate(passed.len().saturating_sub(keep));
    passed.iter().filter(|path| *path != run.path() && std::fs::remove_dir_all(path).is_ok()).count()
}

/// Removes the boot directories of a lane that ended in order and that no run there refers to; returns how many.
pub(crate) fn prune_boots(lane: &Path) -> usize {
    let entries = std::fs::read_dir(lane).into_iter().flatten().flatten();
    let used: BTreeSet<String> = entries
        .filter_map(|entry| RunDirectory::open(&entry.path()).ok()?.record().ok()?.shared)
        .map(|shared| shared.directory.trim_start_matches("../").to_owned())
        .collect();
    let unused = numbered(lane, BOOT).into_iter().filter(|(_, path)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !used.contains(&*name) && ended_in_order(path)
    });
    unused.filter(|(_, path)| std::fs::remove_dir_all(path).is_ok()).count()
}

/// A boot whose server was replaced, or left something, is evidence.
fn ended_in_order(boot: &Path) -> bool {
    let record: Result<RunRecord, _> = RunDirectory::at(boot.to_owned()).read_json(BOOT_RECORD);
    record.is_ok_and(|record| {
        record.state == RunState::Complete && record.shutdown.is_some_and(|shutdown| shutdown.left_nothing())
    })
}

/// A run that did not complete, or whose verdict cannot be read, has not passed.
fn has_passed(path: &Path) -> bool {
    let Ok(directory) = RunDirectory::open(path) else { return false };
    let complete = directory.record().is_ok_and(|record| record.state == RunState::Complete);
    complete && directory.passed().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lane: &Path, number: u32, state: &str, passed: Option<bool>) -> PathBuf {
        let path = lane.join(format!("p-{number}"));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("plan.toml"), "").unwrap();
        let record = format!(
            r#"{{"schema":1,"tracegate":"0","state":"{state}","error":null,"server":null,"phases":[],"shutdown":null}}"#
        );
        std::fs::write(path.join("run.json"), record).unwrap();
        if let Some(passed) = passed {
            let verdict = format!(r#"{{"schema":1,"passed":{passed},"checks":[]}}"#);
            std::fs::write(path.join("verdict.json"), verdict).unwrap();
        }
        path
    }

    #[test]
    fn only_old_passed_runs_are_removed() {
        let lane = tempfile::tempdir().unwrap();
        let lane = lane.path();
        let passed = Some(true);
        let old = run(lane, 2, "complete", passed);
        let kept = [
            run(lane, 1, "complete", Some(false)),
            run(lane, 3, "error", passed),
            run(lane, 4, "incomplete", None),
            run(lane, 5, "complete", None),
            run(lane, 9, "complete", passed),
            run(lane, 10, "complete", passed),
        ];
        std::fs::create_dir(lane.join("p-other")).unwrap();
        let newest = RunDirectory::open(&kept[5]).unwrap();
        // Two digits come after one: numbers are compared, not names.
        assert_eq!(prune(&newest, "p", 2), 1);
        assert!(!old.exists());
        assert!(kept.iter().all(|path| path.is_dir()), "{kept:?}");
        // The run itself stays whatever is asked.
        assert_eq!(prune(&newest, "p", 0), 1);
        assert!(kept[5].is_dir() && !kept[4].exists() && lane.join("p-other").is_dir());
    }
}
