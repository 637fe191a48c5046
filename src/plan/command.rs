//! The commands of a plan: what prepares the machine, and the server with its flags and variables.

use std::collections::BTreeMap;

use serde_json::json;

use super::build::Builder;
use super::model::{Adaptation, Command, Course, PORT, RUN};
use super::rules::Fact;
use crate::lane::Lane;
use crate::procedure::{HwTrace, ProfilerKind};

/// Variables that only the Gaudi plugin and the software below it read, by the beginning of their names.
const PLUGINS_OWN: [&str; 5] =
    ["VLLM_PROMPT_SEQ_BUCKET_", "VLLM_PROFILER_ENABLED", "VLLM_PT_PROFILE", "HABANA_", "PT_HPU_"];

impl Builder<'_> {
    /// `hl-prof-config`, on the lane that has it.
    pub(super) fn prepare(&mut self) -> Vec<Command> {
        let Some(trace) = &self.procedure.hardware_trace else { return Vec::new() };
        if trace.hw_trace == HwTrace::On && trace.options.is_empty() {
            self.adapt(
                "hl-prof-config … --hw-trace off",
                "left out",
                "the procedure keeps the hardware trace",
                "procedure file",
            );
            return Vec::new();
        }
        let Some(tool) = &self.site.hl_prof_config else {
            let reason = "this lane has no hardware to trace";
            self.adapt(
                "hl-prof-config … --hw-trace off",
                "left out",
                reason,
                "the tool ships with the Gaudi software",
            );
            return Vec::new();
        };
        self.adapt(
            "hl-prof-config writes ~/.habana/prof_config.json",
            "HOME is the run's own; the server finds the file by HABANA_PROF_CONFIG",
            "the file is shared by every run of the user",
            "gaudi-pytorch-bridge 1.19; not run on hardware",
        );
        let mut argv = vec![tool.display().to_string(), "--use-template".to_owned(), trace.template.clone()];
        if trace.hw_trace == HwTrace::Off {
            argv.extend(["--hw-trace", "off"].map(str::to_owned));
        }
        argv.extend(trace.options.iter().cloned());
        vec![Command { argv, env: BTreeMap::from([("HOME".to_owned(), format!("{RUN}/home"))]) }]
    }

    /// The manual's data type. Where it names none, a CPU would take float16, which oneDNN multiplies on some
    /// processors only: the operators, and with them the reviewed structure, would depend on the machine.
    fn dtype(&mut self) -> Option<String> {
        if self.procedure.server.dtype.is_none() && self.site.lane == Lane::VllmCpu {
            self.adapt(
                "no --dtype",
                "--dtype bfloat16",
                "the model's own float16 runs aten::addmm on one processor and _C::onednn_mm on another",
                "measured on 0.32.0 on two processors, one with AMX",
            );
            return Some("bfloat16".to_owned());
        }
        self.procedure.server.dtype.clone()
    }

    pub(super) fn server(&mut self) -> Command {
        let mut argv = self.site.launcher.clone();
        let mut env = self.site.env.clone();
        // A script has no port, and no entry point of vLLM's.
        let serves = self.course() != Course::Script;
        if serves {
            self.address(&mut argv);
        }
        self.model(&mut argv);
        self.flags(&mut argv);
        self.variables(&mut env);
        self.profiler(&mut argv, &mut env);
        if let Some(rule) = self.vllm_rule(|fact| fact == Fact::DeprecatedEntryPoint)
            && serves
            && argv.iter().any(|word| word == "vllm.entrypoints.openai.api_server")
        {
            self.adapt("python3 -m vllm.entrypoints.openai.api_server", "kept", rule.reason, rule.source);
        }
        Command { argv, env }
    }

    fn address(&mut self, argv: &mut Vec<String>) {
        if self.site.reports_port {
            argv.extend(["--port", "0", "--port-file"].map(str::to_owned));
            argv.push(format!("{RUN}/port"));
        } else {
            argv.extend(["--host", "127.0.0.1", "--port", PORT].map(str::to_owned));
        }
        self.adapt(
            "--port 8080",
            "a free port on loopback",
            "8080 may belong to another server, and a profiled server must not be reachable from outside",
            "design",
        );
    }

    fn model(&mut self, argv: &mut Vec<String>) {
        let model = &self.procedure.server.model;
        match &self.site.model_path {
            None => argv.extend(["--model".to_owned(), model.clone()]),
            Some(path) => {
                argv.extend(["--model".to_owned(), path.display().to_string()]);
                argv.extend(["--served-model-name".to_owned(), model.clone()]);
                self.adapt(
                    format!("--model {model}"),
                    format!("a model of the same shape made here, served as {model}"),
                    "nothing is downloaded, and the requests stay as the manual has them",
                    "tracegate setup vllm-cpu",
                );
            }
        }
        for (flags, reason) in &self.site.extra_args {
            argv.extend(flags.iter().cloned());
            self.adaptations.push(Adaptation {
                manual: "-".to_owned(),
                planned: flags.join(" "),
                reason: reason.clone(),
                source: "measured".to_owned(),
            });
        }
    }

    fn flags(&mut self, argv: &mut Vec<String>) {
        let dtype = self.dtype();
        let server = &self.procedure.server;
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        for (flag, value) in [
            ("--tensor-parallel-size", Some(server.tensor_parallel_size.to_string())),
            ("--max-num-seqs", number(server.max_num_seqs)),
            ("--dtype", dtype),
            ("--max-model-len", number(server.max_model_len)),
        ] {
            if let Some(value) = value {
                argv.extend([flag.to_owned(), value]);
            }
        }
        argv.extend(server.args.iter().cloned());
    }

    /// The procedure's variables. The bucket variables are the Gaudi plugin's.
    fn variables(&mut self, env: &mut BTreeMap<String, String>) {
        let ranks = self.procedure.server.tensor_parallel_size;
        if self.site.lane == Lane::VllmCpu && ranks > 1 {
            let cores: Vec<String> = (0..ranks).map(|rank| rank.to_string()).collect();
            let bound = cores.join("|");
            self.adapt(
                "-",
                format!("VLLM_CPU_OMP_THREADS_BIND={bound}"),
                "a CPU worker wants a NUMA node of its own and asserts without one; this binds each rank to a core",
                "measured on 0.32.0",
            );
            env.insert("VLLM_CPU_OMP_THREADS_BIND".to_owned(), bound);
        }
        let renamed = self.plugin_rule(|fact| fact == Fact::QueryBuckets);
        for (key, value) in &self.procedure.server.env {
            let bucket = key.starts_with("VLLM_PROMPT_SEQ_BUCKET_");
            if PLUGINS_OWN.iter().any(|own| key.starts_with(own)) && !self.site.is_gaudi() {
                self.adapt(
                    format!("{key}={value}"),
                    "left out",
                    "the Gaudi software reads it; vLLM itself only warns of an unknown variable",
                    "measured on 0.32.0",
                );
            } else if let (true, Some(rule)) = (bucket, renamed) {
                let new = key.replace("_SEQ_BUCKET_", "_QUERY_BUCKET_");
                self.adapt(format!("{key}={value}"), format!("{new}={value}"), rule.reason, rule.source);
                env.insert(new, value.clone());
            } else {
                env.insert(key.clone(), value.clone());
            }
        }
    }

    fn profiler(&mut self, argv: &mut Vec<String>, env: &mut BTreeMap<String, String>) {
        if let Some(step) = self.procedure.profiler.step {
            env.insert("VLLM_PT_PROFILE".to_owned(), step.to_string());
        }
        if self.procedure.profiler.kind == ProfilerKind::Torch {
            self.torch_profiler(argv, env);
        }
        if self.site.lane == Lane::Gaudi && self.site.hl_prof_config.is_some() {
            env.insert("HABANA_PROF_CONFIG".to_owned(), format!("{RUN}/home/.habana/prof_config.json"));
        }
        self.adapt(
            "traces in /tmp or in the working directory",
            "traces in the run directory",
            "a fresh, empty directory for each run: what is found there was written by this run",
            "vllm#11346 and others: stale and missing files look alike",
        );
    }

    fn torch_profiler(&mut self, argv: &mut Vec<String>, env: &mut BTreeMap<String, String>) {
        let directory = format!("{RUN}/traces");
        let enabling = |fact| matches!(fact, Fact::EnabledByEnvironment | Fact::EnabledByConfig);
        let by = self.vllm_rule(enabling);
        let worker_reads = self.plugin_rule(|fact| fact == Fact::WorkerReadsEnvironment);
        let manual = "export VLLM_TORCH_PROFILER_DIR=/tmp";
        let by_environment = by.is_some_and(|rule| rule.fact == Fact::EnabledByEnvironment);
        if !by_environment {
            let mut config = json!({"profiler": "torch", "torch_profiler_dir": directory});
            if let Some(with_stack) = self.procedure.profiler.with_stack {
                config["torch_profiler_with_stack"] = json!(with_stack);
            }
            argv.extend(["--profiler-config".to_owned(), config.to_string()]);
            if let Some(rule) = by {
                self.adapt(manual, "--profiler-config", rule.reason, rule.source);
            }
        }
        if by_environment || worker_reads.is_some() {
            env.insert("VLLM_TORCH_PROFILER_DIR".to_owned(), directory);
        }
        if let Some(rule) = worker_reads.filter(|_| !by_environment) {
            self.adapt(
                manual,
                "both VLLM_TORCH_PROFILER_DIR and --profiler-config",
                rule.reason,
                rule.source,
            );
        }
    }
}
