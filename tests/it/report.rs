//! `tracegate report`: the page, the summary, the annotations and JUnit, of runs that passed, failed and could not answer.

use std::path::{Path, PathBuf};

use crate::common::{quick_procedure, root, text, tracegate};
use serde_json::Value;

/// A run of the stand-in and where it is.
fn run(directory: &Path, arguments: &[&str]) -> PathBuf {
    let procedure = quick_procedure(directory);
    let out = directory.join("runs");
    let output = tracegate()
        .arg("run")
        .arg(&procedure)
        .arg("--snapshots")
        .arg(root().join("snapshots"))
        .arg("--out")
        .arg(&out)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.code().unwrap() != 2, "{}", text(&output.stderr));
    let newest = std::fs::read_dir(out.join("standin")).unwrap().map(|entry| entry.unwrap().path());
    newest.max_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap()).unwrap()
}

fn report(arguments: &[&str], runs: &[&Path]) -> (i32, String, String) {
    let output = tracegate()
        .current_dir(root())
        .env_remove("GITHUB_STEP_SUMMARY")
        .arg("report")
        .args(arguments)
        .args(runs)
        .output()
        .unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The data that the page's script reads.
fn data(html: &str) -> Value {
    let (_, rest) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

fn html(directory: &Path, runs: &[&Path]) -> String {
    let page = directory.join("page.html");
    let (code, _, err) = report(&["-o", page.to_str().unwrap()], runs);
    assert_eq!(code, 0, "{err}");
    std::fs::read_to_string(page).unwrap()
}

#[test]
fn a_passed_run_has_its_page_beside_it_with_every_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = run(directory.path(), &[]);
    let beside = std::fs::read_to_string(path.join("report.html")).unwrap();
    assert!(beside.contains("<p class=\"word\">pass</p>"));
    let page = data(&html(directory.path(), &[&path]));
    let run = &page["runs"][0];
    assert_eq!(run["imitation"], true);
    let worker = &run["traces"][0];
    assert_eq!(worker["steps"]["kind"], "PDDDDDDE");
    assert_eq!(worker["steps"]["gap"].as_array().unwrap().len(), 8);
    assert_eq!(worker["steps"]["gap"][0], Value::Null);
    assert_eq!(worker["offset"], 0, "the first rank's first step is the origin");
    assert_eq!(worker["gapValues"]["decode_to_decode"].as_array().unwrap().len(), 5);
    assert_eq!(run["ledger"]["rows"][1]["client"], 6);
    assert_eq!(run["ledger"]["rows"][1]["trace"], "6");
    assert_eq!(run["ledger"]["rows"][1]["equal"], true);
    let reviewed = root().join("snapshots/standin/async_single_request.snap");
    assert_eq!(run["snapshot"]["committed"], reviewed.display().to_string());
    assert_eq!(run["snapshot"]["diff"], Value::Null);
    assert_eq!(run["requests"][0]["outputTokens"], 7);
    assert!(run["requests"][0]["sent"].as_i64().unwrap() < 0, "sent before the first step began");
    assert!(!run["plan"]["adaptations"].as_array().unwrap().is_empty());
    let verdict: Value =
        serde_json::from_str(&std::fs::read_to_string(path.join("verdict.json")).unwrap()).unwrap();
    assert_eq!(run["checks"], verdict["checks"]);
}

/// A row of a table of operators.
fn row<'a>(page: &'a Value, table: usize, name: &str) -> &'a Value {
    let rows = page["runs"][0]["operators"][0]["tables"][table]["rows"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap()
}

#[test]
fn operators_stand_beside_what_was_reviewed_where_they_differ() {
    let directory = tempfile::tempdir().unwrap();
    let path = run(directory.path(), &["--fault", "swapped-ops"]);
    let page = data(&html(directory.path(), &[&path]));
    assert_eq!(page["runs"][0]["operators"][0]["ranks"], "0");
    assert_eq!(
        page["runs"][0]["operators"][0]["tables"][0]["columns"],
        serde_json::json!(["prompt", "decode"])
    );
    for (table, name, cells, before) in [
        (0, "_C::onednn_mm", ["48", "48"], serde_json::json!(["0", "0"])),
        (0, "aten::addmm", ["0", "0"], serde_json::json!(["48", "48"])),
        (0, "aten::slice", ["120", "120"], serde_json::json!([null, null])),
        (2, "d2h", ["0", "0"], serde_json::json!([null, null])),
    ] {
        let row = row(&page, table, name);
        assert_eq!(row["cells"], serde_json::json!(cells), "{name}");
        assert_eq!(row["before"], before, "{name}");
    }
    let sampler = row(&page, 1, "_C::greedy_argmax");
    assert_eq!(
        (&sampler["cells"], &sampler["before"]),
        (&serde_json::json!(["1"]), &serde_json::json!([null]))
    );
}

