//! Boot groups: several windows on one server, each as complete as if it had booted alone.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{root, text, tracegate};

struct Ran {
    code: Option<i32>,
    json: Value,
    err: String,
    directory: tempfile::TempDir,
}

impl Ran {
    fn runs(&self) -> &[Value] {
        self.json["runs"].as_array().unwrap()
    }

    fn directory_of(&self, run: usize) -> PathBuf {
        PathBuf::from(self.runs()[run]["directory"].as_str().unwrap())
    }
}

fn run(arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let output = tracegate()
        .args(["run", "--format", "json", "--out"])
        .arg(directory.path())
        .args(arguments)
        .output()
        .unwrap();
    let out = text(&output.stdout);
    Ran {
        code: output.status.code(),
        json: serde_json::from_str(&out).unwrap_or(Value::Null),
        err: text(&output.stderr),
        directory,
    }
}

fn record(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn procedures_and_repetitions_share_a_boot_and_each_window_is_decided_alone() {
    let ran = run(&["async_single_request", "async_multiple_requests", "--repeat", "3"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!((&ran.json["cost"]["boots"], &ran.json["cost"]["windows"]), (&1.into(), &6.into()));
    let names: Vec<&str> = ran.runs().iter().map(|run| run["procedure"].as_str().unwrap()).collect();
    assert_eq!(names, ["async_multiple_requests", "async_single_request"].repeat(3));
    let mut boots = std::collections::BTreeSet::new();
    for place in 0..6 {
        let directory = ran.directory_of(place);
        let shared = &record(&directory)["shared"];
        assert_eq!(shared["window"], place as u64 + 1);
        assert_eq!(shared["cache"].as_str(), (place > 0).then_some("salt"));
        boots.insert(shared["id"].as_str().unwrap().to_owned());
        // Its own slice of the log, behind that of the boot; its own traces.
        let log = std::fs::read_to_string(directory.join("server.log")).unwrap();
        assert_eq!(log.matches("POST /start_profile").count(), 1, "{log}");
        assert_eq!(log.matches("POST /stop_profile").count(), 1, "{log}");
        let boot = std::fs::read_to_string(ran.directory.path().join("standin/boot-1/server.log")).unwrap();
        assert_eq!(log.lines().next(), boot.lines().next());
        let workers = std::fs::read_dir(directory.join("traces")).unwrap();
        let workers = workers
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("rank0."));
        assert_eq!(workers.count(), 1);
        // Moved to another place, as when it comes from another machine.
        let alone = tempfile::tempdir().unwrap();
        let moved = alone.path().join("run");
        std::fs::rename(&directory, &moved).unwrap();
        let output = tracegate().arg("check").arg(&moved).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        std::fs::rename(&moved, &directory).unwrap();
    }
    assert_eq!(boots.len(), 1);
    let boot = ran.directory.path().join("standin/boot-1");
    let ended: Value = serde_json::from_slice(&std::fs::read(boot.join("boot.json")).unwrap()).unwrap();
    assert_eq!((ended["state"].as_str(), &ended["error"]), (Some("complete"), &Value::Null));
    let left = std::fs::read_dir(boot.join("traces")).unwrap().flatten();
    let left: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(".gz")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn windows_are_spread_over_boots() {
    let ran = run(&["async_single_request", "--repeat", "5", "--boots", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.json["cost"]["boots"], 2);
    let windows: Vec<u64> =
        (0..5).map(|place| record(&ran.directory_of(place))["shared"]["window"].as_u64().unwrap()).collect();
    assert_eq!(windows, [1, 2, 3, 1, 2]);
    let spread = ran.json["spread"]["async_single_request"]["windows"].as_array().unwrap();
    let cold: Vec<bool> = spread.iter().map(|window| window["cold"].as_bool().unwrap()).collect();
    assert_eq!(cold, [true, false, false, true, false]);
}

#[test]
fn a_boot_of_its_own_is_had_for_the_asking() {
    let ran = run(&["async_single_request", "--repeat", "2", "--own-boot"]);
    assert_eq!((ran.code, &ran.json["cost"]["boots"]), (Some(0), &2.into()), "{}", ran.err);
    assert_eq!(record(&ran.directory_of(0))["shared"], Value::Null);
    let procedures = tempfile::tempdir().unwrap();
    for name in ["async_single_request", "async_multiple_requests"] {
        let shipped = std::fs::read_to_string(root().join(format!("procedures/{name}.toml"))).unwrap();
        let own = format!("boot = \"own\"\n{shipped}");
        std::fs::write(procedures.path().join(format!("{name}.toml")), own).unwrap();
    }
    let ran = run(&["--procedures", procedures.path().to_str().unwrap()]);
    assert_eq!((ran.code, &ran.json["cost"]["boots"]), (Some(0), &2.into()), "{}", ran.err);
}

/// A failed check is a result and no reason to boot again.
#[test]
fn a_failed_check_does_not_end_the_group() {
    let ran = run(&["async_single_request", "--repeat", "3", "--fault", "drop-decode"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!((ran.runs().len(), &ran.json["cost"]["boots"]), (3, &1.into()));
}

/// Two boots lost in a row: the rest of the group is an infrastructure error, not a skip.
#[test]
fn after_two_lost_boots_the_rest_is_not_tried_and_says_why() {
    let ran = run(&["async_single_request", "--repeat", "4", "--fault", "crash-on-stop"]);
    assert_eq!((ran.code, &ran.json["cost"]["boots"]), (Some(3), &2.into()), "{}", ran.err);
    let detectors: Vec<&str> = ran.runs().iter().map(|run| run["detector"].as_str().unwrap()).collect();
    assert_eq!(detectors, ["alive", "alive", "boots", "boots"]);
    let error = ran.runs()[3]["error"].as_str().unwrap();
    assert!(
        error.contains("lost 2 times in a row") && error.contains("while the window was closed"),
        "{error}"
    );
    assert_eq!(record(&ran.directory_of(3))["state"], "error");
    // What was seen of the boots stays.
    for boot in ["boot-1", "boot-2"] {
        let log = ran.directory.path().join("standin").join(boot).join("server.log");
        assert!(std::fs::read_to_string(log).unwrap().contains("stop_profile"));
    }
}

#[test]
fn groups_are_listed_as_a_matrix_and_run_one_by_one() {
    let output = tracegate().args(["plan", "--groups", "--format", "json"]).output().unwrap();
    let matrix: Value = serde_json::from_slice(&output.stdout).unwrap();
    let jobs = matrix["include"].as_array().unwrap();
    let shared =
        jobs.iter().find(|job| job["procedures"] == "async_multiple_requests async_single_request").unwrap();
    assert_eq!(jobs.len(), 8);
    let ran = run(&["--group", shared["group"].as_str().unwrap()]);
    assert_eq!(
        (ran.code, ran.runs().len(), &ran.json["cost"]["boots"]),
        (Some(0), 2, &1.into()),
        "{}",
        ran.err
    );
    let output = tracegate().args(["run", "--group", "nope"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no boot group \"nope\"; there are"));
}

/// Boot directories stayed although the runs that they belong to were removed.
#[test]
fn boots_go_with_the_last_of_their_windows() {
    let directory = tempfile::tempdir().unwrap();
    let boots = || {
        let entries = std::fs::read_dir(directory.path().join("standin")).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut boots: Vec<String> = names.filter(|name| name.starts_with("boot-")).collect();
        boots.sort();
        boots
    };
    let run = |arguments: &[&str]| {
        let output = tracegate()
            .args(["run", "async_single_request", "--repeat", "2", "--keep", "2", "-q", "--out"])
            .arg(directory.path())
            .args(arguments)
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!((run(&[]), boots()), (Some(0), vec!["boot-1".to_owned()]));
    // The first two windows are the oldest of four passed ones.
    assert_eq!((run(&[]), boots()), (Some(0), vec!["boot-2".to_owned()]));
    // Failed windows stay, and so does their boot.
    assert_eq!(run(&["--fault", "drop-decode"]), Some(1));
    assert_eq!((run(&[]), boots()), (Some(0), vec!["boot-3".to_owned(), "boot-4".to_owned()]));
}
