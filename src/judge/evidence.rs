//! What a run left beside its steps, against what was to be left: evidence, files, processes.

use super::answer::Answer;
use crate::observe::Observed;

/// Every worker trace that tells steps has the evidence that the plan expects, or better. Weaker evidence means that
/// the version changed, or that an option took it away.
pub(super) fn as_expected(observed: &Observed) -> Answer {
    let expected = &observed.plan.expected.evidence;
    let Some(wanted) = expected.evidence else {
        return Answer::CannotSay(format!("nothing is known of this version ({expected})"));
    };
    let telling = observed.telling();
    let weaker: Vec<String> = telling
        .iter()
        .map(|rank| rank.trace)
        .filter(|trace| trace.evidence > wanted)
        .map(|trace| {
            format!("{} has evidence {}, expected is {}", trace.file, trace.evidence.name(), wanted.name())
        })
        .collect();
    let silent = observed.workers().count() - telling.len();
    let seen = match silent {
        0 => wanted.name().to_owned(),
        _ => format!(
            "{} on rank 0; only the driver records phases, {silent} other ranks do not",
            wanted.name()
        ),
    };
    Answer::from_complaints(&weaker, seen)
}

/// Further files that the procedure promises are in the server's working directory and not empty.
pub(super) fn files(observed: &Observed) -> Answer {
    let wanted = &observed.plan.expected.files;
    if wanted.is_empty() {
        return Answer::CannotSay("the procedure promises no further files".to_owned());
    }
    let names = &observed.files;
    let missing: Vec<String> = wanted
        .iter()
        .filter(|end| !names.iter().any(|name| name.ends_with(end.as_str())))
        .map(|end| format!("no file in cwd ends in {end}"))
        .collect();
    Answer::from_complaints(&missing, names.join(", "))
}

/// A server that leaves processes behind is at fault even if its trace is fine.
pub(super) fn leftovers(observed: &Observed) -> Answer {
    match &observed.record.shutdown {
        None => Answer::CannotSay(match &observed.record.shared {
            Some(shared) => format!("the server went on; how it ended is in {}/boot.json", shared.directory),
            None => "how the server ended was not recorded".to_owned(),
        }),
        Some(shutdown) if shutdown.left_nothing() => {
            Answer::Holds(format!("every server process ended by itself ({})", shutdown.status))
        }
        Some(shutdown) => Answer::Fails(shutdown.describe_leftovers()),
    }
}
