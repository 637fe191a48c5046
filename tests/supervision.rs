//! However a run ends, no server process survives it and the evidence stays.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::quick_procedure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Processes, other than `except`, whose command line names a directory.
fn processes_of(directory: &Path, except: u32) -> Vec<u32> {
    let wanted = directory.as_os_str().as_encoded_bytes();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != except && line.windows(wanted.len()).any(|part| part == wanted)
    })
    .collect()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run whose server never becomes ready, with that server alive.
fn run_that_waits(directory: &Path) -> Child {
    let procedure = quick_procedure(directory);
    let patient = std::fs::read_to_string(&procedure).unwrap().replace("boot = \"4s\"", "boot = \"60s\"");
    std::fs::write(&procedure, patient).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_tracegate"))
        .args(["run", procedure.to_str().unwrap(), "--fault", "never-healthy", "--out"])
        .arg(directory.join("runs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the boot", || !processes_of(directory, run.id()).is_empty());
    run
}

fn record(directory: &Path) -> serde_json::Value {
    let path = directory.join("runs/standin/async_single_request-1/run.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_signal_ends_the_server_and_is_the_exit_code() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let directory = tempfile::tempdir().unwrap();
        let mut run = run_that_waits(directory.path());
        kill(Pid::from_raw(run.id() as i32), signal).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(code), "{signal}");
        assert_eq!(processes_of(directory.path(), 0), [0u32; 0], "{signal}");
        let record = record(directory.path());
        assert_eq!(record["state"], "error");
        assert_eq!(record["error"], "interrupted");
        assert_eq!(record["shutdown"]["killed"], serde_json::json!([]));
        assert!(record["server"]["argv"][0].is_string(), "what ran is on record");
    }
}

#[test]
fn a_killed_run_takes_its_server_along_and_is_marked_incomplete() {
    let directory = tempfile::tempdir().unwrap();
    let mut run = run_that_waits(directory.path());
    run.kill().unwrap();
    run.wait().unwrap();
    wait_until("the end of the server", || processes_of(directory.path(), 0).is_empty());
    assert_eq!(record(directory.path())["state"], "incomplete");
}

#[test]
fn a_server_that_was_not_ready_in_time_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = quick_procedure(directory.path());
    let status = Command::new(env!("CARGO_BIN_EXE_tracegate"))
        .args([
            "run",
            procedure.to_str().unwrap(),
            "--fault",
            "never-healthy",
            "--deadline-scale",
            "0.2",
            "--out",
        ])
        .arg(directory.path().join("runs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(processes_of(directory.path(), 0), [0u32; 0]);
    assert!(record(directory.path())["error"].as_str().unwrap().contains("not ready"));
}
