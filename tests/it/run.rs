//! `tracegate run` and `tracegate check` on the stand-in lane, as a user runs them.

use crate::common::{quick_procedure, text, tracegate};

struct Ran {
    code: i32,
    out: String,
    err: String,
    directory: tempfile::TempDir,
}

fn run(arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let procedure = quick_procedure(directory.path());
    let output = tracegate()
        .args(["run", procedure.to_str().unwrap(), "--out"])
        .arg(directory.path().join("runs"))
        .args(arguments)
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: text(&output.stdout),
        err: text(&output.stderr),
        directory,
    }
}

impl Ran {
    fn run_directory(&self) -> std::path::PathBuf {
        self.directory.path().join("runs/standin/async_single_request-1")
    }
}

#[test]
fn the_single_request_passes_and_its_run_directory_decides_again() {
    let ran = run(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("totals  prompt 1, decode 6, idle 1, context tokens 4, generation tokens 6"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("an imitation; its results prove the harness, never vLLM"), "{}", ran.out);
    assert!(ran.out.contains("verdict: pass"), "{}", ran.out);
    let path = ran.run_directory();
    for file in
        ["plan.toml", "plan.sh", "run.json", "server.log", "client.jsonl", "verdict.json", "observed.snap"]
    {
        assert!(path.join(file).is_file(), "{file}");
    }
    // On another machine: moved elsewhere, no server.
    let elsewhere = ran.directory.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).unwrap();
    let again = tracegate().arg("check").arg(&elsewhere).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("verdict: pass"));
}

