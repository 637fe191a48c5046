//! `tracegate inspect` on a real vLLM 0.32 trace and on files that are none.

use crate::common::{real_trace, root, text, tracegate};
use serde_json::Value;

fn inspect_json(path: &std::path::Path) -> (Option<i32>, Value) {
    let output = tracegate().args(["inspect", "--format", "json"]).arg(path).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn reads_a_real_trace_as_the_contract_says() {
    let (code, json) = inspect_json(&real_trace());
    assert_eq!(code, Some(0));
    let worker = &json["traces"][0];
    assert_eq!(worker["role"], "worker");
    assert_eq!(worker["format"], "kineto");
    assert_eq!((&worker["rank"], &worker["world_size"]), (&0.into(), &1.into()));
    assert_eq!(worker["vllm_version"], "0.32.0");
    assert_eq!(worker["evidence"], "annotation");
    let totals = &worker["totals"];
    let expected = serde_json::json!({
        "prompt": 1, "decode": 6, "mixed": 0, "idle": 1, "unclassified": 0,
        "context_tokens": 4, "generation_tokens": 6,
    });
    assert_eq!(totals, &expected);
    // Times of the first decode step, digit by digit as in the file.
    let decode = &worker["steps"][1];
    assert_eq!(decode["start_ns"], 206_687_806);
    assert_eq!(decode["duration_ns"], 39_082_978);
    assert_eq!(decode["gap_ns"], 2_926_170);
    assert_eq!(worker["steps"][0]["gap_ns"], Value::Null);
    assert_eq!(worker["steps"][7]["kind"], "idle");
    assert_eq!(worker["steps"][7]["gap_ns"], Value::Null);
    let gaps = &worker["gaps"]["decode_to_decode"];
    assert_eq!(
        (&gaps["count"], &gaps["min_ns"], &gaps["max_ns"]),
        (&5.into(), &3_092_953.into(), &6_091_869.into())
    );
    assert_eq!(worker["recompiles"]["in_window"], 0);
    assert_eq!(worker["problems"], serde_json::json!([]));
    let frontend = &json["traces"][1];
    assert_eq!(frontend["role"], "frontend");
    assert_eq!(frontend["steps"], serde_json::json!([]));
    assert_eq!(frontend["totals"]["context_tokens"], Value::Null);
}

#[test]
fn text_and_markdown_show_the_same_totals() {
    let totals = "totals  prompt 1, decode 6, idle 1, context tokens 4, generation tokens 6";
    for form in ["text", "markdown"] {
        let output = tracegate().args(["inspect", "--format", form]).arg(real_trace()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = text(&output.stdout);
        assert!(text.contains(totals), "{form}: {text}");
        assert!(text.contains("decode to decode"), "{form}: {text}");
    }
}

#[test]
fn a_renamed_frontend_is_still_no_worker() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::read_dir(real_trace())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains(".async_llm."))
        .unwrap();
    let renamed = directory.path().join("a.json.gz");
    std::fs::copy(file, &renamed).unwrap();
    let (code, json) = inspect_json(&renamed);
    assert_eq!(code, Some(0));
    assert_eq!(json["traces"][0]["role"], "frontend");
}

#[test]
fn a_cut_file_prints_what_was_read_and_exits_3() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::read_dir(real_trace()).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    let whole = std::fs::read(file).unwrap();
    let cut = directory.path().join("rank0.1.pt.trace.json.gz");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let (code, json) = inspect_json(&cut);
    assert_eq!(code, Some(3));
    let worker = &json["traces"][0];
    assert_eq!(worker["problems"][0]["code"], "truncated_gzip");
    assert!(worker["events"].as_u64().unwrap() > 100);
    assert_eq!(worker["steps"][0]["kind"], "prompt");
}

#[test]
fn what_is_no_trace_exits_3_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let text_file = directory.path().join("notes.txt");
    std::fs::write(&text_file, "Dear diary").unwrap();
    let missing = directory.path().join("missing.json");
    for (path, said) in [
        (directory.path(), "no trace here or below, in 1 file"),
        (text_file.as_path(), "not_a_trace at byte 0 of the text"),
        (missing.as_path(), "missing.json: No such file or directory"),
    ] {
        let output = tracegate().arg("inspect").arg(path).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{path:?}");
        assert!(text(&output.stderr).contains(said), "{path:?}: {}", text(&output.stderr));
    }
}

/// JSON that holds no event is no trace: exit 3, not an empty success.
#[test]
fn json_without_events_is_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    for json in ["{}", "[]", "{\"a\":1}", "{\"traceEvents\":[]}"] {
        std::fs::write(&path, json).unwrap();
        let output = tracegate().arg("inspect").arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{json}");
        assert!(text(&output.stderr).contains("no_events"), "{json}: {}", text(&output.stderr));
    }
}

