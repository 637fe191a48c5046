//! Deadlines: one option scales them all, for runs and for trials, and what expires says so.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use libtest_mimic::Trial;

use super::PART;
use crate::common::processes::survivors;
use crate::common::{procedure_with, text, tracegate};
use crate::trial;
use tracegate::lane::{Lane, probe};
use tracegate::plan::{Command as Planned, resolve};
use tracegate::procedure::{Procedure, Span};
use tracegate::run::{Phase, RunDirectory, execute};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("deadlines::one_option_scales_a_run", one_option_scales_a_run),
        trial("deadlines::one_variable_scales_a_trial", one_variable_scales_a_trial),
        trial("deadlines::a_command_before_the_server_has_one", a_command_before_the_server_has_one),
        trial("deadlines::waiting_is_told_every_second", waiting_is_told_every_second),
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

/// What `hl-prof-config` is on Gaudi: it works, fails, or hangs, and what it started goes with it.
fn a_command_before_the_server_has_one() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = Procedure::load(&procedure_with(directory.path(), &[], &[])).unwrap();
    let mut plan = resolve(&procedure, &probe(Lane::Standin).unwrap()).unwrap();
    let cases: [(&[&str], &[&str]); 3] = [
        (&["sh", "-c", "echo cannot configure; exit 7"], &["failed: exit status: 7", "| cannot configure"]),
        (
            &["sh", "-c", "sleep 600 & echo begun; wait"],
            &["it did not end within 700ms (deadline: prepare)", "| begun", "prepare.log"],
        ),
        (&["no-such-program"], &["cannot run \"no-such-program\"", "on your PATH"]),
    ];
    plan.deadlines.prepare = Span(Duration::from_millis(700));
    for (argv, said) in cases {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        plan.prepare = vec![Planned { argv, env: [].into() }];
        let run = RunDirectory::create(&directory.path().join("runs"), &plan).unwrap();
        let error = execute(&plan, &run, None, &|_, _| {}).unwrap_err().to_string();
        for part in said {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(survivors(run.path()), [""; 0]);
    }
}

fn waiting_is_told_every_second() {
    let directory = tempfile::tempdir().unwrap();
    // Long enough for a look on any machine.
    let args = ["--fault", "request-hangs", "--warmup-ms", "700"];
    let changes = [("request = \"5m\"", "request = \"2500ms\"")];
    let procedure = Procedure::load(&procedure_with(directory.path(), &args, &changes)).unwrap();
    let plan = resolve(&procedure, &probe(Lane::Standin).unwrap()).unwrap();
    let run = RunDirectory::create(&directory.path().join("runs"), &plan).unwrap();
    let told = Mutex::new(Vec::new());
    execute(&plan, &run, None, &|phase, status| told.lock().unwrap().push((phase, status.to_owned())))
        .unwrap_err();
    let told = told.into_inner().unwrap();
    let last = told.iter().rfind(|(phase, status)| *phase == Phase::Load && !status.is_empty()).unwrap();
    assert!(last.1.contains("s of 2s 500ms; its log says: INFO: 127.0.0.1"), "{last:?}");
    let booting = told.iter().any(|(phase, status)| *phase == Phase::Boot && status.contains(" of 30s)"));
    assert!(booting, "{told:?}");
}