#[test]
fn a_dropped_decode_step_is_a_failed_check() {
    let ran = run(&["--fault", "drop-decode"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("FAIL  order        the steps were P D{5}, expected P D{6}"), "{}", ran.out);
    assert!(ran.out.contains("the trace has 5 generation tokens"), "{}", ran.out);
    assert!(ran.out.contains("verdict: FAIL (order, ledger, gaps)"), "{}", ran.out);
    assert!(ran.run_directory().join("traces").is_dir());
}

#[test]
fn a_server_that_never_becomes_healthy_is_an_infrastructure_error() {
    let ran = run(&["--fault", "never-healthy"]);
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(ran.err.contains("not ready after 4s"), "{}", ran.err);
    assert!(ran.err.contains("last seen: /health answers 503"), "{}", ran.err);
    assert!(ran.err.contains("raise deadlines.boot"), "{}", ran.err);
    assert!(ran.out.contains("verdict: none (infrastructure error)"), "{}", ran.out);
    // A run that did not complete is never decided.
    let again = tracegate().arg("check").arg(ran.run_directory()).output().unwrap();
    assert_eq!(again.status.code(), Some(3));
    assert!(text(&again.stderr).contains("is not complete"), "{}", text(&again.stderr));
}

#[test]
fn a_trace_that_is_cut_short_is_an_infrastructure_error() {
    let ran = run(&["--fault", "truncated-trace"]);
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(ran.err.contains("truncated_gzip at byte "), "{}", ran.err);
    assert!(ran.err.contains("steps were read before it"), "{}", ran.err);
}

/// Faults of the trace, each with the exit code and the words of its class. Faults of the server are
/// `tests/guarded/supervision/window.rs`'s.
const TRACE_FAULTS: [(&str, i32, &str); 8] = [
    ("duplicate-step", 1, "verdict: FAIL (order, ledger, gaps)"),
    ("missing-prompt", 1, "FAIL  presence     no prompt step"),
    ("reorder-steps", 1, "verdict: FAIL (order)"),
    ("long-gaps", 1, "verdict: FAIL (gaps)"),
    ("invalid-json", 3, "truncated_json at byte"),
    ("empty-trace", 3, "no bytes"),
    ("frontend-only", 3, "0 of 1 worker traces are there"),
    ("exit-during-boot", 3, "the server ended while it booted: exit status: 3"),
];

/// Each fault ends in its own class, and the message names what happened.
#[test]
fn faults_end_in_the_right_class() {
    // At once: most of a run is waiting.
    std::thread::scope(|scope| {
        for (fault, code, said) in TRACE_FAULTS {
            scope.spawn(move || {
                let ran = run(&["--fault", fault]);
                let said_something = format!("{}{}", ran.out, ran.err);
                assert_eq!(ran.code, code, "{fault}: {said_something}");
                assert!(said_something.contains(said), "{fault}: {said_something}");
            });
        }
    });
}

#[test]
fn slow_and_early_answers_are_no_faults() {
    // vllm#51816: the answer to stop comes before the trace is written.
    for fault in ["slow-stop", "async-export"] {
        let directory = tempfile::tempdir().unwrap();
        let output = tracegate()
            .args(["run", "async_single_request", "--fault", fault, "--out"])
            .arg(directory.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{fault}: {}", text(&output.stdout));
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for (arguments, said) in [
        (
            vec!["run", "no_such_procedure"],
            "there is no procedure \"no_such_procedure\"; known are async_single_request",
        ),
        (vec!["run", "--lane", "moon"], "invalid value 'moon'"),
        (vec!["run", "--lane", "vllm-cpu", "--fault", "drop-decode"], "--fault needs --lane standin"),
        (vec!["run", "--deadline-scale", "0"], "must be between 0.001 and 1000"),
        (vec!["run", "/no/such/file.toml"], "cannot read the procedure /no/such/file.toml"),
    ] {
        let output = tracegate().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_directory_that_is_no_run_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let output = tracegate().arg("check").arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("is no run directory"));
}

/// A copy of a passed run with something done to it, decided again.
fn check_after(spoil: impl FnOnce(&std::path::Path)) -> (Option<i32>, String) {
    let ran = run(&[]);
    spoil(&ran.run_directory());
    let output = tracegate().arg("check").arg(ran.run_directory()).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_run_that_lost_its_ledger_is_not_decided() {
    let (code, said) = check_after(|run| std::fs::write(run.join("client.jsonl"), "").unwrap());
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("holds 0 of 1 requests"), "{said}");
}

#[test]
fn a_run_that_lost_its_worker_trace_is_not_decided() {
    let (code, said) = check_after(|run| {
        for entry in std::fs::read_dir(run.join("traces")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("rank0.1") {
                std::fs::remove_file(path).unwrap();
            }
        }
    });
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("holds no worker trace"), "{said}");
}

#[test]
fn nothing_to_run_is_a_usage_error() {
    let empty = tempfile::tempdir().unwrap();
    let output = tracegate().args(["run", "--procedures"]).arg(empty.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no procedure (*.toml) in"));
}

#[test]
fn an_output_directory_may_have_quotes_and_spaces() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("it's \"odd\" \\ ü");
    let output = tracegate().args(["run", "async_single_request", "--out"]).arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(out.join("standin/async_single_request-1/verdict.json").is_file());
}

/// A closed pipe ends no run, and a full disk is no pass.
#[test]
fn output_that_cannot_be_written_is_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tracegate"));
    command.args(["run", "async_single_request", "--out"]).arg(directory.path()).stdout(full);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("error: standard output: No space left on device"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tracegate"));
    command.args(["run", "async_single_request", "--out"]).arg(directory.path());
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Both readers go away before anything is written.
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(directory.path().join("standin/async_single_request-2/verdict.json").is_file());
}

/// The script is for people, and must be one: every word of it survives a shell.
#[test]
fn the_script_of_a_plan_is_valid_and_ends_its_server() {
    let ran = run(&[]);
    let script = ran.run_directory().join("plan.sh");
    let checked = std::process::Command::new("sh").arg("-n").arg(&script).status().unwrap();
    assert!(checked.success());
    let script = std::fs::read_to_string(script).unwrap();
    for part in [
        "set -eu",
        "trap 'kill \"$SERVER\"",
        "PORT=$(cat \"$RUN/port\")",
        "curl -fsS -X POST \"$URL/start_profile\"",
    ] {
        assert!(script.contains(part), "{part}\n{script}");
    }
}

/// `tracegate check` rewrote the recorded verdict, snapshot and page, and could not decide a run that others own.
#[test]
fn checking_changes_nothing_unless_it_is_asked_to() {
    let ran = run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let directory = std::fs::read_dir(ran.directory.path().join("runs/standin")).unwrap();
    let directory = directory.map(|entry| entry.unwrap().path()).next().unwrap();
    std::fs::write(directory.join("verdict.json"), "{}").unwrap();
    let mode = |mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o555);
    let output = tracegate().arg("check").arg(&directory).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(directory.join("verdict.json")).unwrap(), "{}");
    mode(0o755);
    let output = tracegate().arg("check").arg("--write").arg(&directory).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let verdict = std::fs::read_to_string(directory.join("verdict.json")).unwrap();
    assert!(verdict.contains("\"passed\": true"), "{verdict}");
}
