//! What a run leaves: kept or removed by the stated policy, honest about being whole, without anybody's
//! tokens, and harmless to look at.

use libtest_mimic::Trial;
use std::io::Read;
use std::path::Path;

use crate::common::{gzip, procedure_with, text, tracegate};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("evidence::passed_runs_are_pruned_and_others_stay", passed_runs_are_pruned_and_others_stay),
        trial(
            "evidence::no_token_of_the_user_reaches_the_server_or_the_run_directory",
            no_token_of_the_user_reaches_the_server_or_the_run_directory,
        ),
        trial(
            "evidence::a_link_in_a_run_directory_is_not_followed",
            a_link_in_a_run_directory_is_not_followed,
        ),
        trial(
            "evidence::procedures_cannot_expose_the_server_or_leave_the_run_directory",
            procedures_cannot_expose_the_server_or_leave_the_run_directory,
        ),
        trial(
            "evidence::what_a_server_says_is_inert_in_a_terminal",
            what_a_server_says_is_inert_in_a_terminal,
        ),
        trial(
            "evidence::what_a_trace_says_is_inert_in_terminals_and_markdown",
            what_a_trace_says_is_inert_in_terminals_and_markdown,
        ),
    ]
}

/// A run of a procedure; exit code and everything that was printed.
fn run(procedure: &Path, out: &Path, args: &[&str]) -> (i32, String) {
    let output = tracegate().arg("run").arg(procedure).arg("--out").arg(out).args(args).output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

/// Names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn passed_runs_are_pruned_and_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = procedure_with(directory.path(), &[], &[]);
    let out = directory.path().join("runs");
    for (args, code) in [
        (vec!["--keep", "1"], 0),
        (vec!["--keep", "1", "--fault", "drop-decode"], 1),
        (vec!["--keep", "1", "--fault", "exit-during-boot"], 3),
        (vec!["--keep", "1"], 0),
    ] {
        let (ended, said) = run(&procedure, &out, &args);
        assert_eq!(ended, code, "{args:?}: {said}");
        assert!(said.contains("run directory: "), "{said}");
    }
    let kept = ["async_single_request-2", "async_single_request-3", "async_single_request-4"];
    assert_eq!(names(&out.join("standin")), kept);
}

/// Every file below a directory, compressed ones as what they hold.
fn contents(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path, found);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|end| end == "gz") {
            let mut whole = Vec::new();
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut whole).unwrap();
            bytes = whole;
        }
        found.push((path.display().to_string(), bytes));
    }
}

fn no_token_of_the_user_reaches_the_server_or_the_run_directory() {
    const CANARY: &str = "canary-5f2c9b";
    let directory = tempfile::tempdir().unwrap();
    // The stand-in prints what it was given.
    let procedure = procedure_with(directory.path(), &["--log-environment"], &[]);
    let mut command = tracegate();
    for name in [
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "GITHUB_TOKEN",
        "VLLM_API_KEY",
        "OPENAI_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "SOME_PASSWORD",
    ] {
        command.env(name, CANARY);
    }
    // One that is passed on: the search must be able to find something.
    command.env("OMP_CANARY", "passed-on-1d7e");
    let out = directory.path().join("runs");
    let output = command.arg("run").arg(procedure).arg("--out").arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut found = Vec::new();
    contents(&out, &mut found);
    let holding = |what: &str| -> Vec<&String> {
        let holds = |bytes: &[u8]| bytes.windows(what.len()).any(|part| part == what.as_bytes());
        found.iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect()
    };
    assert_eq!(holding(CANARY), [""; 0]);
    assert_eq!(holding("passed-on-1d7e").len(), 1, "the server's log has its environment");
    assert!(found.len() > 8, "{}", found.len());
}

fn a_link_in_a_run_directory_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = procedure_with(directory.path(), &[], &[]);
    let out = directory.path().join("runs");
    assert_eq!(run(&procedure, &out, &[]).0, 0);
    let path = out.join("standin/async_single_request-1");
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "top secret").unwrap();
    std::os::unix::fs::symlink(&secret, path.join("traces/rank1.1.pt.trace.json")).unwrap();
    let output = tracegate().arg("check").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("rank1.1.pt.trace.json: is a symbolic link"), "{said}");
    assert!(!said.contains("top secret"), "{said}");
}

