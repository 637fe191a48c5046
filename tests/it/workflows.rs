//! The workflow files are YAML, use verbs and options that exist, and cut no corner that this project forbids.

use crate::common::{root, text, tracegate};
use serde_yaml_ng::Value;

fn workflow(name: &str) -> Value {
    let text = std::fs::read_to_string(root().join(".github/workflows").join(name)).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

fn scripts(workflow: &Value) -> Vec<String> {
    let jobs = workflow["jobs"].as_mapping().unwrap();
    let steps = jobs.values().flat_map(|job| job["steps"].as_sequence().unwrap());
    steps.filter_map(|step| step["run"].as_str().map(str::to_owned)).collect()
}

#[test]
fn every_job_has_a_runner_a_time_limit_and_steps_that_do_something() {
    for name in ["pr.yml", "nightly.yml", "gaudi.yml"] {
        let workflow = workflow(name);
        // YAML 1.1 readers take the key `on` for a truth value.
        assert!(workflow.get("on").or_else(|| workflow.get(Value::Bool(true))).is_some(), "{name}");
        for (job, body) in workflow["jobs"].as_mapping().unwrap() {
            assert!(!body["runs-on"].is_null(), "{name} {job:?}");
            assert!(body["timeout-minutes"].is_number(), "{name} {job:?}");
            for step in body["steps"].as_sequence().unwrap() {
                assert!(step["run"].is_string() ^ step["uses"].is_string(), "{name} {job:?} {step:?}");
            }
            if let Some(needed) = body["needs"].as_str() {
                assert!(!workflow["jobs"][needed].is_null(), "{name} {job:?} needs {needed}");
            }
        }
    }
}

/// Every `tracegate VERB … --option` of the workflows is one that the command line knows.
#[test]
fn the_commands_of_the_workflows_exist() {
    let mut checked = 0;
    for script in ["pr.yml", "nightly.yml"].iter().flat_map(|name| scripts(&workflow(name))) {
        for command in
            script.replace("\\\n", " ").lines().filter_map(|line| line.split_once("release/tracegate "))
        {
            let words: Vec<&str> =
                command.1.split_whitespace().take_while(|word| !["||", ">"].contains(word)).collect();
            let verbs = if words[0] == "history" || words[0] == "setup" { 2 } else { 1 };
            let help = tracegate().args(&words[..verbs]).arg("--help").output().unwrap();
            let help = text(&help.stdout);
            for option in words.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(option), "{option} in: {}", command.1);
                checked += 1;
            }
        }
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn the_scripts_are_scripts() {
    for script in ["pr.yml", "nightly.yml"].iter().flat_map(|name| scripts(&workflow(name))) {
        // GitHub fills its expressions in before a shell sees them.
        let filled =
            regex_lite::Regex::new(r"\$\{\{[^}]*\}\}").unwrap().replace_all(&script, "x").into_owned();
        let checked = std::process::Command::new("bash").args(["-n", "-c", &filled]).output().unwrap();
        assert!(checked.status.success(), "{script}\n{}", text(&checked.stderr));
    }
}

/// The script of a step of the nightly workflow, with the lane filled in.
fn nightly_script(step: &str) -> String {
    let steps = workflow("nightly.yml")["jobs"]["lane"]["steps"].as_sequence().unwrap().clone();
    let step = steps.iter().find(|one| one["name"] == step).unwrap();
    step["run"].as_str().unwrap().replace("${{ matrix.lane }}", "gaudi")
}

/// What the step `Verdict` leaves with on a history.
fn nightly_verdict(history: &str, night: &str) -> i32 {
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("target/release");
    std::fs::create_dir_all(&binary).unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tracegate"), binary.join("tracegate")).unwrap();
    std::fs::write(directory.path().join("data/history.jsonl"), history).unwrap();
    // As GitHub runs a script.
    let ran = std::process::Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &nightly_script("Verdict")])
        .current_dir(directory.path())
        .env("NIGHT", night)
        .output()
        .unwrap();
    ran.status.code().unwrap()
}

/// The job was green when a procedure, or all of them, had not run.
#[test]
fn the_nightly_job_fails_where_a_procedure_did_not_run() {
    let record = |procedure: &str, night: u32| {
        format!(
            r#"{{"schema_version":1,"record":"night","run_id":"{procedure}{night}","runs":[],"night":"2026-10-{night:02}","utc":"2026-10-{night:02}T02:00:00Z","lane":"gaudi","procedure":"{procedure}","epoch":0,"machine_class":"c","machine":{{"count":8}},"model":"m","sw":{{}},"cfg_hash":"c","n_reps":5,"metrics":{{"step.decode.p50":{{"unit":"ns","dir":"lower","values":[1000]}}}},"structural":{{"passed":true,"checks":{{}}}},"snapshot_hash":"s","verdict":"pass"}}"#
        ) + "\n"
    };
    let nights =
        |procedure: &str, last: u32| (1..=last).map(|night| record(procedure, night)).collect::<String>();
    assert_eq!(nightly_verdict(&nights("p", 3), "2026-10-03"), 0, "too few nights");
    assert_eq!(nightly_verdict(&nights("p", 20), "2026-10-20"), 0);
    assert_eq!(nightly_verdict(&nights("p", 20), "2026-10-21"), 5, "nothing ran");
    assert_eq!(nightly_verdict(&(nights("p", 20) + &nights("q", 11)), "2026-10-20"), 5);
    // No exit code of tracegate is swallowed.
    for line in scripts(&workflow("nightly.yml"))
        .iter()
        .flat_map(|script| script.lines().map(str::to_owned).collect::<Vec<_>>())
    {
        assert!(
            !(line.contains("tracegate ") && (line.contains("|| echo") || line.contains("|| true"))),
            "{line}"
        );
    }
}
