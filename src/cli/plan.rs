//! `tracegate plan`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::form::{Form, print_json};
use super::run::select;
use crate::lane::{self, Lane, Versions};
use crate::plan::{BootGroup, Course, Plan, boot_groups, resolve};
use crate::procedure::{LoadClient, Procedure};

#[derive(Args)]
pub(super) struct PlanVerb {
    /// Names of procedures, or paths of .toml files; all of the lane when none is named
    #[arg(value_name = "PROCEDURE")]
    names: Vec<String>,
    /// Where it would run
    #[arg(long, value_enum, default_value_t = Lane::Standin)]
    lane: Lane,
    /// Plan for these versions instead of those found here, such as vllm=0.32.0,vllm-gaudi=0.21.0
    #[arg(long, value_name = "PACKAGE=VERSION", value_delimiter = ',', value_parser = package_version)]
    assume: Vec<(String, String)>,
    /// Who would send the workload of `vllm bench serve`
    #[arg(long, value_enum)]
    client: Option<LoadClient>,
    /// Read procedures from this directory instead of those that ship with tracegate
    #[arg(long, value_name = "DIR")]
    procedures: Option<PathBuf>,
    /// Print only the boot groups: which procedures share a boot. As json it is the matrix of a GitHub job
    #[arg(long)]
    groups: bool,
    /// Form of the output; json is the plan as it would be run
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

fn package_version(text: &str) -> Result<(String, String), String> {
    let (package, version) = text.split_once('=').ok_or("write PACKAGE=VERSION, such as vllm=0.32.0")?;
    const KNOWN: [&str; 3] = ["vllm", "vllm-gaudi", "torch"];
    if !KNOWN.contains(&package) {
        return Err(format!("nothing is known of {package:?}; write one of {}", KNOWN.join(", ")));
    }
    version
        .parse::<pep440_rs::Version>()
        .map(|_| (package.to_owned(), version.to_owned()))
        .map_err(|_| format!("{version:?} is no version"))
}

impl PlanVerb {
    pub(super) fn run(self) -> Exit {
        let mut procedures = match select(self.procedures.as_deref(), &self.names) {
            Ok(found) => found,
            Err(error) => return Exit::usage(&error),
        };
        // Asked for all, those of other lanes are no failures.
        procedures.retain(|procedure| !self.names.is_empty() || procedure.lanes.contains(&self.lane));
        let twice = |(place, (package, _)): (usize, &(String, String))| {
            self.assume.iter().take(place).any(|(other, _)| other == package).then(|| package.clone())
        };
        if let Some(package) = self.assume.iter().enumerate().find_map(twice) {
            return Exit::usage(&format!("--assume names {package} twice"));
        }
        let mut plans = Vec::new();
        for mut procedure in procedures {
            if let (Some(client), Some(_)) = (self.client, &procedure.load.bench) {
                procedure.load.client = client;
            }
            match self.plan(&procedure) {
                Ok(plan) => plans.push(plan),
                Err(exit) => return exit,
            }
        }
        self.print(&plans);
        Exit::Pass
    }

    fn plan(&self, procedure: &Procedure) -> Result<Plan, Exit> {
        let site = if self.assume.is_empty() {
            lane::probe_as(self.lane, procedure.dialect).map_err(|error| {
                Exit::infrastructure(&format!("{error}\n  or plan without it: --assume vllm=VERSION"))
            })?
        } else {
            lane::assume_as(self.lane, Versions::from_iter(self.assume.clone()), procedure.dialect)
        };
        resolve(procedure, &site).map_err(|error| Exit::infrastructure(&error))
    }

    fn print(&self, plans: &[Plan]) {
        let groups = boot_groups(plans);
        match (self.format, self.groups) {
            (Form::Json, true) => print_json(&matrix(self.lane, &groups)),
            (Form::Json, false) => match plans {
                [plan] => print_json(plan),
                plans => print_json(&plans),
            },
            (Form::Text, true) => crate::output::text(listed(&groups)),
            (Form::Text, false) => {
                plans.iter().for_each(|plan| crate::output::text(describe(plan)));
                if plans.len() > 1 {
                    crate::output::text(listed(&groups));
                }
            }
        }
    }
}

/// One job a group, in the form that `strategy.matrix` of a GitHub workflow takes.
fn matrix(lane: Lane, groups: &[BootGroup]) -> serde_json::Value {
    let job = |group: &BootGroup| serde_json::json!({ "lane": lane, "group": group.id, "procedures": group.procedures.join(" ") });
    serde_json::json!({ "include": groups.iter().map(job).collect::<Vec<_>>() })
}

fn listed(groups: &[BootGroup]) -> String {
    let mut text = format!("{} boots\n", groups.len());
    for group in groups {
        let why = match (&group.own, group.procedures.len()) {
            (Some(reason), _) => format!(" (its own boot: {reason})"),
            (None, 1) => " (no other procedure has this server)".to_owned(),
            (None, _) => " (share a boot)".to_owned(),
        };
        text += &format!("  {}  {}{why}\n", group.id, group.procedures.join(", "));
    }
    text
}

fn describe(plan: &Plan) -> String {
    let versions: Vec<String> =
        plan.versions.iter().map(|(package, version)| format!("{package} {version}")).collect();
    let mut text =
        format!("{}: {}\nlane {}, {}\n\n", plan.procedure, plan.title, plan.lane, versions.join(", "));
    for command in plan.prepare.iter().chain([&plan.server]) {
        text += &format!("{command}\n\n");
    }
    text += &load(plan);
    text += &match plan.needs_own_boot() {
        Some(reason) => format!("\nboot: its own, because {reason}\n"),
        None => format!(
            "\nboot: shared by plans with the server {}; between windows the prefix cache is emptied where the server has POST /reset_prefix_cache, and otherwise each window's requests carry a cache_salt of their own\n",
            plan.server_id()
        ),
    };
    let expected = &plan.expected;
    text += &format!(
        "\nexpects\n  worker traces: {} ({})\n  evidence:      {}\n  steps:         {}\n\ndepartures from the manual\n",
        expected.ranks, expected.worker_files, expected.evidence, expected.sequence
    );
    for adaptation in &plan.adaptations {
        text += &format!(
            "  manual:  {}\n  planned: {}\n  because: {}\n  source:  {}\n\n",
            adaptation.manual, adaptation.planned, adaptation.reason, adaptation.source
        );
    }
    text
}

fn load(plan: &Plan) -> String {
    if let Some(bench) = &plan.bench_command {
        return format!("{}\n", bench.command);
    }
    let windowed = plan.course == Course::Window;
    match plan.course {
        Course::Script => return format!("script.py\n{}", plan.script.clone().unwrap_or_default()),
        Course::WarmUpStep => {
            return "no request: the server profiles a step of its warm-up and ends by an intended assertion\n".to_owned();
        }
        Course::Window | Course::FromBoot => {}
    }
    let mut text = if windowed { "POST /start_profile\n" } else { "" }.to_owned();
    if let Some(bench) = &plan.bench {
        text += &format!(
            "POST /v1/completions x{}: {} prompt tokens, {} output tokens, range ratio {}, rate {}, at most {} at once\n",
            bench.num_prompts,
            bench.random_input_len,
            bench.random_output_len,
            bench.random_range_ratio,
            bench.request_rate,
            bench.max_concurrency.map_or_else(|| "any number".to_owned(), |limit| limit.to_string())
        );
    }
    for request in &plan.requests {
        text += &format!("POST /v1/completions {}\n", request.body(&plan.served_model));
    }
    text + if windowed { "POST /stop_profile\n" } else { "end of the server\n" }
}
