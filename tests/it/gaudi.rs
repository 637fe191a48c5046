//! The lane `gaudi` on a machine that only looks like one: recording stand-ins for `hl-smi`,
//! `hl-prof-config` and Python on PATH. What they record is compared with the manual's commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::processes::wait_until;
use crate::common::{root, text, tracegate};

/// A directory with copies of the three programs in `tests/gaudi/bin`, and the binary under test beside
/// them.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        for name in ["hl-smi", "hl-prof-config", "python3"] {
            std::fs::copy(root().join("tests/gaudi/bin").join(name), machine.path().join(name)).unwrap();
        }
        let binary = assert_cmd::cargo::cargo_bin("tracegate");
        std::os::unix::fs::symlink(binary, machine.path().join("tracegate")).unwrap();
        machine
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a procedure on the lane; returns the exit code, what was said, and the run directory.
    fn run(&self, procedure: &str) -> (Option<i32>, String, PathBuf) {
        let out = self.path().join("out");
        let path = format!("{}:/usr/bin:/bin", self.path().display());
        let output = tracegate()
            .args(["run", procedure, "--lane", "gaudi", "--out"])
            .arg(&out)
            .env("PATH", path)
            // Turns on the machine's devices are not for these.
            .env("TMPDIR", self.path())
            .output()
            .unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        (output.status.code(), said, out.join(format!("gaudi/{procedure}-1")))
    }

    /// The recorded calls of a program: arguments, and the variables that matter.
    fn calls(&self, program: &str) -> Vec<(String, BTreeMap<String, String>)> {
        let calls = std::fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        let of = calls.lines().filter_map(|line| line.strip_prefix(program)?.strip_prefix(' '));
        // The question for versions has several lines and is left out.
        of.filter_map(|line| {
            let (arguments, variables) = line.split_once(" :: ")?;
            let pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
            Some((
                arguments.to_owned(),
                pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ))
        })
        .collect()
    }

    /// The call that started the server or the script.
    fn server(&self) -> (String, BTreeMap<String, String>) {
        self.calls("python3").remove(0)
    }
}

/// `tracegate run` took no turn: beside a trial it measured the trial.
#[test]
fn a_run_waits_for_its_turn_on_the_device() {
    let machine = Machine::new();
    let path = machine.path().join("tracegate-gaudi.lock");
    let lock = std::fs::File::create(&path).unwrap();
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| machine.run("async_single_request"));
        wait_until("the run", || machine.path().join("out/gaudi/async_single_request-1/run.json").exists());
        std::thread::sleep(std::time::Duration::from_millis(500));
        // The versions were asked for; nothing was changed and nothing was booted.
        assert!(machine.calls("hl-prof-config").is_empty() && machine.calls("python3").is_empty());
        drop(lock);
        let (code, said, _) = running.join().unwrap();
        assert_eq!(code, Some(0), "{said}");
    });
    assert_eq!(machine.calls("hl-prof-config").len(), 1);
}

#[test]
fn the_manuals_single_request_is_run_as_the_manual_has_it() {
    let machine = Machine::new();
    let (code, said, run) = machine.run("async_single_request");
    assert_eq!(code, Some(0), "{said}");
    let run = run.canonicalize().unwrap().display().to_string();
    let (arguments, variables) = machine.calls("hl-prof-config").remove(0);
    assert_eq!(arguments, "--use-template profile_api --hw-trace off");
    assert_eq!(variables["HOME"], format!("{run}/home"), "no user's configuration is changed");
    let (arguments, variables) = machine.server();
    let rest =
        arguments.strip_prefix("-m vllm.entrypoints.openai.api_server --host 127.0.0.1 --port ").unwrap();
    let (port, rest) = rest.split_once(' ').unwrap();
    assert!(port.parse::<u16>().is_ok(), "{port}");
    assert_eq!(
        rest,
        format!(
            "--model facebook/opt-125m --tensor-parallel-size 1 --max-num-seqs 128 --dtype bfloat16 --max-model-len 256 --profiler-config {{\"profiler\":\"torch\",\"torch_profiler_dir\":\"{run}/traces\"}}"
        )
    );
    // Both ways of enabling, and the buckets under their new names.
    for (key, value) in [
        ("VLLM_TORCH_PROFILER_DIR", format!("{run}/traces")),
        ("VLLM_PROMPT_QUERY_BUCKET_MIN", "128".to_owned()),
        ("VLLM_PROMPT_QUERY_BUCKET_MAX", "128".to_owned()),
        ("HABANA_PROF_CONFIG", format!("{run}/home/.habana/prof_config.json")),
    ] {
        assert_eq!(variables.get(key), Some(&value), "{key}");
    }
    assert!(!variables.contains_key("VLLM_PROMPT_SEQ_BUCKET_MIN"));
    assert!(said.contains("evidence frames") && said.contains("pass  order        P D{6}"), "{said}");
    let site = std::fs::read_to_string(format!("{run}/site.json")).unwrap();
    let site: serde_json::Value = serde_json::from_str(&site).unwrap();
    assert_eq!((&site["driver"]["version"], &site["driver"]["devices"]), (&"1.23.0-abc".into(), &1.into()));
}

#[test]
fn end_to_end_profiling_reads_the_plugins_phases() {
    let machine = Machine::new();
    let (code, said, _) = machine.run("e2e_multiple_requests");
    assert_eq!(code, Some(0), "{said}");
    let (_, variables) = machine.server();
    assert_eq!((&*variables["HABANA_PROFILE"], &*variables["VLLM_PROFILER_ENABLED"]), ("1", "full"));
    assert!(said.contains("pass  evidence     high_level"), "{said}");
    assert!(said.contains("pass  ledger       context tokens 512, generation tokens 12"), "{said}");
    // Written although nobody asked: what warm-up recorded is in the file and must not count.
    assert!(said.contains("problem outside_window x2"), "{said}");
}

