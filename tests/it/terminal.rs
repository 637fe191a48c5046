//! What every verb owes a terminal and a script: JSON, quiet, no colours in a pipe, completions, a manual page.

use crate::common::{quick_procedure, text, tracegate};
use serde_json::Value;

fn json(arguments: &[&str]) -> (i32, Value) {
    let output = tracegate().args(arguments).args(["--format", "json"]).output().unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{arguments:?}: {error}: {}{}", text(&output.stdout), text(&output.stderr))
    });
    (output.status.code().unwrap(), value)
}

#[test]
fn verbs_that_print_results_print_them_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = quick_procedure(directory.path());
    let (procedure, out) = (procedure.to_str().unwrap(), directory.path().to_str().unwrap());
    let (code, run) = json(&["run", procedure, "--out", out]);
    assert_eq!(code, 0);
    assert_eq!(run["runs"][0]["verdict"]["passed"], true);
    let path = run["runs"][0]["directory"].as_str().unwrap();
    let (code, check) = json(&["check", path]);
    assert_eq!((code, &check), (0, &run["runs"][0]["verdict"]));
    let (code, failed) = json(&["run", procedure, "--out", out, "--fault", "empty-trace"]);
    assert_eq!((code, &failed["runs"][0]["verdict"]), (3, &Value::Null));
    assert!(failed["runs"][0]["error"].as_str().unwrap().contains("no bytes"));
    let (_, plan) = json(&["plan", procedure]);
    assert_eq!(plan["procedure"], "async_single_request");
    let (_, doctor) = json(&["doctor", "--lane", "standin"]);
    assert_eq!(doctor["lanes"][0]["ready"], true);
    let trace = directory.path().join("t.json");
    let (_, synth) = json(&["synth", "--events", "1", "-o", trace.to_str().unwrap()]);
    assert_eq!(synth["files"].as_array().unwrap().len(), 2);
}

#[test]
fn quiet_prints_failures_and_verdicts_and_nothing_in_colour() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = quick_procedure(directory.path());
    let output = tracegate()
        .args(["run", "--quiet", "--fault", "drop-decode", "--out"])
        .args([directory.path(), &procedure])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let out = text(&output.stdout);
    assert_eq!(out.lines().count(), 5, "{out}");
    assert!(out.contains("FAIL  order"), "{out}");
    assert!(out.ends_with("verdict: FAIL (order, ledger, gaps)\n"), "{out}");
    assert_eq!(text(&output.stderr), "");
    let help = tracegate().args(["--help"]).output().unwrap();
    assert!(!text(&help.stdout).contains('\u{1b}'), "a pipe is no terminal");
}

#[test]
fn shells_and_manuals_know_every_verb() {
    for (shell, part) in
        [("bash", "complete -F _tracegate"), ("zsh", "#compdef tracegate"), ("fish", "complete -c tracegate")]
    {
        let output = tracegate().args(["completions", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(part), "{shell}");
    }
    let man = tracegate().arg("man").output().unwrap();
    let man = text(&man.stdout);
    assert!(man.starts_with(".ie"), "{}", &man[..200]);
    for verb in ["run", "plan", "inspect", "check", "history", "report", "open"] {
        assert!(man.contains(&format!("\\fBtracegate {verb}\\fR")), "{verb}");
    }
}

#[test]
fn colours_follow_no_color_and_tables_follow_the_width() {
    let help = |no_color: &str| {
        let output =
            tracegate().env("CLICOLOR_FORCE", "1").env("NO_COLOR", no_color).arg("--help").output().unwrap();
        text(&output.stdout).contains('\u{1b}')
    };
    assert!(help(""), "forced, and NO_COLOR is empty");
    assert!(!help("1"));
    let widest = |columns: &str| {
        let output = tracegate()
            .env("COLUMNS", columns)
            .arg("inspect")
            .arg(crate::common::real_trace())
            .output()
            .unwrap();
        let out = text(&output.stdout);
        let rows = out.lines().filter(|line| line.contains("prompt") || line.contains("decode"));
        rows.filter(|line| line.starts_with(' ')).map(|line| line.trim_end().chars().count()).max().unwrap()
    };
    assert!(widest("60") <= 60, "{}", widest("60"));
    assert!(widest("100") > 60);
}
