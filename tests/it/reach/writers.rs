//! Steps as servers other than the vLLM of today name them, and traces of no server.

use serde_json::Value;

use super::{files, inspect, object, slice, step};

/// The first trace of a file with these events.
fn read(keys: &str, events: &[String]) -> Value {
    let directory = files(&[("a.json", &object(keys, events))]);
    let (code, json, error) = inspect(&[], &directory.path().join("a.json"));
    assert_eq!(code, Some(0), "{error}");
    json["traces"][0].clone()
}

fn kinds(trace: &Value) -> Vec<&str> {
    trace["steps"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect()
}

fn frame(name: &str, ts: u32, dur: u32) -> String {
    slice("python_function", name, ts, dur)
}

#[test]
fn sglang_names_its_steps_in_brackets() {
    let events = [
        step("step[EXTEND bs=15 toks=15360]", 0, 50),
        step("step[DECODE bs=32]", 100, 20),
        step("step[MIXED bs=2]", 200, 20),
    ];
    let trace = read("", &events);
    assert_eq!((&trace["evidence"], &trace["writer"]), (&"annotation".into(), &"sglang".into()));
    assert_eq!(kinds(&trace), ["prompt", "decode", "mixed"]);
    assert_eq!(trace["steps"][0]["context_tokens"], 15_360);
    assert_eq!(trace["steps"][1]["generation_requests"], 32);
    assert_eq!(trace["steps"][1]["generation_tokens"], Value::Null, "speculative decoding may make more");
    // Both names of one step.
    let both = [
        step("execute_9_context_1(sq9sk9sqsq81sqsk81)_generation_0(sq0sk0sqsq0sqsk0)", 0, 50),
        step("step[EXTEND bs=1 toks=9]", 2, 40),
    ];
    let trace = read("", &both);
    assert_eq!((kinds(&trace), &trace["writer"]), (vec!["prompt"], &"sglang".into()));
    let frames = [
        frame("sglang/srt/model_executor/model_runner.py(1700): forward_extend", 0, 9),
        frame("sglang/srt/model_executor/model_runner.py(1650): forward_decode", 20, 9),
        // A layer's own, of which a step has dozens.
        frame("sglang/srt/layers/attention/triton_backend.py(9): forward_decode", 22, 1),
    ];
    let trace = read("", &frames);
    assert_eq!((&trace["evidence"], &trace["writer"]), (&"frames".into(), &"sglang".into()));
    assert_eq!(kinds(&trace), ["prompt", "decode"]);
}

/// It was `unreadable_annotation` and no step.
#[test]
fn an_annotation_that_cannot_be_read_leaves_the_next_evidence() {
    let squares = read("", &[step("execute_context_1(888_788544)_generation_0(0)", 0, 9)]);
    assert_eq!((kinds(&squares), &squares["steps"][0]["context_tokens"]), (vec!["prompt"], &888.into()));
    assert_eq!(squares["problems"], serde_json::json!([]));
    let odd = step("execute_context_1<888>_generation_0<0>", 1, 9);
    let worker = frame("vllm/v1/worker/gpu_worker.py(7): execute_model", 0, 20);
    let runner = frame("vllm/v1/worker/gpu_model_runner.py(9): execute_model", 1, 18);
    for (events, evidence) in [
        (vec![odd.clone(), worker.clone(), runner.clone()], "frames"),
        (vec![odd.clone(), runner], "frames"),
        (vec![odd.clone()], "annotation"),
    ] {
        let trace = read("", &events);
        assert_eq!((kinds(&trace), &trace["evidence"]), (vec!["unclassified"], &evidence.into()));
        let problems = trace["problems"].as_array().unwrap();
        assert!(problems.iter().any(|problem| problem["code"] == "unreadable_annotation"), "{problems:?}");
    }
    let among_others = [step("execute_context_0(0)_generation_1(1)", 0, 1), odd];
    assert_eq!(kinds(&read("", &among_others)), ["decode", "unclassified"]);
}

#[test]
fn iterations_are_steps_of_a_server_only() {
    let iterations =
        [step("ProfilerStep#3", 0, 50), step("ProfilerStep#4", 60, 50), slice("cpu_op", "aten::mm", 1, 1)];
    let trace = read(r#""vllm_version":"0.11.0","#, &iterations);
    assert_eq!(kinds(&trace), ["unclassified", "unclassified"]);
    let captured = [&iterations[..], &[step("capture_32_DECODE", 2, 5)]].concat();
    assert_eq!(kinds(&read(r#""vllm_version":"0.11.0","#, &captured)), Vec::<&str>::new());
    // The same of a model in training.
    let trace = read("", &iterations);
    assert_eq!((kinds(&trace), &trace["serving"]), (vec![], &false.into()));
    let directory = files(&[("a.json", &object("", &iterations))]);
    let output = crate::common::tracegate().arg("inspect").arg(directory.path()).output().unwrap();
    let out = crate::common::text(&output.stdout);
    assert!(out.contains("no serving steps: not the trace of a server, 3 events\n"), "{out}");
    assert!(!out.contains("worker") && !out.contains("prompt 0"), "{out}");
}

/// Only the device was recorded; its streams repeat what the host had annotated.
#[test]
fn steps_that_only_the_device_shows_are_read_and_said_to_be_its() {
    let shown = |name: &str, tid: u32, ts: u32| {
        format!(
            r#"{{"ph":"X","cat":"gpu_user_annotation","name":"{name}","pid":0,"tid":{tid},"ts":{ts},"dur":9}}"#
        )
    };
    let (prompt, decode) = ("execute_context_1(4)_generation_0(0)", "execute_context_0(0)_generation_1(1)");
    let events = [shown(prompt, 7, 0), shown(decode, 7, 20), shown(prompt, 20, 1)];
    let trace = read("", &events);
    assert_eq!(kinds(&trace), ["prompt", "decode"]);
    assert_eq!(trace["problems"][0]["code"], "device_annotations");
    // Beside the host's own they are the same steps again.
    let both = [&events[..], &[step(prompt, 0, 5), step(decode, 10, 5)]].concat();
    let trace = read("", &both);
    assert_eq!((kinds(&trace), &trace["problems"]), (vec!["prompt", "decode"], &serde_json::json!([])));
    let iterations = [shown("ProfilerStep#1", 7, 0), shown("ProfilerStep#2", 7, 20)];
    assert_eq!(kinds(&read(r#""vllm_version":"0.11.0","#, &iterations)).len(), 2);
}