#[test]
fn a_failed_run_leads_with_what_failed_on_every_surface() {
    let directory = tempfile::tempdir().unwrap();
    let path = run(directory.path(), &["--fault", "drop-decode"]);
    let page = html(directory.path(), &[&path]);
    assert!(page.contains("<p class=\"word\">FAIL</p>"));
    assert!(page.contains("order: the steps were P D{5}, expected P D{6}"));
    let page = data(&page);
    assert_eq!(page["runs"][0]["fault"], "drop-decode");
    assert_eq!(page["runs"][0]["ledger"]["rows"][1]["equal"], false);
    assert!(
        page["runs"][0]["snapshot"]["diff"]
            .as_str()
            .unwrap()
            .contains("-generation_tokens 6\n+generation_tokens 5")
    );

    let (code, summary, _) = report(&["--format", "markdown"], &[&path]);
    assert_eq!(code, 0);
    assert!(summary.starts_with("# FAIL\n"), "{summary}");
    assert!(summary.contains("| standin | async\\_single\\_request |"), "{summary}");
    assert!(summary.contains("prove the harness, never vLLM"), "{summary}");

    let (_, out, _) = report(&["--format", "junit", "--annotate"], &[&path]);
    // Lines of the snapshot: insta's header has four, the text begins after them.
    let snapshot =
        std::fs::read_to_string(root().join("snapshots/standin/async_single_request.snap")).unwrap();
    let line = 1 + snapshot.lines().position(|line| line.starts_with("context_tokens")).unwrap();
    let expected = format!(
        "::error file=snapshots/standin/async_single_request.snap,line={line},title=standin/async_single_request%3A ledger::the trace has 5 generation tokens"
    );
    assert!(out.contains(&expected), "{out}");
    let verdict: Value =
        serde_json::from_str(&std::fs::read_to_string(path.join("verdict.json")).unwrap()).unwrap();
    let checks = verdict["checks"].as_array().unwrap();
    let skipped = checks.iter().filter(|check| check["result"] == "not_applicable").count();
    // The procedure itself, and of its checks the order, the ledger, the gap that the step left, and the snapshot.
    let suite = format!(
        "<testsuite name=\"standin\" tests=\"{}\" failures=\"5\" errors=\"0\" skipped=\"{skipped}\" timestamp=\"",
        1 + checks.len()
    );
    assert!(out.contains(&suite), "{suite}\n{out}");
    let line = 1 + snapshot.lines().position(|line| line.ends_with(" x6")).unwrap();
    let expected = format!(
        "line={line},title=standin/async_single_request%3A snapshot::LEDGER%0A  generation tokens of the trace 6 → 5%0ASTEPS%0A  decode steps 6 → 5%0A"
    );
    assert!(out.contains(&expected), "{expected}\n{out}");
    assert!(
        out.contains(
            "<failure message=\"failed checks: order, ledger, gaps, snapshot\" type=\"check failure\"/>"
        ),
        "{out}"
    );
    assert!(
        out.contains("<failure message=\"the steps were P D{5}, expected P D{6}\" type=\"check failure\"/>"),
        "{out}"
    );
}

/// The lines of the cases, from a document.
fn test_cases(junit: &str) -> Vec<&str> {
    junit.lines().map(str::trim).filter(|line| line.starts_with("<testcase ")).collect()
}

