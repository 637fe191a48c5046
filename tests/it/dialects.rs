//! The servers that the stand-in imitates, each with the evidence that its version leaves.

use std::path::Path;

use crate::common::{root, text, tracegate};

/// Runs the multi-request procedure on a dialect and a number of ranks.
fn run(directory: &Path, dialect: &str, ranks: u32, more: &[&str]) -> (Option<i32>, String) {
    let shipped = std::fs::read_to_string(root().join("procedures/async_multiple_requests.toml")).unwrap();
    let changed = shipped.replace("[manual]", &format!("dialect = \"{dialect}\"\n\n[manual]"));
    let file = directory.join(format!("{dialect}-{ranks}.toml"));
    std::fs::write(&file, changed.replace("trace = \"5m\"", "trace = \"2s\"")).unwrap();
    let output = tracegate()
        .arg("run")
        .arg(&file)
        .args(["--tensor-parallel-size", &ranks.to_string(), "--out"])
        .arg(directory)
        .args(more)
        .output()
        .unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn each_version_is_decided_by_the_evidence_it_leaves() {
    for (dialect, evidence, mixed, ledger) in [
        ("vllm-0.32-cpu", "annotation", true, "pass  ledger       context tokens 512"),
        (
            "vllm-0.13",
            "annotation",
            true,
            "n/a   ledger       the evidence (annotation) does not count tokens",
        ),
        ("vllm-0.11", "frames", true, "n/a   ledger       the evidence (frames) does not count tokens"),
        ("gaudi-stack", "frames", false, "n/a   ledger       the evidence (frames) does not count tokens"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (code, said) = run(directory.path(), dialect, 1, &[]);
        assert_eq!(code, Some(0), "{dialect}: {said}");
        assert!(said.contains(&format!("pass  evidence     {evidence}")), "{dialect}: {said}");
        assert!(said.contains("pass  order        P"), "{dialect}: {said}");
        // Gaudi runs the phases of a batch one after the other. Elsewhere most runs have a mixed step,
        // which depends on when the requests come.
        assert!(mixed || said.contains(", mixed 0"), "{dialect}: {said}");
        assert!(said.contains(ledger), "{dialect}: {said}");
    }
}

#[test]
fn ranks_are_seen_together() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = run(directory.path(), "vllm-0.32-cpu", 8, &["--with-stack", "false"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" steps on each, largest skew 0 ns"), "{said}");
    assert!(said.contains(" steps on each of 8 ranks"), "{said}");
    let run = directory.path().join("standin/async_multiple_requests-1");
    let observed = std::fs::read_to_string(run.join("observed.snap")).unwrap();
    assert!(observed.contains("\n[ranks 0 1 2 3 4 5 6 7]\nevidence annotation\n"), "{observed}");
    let traces = run.join("traces");
    let output = tracegate().arg("inspect").arg(traces).output().unwrap();
    assert!(text(&output.stdout).contains("8 ranks  the same "));
}

/// In `full` mode the plugin's other ranks end no phase: they are no failure, and no driver is one.
#[test]
fn only_the_driver_tells_phases_in_full_mode() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(root().join("procedures/e2e_single_request.toml")).unwrap();
    let procedure = directory.path().join("e2e_single_request.toml");
    let check = "[[check]]\nname = \"decodes\"\nquantity = \"steps\"\nphase = \"decode\"\nmin = 6\nmax = 6\n";
    std::fs::write(&procedure, format!("{shipped}\n{check}")).unwrap();
    let output = tracegate()
        .arg("run")
        .arg(&procedure)
        .args(["--tensor-parallel-size", "2", "--out"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let expected =
        "pass  evidence     high_level on rank 0; only the driver records phases, 1 other ranks do not";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("pass  ranks        2 of 2 worker traces"), "{said}");
    assert!(said.contains("pass  order        P D{6} (P D{6})"), "{said}");
    assert!(said.contains("pass  check:decodes steps 6"), "{said}");
}

#[test]
fn a_missing_rank_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = run(directory.path(), "gaudi-stack", 2, &["--fault", "missing-rank"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAIL  ranks        no worker trace of rank 1"), "{said}");
}

/// The plugin's own list of what breaks: one way of enabling alone is not enough.
#[test]
fn the_gaudi_worker_reads_the_variable_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plan.toml");
    let shipped = std::fs::read_to_string(root().join("procedures/async_single_request.toml")).unwrap();
    // The plan for plain vLLM sets the configuration alone; the server is told to imitate Gaudi.
    let changed = shipped
        .replace("max_model_len = 256", "max_model_len = 256\nargs = [\"--dialect\", \"gaudi-stack\"]");
    std::fs::write(&file, changed).unwrap();
    let output = tracegate().arg("run").arg(&file).arg("--out").arg(directory.path()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("Profiler is not enabled."), "{said}");
}

#[test]
fn a_specific_step_without_its_trace_or_its_assertion_is_no_pass() {
    for (fault, expected) in [
        ("no-trace", "0 of 1 worker traces are there"),
        ("exit-during-boot", "before it had profiled its step"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let shipped = std::fs::read_to_string(root().join("procedures/specific_decode.toml")).unwrap();
        let file = directory.path().join("p.toml");
        std::fs::write(&file, shipped.replace("trace = \"5m\"", "trace = \"1s\"")).unwrap();
        let output = tracegate()
            .arg("run")
            .arg(&file)
            .args(["--fault", fault, "--out"])
            .arg(directory.path())
            .output();
        let output = output.unwrap();
        let said = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{fault}: {said}");
        assert!(said.contains(expected), "{fault}: {said}");
    }
}

#[test]
fn a_compilation_inside_the_window_is_found_and_placed() {
    for (dialect, name) in [("vllm-0.32-cpu", "compile_id=0/0"), ("gaudi-full", "GRAPH COMPILE: recipe_@")] {
        let directory = tempfile::tempdir().unwrap();
        let (code, said) = run(directory.path(), dialect, 1, &["--fault", "recompile"]);
        assert_eq!(code, Some(1), "{dialect}: {said}");
        let expected = "FAIL  recompiles   1 compilations inside the window, at most 0 allowed";
        assert!(said.contains(expected), "{dialect}: {said}");
        assert!(said.contains(&format!("({name} at step 1)")), "{dialect}: {said}");
    }
}

#[test]
fn a_rank_that_lags_behind_is_named_where_a_bound_is_set() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = run(directory.path(), "vllm-0.32-cpu", 2, &["--fault", "skewed-rank"]);
    assert!(said.contains("largest skew 500.000 ms"), "{said}");
    assert_eq!(code, Some(1), "the tokens came before the steps of rank 1: {said}");
    let file = directory.path().join("vllm-0.32-cpu-2.toml");
    let bounded = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        bounded.replace("max_recompiles = 0", "max_recompiles = 0\nmax_rank_skew = \"50ms\""),
    )
    .unwrap();
    let output = tracegate()
        .arg("run")
        .arg(&file)
        .args(["--tensor-parallel-size", "2", "--fault", "skewed-rank", "--out"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(
        said.contains(
            "FAIL  agreement    the same step began 500.000 ms apart on two ranks, allowed are 50ms"
        ),
        "{said}"
    );
}

/// Found by hand: what looks like a placeholder in a prompt was replaced by a path of the machine.
#[test]
fn a_scripts_prompt_is_sent_as_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(root().join("procedures/script.toml")).unwrap();
    let prompt = r#"q "quoted" \\ {run} \n é"#;
    let changed = shipped.replace("\"San Francisco is a\"", &format!("'''{prompt}'''"));
    assert_ne!(changed, shipped);
    let file = directory.path().join("p.toml");
    std::fs::write(&file, changed).unwrap();
    let output = tracegate().arg("run").arg(&file).arg("--out").arg(directory.path()).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // One token a byte: no merge of the stand-in's tokenizer occurs in it. A path would be longer.
    assert!(said.contains(&format!("ledger  requests 1, context tokens {},", prompt.len())), "{said}");
}

/// A healthy V0 server has one decode more than the tokens need, no front end and no idle step. One more fails, one
/// fewer fails, and without asynchronous output there is none.
#[test]
fn the_fork_is_decided_with_its_overrun() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(root().join("procedures/async_single_request.toml")).unwrap();
    let fork = shipped.replace("[manual]", "dialect = \"gaudi-fork\"\n\n[manual]");
    let without =
        fork.replace("max_model_len = 256", "max_model_len = 256\nargs = [\"--disable-async-output-proc\"]");
    for (name, text_of, fault, code, said_of) in [
        ("fork", &fork, None, 0, "pass  order        P D{7} (P D{6} and one decode of overrun)"),
        (
            "fewer",
            &fork,
            Some("drop-decode"),
            1,
            "FAIL  order        the steps were P D{6}, expected P D{6} and one decode of overrun",
        ),
        ("more", &fork, Some("duplicate-step"), 1, "FAIL  order        the steps were P D{8}"),
        ("without", &without, None, 0, "pass  order        P D{6} (P D{6})"),
    ] {
        let file = directory.path().join(format!("{name}.toml"));
        std::fs::write(&file, text_of).unwrap();
        let mut command = tracegate();
        command.arg("run").arg(&file).arg("--out").arg(directory.path());
        command.args(fault.into_iter().flat_map(|fault| ["--fault", fault]));
        let output = command.output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(said_of), "{name}: {said}");
        assert_eq!(
            said.contains("decode (overrun)"),
            name == "fork" || name == "more" || name == "fewer",
            "{name}: {said}"
        );
    }
}
