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