fn procedures_cannot_expose_the_server_or_leave_the_run_directory() {
    let directory = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["--host", "0.0.0.0"][..], "--host is set by the plan"),
        (&["--host=0.0.0.0"][..], "--host is set by the plan"),
        (&["--profiler_config.torch_profiler_dir=/etc"][..], "--profiler-config is set by the plan"),
        (&["--api-key", "x"][..], "--api-key is set by the plan"),
        (&["--download-dir", "{run}/../../x"][..], "leads out of the run directory"),
        (&["{\"dir\":\"{run}/traces/../../x\"}"][..], "leads out of the run directory"),
    ] {
        let procedure = procedure_with(directory.path(), args, &[]);
        let (code, output) = run(&procedure, directory.path(), &[]);
        assert_eq!(code, 2, "{args:?}: {output}");
        assert!(output.contains(said) && output.contains("quick.toml:"), "{args:?}: {output}");
    }
    let name = ("name = \"async_single_request\"", "name = \"../escaped\"");
    let procedure = procedure_with(directory.path(), &[], &[name]);
    let (code, output) = run(&procedure, directory.path(), &[]);
    assert_eq!((code, output.contains("must be lower-case letters")), (2, true), "{output}");
}

/// Everything that a terminal would obey.
fn assert_inert(said: &str) {
    let obeyed =
        |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!said.contains(obeyed), "{:?}", said.chars().find(|c| obeyed(*c)));
}

fn what_a_server_says_is_inert_in_a_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = (
        "[server.env]\n",
        "[server.env]\nOMP_HOSTILE = \"\\u001b]0;owned\\u0007\\u001b[2J\\u202egnp.exe\\u009b31m\"\n",
    );
    let args = ["--log-environment", "--fault", "exit-during-boot"];
    let procedure = procedure_with(directory.path(), &args, &[hostile]);
    let (code, said) = run(&procedure, directory.path(), &[]);
    assert_eq!(code, 3);
    assert!(said.contains("owned"), "the log is quoted: {said}");
    assert_inert(&said);
}

fn what_a_trace_says_is_inert_in_terminals_and_markdown() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = "`</code><script>alert(1)</script>|![x](http://x)\\u001b[31m\\u202e";
    let trace = format!(
        r#"{{"schemaVersion":1,"vllm_version":"{hostile}","traceEvents":[
{{"ph":"X","cat":"user_annotation","name":"execute_context_1(4)_generation_0(0)","pid":1,"tid":1,"ts":1.0,"dur":2.0}},
{{"ph":"X","cat":"cpu_op","name":"a "quoted" `<b>|{hostile}","pid":1,"tid":1,"ts":4.0,"dur":2.0}},
{{"ph":"X","cat":"user_annotation","name":"execute_context_0(0)_generation_1(1)","pid":1,"tid":1,"ts":9.0,"dur":2.0}}]}}"#
    );
    let name = "rank0.`<img src=x>`|\u{1b}[2J.1.pt.trace.json.gz";
    std::fs::write(directory.path().join(name), gzip(trace.as_bytes())).unwrap();
    // One that is refused, so that its name is in an error.
    std::fs::write(directory.path().join("rank1.\u{1b}[2J\u{202e}.1.pt.trace.json"), "").unwrap();
    for format in ["text", "markdown"] {
        let output =
            tracegate().args(["inspect", "--format", format]).arg(directory.path()).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains("script"), "{format}: the version is shown: {said}");
        assert!(text(&output.stderr).contains("error: ") && said.contains("rank1."), "{said}");
        assert_inert(&said);
        if format == "markdown" {
            for line in text(&output.stdout).lines() {
                // Odd parts stand between back-ticks, where nothing is markup.
                let outside: String = line.split('`').step_by(2).collect();
                assert!(!outside.contains(['<', '>', '!', '[']), "{line}");
            }
        }
    }
}
