//! However a group of windows ends, nothing survives, and the windows that were decided stay decided.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::processes::{code_of, survivors, wait_until};
use crate::common::{text, tracegate};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("groups::sigkill_in_the_third_window", || ended(Signal::SIGKILL, -9)),
        trial("groups::sigint_in_the_third_window", || ended(Signal::SIGINT, 130)),
        trial("groups::guard_killed", || replaced("tracegate-guard")),
        trial("groups::server_killed", || replaced("standin\0--port")),
    ]
}

/// Windows enough for what happens in the middle.
const WINDOWS: usize = 12;

struct Group {
    directory: tempfile::TempDir,
    child: Child,
}

impl Group {
    fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let child = Command::new(assert_cmd::cargo::cargo_bin("tracegate"))
            .args([
                "run",
                "async_single_request",
                "--format",
                "json",
                "--repeat",
                &WINDOWS.to_string(),
                "--out",
            ])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let group = Self { directory, child };
        wait_until("the third window", || group.window(3).join("run.json").exists());
        group
    }

    fn window(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("standin/async_single_request-{number}"))
    }

    fn nothing_survives(&self) {
        wait_until("the end of everything", || survivors(self.directory.path()).is_empty());
    }
}

fn is_decided(run: &Path) {
    let output = tracegate().arg("check").arg(run).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(run.join("verdict.json").exists());
}

fn ended(signal: Signal, code: i32) {
    let mut group = Group::begin();
    kill(Pid::from_raw(group.child.id() as i32), signal).unwrap();
    assert_eq!(code_of(group.child.wait().unwrap()), code);
    group.nothing_survives();
    for window in [1, 2] {
        is_decided(&group.window(window));
    }
    // The boot says what it was, and its log is there.
    let boot = group.directory.path().join("standin/boot-1");
    assert!(std::fs::read_to_string(boot.join("server.log")).unwrap().contains("start_profile"));
    assert!(boot.join("boot.json").exists());
    assert!(!group.window(WINDOWS).exists());
}

/// The pid of the process that has this in its command line and works for the group.
fn pid_of(directory: &Path, part: &str) -> Option<Pid> {
    let mark = directory.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().into_string().ok()?.parse::<i32>().ok());
    let is_wanted = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(part) && line.contains(&mark)
    };
    pids.find(is_wanted).map(Pid::from_raw)
}

/// A part of the boot is killed: at most the window that was open is lost, and another boot goes on.
fn replaced(part: &str) {
    let group = Group::begin();
    let pid = pid_of(group.directory.path(), part).unwrap();
    kill(pid, Signal::SIGKILL).unwrap();
    let Group { directory, child } = group;
    let output = child.wait_with_output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), WINDOWS);
    let lost = runs.iter().filter(|run| run["verdict"].is_null()).count();
    let replaced = json["replaced"].as_array().unwrap().len();
    // Between two windows nothing is lost; inside one, that one.
    assert_eq!(lost + replaced, 1, "{json}");
    assert_eq!(json["cost"]["boots"], 2);
    assert_eq!(output.status.code(), Some(if lost == 1 { 3 } else { 0 }));
    let passed = runs.iter().filter(|run| run["verdict"]["passed"] == true).count();
    assert_eq!(passed, WINDOWS - lost);
    wait_until("the end of everything", || survivors(directory.path()).is_empty());
}
