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
