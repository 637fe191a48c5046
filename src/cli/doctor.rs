//! `tracegate doctor`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::form::{Form, print_json};
use crate::lane::{Condition, Finding, Lane, examine};
use crate::plan::refuse_broken;
use crate::run::default_parent;

#[derive(Args)]
pub(super) struct Doctor {
    /// Examine this lane only
    #[arg(long, value_enum)]
    lane: Option<Lane>,
    /// Directory under which run directories would be made
    #[arg(long, value_name = "DIR", default_value_os = default_parent().as_os_str())]
    out: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

#[derive(Serialize)]
struct Examined {
    lane: Lane,
    ready: bool,
    findings: Vec<Finding>,
}

impl Doctor {
    pub(super) fn run(self) -> Exit {
        let lanes = self.lane.map_or_else(|| Lane::ALL.to_vec(), |lane| vec![lane]);
        let mut exit = Exit::Pass;
        let mut examined = Vec::new();
        for lane in lanes {
            let findings =
                examine(lane, &self.out, |site| refuse_broken(site).map_err(|error| error.to_string()));
            let ready = !findings.iter().any(|finding| matches!(finding.state, Condition::Missing(_)));
            if self.format == Form::Text {
                show(lane, ready, &findings);
            }
            // Asked for everything, a lane that is not set up is information, and the stand-in decides.
            if !ready && (self.lane.is_some() || lane == Lane::Standin) {
                exit = Exit::Infrastructure;
            }
            examined.push(Examined { lane, ready, findings });
        }
        if self.format == Form::Json {
            print_json(&serde_json::json!({ "lanes": examined }));
        }
        exit
    }
}

fn show(lane: Lane, ready: bool, findings: &[Finding]) {
    crate::output::line(format_args!("lane {lane}: {}", if ready { "ready" } else { "not ready" }));
    let wanted =
        |finding: &&Finding| !crate::output::is_quiet() || !matches!(finding.state, Condition::Present(_));
    for finding in findings.iter().filter(wanted) {
        crate::output::line(describe(finding));
    }
    crate::output::line("");
}

fn describe(finding: &Finding) -> String {
    let (word, detail, remedy) = match &finding.state {
        Condition::Present(detail) => ("ok", detail, None),
        Condition::Noticed(detail) => ("note", detail, finding.remedy.as_ref()),
        Condition::Missing(detail) => ("MISSING", detail, finding.remedy.as_ref()),
    };
    let mut text = format!("  {word:<8} {:<18} {detail}", finding.what);
    if let Some(remedy) = remedy {
        text += &format!("\n{:30}what to do: {remedy}", "");
    }
    text
}
