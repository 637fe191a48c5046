//! What told the steps, against what this version is known to leave.

use super::outcome::Outcome;
use crate::plan::Plan;
use crate::run::RunDirectory;
use crate::trace::{Evidence, Trace};

/// The traces whose steps are asked for. With the Gaudi plugin's high-level events in the trace only the
/// driver, rank 0, records phases: every rank starts them and only the driver ends them (vllm-gaudi
/// `hpu_model_runner.py:4449, 4489` at 091bbadd).
pub(super) fn telling<'a>(workers: &[&'a Trace]) -> Vec<&'a Trace> {
    let driver = |trace: &&Trace| trace.rank == Some(0) && trace.evidence == Evidence::HighLevel;
    let silent = |trace: &Trace| trace.rank != Some(0) && trace.evidence == Evidence::None;
    let driven = workers.iter().any(driver);
    workers.iter().copied().filter(|trace| !(driven && silent(trace))).collect()
}

/// Every worker trace that tells steps has the evidence that the plan expects, or better. Weaker evidence means that
/// the version changed, or that an option took it away.
pub(super) fn as_expected(telling: &[&Trace], workers: &[&Trace], plan: &Plan) -> Outcome {
    const BEST_FIRST: [&str; 5] = ["annotation", "high_level", "model_forward", "frames", "none"];
    let rank = |name: &str| BEST_FIRST.iter().position(|known| *known == name);
    let expected = plan.expected.evidence.split_whitespace().next().unwrap_or_default();
    let Some(wanted) = rank(expected) else {
        return Outcome::NotApplicable(format!("nothing is known of this version ({expected})"));
    };
    let found = |trace: &&Trace| trace.evidence.name();
    let weaker: Vec<String> = telling
        .iter()
        .filter(|trace| rank(found(trace)).is_none_or(|seen| seen > wanted))
        .map(|trace| format!("{} has evidence {}, expected is {expected}", trace.file, found(trace)))
        .collect();
    let silent = workers.len() - telling.len();
    let seen = match silent {
        0 => expected.to_owned(),
        _ => format!("{expected} on rank 0; only the driver records phases, {silent} other ranks do not"),
    };
    Outcome::from_complaints(&weaker, seen)
}

/// Further files that the procedure promises are in the server's working directory and not empty.
pub(super) fn files(plan: &Plan, directory: &RunDirectory) -> Outcome {
    let wanted = &plan.expected.files;
    if wanted.is_empty() {
        return Outcome::NotApplicable("the procedure promises no further files".to_owned());
    }
    let cwd = directory.path().join("cwd");
    let mut names: Vec<String> = std::fs::read_dir(&cwd)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.len() > 0))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let missing: Vec<String> = wanted
        .iter()
        .filter(|end| !names.iter().any(|name| name.ends_with(end.as_str())))
        .map(|end| format!("no file in {} ends in {end}", cwd.display()))
        .collect();
    Outcome::from_complaints(&missing, names.join(", "))
}
