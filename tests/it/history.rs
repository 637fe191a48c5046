//! `tracegate history`, as a nightly job runs it.

use std::path::{Path, PathBuf};

use crate::common::{quick_procedure, text, tracegate};
use serde_json::{Value, json};

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn history(file: &Path, arguments: &[&str]) -> Said {
    let output = tracegate().arg("history").args(arguments).arg("--history").arg(file).output().unwrap();
    Said { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn lines(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A night of five repetitions with the given decode gap in microseconds, and what else differs.
fn night(number: usize, gap: f64, more: &Value) -> Value {
    let spread = |centre: f64| [0.98, 0.99, 1.0, 1.01, 1.02].map(|factor| (centre * factor * 1000.0).round());
    let wobble = 1.0 + 0.01 * (((number * 7) % 11) as f64 / 5.0 - 1.0);
    let metric = |centre: f64| json!({"unit": "ns", "dir": "lower", "values": spread(centre * wobble)});
    let mut record = json!({
        "schema_version": 1, "record": "night", "run_id": format!("id{number}"), "runs": [format!("{number}")],
        "night": format!("2026-10-{number:02}"), "utc": format!("2026-10-{number:02}T02:00:00Z"),
        "lane": "gaudi", "procedure": "p", "epoch": 0, "machine_class": "gaudi x8", "machine": {"count": 8},
        "model": "m", "sw": {"vllm": if number < 20 { "0.31.0" } else { "0.32.0" }}, "cfg_hash": "c", "n_reps": 5,
        "metrics": {"gap.decode_to_decode.p50": metric(gap), "step.decode.p50": metric(4000.0)},
        "structural": {"passed": true, "checks": {"order": "pass"}}, "snapshot_hash": "s", "verdict": "pass",
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record
}

fn write(directory: &Path, nights: impl IntoIterator<Item = Value>) -> PathBuf {
    let file = directory.join("history.jsonl");
    let text: String = nights.into_iter().map(|night| format!("{night}\n")).collect();
    std::fs::write(&file, text).unwrap();
    file
}

fn nights(last: usize) -> impl Iterator<Item = Value> {
    (1..=last).map(|number| night(number, if number < 20 { 1000.0 } else { 1120.0 }, &json!({})))
}

#[test]
fn runs_of_one_procedure_are_repetitions_and_are_recorded_once() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = quick_procedure(directory.path());
    let out = directory.path().join("runs");
    for _ in 0..2 {
        tracegate().args(["run", "-q", "--out"]).args([&out, &procedure]).assert().success();
    }
    let faulty = tracegate()
        .args(["run", "-q", "--fault", "truncated-trace", "--out"])
        .args([&out, &procedure])
        .output()
        .unwrap();
    assert_eq!(faulty.status.code(), Some(3));
    let run =
        |number: usize| out.join(format!("standin/async_single_request-{number}")).display().to_string();
    let file = directory.path().join("h.jsonl");
    let arguments =
        ["record", &run(1), &run(2), &run(3), &run(1), "--night", "2026-10-01", "--sw", "vllm-commit=abc"];
    let said = history(&file, &arguments);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("night 2026-10-01: 2 repetitions"), "{}", said.out);
    assert!(
        said.out.contains("infrastructure error: traces/") || said.out.contains("truncated_gzip"),
        "{}",
        said.out
    );
    let records = lines(&file);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["n_reps"], 2);
    assert_eq!(record["runs"].as_array().unwrap().len(), 3);
    assert_eq!(record["sw"]["vllm-commit"], "abc");
    assert_eq!(record["verdict"], "pass");
    assert_eq!(record["errors"].as_array().unwrap().len(), 1);
    assert_eq!(record["structural"]["checks"]["order"], "pass");
    // The recorded value is the run's own p50.
    let inspected = tracegate().args(["inspect", "--format", "json", &run(1)]).output().unwrap();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let p50 = inspected["traces"][0]["gaps"]["decode_to_decode"]["p50_ns"].as_f64().unwrap();
    assert_eq!(record["metrics"]["gap.decode_to_decode.p50"]["values"][0].as_f64().unwrap(), p50);
    let again = history(&file, &arguments);
    assert!(again.out.contains("4 of 4 runs are in the history already"), "{}", again.out);
    assert_eq!(lines(&file).len(), 1);
}

#[test]
fn a_planted_regression_is_named_dated_and_exit_code_4() {
    let directory = tempfile::tempdir().unwrap();
    let early = write(directory.path(), nights(10));
    let said = history(&early, &["verdict"]);
    assert_eq!(said.code, 5, "{}", said.out);
    assert!(said.out.contains("insufficient"), "{}", said.out);
    let quiet = write(directory.path(), nights(19));
    let said = history(&quiet, &["verdict"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.contains("detectable from 5.0 %"), "{}", said.out);
    let file = write(directory.path(), nights(23));
    let said = history(&file, &["verdict"]);
    assert_eq!(said.code, 4, "{}", said.out);
    for part in [
        "regressed   gaudi/p on gaudi x8 (23 nights, 5 repetitions tonight)",
        "the decode to decode gap (p50) grew by 1",
        "on 2026-10-20",
        "changed that night: vllm 0.31.0 -> 0.32.0",
        "ok           step.decode.p50",
        "verdict: regressed",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    // As if later nights had not been, and as JSON.
    let said = history(&file, &["verdict", "--night", "2026-10-21", "--format", "json"]);
    assert_eq!(said.code, 0);
    let verdict: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(verdict["state"], "suspect");
    assert_eq!(verdict["rerun"], true);
    let markdown = history(&file, &["verdict", "--format", "markdown"]);
    assert!(markdown.out.starts_with("## Night 2026-10-23: regressed\n"), "{}", markdown.out);
    // One table: what Markdown shows, the page shows without its script.
    let page = directory.path().join("page.html");
    let output = tracegate().args(["report", "--history"]).arg(&file).arg("-o").arg(&page).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(page).unwrap();
    let row = markdown.out.lines().find(|line| line.contains("**regressed**")).unwrap();
    for cell in row.split(" | ").skip(4).map(|cell| cell.trim_end_matches(" |").replace("\\_", "_")) {
        assert!(page.contains(&format!(">{cell}</td>")), "{cell}\n{row}");
    }
    assert_eq!(history(&file, &["verdict", "--night", "2025-12-24"]).code, 2, "before the first night");
    assert_eq!(history(&file, &["verdict", "--night", "2026-12-24x"]).code, 2);
}

#[test]
fn structure_and_infrastructure_come_before_timings() {
    let directory = tempfile::tempdir().unwrap();
    let failed = json!({"verdict": "fail", "structural": {"passed": false, "checks": {"order": "FAIL"}, "failures": ["order: the steps were P D{5}"]}});
    let file = write(directory.path(), nights(22).chain([night(23, 1120.0, &failed)]));
    let said = history(&file, &["verdict"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("order: the steps were P D{5}"), "{}", said.out);
    let none = json!({"verdict": "none", "n_reps": 0, "metrics": {}, "errors": ["no boot"], "structural": {"passed": true, "checks": {}}});
    let file = write(directory.path(), nights(22).chain([night(23, 0.0, &none)]));
    let said = history(&file, &["verdict"]);
    assert_eq!(said.code, 3, "{}", said.out);
    assert!(said.out.contains("infrastructure error: no boot"), "{}", said.out);
}

#[test]
fn a_rerun_of_the_same_night_joins_it() {
    let directory = tempfile::tempdir().unwrap();
    let rerun = json!({"run_id": "again", "runs": ["again"], "utc": "2026-10-19T05:00:00Z",
        "metrics": {"gap.decode_to_decode.p50": {"unit": "ns", "dir": "lower", "values": vec![1_000_000; 11]},
                    "step.decode.p50": {"unit": "ns", "dir": "lower", "values": [4_000_000]}}});
    let odd = night(19, 1300.0, &json!({}));
    let file = write(directory.path(), nights(18).chain([odd.clone()]));
    let said = history(&file, &["verdict"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("what to do: repeat the procedure tonight"), "{}", said.out);
    let file = write(directory.path(), nights(18).chain([odd.clone(), night(19, 1.0, &rerun)]));
    assert!(history(&file, &["verdict"]).out.contains("verdict: ok"), "sixteen values, eleven of them good");
    let worse = json!({"run_id": "again", "runs": ["again"]});
    let file = write(directory.path(), nights(18).chain([odd, night(19, 1300.0, &worse)]));
    let said = history(&file, &["verdict", "--format", "json"]);
    let verdict: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&verdict["state"], &verdict["rerun"]), (&json!("suspect"), &json!(false)), "asked for once");
}

#[test]
fn an_accepted_change_begins_an_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), nights(23));
    let before = history(&file, &["show", "--format", "json"]);
    let before: Value = serde_json::from_str(&before.out).unwrap();
    let said = history(
        &file,
        &[
            "rebaseline",
            "--reason",
            "new scheduler",
            "--link",
            "https://example.org/1",
            "--from",
            "2026-10-20",
            "--lane",
            "gaudi",
        ],
    );
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("begins on 2026-10-20 for lane gaudi, every procedure"), "{}", said.out);
    let said = history(&file, &["verdict"]);
    assert_eq!(said.code, 5, "{}", said.out);
    assert!(said.out.contains("4 nights, 5 repetitions tonight, epoch 1"), "{}", said.out);
    let shown = history(&file, &["show", "--last", "2", "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["series"][0]["epochs"][0]["reason"], "new scheduler");
    let dated = |shown: &Value| shown["series"][0]["metrics"][0]["dated"].clone();
    assert_eq!(dated(&before), json!(["2026-10-20"]));
    assert_eq!(before["series"][0]["metrics"][1]["dated"], json!([]));
    assert_eq!(dated(&shown), json!([]), "what was accepted is the epoch's date");
    assert_eq!(shown["series"][0]["epochs"][0]["from"], "2026-10-20");
    let early = write(directory.path(), nights(23));
    assert_eq!(history(&early, &["rebaseline", "--reason", "moved", "--from", "2026-10-03"]).code, 0);
    let second = history(&early, &["show", "--format", "json"]);
    let second: Value = serde_json::from_str(&second.out).unwrap();
    assert_eq!(dated(&second), json!(["2026-10-20"]), "a date of the second epoch");
    let file = write(directory.path(), nights(23));
    let accepted = ["rebaseline", "--reason", "new scheduler", "--from", "2026-10-20", "--lane", "gaudi"];
    assert_eq!(history(&file, &accepted).code, 0);
    let points = shown["series"][0]["metrics"][0]["points"].as_array().unwrap();
    assert_eq!(
        (points.len(), &points[1]["epoch"], &points[1]["night"]),
        (2, &json!(1), &json!("2026-10-23"))
    );
    for arguments in [
        ["rebaseline", "--reason", " "].as_slice(),
        &["rebaseline", "--reason", "x", "--lane", "gaudy"],
        &["rebaseline", "--reason", "x", "--from", "yesterday"],
    ] {
        assert_eq!(history(&file, arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(lines(&file).len(), 24, "refused ones wrote nothing");
}

/// Eight processes at once: every line is whole and there.
#[test]
fn processes_that_write_at_the_same_time_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), nights(3));
    let writers: Vec<_> = (0..8)
        .map(|number| {
            std::process::Command::new(env!("CARGO_BIN_EXE_tracegate"))
                .args(["history", "rebaseline", "--reason", &format!("reason {number}"), "--history"])
                .arg(&file)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut writer in writers {
        assert_eq!(writer.wait().unwrap().code(), Some(0));
    }
    let reasons: std::collections::BTreeSet<String> =
        lines(&file).iter().filter_map(|line| line["reason"].as_str().map(str::to_owned)).collect();
    assert_eq!(reasons.len(), 8, "{reasons:?}");
}

#[test]
fn damage_is_named_by_line_and_the_rest_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), nights(23));
    let whole = std::fs::read_to_string(&file).unwrap();
    let mut some: Vec<&str> = whole.lines().collect();
    // Line 5 is cut, line 9 stands twice as after a union merge, the order is mixed.
    some[4] = &some[4][..100];
    some.insert(9, some[8]);
    some.swap(0, 20);
    std::fs::write(&file, some.join("\n")).unwrap();
    let said = history(&file, &["verdict"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert!(said.err.contains("history.jsonl line 5 was skipped: EOF while parsing"), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    assert!(said.out.contains("(22 nights"), "{}", said.out);
}

#[test]
fn another_configuration_is_another_series_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), nights(19).chain([night(20, 1500.0, &json!({"cfg_hash": "d"}))]));
    let said = history(&file, &["verdict"]);
    assert_eq!(said.code, 5, "{}", said.out);
    assert!(
        said.out.contains("differs from that of 19 earlier nights (cfg c before, d now)"),
        "{}",
        said.out
    );
}

/// The state that `verdict` and `show` have for each night of a metric.
fn states(file: &Path, metric: &str, nights: std::ops::RangeInclusive<usize>) -> [Vec<Value>; 2] {
    let shown = history(file, &["show", "--last", "100", "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    let metrics = shown["series"][0]["metrics"].as_array().unwrap();
    let points = metrics.iter().find(|one| one["name"] == metric).unwrap()["points"].as_array().unwrap();
    nights
        .map(|number| {
            let night = format!("2026-10-{number:02}");
            let said = history(file, &["verdict", "--night", &night, "--format", "json"]);
            let verdict: Value = serde_json::from_str(&said.out).unwrap();
            let metrics = verdict["series"][0]["metrics"].as_array().unwrap();
            let decided = metrics.iter().find(|one| one["name"] == metric).unwrap()["state"].clone();
            (decided, points.iter().find(|point| point["night"] == night).unwrap()["state"].clone())
        })
        .collect::<(Vec<_>, Vec<_>)>()
        .into()
}

/// A metric of one night only made the page and `show` blank for every later night, while `verdict` said regressed.
#[test]
fn page_show_and_verdict_judge_one_family() {
    let directory = tempfile::tempdir().unwrap();
    let mut all: Vec<Value> = nights(23).collect();
    let once = json!({"unit": "ns", "dir": "lower", "values": [500_000]});
    all[8]["metrics"]["gap.prompt_to_decode.p50"] = once;
    let file = write(directory.path(), all);
    let [decided, shown] = states(&file, "gap.decode_to_decode.p50", 1..=23);
    assert_eq!(decided, shown);
    assert_eq!(decided[22], "regressed");
    let page = directory.path().join("page.html");
    let output = tracegate().args(["report", "--history"]).arg(&file).arg("-o").arg(&page).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let points = data["history"][0]["metrics"][0]["points"].as_array().unwrap();
    assert_eq!(points.iter().map(|point| point["state"].clone()).collect::<Vec<_>>(), decided);
}

/// Nights 11 to 14 said `ok` with exit code 0, although four metrics need fifteen nights.
#[test]
fn a_night_that_cannot_be_judged_is_exit_code_5() {
    let directory = tempfile::tempdir().unwrap();
    let four = |number: usize, factor: f64| {
        let mut night = night(number, 1000.0 * factor, &json!({}));
        let values = night["metrics"]["gap.decode_to_decode.p50"].clone();
        for name in ["gap.prompt_to_decode.p50", "step.decode.p50", "step.prompt.p50"] {
            night["metrics"][name] = values.clone();
        }
        night
    };
    for tonight in 11..=14 {
        let tripled = (1..tonight).map(|number| four(number, 1.0)).chain([four(tonight, 3.0)]);
        let said = history(&write(directory.path(), tripled), &["verdict"]);
        assert_eq!(said.code, 5, "night {tonight}: {}", said.out);
        let line = format!(" ms; {tonight} of the 15 nights that a verdict needs");
        assert!(said.out.contains(": tonight 3.0") || said.out.contains(": tonight 2.9"), "{}", said.out);
        assert_eq!(said.out.matches(&line).count(), 4, "{line}\n{}", said.out);
        assert!(said.out.contains(", before 1.0") || said.out.contains(", before 99"), "{}", said.out);
        assert!(said.out.contains("verdict: insufficient"), "{}", said.out);
    }
    let quiet = (1..=15).map(|number| four(number, 1.0));
    assert_eq!(history(&write(directory.path(), quiet), &["verdict"]).code, 0);
}

/// A version that came with a failed night is a suspect of the change that the next good night shows.
#[test]
fn what_changed_is_read_from_the_last_night_with_a_timing() {
    let directory = tempfile::tempdir().unwrap();
    let failed = json!({"verdict": "fail", "structural": {"passed": false, "checks": {"order": "FAIL"}, "failures": ["order: x"]}});
    let mut all: Vec<Value> = nights(23).collect();
    all[19] = night(20, 1120.0, &failed);
    let said = history(&write(directory.path(), all), &["verdict"]);
    assert!(said.out.contains("on 2026-10-21\n"), "{}", said.out);
    assert!(said.out.contains("changed that night: vllm 0.31.0 -> 0.32.0"), "{}", said.out);
}

/// A series that cannot be judged stays exit code 5 where another one is suspect.
#[test]
fn a_suspect_series_hides_no_undecided_one() {
    let directory = tempfile::tempdir().unwrap();
    let other = json!({"procedure": "q", "run_id": "q"});
    let file =
        write(directory.path(), nights(18).chain([night(19, 1300.0, &json!({})), night(19, 1000.0, &other)]));
    let said = history(&file, &["verdict"]);
    assert!(said.out.contains("verdict: suspect"), "{}", said.out);
    assert_eq!(said.code, 5, "{}", said.out);
    let ran_before = night(18, 1000.0, &other);
    let file = write(directory.path(), nights(18).chain([night(19, 1300.0, &json!({})), ran_before]));
    let said = history(&file, &["verdict"]);
    assert!(
        said.out.contains("verdict: suspect") && said.out.contains("absent      gaudi/q"),
        "{}",
        said.out
    );
    assert_eq!(said.code, 5, "{}", said.out);
}

/// A procedure without a record tonight was exit code 0, and after eight nights nobody mentioned it.
#[test]
fn a_procedure_that_did_not_run_is_named_with_its_last_night() {
    let directory = tempfile::tempdir().unwrap();
    let named = |procedure: &str, class: &str, number: usize| json!({"procedure": procedure, "machine_class": class, "run_id": format!("{procedure} {class} {number}")});
    let of = |procedure: &str, class: &str, last: usize| {
        (1..=last).map(|number| night(number, 1000.0, &named(procedure, class, number))).collect::<Vec<_>>()
    };
    let two = |last: usize| [of("p", "gaudi2 x8", 19), of("q", "gaudi2 x8", last)].concat();
    for last in [18, 11, 2] {
        let file = write(directory.path(), two(last));
        let said = history(&file, &["verdict"]);
        assert_eq!(said.code, 5, "{}", said.out);
        let line = format!(
            "absent      gaudi/q on gaudi2 x8: no record tonight, the last one is of 2026-10-{last:02}\n"
        );
        assert!(said.out.contains(&line), "{}", said.out);
        assert!(said.out.ends_with("verdict: absent\n"), "{}", said.out);
        let markdown = history(&file, &["verdict", "--format", "markdown"]);
        assert!(markdown.out.starts_with("## Night 2026-10-19: absent\n"), "{}", markdown.out);
        assert!(markdown.out.contains("- **absent**: gaudi/q on gaudi2 x8: no record"), "{}", markdown.out);
    }
    let file = write(directory.path(), two(11));
    let json = history(&file, &["verdict", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["absent"][0]["procedure"], "q");
    assert_eq!(json["absent"][0]["last"], "2026-10-11");
    // A night on which nothing ran at all.
    let said = history(&file, &["verdict", "--night", "2026-10-25"]);
    assert_eq!((said.code, said.out.matches("absent      gaudi/").count()), (5, 2), "{}", said.out);
    let said = history(&file, &["verdict", "--procedure", "q", "--night", "2026-10-19"]);
    assert_eq!(said.code, 5, "{}{}", said.out, said.err);
    // A failure is more urgent, and a procedure that was given up is said to be.
    let failed = json!({"verdict": "fail", "structural": {"passed": false, "checks": {"order": "FAIL"}, "failures": ["order: x"]},
        "machine_class": "gaudi2 x8", "run_id": "failed"});
    let file = write(directory.path(), two(11).into_iter().chain([night(20, 1000.0, &failed)]));
    assert_eq!(history(&file, &["verdict"]).code, 1);
    let file = write(directory.path(), two(11));
    let driver = ["rebaseline", "--lane", "gaudi", "--from", "2026-10-12", "--reason", "another driver"];
    assert_eq!(history(&file, &driver).code, 0);
    let said = history(&file, &["verdict"]);
    assert!(
        said.out.contains("absent      gaudi/q"),
        "an epoch of the whole lane retires nothing: {}",
        said.out
    );
    let later = ["rebaseline", "--procedure", "q", "--from", "2026-10-20", "--reason", "from tomorrow on"];
    assert_eq!(history(&file, &later).code, 0);
    assert!(history(&file, &["verdict"]).out.contains("absent      gaudi/q"), "it begins after tonight");
    let file = write(directory.path(), two(11));
    let given_up =
        ["rebaseline", "--procedure", "q", "--from", "2026-10-12", "--reason", "gone from the manual"];
    assert_eq!(history(&file, &given_up).code, 0);
    let said = history(&file, &["verdict"]);
    assert_eq!((said.code, said.out.contains("absent")), (0, false), "{}", said.out);
}

/// Hosted runners land on another processor each night: the procedure ran, and no class is missed.
#[test]
fn a_machine_class_that_was_read_off_the_machine_is_no_promise() {
    let directory = tempfile::tempdir().unwrap();
    let landed = |number: usize| {
        let cpu = ["first", "second"][number % 2];
        json!({"machine_class": format!("{cpu} x2"), "machine": {"cpu": cpu, "count": 2}})
    };
    let nights = (1..=9).map(|number| night(number, 1000.0, &landed(number)));
    let said = history(&write(directory.path(), nights), &["verdict"]);
    assert_eq!((said.code, said.out.contains("absent")), (5, false), "too few nights only: {}", said.out);
    let nights = (1..=9).map(|number| night(number, 1000.0, &landed(number)));
    let said = history(&write(directory.path(), nights), &["verdict", "--night", "2026-10-10"]);
    assert!(said.out.contains("gaudi/p on second x2: no record tonight"), "it ran nowhere: {}", said.out);
    let class = |number: usize| ["one", "other"][number % 2];
    let named = |number: usize| json!({"machine_class": class(number)});
    let nights = (1..=9).map(|number| night(number, 1000.0, &named(number)));
    let said = history(&write(directory.path(), nights), &["verdict"]);
    assert!(said.out.contains("absent      gaudi/p on one: no record tonight"), "{}", said.out);
}

/// Runs of two dates became one night of the first date.
#[test]
fn runs_of_two_dates_are_two_nights() {
    let directory = tempfile::tempdir().unwrap();
    let procedure = quick_procedure(directory.path());
    let out = directory.path().join("runs");
    for _ in 0..3 {
        tracegate().args(["run", "-q", "--out"]).args([&out, &procedure]).assert().success();
    }
    let run = |number: usize| out.join(format!("standin/async_single_request-{number}"));
    // The first one as if it had run three days earlier.
    let path = run(1).join("run.json");
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for phase in record["phases"].as_array_mut().unwrap() {
        for edge in ["start_ns", "end_ns"] {
            phase[edge] = json!(phase[edge].as_i64().unwrap() - 3 * 86_400_000_000_000);
        }
    }
    std::fs::write(&path, record.to_string()).unwrap();
    let runs: Vec<String> = (1..=3).map(|number| run(number).display().to_string()).collect();
    let arguments = [&["record"][..], &runs.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let file = directory.path().join("h.jsonl");
    let said = history(&file, &arguments);
    assert_eq!(said.code, 0, "{}", said.err);
    let records = lines(&file);
    let repetitions: Vec<u64> = records.iter().map(|record| record["n_reps"].as_u64().unwrap()).collect();
    assert_eq!(repetitions, [1, 2], "{}", said.out);
    assert!(records[0]["night"].as_str() < records[1]["night"].as_str(), "{}", said.out);
    assert!(
        records
            .iter()
            .all(|record| record["utc"].as_str().unwrap().starts_with(record["night"].as_str().unwrap()))
    );
    // A night that runs past midnight is one by name.
    let file = directory.path().join("one.jsonl");
    assert_eq!(history(&file, &[&arguments[..], &["--night", "2026-10-01"]].concat()).code, 0);
    assert_eq!(lines(&file).len(), 1);
}

#[test]
fn no_history_is_an_infrastructure_error_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let said = history(&directory.path().join("none.jsonl"), &["verdict"]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("what to do: tracegate history record"), "{}", said.err);
}