/// Case names held the run number, so that no dashboard saw a history, and there was neither time nor timestamp.
#[test]
fn junit_cases_have_the_same_names_in_every_run_and_say_when_and_how_long() {
    let directory = tempfile::tempdir().unwrap();
    let first = run(directory.path(), &[]);
    let second = run(directory.path(), &["--fault", "drop-decode"]);
    let (_, one, _) = report(&["--format", "junit"], &[&first]);
    let (_, two, _) = report(&["--format", "junit"], &[&second]);
    let names = |junit: &str| -> Vec<String> {
        test_cases(junit).iter().map(|line| line.split(" timestamp=").next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&one), names(&two));
    assert_eq!(names(&one)[0], "<testcase name=\"async_single_request\" classname=\"standin\"");
    let order = "<testcase name=\"order\" classname=\"standin::async_single_request\"".to_owned();
    assert!(names(&one).contains(&order), "{one}");
    assert!(two.contains("<property name=\"run\" value=\"2\"/>"), "{two}");
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(first.join("run.json")).unwrap()).unwrap();
    let phases = record["phases"].as_array().unwrap();
    let begun = phases[0]["start_ns"].as_i64().unwrap();
    let took = phases.last().unwrap()["end_ns"].as_i64().unwrap() - begun;
    let case = test_cases(&one)[0];
    let utc = humantime::format_rfc3339_millis(
        std::time::UNIX_EPOCH + std::time::Duration::from_nanos(begun.unsigned_abs()),
    );
    let stamp = format!("timestamp=\"{}+00:00\"", utc.to_string().trim_end_matches('Z'));
    let time = format!("time=\"{:.3}\"", took as f64 / 1e9);
    assert!(case.contains(&stamp) && case.contains(&time), "{stamp} {time}\n{case}");
    let suites: Vec<&str> = one.lines().filter(|line| line.contains("<testsuite")).collect();
    assert!(suites.iter().all(|suite| suite.contains(&stamp) && suite.contains(&time)), "{suites:?}");
    // Several runs are a table on the page, without its script.
    let page = html(directory.path(), &[&first, &second]);
    let row =
        "<td>async_single_request-2</td><td><strong>FAIL</strong></td><td>order, ledger, gaps, snapshot</td>";
    assert!(page.contains("<h2>Runs</h2>") && page.contains(row), "{row}");
    // Repetitions are one case, and the failed one is not hidden behind the one that passed.
    let (_, both, _) = report(&["--format", "junit"], &[&first, &second]);
    assert_eq!(names(&both), names(&one));
    assert!(both.contains("<failure message=\"run 2: the steps were P D{5}, expected P D{6}\""), "{both}");
    assert!(both.contains("value=\"1\"/>") && both.contains("value=\"2\"/>"), "{both}");
}

#[test]
fn a_run_without_a_verdict_is_an_error_and_never_a_failure_or_a_pass() {
    let directory = tempfile::tempdir().unwrap();
    let path = run(directory.path(), &["--fault", "truncated-trace"]);
    let beside = std::fs::read_to_string(path.join("report.html")).unwrap();
    assert!(beside.contains("<p class=\"word\">no verdict: infrastructure error</p>"));
    assert!(beside.contains("truncated_gzip at byte"));
    let page = data(&beside);
    assert!(page["runs"][0]["checks"].as_array().unwrap().is_empty());
    assert_eq!(page["runs"][0]["traces"][0]["problems"][0]["code"], "truncated_gzip");
    let (_, junit, _) = report(&["--format", "junit"], &[&path]);
    assert!(junit.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{junit}");
    let (_, annotations, _) = report(&["--format", "markdown", "--annotate"], &[&path]);
    assert!(
        annotations.contains("::error title=standin/async_single_request%3A no verdict::"),
        "{annotations}"
    );
}

#[test]
fn hostile_names_stay_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = run(directory.path(), &[]);
    let plan = std::fs::read_to_string(path.join("plan.toml")).unwrap();
    let hostile = "</script><img src=x onerror=alert(1)>{{SCRIPT}}|`";
    let line = plan.lines().find(|line| line.starts_with("title = ")).unwrap();
    std::fs::write(path.join("plan.toml"), plan.replace(line, &format!("title = '{hostile}'"))).unwrap();
    let page = html(directory.path(), &[&path]);
    assert_eq!(page.matches("</script>").count(), 2, "the page's own two");
    assert!(!page.contains("<img"));
    assert_eq!(data(&page)["runs"][0]["title"], hostile);
}

#[test]
fn the_job_summary_is_appended_where_the_runner_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = run(directory.path(), &[]);
    let file = directory.path().join("summary.md");
    std::fs::write(&file, "before\n").unwrap();
    let page = directory.path().join("page.html");
    let output = tracegate()
        .env("GITHUB_STEP_SUMMARY", &file)
        .args(["report", "--job-summary", "-o"])
        .args([&page, &path])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(std::fs::read_to_string(file).unwrap().starts_with("before\n# pass\n"));
    let (code, _, err) = report(&["--job-summary", "-o", page.to_str().unwrap()], &[&path]);
    assert_eq!(code, 2);
    assert!(err.contains("GITHUB_STEP_SUMMARY"), "{err}");
    let (code, _, err) = report(&[], &[&path]);
    assert_eq!(code, 2);
    assert!(err.contains("-o FILE"), "{err}");
}

