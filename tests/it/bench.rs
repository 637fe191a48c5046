//! The workload of `vllm bench serve`, sent natively to the stand-in.

use std::path::Path;

use crate::common::{root, text, tracegate};
use serde_json::Value;

/// Runs the shipped procedure with changes; returns the exit code, the output and the run directory.
fn run(directory: &Path, changes: &[(&str, &str)]) -> (i32, String, std::path::PathBuf) {
    let mut procedure =
        std::fs::read_to_string(root().join("procedures/async_multiple_requests.toml")).unwrap();
    for (from, to) in changes {
        assert!(procedure.contains(from), "{from}");
        procedure = procedure.replacen(from, to, 1);
    }
    let file = directory.join("p.toml");
    std::fs::write(&file, procedure).unwrap();
    let output = tracegate().arg("run").arg(&file).arg("--out").arg(directory).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), said, directory.join("standin/async_multiple_requests-1"))
}

fn results(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(run.join("bench.json")).unwrap()).unwrap()
}

#[test]
fn the_manuals_workload_passes_and_leaves_vllms_results() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said, run) = run(directory.path(), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("ledger  requests 4, context tokens 512, generation tokens 12 (output tokens 16)"),
        "{said}"
    );
    assert!(said.contains("pass  client_times "), "{said}");
    assert!(said.contains("pass  batches "), "{said}");
    let results = results(&run);
    for (key, expected) in
        [("completed", 4), ("failed", 0), ("total_input_tokens", 512), ("total_output_tokens", 16)]
    {
        assert_eq!(results[key], expected, "{key}");
    }
    assert_eq!(results["request_rate"], "inf");
    assert_eq!(results["input_lens"], serde_json::json!([128, 128, 128, 128]));
    for key in
        ["mean_ttft_ms", "median_tpot_ms", "std_itl_ms", "p99_e2el_ms", "rtfx", "queue_times", "start_times"]
    {
        assert!(!results[key].is_null(), "{key}");
    }
    assert!(
        std::fs::read_to_string(run.join("bench.txt"))
            .unwrap()
            .contains("Successful requests:                     4")
    );
}

/// Two contrasting schedules, so that no scaled or shifted metric passes both. What the schedule
/// sets is a strict lower bound; the upper bounds leave room for a loaded machine.
#[test]
fn latencies_follow_the_schedule() {
    for (prompt, decode, tokens) in [(150.0, 20.0, 6), (40.0, 60.0, 4)] {
        let directory = tempfile::tempdir().unwrap();
        let args = format!(
            "max_model_len = 256\nargs = [\"--prompt-ms\", \"{prompt}\", \"--decode-ms\", \"{decode}\", \"--gap-ms\", \"0.001\", \"--jitter\", \"0\"]"
        );
        let (code, said, run) = run(
            directory.path(),
            &[
                ("max_model_len = 256", &args),
                ("random_output_len = 4", &format!("random_output_len = {tokens}")),
                ("num_prompts = 4", "num_prompts = 2"),
                ("max_concurrency = 4", "max_concurrency = 1"),
                ("min = \"100us\"", "min = \"0s\""),
            ],
        );
        assert_eq!(code, 0, "{said}");
        let results = results(&run);
        // 128 prompt tokens cost 0.02 ms each besides.
        let ttft = prompt + 128.0 * 0.02;
        let e2el = ttft + decode * f64::from(tokens - 1);
        for (key, least, slack) in [
            ("median_ttft_ms", ttft, 250.0),
            ("median_tpot_ms", decode, 25.0),
            ("median_e2el_ms", e2el, 500.0),
        ] {
            let value = results[key].as_f64().unwrap();
            // Gaps of a microsecond and the clocks' resolution.
            assert!(value > least - 1.0 && value < least + slack, "{key}: {value}, schedule {least}\n{said}");
        }
    }
}

#[test]
fn text_prompts_have_the_wanted_length_in_the_servers_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said, run) =
        run(directory.path(), &[("vocab_size = 50265", "vocab_size = 50265\nprompts = \"text\"")]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(results(&run)["total_input_tokens"], 512);
}

#[test]
fn a_ramp_leaves_its_changes_of_rate() {
    let directory = tempfile::tempdir().unwrap();
    let ramp = "ramp_up = { strategy = \"linear\", start_rps = 20, end_rps = 23 }\nburstiness = inf\n";
    let (code, said, run) =
        run(directory.path(), &[("request_rate = \"inf\"\n", ramp), ("min = \"100us\"", "min = \"0s\"")]);
    assert_eq!(code, 0, "{said}");
    let results = results(&run);
    let rates: Vec<_> = results["rps_change_events"].as_array().unwrap().iter().map(|e| &e["rps"]).collect();
    assert_eq!(rates, [20, 21, 22, 23]);
    assert_eq!(results["burstiness"], "inf");
    // As Python's `datetime.isoformat`: no zone.
    assert_eq!(results["rps_change_events"][0]["timestamp"].as_str().unwrap().len(), 26);
}

/// Two more tokens than planned are what re-tokenising gives; a tenth of them is another workload.
#[test]
fn prompts_of_another_length_fail_the_workload() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said, run) = run(directory.path(), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("pass  workload     prompts of 128 tokens, outputs of 4"), "{said}");
    let ledger = run.join("client.jsonl");
    let cut = std::fs::read_to_string(&ledger).unwrap().replacen(
        "\"prompt_tokens\":128",
        "\"prompt_tokens\":12",
        1,
    );
    std::fs::write(&ledger, cut).unwrap();
    let output = tracegate().arg("check").arg(&run).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("FAIL  workload     request"), "{said}");
    assert!(said.contains("had 12 prompt tokens, planned are 128"), "{said}");
}

#[test]
fn warm_ups_are_sent_before_the_window_and_are_in_no_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said, run) = run(directory.path(), &[("num_prompts = 4", "num_prompts = 4\nnum_warmups = 3")]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ledger  requests 4, context tokens 512"), "{said}");
    assert_eq!(std::fs::read_to_string(run.join("client.jsonl")).unwrap().lines().count(), 4);
}

#[test]
fn requests_that_fail_are_an_infrastructure_error() {
    let directory = tempfile::tempdir().unwrap();
    // The server serves fewer tokens than the procedure believes.
    let (code, said, _) = run(
        directory.path(),
        &[("max_model_len = 256", "max_model_len = 256\nargs = [\"--max-model-len\", \"100\"]")],
    );
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("4 of 4 requests failed; the first: POST /v1/completions answered 400"), "{said}");
}

#[test]
fn impossible_workloads_are_refused_at_their_key() {
    for (from, to, key) in [
        ("num_prompts = 4", "num_prompts = 0", "load.bench.num_prompts"),
        ("random_input_len = 128", "random_input_len = 255", "load.bench.random_input_len"),
        ("request_rate = \"inf\"", "request_rate = 0", "load.bench.request_rate"),
        ("request_rate = \"inf\"", "request_rate = \"fast\"", "load.bench.request_rate"),
        ("random_range_ratio = 1.0", "random_range_ratio = 1.5", "load.bench.random_range_ratio"),
        ("\"ttft\", ", "\"tfft\", ", "load.bench.percentile_metrics"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (code, said, _) = run(directory.path(), &[(from, to)]);
        assert_eq!(code, 2, "{to}: {said}");
        assert!(said.contains(&format!("`{key}")), "{to}: {said}");
    }
}
