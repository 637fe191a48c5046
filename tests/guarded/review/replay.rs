//! Recorded runs decided again on a machine without the lane.

use std::path::Path;

use libtest_mimic::Trial;

use super::{harness, repository, snapshot};
use crate::common::tracegate;
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "replay::recorded_runs_are_decided_without_a_server",
            recorded_runs_are_decided_without_a_server,
        ),
        trial("replay::what_a_recording_shows_fails_its_trial", what_a_recording_shows_fails_its_trial),
        trial("replay::no_recording_hides_another", no_recording_hides_another),
        trial("replay::nothing_recorded_passes_nothing", nothing_recorded_passes_nothing),
    ]
}

fn record(out: &Path, arguments: &[&str]) {
    let output = tracegate()
        .args(["run", "async_single_request", "--quiet", "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{output:?}");
}

/// Every file of a directory with its length: a replay writes nothing.
fn files(directory: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push((entry.path().display().to_string(), entry.metadata().unwrap().len()));
        }
    }
    all.sort();
    all
}

fn recorded_runs_are_decided_without_a_server() {
    let repository = repository();
    let recorded = tempfile::tempdir().unwrap();
    record(&recorded.path().join("runs"), &[]);
    record(&recorded.path().join("runs"), &[]);
    // As an archive leaves them on another machine.
    let moved = recorded.path().join("downloaded");
    std::fs::rename(recorded.path().join("runs"), &moved).unwrap();
    let before = files(&moved);
    let replay = ("TRACEGATE_REPLAY", moved.to_str().unwrap());
    let (_, said) = harness(repository.path(), &[replay, ("INSTA_UPDATE", "always")]);
    assert!(said.contains("accepted into"), "{said}");
    let (passed, said) = harness(repository.path(), &[replay]);
    assert!(passed, "{said}");
    assert!(said.contains("test standin::async_single_request ") && said.contains("4 passed"), "{said}");
    // Nothing of the other lane was recorded: not passed, not failed.
    assert!(said.contains("1 ignored"), "{said}");
    assert_eq!(files(&moved), before);
    assert!(!repository.path().join("runs").exists(), "no server ran");
}

fn what_a_recording_shows_fails_its_trial() {
    let repository = repository();
    let shipped = crate::common::root().join("snapshots/standin/async_single_request.snap");
    std::fs::create_dir_all(snapshot(repository.path()).parent().unwrap()).unwrap();
    std::fs::copy(shipped, snapshot(repository.path())).unwrap();
    for (fault, expected) in [
        ("extra-sync", "BUDGET\n  decode: sync 0 → 1\n"),
        ("drop-decode", "FAIL  order        the steps were P D{5}, expected P D{6}"),
        ("truncated-trace", "infrastructure error, no verdict"),
    ] {
        let recorded = tempfile::tempdir().unwrap();
        let clean = recorded.path().join("clean");
        record(&clean, &[]);
        if fault == "truncated-trace" {
            let run = clean.join("standin/async_single_request-1/traces");
            let worker = std::fs::read_dir(run).unwrap().flatten().map(|entry| entry.path());
            let worker =
                worker.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("rank0."));
            for file in worker.filter(|path| path.extension().unwrap() == "gz") {
                let bytes = std::fs::read(&file).unwrap();
                std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
            }
        } else {
            record(&recorded.path().join("faulty"), &["--fault", fault]);
        }
        let replay = ("TRACEGATE_REPLAY", recorded.path().to_str().unwrap());
        let (passed, said) = harness(repository.path(), &[replay]);
        assert!(!passed && said.contains(expected), "{fault}: {said}");
    }
}

/// Found by a second reader: what the last recording showed hid what the others did.
fn no_recording_hides_another() {
    let repository = repository();
    let shipped = crate::common::root().join("snapshots/standin/async_single_request.snap");
    std::fs::create_dir_all(snapshot(repository.path()).parent().unwrap()).unwrap();
    std::fs::copy(shipped, snapshot(repository.path())).unwrap();
    for (first, second) in [("extra-idle", "slow-stop"), ("slow-stop", "extra-idle")] {
        let recorded = tempfile::tempdir().unwrap();
        record(&recorded.path().join("1"), &["--fault", first]);
        record(&recorded.path().join("2"), &["--fault", second]);
        let replay = ("TRACEGATE_REPLAY", recorded.path().to_str().unwrap());
        let (passed, said) = harness(repository.path(), &[replay]);
        assert!(!passed && said.contains("STEPS\n  idle steps 1 → 2\n"), "{first}, {second}: {said}");
        let (passed, said) = harness(repository.path(), &[replay, ("INSTA_UPDATE", "always")]);
        assert!(!passed && said.contains("contradict one another"), "{first}, {second}: {said}");
    }
}

fn nothing_recorded_passes_nothing() {
    let repository = repository();
    let empty = tempfile::tempdir().unwrap();
    let replay = ("TRACEGATE_REPLAY", empty.path().to_str().unwrap());
    let (passed, said) = harness(repository.path(), &[replay]);
    assert!(!passed && said.contains("no run directory (run.json) is in it"), "{said}");
    // A directory that is no run any more, and one of a procedure that nobody has.
    std::fs::create_dir(empty.path().join("damaged")).unwrap();
    std::fs::write(empty.path().join("damaged/run.json"), "{}").unwrap();
    let other = tempfile::tempdir().unwrap();
    let text =
        std::fs::read_to_string(repository.path().join("procedures/async_single_request.toml")).unwrap();
    let procedure = other.path().join("mine.toml");
    std::fs::write(&procedure, text.replace("async_single_request", "mine")).unwrap();
    let ran = tracegate()
        .args(["run", procedure.to_str().unwrap(), "--quiet", "--out", empty.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0));
    let (passed, said) = harness(repository.path(), &[replay]);
    assert!(!passed && said.contains("standin runs of mine: no trial decides them"), "{said}");
    assert!(said.contains("damaged"), "{said}");
}