/// `runs/LANE/*/` names the directories of shared boots, too, and each was refused as no run directory.
#[test]
fn a_pattern_over_runs_may_name_directories_of_shared_boots() {
    let directory = tempfile::tempdir().unwrap();
    let path = run(directory.path(), &[]);
    let boot = path.parent().unwrap().join("boot-9");
    std::fs::create_dir(&boot).unwrap();
    std::fs::write(boot.join("boot.json"), "{}").unwrap();
    let (code, junit, err) = report(&["--format", "junit"], &[&boot, &path]);
    assert_eq!((code, junit.matches("<property name=\"run\"").count()), (0, 1), "{err}");
    assert_eq!(report(&["--format", "junit"], &[&boot]).0, 3, "a boot alone is no run, and no pass");
    let history = directory.path().join("h.jsonl");
    let record = tracegate().args(["history", "record", "--history"]).args([&history, &boot, &path]).output();
    assert_eq!(record.unwrap().status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(history).unwrap().lines().count(), 1);
}

/// Eight ranks of a thousand steps with hostile metadata, as one run directory.
fn wide_run(directory: &Path) -> PathBuf {
    let path = run(directory, &[]);
    let traces = path.join("traces");
    for entry in std::fs::read_dir(&traces).unwrap() {
        let file = entry.unwrap().path();
        if !file.to_string_lossy().contains("async_llm") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(path.join("run.json")).unwrap()).unwrap();
    let begun = record["phases"][3]["start_ns"].as_i64().unwrap();
    for rank in 0..8_i64 {
        let mut at = 1_000 + 40 * rank;
        let events: Vec<Value> = (0..1_000_i64)
            .map(|number| {
                let (name, length) = match number % 60 {
                    0 => ("execute_context_4(512)_generation_0(0)", 38_000),
                    20 => ("execute_context_1(128)_generation_3(3)", 21_000),
                    59 => ("execute_context_0(0)_generation_0(0)", 300),
                    _ => ("execute_context_0(0)_generation_4(4)", 11_000),
                };
                let wobble = (number * 37 + rank * 11) % 17;
                // One long gap on rank 5, which the page must make easy to find.
                let gap = if (rank, number) == (5, 613) { 90_000 } else { 900 + 30 * wobble };
                at += gap;
                let event = serde_json::json!({"ph": "X", "cat": "user_annotation", "name": name, "pid": 1, "tid": 1, "ts": at, "dur": length + 60 * wobble});
                at += length + 60 * wobble;
                event
            })
            .collect();
        let trace = serde_json::json!({
            "distributedInfo": {"rank": rank, "world_size": 8}, "vllm_version": "<b>0.32.0</b>",
            "baseTimeNanoseconds": begun, "traceEvents": events,
        });
        std::fs::write(traces.join(format!("rank{rank}.1.pt.trace.json")), trace.to_string()).unwrap();
    }
    let plan = std::fs::read_to_string(path.join("plan.toml")).unwrap();
    let plan = plan.replace("ranks = 1", "ranks = 8");
    let title = plan.lines().find(|line| line.starts_with("title = ")).unwrap();
    let hostile = "title = '<img src=x onerror=\"document.title=1\">'";
    std::fs::write(path.join("plan.toml"), plan.replace(title, hostile)).unwrap();
    path
}

#[test]
fn eight_ranks_of_a_thousand_steps_are_all_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = wide_run(directory.path());
    let text = html(directory.path(), &[&path]);
    let page = data(&text);
    let workers: Vec<&Value> = page["runs"][0]["traces"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|trace| trace["role"] == "worker")
        .collect();
    assert_eq!(workers.len(), 8);
    for (rank, worker) in workers.iter().enumerate() {
        assert_eq!(worker["rank"], rank);
        assert_eq!(worker["steps"]["kind"].as_str().unwrap().len(), 1_000);
    }
    assert_eq!(workers[5]["steps"]["gap"][613], 90_000_000);
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
    // For `.ci/run` and docs/screenshots.sh, which look at it in a browser.
    if let Some(kept) = std::env::var_os("TRACEGATE_WIDE_PAGE") {
        std::fs::write(kept, text).unwrap();
    }
}