#[test]
fn a_script_is_run_by_the_environments_python() {
    let machine = Machine::new();
    let (code, said, run) = machine.run("e2e_script");
    assert_eq!(code, Some(0), "{said}");
    let run = run.canonicalize().unwrap();
    let (arguments, variables) = machine.server();
    assert_eq!(arguments, run.join("script.py").display().to_string());
    assert_eq!(variables["VLLM_TORCH_PROFILER_DIR"], run.join("traces").display().to_string());
    let script = std::fs::read_to_string(run.join("script.py")).unwrap();
    for line in ["llm.start_profile()", "llm.stop_profile()", "llm = LLM(**PLAN[\"llm\"])"] {
        assert!(script.contains(line), "{line}");
    }
    assert!(said.contains("pass  order        P D{15}"), "{said}");
}

#[test]
fn high_level_profiling_needs_no_window() {
    let machine = Machine::new();
    let (code, said, run) = machine.run("high_level");
    assert_eq!(code, Some(0), "{said}");
    let (arguments, variables) = machine.server();
    assert!(!arguments.contains("--profiler-config"), "{arguments}");
    assert_eq!(variables["VLLM_PROFILER_ENABLED"], "true");
    assert!(machine.calls("hl-prof-config").is_empty());
    assert!(said.contains("server_events_vllm-instance-"), "{said}");
    let record = std::fs::read_to_string(run.join("run.json")).unwrap();
    assert!(record.contains("\"starts\": 0"), "{record}");
}

#[test]
fn a_specific_step_ends_by_the_intended_assertion() {
    let machine = Machine::new();
    let (code, said, run) = machine.run("specific_decode_enhanced");
    assert_eq!(code, Some(0), "{said}");
    let (arguments, _) = machine.calls("hl-prof-config").remove(0);
    assert_eq!(arguments, "--use-template profile_api_with_nics --fuser on --trace-analyzer on");
    let (_, variables) = machine.server();
    assert_eq!(variables["VLLM_PT_PROFILE"], "decode_256_512_t");
    assert_eq!(variables["HABANA_PROFILE_WRITE_HLTV"], "1");
    assert!(said.contains("pass  files        standin_0.hltv"), "{said}");
    assert!(std::fs::read_to_string(run.join("server.log")).unwrap().contains("Finished profiling"));
}

#[test]
fn without_the_hardware_it_says_what_to_install() {
    let machine = Machine::new();
    let run = |missing: &str| {
        std::fs::remove_file(machine.path().join(missing)).unwrap();
        let path = machine.path().display().to_string();
        let output =
            tracegate().args(["run", "async_single_request", "--lane", "gaudi"]).env("PATH", path).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(3));
        text(&output.stderr)
    };
    let said = run("hl-prof-config");
    assert!(said.contains("hl-prof-config is not on PATH") && said.contains("hw_trace = \"on\""), "{said}");
    let said = run("python3");
    assert!(said.contains("python3 is not on PATH"), "{said}");
    let said = run("hl-smi");
    assert!(said.contains("hl-smi is not on PATH") && said.contains("Installation Guide"), "{said}");
}

#[test]
fn a_driver_that_does_not_answer_is_told_from_one_that_is_missing() {
    let machine = Machine::new();
    std::fs::write(machine.path().join("hl-smi"), "#!/bin/sh\nexit 9\n").unwrap();
    let (code, said, _) = machine.run("async_single_request");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("hl-smi ended with exit status: 9: the driver does not answer"), "{said}");
}

#[test]
fn procedures_that_need_the_plugin_refuse_other_lanes() {
    let output =
        tracegate().args(["plan", "high_level", "--lane", "vllm-cpu", "--assume", "vllm=0.32.0"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(
        said.contains("high_level does not run on lane vllm-cpu") && said.contains("standin or gaudi"),
        "{said}"
    );
}

#[test]
fn every_shipped_procedure_has_a_plan_on_each_of_its_lanes() {
    for entry in std::fs::read_dir(root().join("procedures")).unwrap() {
        let path = entry.unwrap().path();
        // The schema of procedures lies beside them.
        if path.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let procedure = tracegate::procedure::Procedure::load(&path).unwrap();
        for lane in &procedure.lanes {
            let versions =
                [("vllm", "0.32.0"), ("vllm-gaudi", "0.21.0")].map(|(k, v)| (k.to_owned(), v.to_owned()));
            let site = tracegate::lane::assume_as(*lane, versions.into(), procedure.dialect);
            let plan = tracegate::plan::resolve(&procedure, &site).unwrap();
            assert_eq!(plan.procedure, path.file_stem().unwrap().to_string_lossy());
        }
    }
}

/// Ten procedures were ten boots, of 10 to 30 minutes each on a device.
#[test]
fn as_many_boots_as_there_are_servers() {
    let machine = Machine::new();
    let path = format!("{}:/usr/bin:/bin", machine.path().display());
    let plan = |arguments: &[&str]| {
        let mut command = tracegate();
        command.args(arguments).env("PATH", &path).env("TMPDIR", machine.path());
        command
    };
    let output = plan(&["plan", "--groups", "--format", "json", "--lane", "gaudi"]).output().unwrap();
    let matrix: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let output = plan(&["run", "--format", "json", "--lane", "gaudi", "--out"])
        .arg(machine.path().join("out"))
        .output()
        .unwrap();
    let ran: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(ran["cost"]["windows"], 10);
    assert_eq!(ran["cost"]["boots"].as_u64(), Some(matrix["include"].as_array().unwrap().len() as u64));
    assert_eq!(ran["cost"]["boots"], 8);
}
