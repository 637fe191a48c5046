//! What a device ran: it belongs to the step that launched it, and enters what is compared.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{files, object, slice, step};
use crate::common::{text, tracegate};

fn joined(cat: &str, name: &str, tid: u32, ts: u32, dur: u32, correlation: u32) -> String {
    format!(
        r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":0,"tid":{tid},"ts":{ts},"dur":{dur},"args":{{"External id":3,"correlation":{correlation}}}}}"#
    )
}

fn kernel(name: &str, ts: u32, correlation: u32) -> String {
    joined("kernel", name, 7, ts, 40, correlation)
}

fn launch(ts: u32, correlation: u32) -> String {
    joined("cuda_runtime", "cudaLaunchKernel", 9, ts, 1, correlation)
}

/// A prompt that launches one kernel and a decode that launches one and a copy, all of which run late.
fn events(attention: &str) -> Vec<String> {
    vec![
        // Kernels stand in front of their launches as well as behind them.
        kernel("void gemm<128, bf16>(int)", 120, 1),
        step("execute_context_1(4)_generation_0(0)", 100, 50),
        step("execute_context_0(0)_generation_1(1)", 200, 50),
        slice("cpu_op", "aten::mm", 110, 5),
        slice("cpu_op", "aten::mm", 210, 5),
        launch(110, 1),
        launch(210, 2),
        joined("cuda_runtime", "cudaMemcpyAsync", 9, 215, 1, 3),
        kernel(attention, 300, 2),
        joined("gpu_memcpy", "Memcpy DtoD (Device -> Device)", 7, 350, 10, 3),
        kernel("left over", 90, 77),
    ]
}

fn trace(events: &[String]) -> TempDir {
    files(&[("rank0.json", &object(r#""distributedInfo":{"rank":0,"world_size":1},"#, events))])
}

fn diff(arguments: &[&str], before: &Path, after: &Path) -> (Option<i32>, String, String) {
    let output = tracegate().arg("diff").args(arguments).args([before, after]).output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A copy that ran 100 microseconds behind its step was the sampler's.
#[test]
fn what_ran_late_belongs_to_the_step_that_launched_it() {
    let without = trace(&events("attention<8>"));
    let mut more = events("attention<8>");
    more.extend([
        joined("cuda_runtime", "cudaMemcpyAsync", 9, 216, 1, 4),
        joined("gpu_memcpy", "Memcpy DtoD (Device -> Device)", 7, 400, 10, 4),
    ]);
    let with = trace(&more);
    let (code, out, _) = diff(&[], without.path(), with.path());
    assert_eq!(code, Some(1));
    assert!(out.contains("decode: Memcpy DtoD (Device -> Device) 1 → 2"), "{out}");
    assert!(!out.contains("SAMPLER"), "{out}");
    assert!(out.contains("1 device events launched in no step left out"), "{out}");
}

#[test]
fn kernels_are_compared_by_what_they_do_or_by_their_whole_names() {
    let (a, b) = (trace(&events("attention<8>")), trace(&events("attention<16>")));
    let (code, out, _) = diff(&[], a.path(), b.path());
    assert_eq!((code, out.contains("no difference in what is compared")), (Some(0), true), "{out}");
    let (code, out, _) = diff(&["--exact-kernels"], a.path(), b.path());
    assert_eq!(code, Some(1));
    assert!(out.contains("KERNEL ADDED\n  decode: attention<16> 0 → 1"), "{out}");
    let renamed = trace(&events("paged_attention_v2"));
    let (code, out, _) = diff(&[], a.path(), renamed.path());
    assert_eq!(code, Some(1));
    assert!(
        out.contains("decode: paged_attention_v2 0 → 1") && out.contains("decode: attention<> 1 → 0"),
        "{out}"
    );
}

/// It was "no difference in what is compared".
#[test]
fn kernels_that_are_gone_are_a_difference_and_what_was_not_compared_is_said() {
    let all = events("attention<8>");
    let host: Vec<String> =
        all.iter().filter(|event| !event.contains(r#""cat":"kernel""#)).cloned().collect();
    let (a, b) = (trace(&all), trace(&host));
    let (code, out, _) = diff(&[], a.path(), b.path());
    assert_eq!(code, Some(1));
    assert!(out.contains("KERNEL REMOVED\n  all of them recorded → none in the trace"), "{out}");
    assert!(
        out.contains(&format!("not compared: device kernels: not recorded in {}", b.path().display())),
        "{out}"
    );
    let (_, out, _) = diff(&["--format", "json"], b.path(), b.path());
    let json: Value = serde_json::from_str(&out).unwrap();
    assert!(json["not_compared"].to_string().contains("device kernels: recorded in neither"), "{out}");
}

#[test]
fn what_has_nothing_in_common_is_not_compared() {
    let server = trace(&events("attention<8>"));
    let model = trace(&[
        slice("cpu_op", "aten::mm", 1, 1),
        slice("cpu_op", "aten::conv2d", 3, 1),
        kernel("conv<3>", 9, 8),
    ]);
    let (code, out, error) = diff(&[], server.path(), model.path());
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(error.contains("nothing comparable") && error.contains("has no serving steps"), "{error}");
    assert!(error.contains("--whole"), "{error}");
    let (code, out, _) = diff(&["--whole"], server.path(), model.path());
    assert_eq!(code, Some(1));
    for line in [
        "whole: aten::mm 2 → 1",
        "whole: aten::conv2d 0 → 1",
        "whole: conv<> 0 → 1",
        "not compared: steps and gaps",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (code, out, _) = diff(&["--whole"], model.path(), model.path());
    assert_eq!((code, out.contains("no difference in what is compared")), (Some(0), true));
    let empty = trace(&[slice("user_annotation", "epoch", 1, 1)]);
    assert_eq!(diff(&["--whole"], model.path(), empty.path()).0, Some(3));
}

#[test]
fn busy_and_idle_times_are_those_of_the_union() {
    let directory = trace(&[&events("attention<8>")[..], &[kernel("beside", 310, 5)]].concat());
    let output =
        tracegate().args(["inspect", "--device", "--format", "json"]).arg(directory.path()).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let device = &json["traces"][0]["device"];
    // 90 to 160, 300 to 360 of 270 microseconds.
    assert_eq!((&device["busy_ns"], &device["idle_ns"]), (&130_000.into(), &140_000.into()));
    // From the end of what the prompt launched, at 160, to what the decode launched, at 300.
    assert_eq!(device["gaps"]["prompt_to_decode"]["max_ns"], 140_000);
    assert_eq!(device["events"], 5);
}
