//! What told the steps, against what this version is known to leave.

use super::outcome::Outcome;
use crate::plan::Plan;
use crate::run::RunDirectory;
use crate::trace::Trace;

/// Every worker trace has the evidence that the plan expects, or better. Weaker evidence means that
/// the version changed, or that an option took it away.
pub(super) fn as_expected(workers: &[&Trace], plan: &Plan) -> Outcome {
    const BEST_FIRST: [&str; 5] = ["annotation", "high_level", "model_forward", "frames", "none"];
    let rank = |name: &str| BEST_FIRST.iter().position(|known| *known == name);
    let expected = plan.expected.evidence.split_whitespace().next().unwrap_or_default();
    let Some(wanted) = rank(expected) else {
        return Outcome::NotApplicable(format!("nothing is known of this version ({expected})"));
    };
    let found = |trace: &&Trace| trace.evidence.name();
    let weaker: Vec<String> = workers
        .iter()
        .filter(|trace| rank(found(trace)).is_none_or(|seen| seen > wanted))
        .map(|trace| format!("{} has evidence {}, expected is {expected}", trace.file, found(trace)))
        .collect();
    Outcome::from_complaints(&weaker, expected.to_owned())
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
