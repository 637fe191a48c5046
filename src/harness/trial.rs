//! One trial: run, decide, compare with the snapshot; keep the evidence of a failure.

use std::path::{Path, PathBuf};

use libtest_mimic::Failed;

use super::accept::{Reviewed, Seen, review};
use crate::job::{Finished, Job};
use crate::judge::Rule;
use crate::lane::Lane;
use crate::observe::Observed;
use crate::plan::Reviews;
use crate::procedure::Procedure;
use crate::report::table;
use crate::session::Kept;
use crate::snapshot::footer;

/// Runs the trial. Its message holds everything needed to act on a failure.
pub(super) fn run(
    lane: Lane,
    procedure: Procedure,
    out: PathBuf,
    snapshots: &Path,
    rules: &[Rule],
) -> Result<(), Failed> {
    if !lane.is_on() {
        // Reached only when ignored trials are asked for; a pass would be a lie.
        return Err(format!(
            "lane {lane} is off: run `cargo test --features {lane}` (in another crate, with the feature {lane} = [\"tracegate/{lane}\"])"
        )
        .into());
    }
    let deadline_scale = deadline_scale()?;
    let job = Job {
        reviews: Reviews::Directory(snapshots.to_owned()),
        deadline_scale,
        rules: rules.to_vec(),
        ..Job::new(procedure.clone(), lane, out)
    };
    let finished = match shared(lane, &job.out) {
        // A real server uses the whole machine and boots for minutes: trials take turns on one.
        Some(kept) => job.run_kept(&kept.map_err(|error| error.to_string())?, &|_, _| {}),
        None => job.run(&|_, _| {}),
    };
    let finished = finished.map_err(|unfinished| {
        let place = unfinished
            .directory
            .as_ref()
            .map_or_else(String::new, |directory| format!("\nevidence: {}", directory.path().display()));
        shown(&format!("infrastructure error, no verdict: {}{place}", unfinished.error))
    })?;
    let Finished { directory, decided } = &finished;
    // Where the snapshot alone differs, insta decides below what becomes of it.
    if decided.verdict.failed().any(|check| check.name != "snapshot") {
        let added = if rules.is_empty() {
            String::new()
        } else {
            format!(
                "\nwith the checks of this harness: TRACEGATE_REPLAY={} cargo test",
                directory.path().display()
            )
        };
        return Err(keep(&finished, &(table::checks(&decided.verdict) + &added)));
    }
    let label = directory.path().display().to_string();
    if let Some(message) = compare(lane, &procedure, snapshots, &[Seen { label, decided }]) {
        let Observed { traces, operators, .. } = &decided.observed;
        return Err(keep(&finished, &format!("{message}\n{}", footer(traces, operators))));
    }
    if std::env::var_os("TRACEGATE_KEEP").is_some_and(|value| value != "0") {
        // For `tracegate report` over all trials, passed ones included.
        return Ok(());
    }
    // Policy: a passed trial leaves nothing. A directory that cannot be removed is no failure.
    let _ = std::fs::remove_dir_all(finished.directory.path());
    Ok(())
}

/// The keeper of the lane's server; the stand-in boots in a moment, and its trials run side by side.
pub(super) fn shared(lane: Lane, out: &Path) -> Option<std::io::Result<Kept>> {
    (lane != Lane::Standin).then(|| Kept::new(lane, out))
}

/// Compares with the committed snapshot through insta; says what differs.
pub(super) fn compare(
    lane: Lane,
    procedure: &Procedure,
    snapshots: &Path,
    seen: &[Seen<'_>],
) -> Option<String> {
    let description = format!("{}, on lane {lane}", procedure.title);
    match review(&snapshots.join(lane.name()), &procedure.name, &description, seen) {
        Reviewed::Equal => None,
        Reviewed::Different(message) => Some(message),
        Reviewed::Accepted(message) => {
            crate::output::error_line(message);
            None
        }
    }
}

fn keep(finished: &Finished, message: &str) -> Failed {
    let path = finished.directory.path().display();
    shown(&format!("{message}\nevidence: {path}\nto decide it again: tracegate check {path}"))
}

/// libtest-mimic prints messages as they are; parts of them come from servers and traces.
pub(super) fn shown(message: &str) -> Failed {
    crate::text::printable(message).into_owned().into()
}

/// Names a factor on every deadline, for slow machines.
const SCALE: &str = "TRACEGATE_DEADLINE_SCALE";

/// The factor; 1 where none is set. One that cannot be meant fails the trial: a trial that ran with
/// other deadlines than its user set would be a surprise at the wrong time.
fn deadline_scale() -> Result<f64, String> {
    let Some(text) = std::env::var_os(SCALE) else { return Ok(1.0) };
    crate::job::deadline_scale(&text.to_string_lossy())
        .map_err(|reason| format!("{SCALE}={:?} {reason}", text.display().to_string()))
}