#[test]
fn the_worst_gaps_are_explained_by_the_frames_that_filled_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rank0.1.pt.trace.json.gz");
    let output = tracegate().args(["synth", "--events", "9000", "-o"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let output =
        tracegate().args(["inspect", "--format", "json", "--explain-gaps", "2"]).arg(&path).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let gaps = json["traces"][0]["explained_gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 2);
    let largest = json["traces"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["gap_ns"].as_i64())
        .max();
    assert_eq!(gaps[0]["gap_ns"].as_i64(), largest);
    let names: Vec<&str> =
        gaps[0]["frames"].as_array().unwrap().iter().map(|frame| frame["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 4);
    assert!(names.contains(&"vllm/v1/core/sched/scheduler.py: schedule"), "{names:?}");
    let own: i64 =
        gaps[0]["frames"].as_array().unwrap().iter().map(|frame| frame["self_ns"].as_i64().unwrap()).sum();
    assert_eq!(own + gaps[0]["unexplained_ns"].as_i64().unwrap(), largest.unwrap());
}

/// `synth` writes its truth without the reader's code; the reader must find exactly that.
#[test]
fn the_synthetic_truth_is_what_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let output = tracegate()
        .args(["synth", "--events", "6000", "--ranks", "2", "--seed", "7", "-o"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (code, json) = inspect_json(directory.path());
    assert_eq!(code, Some(0));
    for (rank, trace) in json["traces"].as_array().unwrap().iter().enumerate() {
        let truth = std::fs::read(format!("{}.truth.json", trace["file"].as_str().unwrap())).unwrap();
        let truth: Value = serde_json::from_slice(&truth).unwrap();
        assert_eq!(trace["rank"], rank);
        assert_eq!(trace["events"], truth["events"]);
        assert_eq!(trace["steps"], truth["steps"]);
    }
}

/// A real vLLM 0.11 CPU worker: no annotations, the kinds told by the attention's Python frames.
#[test]
fn steps_of_vllm_0_11_are_told_by_frames() {
    let path = root().join("tests/traces/vllm-0.11-cpu-single-request");
    let output = tracegate().args(["inspect", "--format", "json"]).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let trace = &json["traces"][0];
    assert_eq!(trace["evidence"], "frames");
    assert_eq!(trace["events"], 604);
    let totals = &trace["totals"];
    assert_eq!((&totals["prompt"], &totals["decode"], &totals["idle"]), (&1.into(), &6.into(), &1.into()));
    // Frames do not count tokens, and say so.
    assert!(totals["context_tokens"].is_null() && totals["generation_tokens"].is_null());
    assert_eq!(trace["steps"][0]["gap_ns"], serde_json::Value::Null);
    assert_eq!(trace["steps"][1]["gap_ns"], 1_358_739);
}

/// Engine events as Gaudi's bridge writes them, by category and by the name of their thread; pid 0 has
/// Python frames, too.
#[test]
fn the_device_is_idle_between_its_own_events() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rank0.1.pt.trace.json");
    let event = |cat: &str, name: &str, tid: &str, ts: u32, dur: u32| {
        format!(r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":0,"tid":{tid},"ts":{ts},"dur":{dur}}}"#)
    };
    let step = |name: &str, ts, dur| event("user_annotation", name, "1", ts, dur);
    let events = [
        step("execute_context_1(4)_generation_0(0)", 100, 50),
        step("execute_context_0(0)_generation_1(1)", 200, 50),
        event("Kernel", "matmul", "7", 110, 60),
        event("python_function", "report.py(1): send", "9", 0, 900),
        event("", "node_3", "8", 215, 10),
        event("Memcpy", "copy", "7", 240, 5),
        r#"{"ph":"M","name":"thread_name","pid":0,"tid":8,"args":{"name":"[HD0] TPC 3"}}"#.to_owned(),
    ];
    std::fs::write(&path, format!("{{\"traceEvents\":[{}]}}", events.join(","))).unwrap();
    let output = tracegate().args(["inspect", "--device", "--format", "json"]).arg(&path).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let device = &json["traces"][0]["device"];
    assert_eq!(device["events"], 3);
    // From the end of the matmul, at 170, to the node on a TPC, at 215.
    assert_eq!(device["gaps"]["prompt_to_decode"]["max_ns"], 45_000);
    assert_eq!(
        json["traces"][0]["gaps"]["prompt_to_decode"]["max_ns"], 50_000,
        "the step gap is another measure"
    );
    let output = tracegate().args(["inspect", "--device"]).arg(real_trace()).output().unwrap();
    assert!(text(&output.stdout).contains("device-idle gaps: not applicable"));
}

#[test]
fn compilations_are_counted_where_only_counters_tell_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server_events_x.json");
    let counter = |ts: u32, count: u32| {
        format!(
            r#"{{"pid":1,"tid":1,"ph":"C","name":"utils","ts":{ts},"args":{{"cumulative_graph_compilations":{count}}}}},"#
        )
    };
    let slice = |name: &str, ts: u32, dur: u32| {
        format!(r#"{{"pid":1,"tid":3,"ph":"X","name":"{name}","ts":{ts},"dur":{dur},"args":null}},"#)
    };
    let text = [
        "[".to_owned(),
        slice("prefill", 50_000, 5),
        slice("warmup", 10_000, 90_000),
        counter(40_000, 3),
        counter(700_000, 5),
        slice("prefill", 800_000, 9),
        counter(900_000, 7),
    ];
    std::fs::write(&path, text.concat()).unwrap();
    let (code, json) = inspect_json(&path);
    let trace = &json["traces"][0];
    assert_eq!((code, &trace["format"]), (Some(0), &"server_events".into()));
    assert_eq!(trace["recompiles"]["in_window"], 2);
    assert_eq!(trace["totals"]["prompt"], 1, "what warm-up ran is no load");
    assert_eq!(trace["problems"], serde_json::json!([]), "an array that is never closed is the format");
}
