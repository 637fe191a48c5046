//! Deadlines: one option scales them all, for runs and for trials, and what expires says so.

use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use crate::common::{procedure_with, text, tracegate};
use crate::{PART, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("deadlines::one_option_scales_a_run", one_option_scales_a_run),
        trial("deadlines::one_variable_scales_a_trial", one_variable_scales_a_trial),
    ]
}

const NEVER: [&str; 2] = ["--fault", "never-healthy"];

fn one_option_scales_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = procedure_with(directory.path(), &NEVER, &[]);
    let output = tracegate()
        .arg("run")
        .arg(procedure)
        .args(["--deadline-scale", "0.03", "--out"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    for part in [
        "the server was not ready after 900ms (deadline: boot = 900ms)",
        "last seen: /health answers 503",
        "last lines of",
        "server.log",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn one_variable_scales_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let procedures = directory.path().join("procedures");
    std::fs::create_dir(&procedures).unwrap();
    procedure_with(&procedures, &NEVER, &[]);
    for (scale, said) in [
        ("0.03", "the server was not ready after 900ms (deadline: boot = 900ms)"),
        ("soon", "TRACEGATE_DEADLINE_SCALE=\"soon\" is no number"),
        ("0", "TRACEGATE_DEADLINE_SCALE=\"0\" must be between 0.001 and 1000"),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["standin::async_single_request", "--exact"])
            .env(PART, directory.path())
            .env("TRACEGATE_DEADLINE_SCALE", scale)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(101), "{scale}");
        let output = text(&output.stdout);
        assert!(output.contains(said), "{scale}: {output}");
    }
}
