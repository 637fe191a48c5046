//! `tracegate plan`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::run::select;
use crate::lane::{self, Lane, Versions};
use crate::plan::{Plan, resolve};

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
    /// Read procedures from this directory instead of those that ship with tracegate
    #[arg(long, value_name = "DIR")]
    procedures: Option<PathBuf>,
}

fn package_version(text: &str) -> Result<(String, String), String> {
    let (package, version) = text.split_once('=').ok_or("write PACKAGE=VERSION, such as vllm=0.32.0")?;
    version
        .parse::<pep440_rs::Version>()
        .map(|_| (package.to_owned(), version.to_owned()))
        .map_err(|_| format!("{version:?} is no version"))
}

impl PlanVerb {
    pub(super) fn run(self) -> Exit {
        let procedure = match select(self.procedures.as_deref(), std::slice::from_ref(&self.name)) {
            Ok(mut found) => found.swap_remove(0),
            Err(error) => return Exit::usage(&error),
        };
        let site = if self.assume.is_empty() {
            match lane::probe(self.lane) {
                Ok(site) => site,
                Err(error) => {
                    return Exit::infrastructure(&format!(
                        "{error}\n  or plan without it: --assume vllm=VERSION"
                    ));
                }
            }
        } else {
            lane::assume(self.lane, Versions::from_iter(self.assume))
        };
        match resolve(&procedure, &site) {
            Ok(plan) => {
                print!("{}", describe(&plan));
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
    text += "POST /start_profile\n";
    for request in &plan.requests {
        text += &format!(
            "POST /v1/completions {}\n",
            serde_json::json!({
                "model": plan.served_model, "prompt": request.prompt,
                "max_tokens": request.max_tokens, "temperature": request.temperature,
            })
        );
    }
    text += "POST /stop_profile\n\ndepartures from the manual\n";
    for adaptation in &plan.adaptations {
        text += &format!(
            "  manual:  {}\n  planned: {}\n  because: {}\n  source:  {}\n\n",
            adaptation.manual, adaptation.planned, adaptation.reason, adaptation.source
        );
    }
    text
}
