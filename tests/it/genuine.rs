//! Reduced copies of genuine files of Gaudi software, the plugin's and the fork's, against their true steps.

use serde_json::Value;

use crate::common::{root, text, tracegate};

/// The traces of one folder, by name: torch traces first.
fn inspect(folder: &str) -> Vec<Value> {
    let path = root().join("tests/traces").join(folder);
    let output = tracegate().args(["inspect", "--format", "json"]).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{folder}: {}", text(&output.stderr));
    let mut json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut traces = json["traces"].as_array_mut().unwrap().split_off(0);
    traces.sort_by_key(|trace| trace["format"].to_string());
    traces
}

fn counts(trace: &Value) -> (u64, u64, u64) {
    let count = |kind: &str| trace["totals"][kind].as_u64().unwrap();
    assert_eq!((count("mixed"), count("unclassified")), (0, 0));
    (count("prompt"), count("decode"), count("idle"))
}

/// The true counts of the files of one directory.
type Truth = &'static [(u64, u64, u64)];

/// (folder, prompt, decode and idle steps of each of its traces).
const TRUTH: &[(&str, Truth)] = &[
    ("gaudi-plugin-on-cpu/start-stop-single", &[(1, 6, 2), (2, 12, 0)]),
    ("gaudi-plugin-on-cpu/full-four-requests", &[(4, 11, 0)]),
    ("gaudi-plugin-on-cpu/high-level-with-graph-compile", &[(1, 6, 0)]),
    ("gaudi-plugin-on-cpu/high-level-with-warmup", &[(4, 11, 0)]),
    ("gaudi-plugin-on-cpu/profile-prompt", &[(1, 0, 0)]),
    ("gaudi-plugin-on-cpu/profile-steps", &[(0, 2, 0)]),
    ("gaudi-fork-on-cpu/start-stop-single", &[(1, 5, 0)]),
    ("gaudi-fork-on-cpu/start-stop-single-no-async-output", &[(1, 4, 0)]),
    ("gaudi-fork-on-cpu/high-level-single", &[(1, 7, 0)]),
    ("gaudi-fork-on-cpu/high-level-four-requests", &[(2, 12, 0)]),
    ("gaudi-fork-on-cpu/full-single", &[(1, 7, 0)]),
    // Of the server's own events one phase was written; its forward was not.
    ("gaudi-fork-on-cpu/pt-profile-prompt", &[(1, 0, 0), (1, 0, 0)]),
    ("gaudi-fork-on-cpu/pt-profile-decode", &[(0, 1, 0), (0, 3, 0)]),
];

/// One of nine files of the fork was read right, with steps of half a millisecond in others; and of the
/// plugin's, three calls without a forward were idle steps.
#[test]
fn every_genuine_file_gives_its_true_steps() {
    for (folder, expected) in TRUTH {
        let counted: Vec<_> = inspect(folder).iter().map(counts).collect();
        assert_eq!(&counted, expected, "{folder}");
    }
}

#[test]
fn the_forks_steps_last_as_long_as_the_model() {
    let traces = inspect("gaudi-fork-on-cpu/high-level-four-requests");
    let trace = &traces[0];
    assert_eq!(trace["nesting"], "preparation_holds_forward");
    let (context, generation) = (&trace["totals"]["context_tokens"], &trace["totals"]["generation_tokens"]);
    assert_eq!((context, generation), (&233.into(), &31.into()));
    let step = &trace["steps"][1];
    assert_eq!((&step["context_requests"], &step["context_tokens"]), (&3.into(), &193.into()));
    assert_eq!((&step["bucket"]["batch"], &step["bucket"]["seq"]), (&4.into(), &128.into()));
    assert_eq!(step["duration_ns"], 2_593_872_250u64);
    assert_eq!(trace["gaps"]["prompt_to_prompt"]["max_ns"], 5_614_700);
    assert!(trace["gaps"]["decode_to_decode"]["max_ns"].as_u64().unwrap() < 20_000_000, "{}", trace["gaps"]);
    // Frames tell the same: the gap is what lies between two executions, not two executions.
    let frames = inspect("gaudi-fork-on-cpu/start-stop-single");
    assert_eq!(frames[0]["steps"][0]["duration_ns"], 1_431_992_941u64);
    assert!(frames[0]["gaps"]["decode_to_decode"]["max_ns"].as_u64().unwrap() < 40_000_000);
}

#[test]
fn a_step_of_which_a_part_was_written_is_marked_and_not_measured() {
    let traces = inspect("gaudi-fork-on-cpu/pt-profile-prompt");
    assert_eq!(traces[1]["totals"]["partial"], 1);
    assert_eq!(traces[1]["steps"][0]["partial"], true);
    assert_eq!(traces[0]["totals"]["partial"], Value::Null);
}

/// Frames tell it: the request's end is found while the worker runs it once more.
#[test]
fn the_asynchronous_engines_last_decode_is_named_overrun() {
    let trace = &inspect("gaudi-fork-on-cpu/start-stop-single")[0];
    assert_eq!((&trace["totals"]["decode"], &trace["totals"]["overrun"]), (&5.into(), &1.into()));
    assert_eq!((&trace["steps"][4]["overrun"], &trace["steps"][5]["overrun"]), (&Value::Null, &1.into()));
    let without = &inspect("gaudi-fork-on-cpu/start-stop-single-no-async-output")[0];
    assert_eq!(without["totals"]["overrun"], Value::Null);
    let output = tracegate()
        .arg("inspect")
        .arg(root().join("tests/traces/gaudi-fork-on-cpu/start-stop-single"))
        .output()
        .unwrap();
    assert!(text(&output.stdout).contains("decode (overrun)"), "{}", text(&output.stdout));
}

