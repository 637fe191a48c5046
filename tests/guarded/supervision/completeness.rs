//! Traces that come late, slowly, or not whole: waited for where they come, never decided from where they
//! do not.

use crate::common::{procedure_with, text, tracegate};
use crate::trial;
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("completeness::late_and_slow_traces_are_waited_for", late_and_slow_traces_are_waited_for),
        trial("completeness::a_rank_that_does_not_come_is_named", a_rank_that_does_not_come_is_named),
        trial(
            "completeness::an_export_that_ran_out_of_space_is_no_verdict",
            an_export_that_ran_out_of_space_is_no_verdict,
        ),
        trial(
            "completeness::an_export_that_never_left_tmpdir_is_no_verdict",
            an_export_that_never_left_tmpdir_is_no_verdict,
        ),
        trial("completeness::nothing_waits_for_a_fixed_time", nothing_waits_for_a_fixed_time),
        trial("completeness::events_that_are_written_late_are_waited_for", events_that_are_written_late),
    ]
}

const TWO_RANKS: (&str, &str) = ("tensor_parallel_size = 1", "tensor_parallel_size = 2");
const PATIENT: (&str, &str) = ("trace = \"2s\"", "trace = \"30s\"");

fn run(args: &[&str], changes: &[(&str, &str)]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let procedure = procedure_with(directory.path(), args, changes);
    let output = tracegate()
        .arg("run")
        .arg(procedure)
        .arg("--out")
        .arg(directory.path().join("runs"))
        .output()
        .unwrap();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

fn expect(args: &[&str], changes: &[(&str, &str)], code: i32, parts: &[&str]) {
    let (ended, said) = run(args, changes);
    assert_eq!(ended, code, "{args:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{args:?}: {part:?} is not in\n{said}");
    }
}

fn late_and_slow_traces_are_waited_for() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            expect(&["--fault", "late-rank"], &[TWO_RANKS, PATIENT], 0, &["pass  ranks        2 of 2"]);
        });
        // Half of a file stands still for longer than sizes are compared.
        scope.spawn(|| expect(&["--fault", "slow-export"], &[PATIENT], 0, &["verdict: pass"]));
    });
}

/// Catalogue row 8.
fn a_rank_that_does_not_come_is_named() {
    expect(
        &["--fault", "missing-rank"],
        &[TWO_RANKS, ("trace = \"2s\"", "trace = \"500ms\"")],
        1,
        &["FAIL  ranks", "verdict: FAIL (ranks"],
    );
}

/// Catalogue row 12: the disk, here a limit on file sizes, ends the export in the middle of a file, and the
/// server answers 200.
fn an_export_that_ran_out_of_space_is_no_verdict() {
    expect(
        &["--file-limit", "40000"],
        &[PATIENT],
        3,
        &[
            "cannot be decided from: truncated_gzip at byte",
            "the server's log says: ERROR Failed to stop profiler: File too large",
        ],
    );
}

/// Kineto's JSON in TMPDIR is ten times what it becomes.
fn an_export_that_never_left_tmpdir_is_no_verdict() {
    expect(
        &["--file-limit", "400000", "--through-tmpdir"],
        &[PATIENT],
        3,
        &[
            "0 of 1 worker traces are there",
            "the server's log says: ERROR Failed to stop profiler: File too large",
            "space in TMPDIR",
            "last lines of",
        ],
    );
}

/// Nanoseconds of one phase of a run that passed.
fn phase(procedure: &str, args: &[&str], name: &str) -> i64 {
    let directory = tempfile::tempdir().unwrap();
    let output =
        tracegate().args(["run", procedure, "--out"]).arg(directory.path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr) + &text(&output.stdout));
    let path = directory.path().join(format!("standin/{procedure}-1/run.json"));
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let phases = record["phases"].as_array().unwrap();
    let phase = phases.iter().find(|phase| phase["phase"] == name).unwrap();
    phase["end_ns"].as_i64().unwrap() - phase["start_ns"].as_i64().unwrap()
}

/// Before, each run took 300 ms for sizes to stay the same and 150 ms for the stand-in's warm-up, and `high_level`
/// 2.5 s for its last events, whatever happened. The best of several: other trials run beside this one.
fn nothing_waits_for_a_fixed_time() {
    for (procedure, name, least) in [
        ("async_single_request", "boot", 150),
        ("async_single_request", "trace", 300),
        ("script", "trace", 300),
        ("high_level", "quiet", 2_500),
    ] {
        let best = (0..5).map(|_| phase(procedure, &[], name)).min().unwrap();
        assert!(best < least * 1_000_000, "{procedure} spends {best} ns in {name}");
    }
}

/// The plugin's writer polls: what it has not written when the load is over comes within 2.5 s, and is lost when the
/// server is ended before.
fn events_that_are_written_late() {
    let shipped = std::fs::read_to_string(crate::common::root().join("procedures/high_level.toml")).unwrap();
    let with = |poll: &str| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("high_level.toml");
        let args = format!("max_model_len = 256\nargs = [\"--event-poll-ms\", \"{poll}\"]\n");
        std::fs::write(&path, shipped.replace("max_model_len = 256\n", &args)).unwrap();
        let output = tracegate().arg("run").arg(&path).arg("--out").arg(directory.path()).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = with("1500");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("prompt 1, decode 6"), "{said}");
    let (code, said) = with("60000");
    assert!(code != Some(0), "nothing was ever written: {said}");
}
