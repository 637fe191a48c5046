//! `tracegate plan`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::form::{Form, print_json};
use super::run::select;
use crate::lane::{self, Lane, Versions};
use crate::plan::{Course, Plan, resolve};
use crate::procedure::LoadClient;

#[derive(Args)]
pub(super) struct PlanVerb {
    /// Name of a procedure, or path of a .toml file
    #[arg(value_name = "PROCEDURE")]
    name: String,
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
        let mut procedure = match select(self.procedures.as_deref(), std::slice::from_ref(&self.name)) {
            Ok(mut found) => found.swap_remove(0),
            Err(error) => return Exit::usage(&error),
        };
        if let (Some(client), Some(_)) = (self.client, &procedure.load.bench) {
            procedure.load.client = client;
        }
        let twice = |(place, (package, _)): (usize, &(String, String))| {
            self.assume.iter().take(place).any(|(other, _)| other == package).then(|| package.clone())
        };
        if let Some(package) = self.assume.iter().enumerate().find_map(twice) {
            return Exit::usage(&format!("--assume names {package} twice"));
        }
        let site = if self.assume.is_empty() {
            match lane::probe_as(self.lane, procedure.dialect) {
                Ok(site) => site,
                Err(error) => {
                    return Exit::infrastructure(&format!(
                        "{error}\n  or plan without it: --assume vllm=VERSION"
                    ));
                }
            }
        } else {
            lane::assume_as(self.lane, Versions::from_iter(self.assume), procedure.dialect)
        };
        match resolve(&procedure, &site) {
            Ok(plan) => {
                match self.format {
                    Form::Text => crate::output::text(describe(&plan)),
                    Form::Json => print_json(&plan),
                }
                Exit::Pass
            }
            Err(error) => Exit::infrastructure(&error),
        }
    }
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