#[test]
fn whose_code_wrote_a_file_is_told() {
    for (folder, expected) in TRUTH {
        let line = if folder.contains("fork") { "gaudi_fork_v0" } else { "gaudi_plugin_v1" };
        for trace in inspect(folder).iter().take(expected.len()) {
            assert_eq!(trace["code_line"], line, "{folder}");
        }
    }
}

/// A trace of unknown code failed eight checks, as if its server had done no work.
#[test]
fn unknown_code_is_said_to_be_unknown_with_what_it_shows_most() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rank0.1.pt.trace.json");
    let frame = |name: &str, at: u32| {
        format!(r#"{{"ph":"X","cat":"python_function","name":"{name}","pid":1,"tid":1,"ts":{at},"dur":1}}"#)
    };
    let frames: Vec<String> = (0..6)
        .map(|at| frame("/opt/vllm/v2/worker/npu_worker.py(7): run_batch", at))
        .chain((10..20).map(|at| frame("asyncio/events.py(80): _run", at)))
        .collect();
    std::fs::write(&file, format!("{{\"traceEvents\":[{}]}}", frames.join(","))).unwrap();
    let output = tracegate().arg("inspect").arg(&file).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("this code line's steps are not known; frames seen most: /opt/vllm/v2/worker/npu_worker.py: run_batch x6"), "{said}");
    // A recorded run with such a trace has no verdict.
    let output =
        tracegate().args(["run", "async_single_request", "--out"]).arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let run = directory.path().join("standin/async_single_request-1");
    let worker = std::fs::read_dir(run.join("traces")).unwrap().map(|entry| entry.unwrap().path());
    let worker = worker
        .into_iter()
        .find(|path| {
            path.to_string_lossy().contains("/rank0.") && path.to_string_lossy().contains("trace.json")
        })
        .unwrap();
    std::fs::remove_file(&worker).unwrap();
    std::fs::copy(&file, run.join("traces/rank0.1.pt.trace.json")).unwrap();
    let output = tracegate().arg("check").arg(&run).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("frames seen most: /opt/vllm/v2/worker/npu_worker.py: run_batch x6")
            && !said.contains("FAIL"),
        "{said}"
    );
}

/// Names with their numbers left out, fields, and the types of values: what a file of events looks like.
fn shape(events: &[Value]) -> std::collections::BTreeSet<String> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        _ => "other",
    };
    let digits =
        |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect::<String>();
    let name = |event: &Value| {
        let name = digits(event["name"].as_str().unwrap()).replace("graphsF", "graphsT");
        let mut name = name.replace("##", "#");
        while name.contains("##") {
            name = name.replace("##", "#");
        }
        name
    };
    let mut shapes = std::collections::BTreeSet::new();
    let mut before = String::new();
    for event in events {
        let fields: Vec<String> = event
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "args")
            .map(|(k, v)| format!("{k}:{}", kind(v)))
            .collect();
        shapes.insert(format!("{} tid {} {}", name(event), event["tid"], fields.join(" ")));
        match event["args"].as_object() {
            Some(args) => {
                let keys: Vec<String> = args.iter().map(|(k, v)| format!("{k}:{}", kind(v))).collect();
                let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                keys.sort_unstable();
                shapes.insert(format!("{} args {}", name(event), keys.join(" ")));
            }
            None => drop(shapes.insert(format!("{} args {}", name(event), kind(&event["args"])))),
        }
        shapes.insert(format!("{before} then {}", name(event)));
        before = name(event);
    }
    shapes
}

/// The array of a file of events, which is never closed.
fn open_array(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let whole = text.trim_end().trim_end_matches(',').to_owned() + "]";
    serde_json::from_str(&whole).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn events_in(directory: &std::path::Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.to_string_lossy().contains("server_events")).unwrap()
}

/// The stand-in's dialect was written from sources: other names, no preparation, arguments where there are none,
/// six of nineteen counters, and one length of a decode.
#[test]
fn the_stand_in_writes_what_the_plugin_writes_field_by_field() {
    let traces = root().join("tests/traces/gaudi-plugin-on-cpu");
    let genuine: std::collections::BTreeSet<String> = ["start-stop-single", "high-level-with-warmup"]
        .iter()
        .flat_map(|folder| shape(&open_array(&events_in(&traces.join(folder)))))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let output = tracegate().args(["run", "high_level", "--out"]).arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let ours = shape(&open_array(&events_in(&directory.path().join("standin/high_level-1/traces"))));
    let other: Vec<&String> = ours.difference(&genuine).collect();
    assert!(other.is_empty(), "not as the plugin writes it: {other:#?}");
    let single = shape(&open_array(&events_in(&traces.join("start-stop-single"))));
    // Two requests ran there one after the other, and one here.
    let missing: Vec<&String> =
        single.difference(&ours).filter(|shape| !shape.contains("utils then prepare")).collect();
    assert!(missing.is_empty(), "written by the plugin only: {missing:#?}");
}
