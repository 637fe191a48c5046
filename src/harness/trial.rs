//! One trial: run, decide, compare with the snapshot; keep the evidence of a failure.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libtest_mimic::Failed;

use crate::job::{Finished, Job};
use crate::lane::Lane;
use crate::procedure::Procedure;
use crate::report::table;
use crate::snapshot::{Compared, compare, snapshot_text};

/// Runs the trial. Its message holds everything needed to act on a failure.
pub(super) fn run(lane: Lane, procedure: Procedure, out: PathBuf, snapshots: &Path) -> Result<(), Failed> {
    if !lane.is_on() {
        // Reached only when ignored trials are asked for; a pass would be a lie.
        return Err(format!("lane {lane} is off: run `cargo test --features {lane}`").into());
    }
    // A real server uses the whole machine: two at once would measure each other. Between processes
    // a runner's test group does this (`.config/nextest.toml`).
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = (lane != Lane::Standin).then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner));
    let title = procedure.title.clone();
    let name = procedure.name.clone();
    let job = Job { procedure, lane, out, fault: None, client: None, deadline_scale: deadline_scale() };
    let finished = job.run(&|_, _| {}).map_err(|unfinished| {
        let place = unfinished
            .directory
            .as_ref()
            .map_or_else(String::new, |directory| format!("\nevidence: {}", directory.path().display()));
        Failed::from(format!("infrastructure error, no verdict: {}{place}", unfinished.error))
    })?;
    if !finished.decided.verdict.passed {
        return Err(keep(&finished, &table::checks(&finished.decided.verdict)));
    }
    let description = format!("{title}, on lane {lane}");
    match compare(&snapshots.join(lane.name()), &name, &description, &snapshot_text(&finished.decided)) {
        Compared::Equal => {}
        Compared::Different(message) => return Err(keep(&finished, &message)),
    }
    // Policy: a passed trial leaves nothing. A directory that cannot be removed is no failure.
    let _ = std::fs::remove_dir_all(finished.directory.path());
    Ok(())
}

fn keep(finished: &Finished, message: &str) -> Failed {
    let path = finished.directory.path().display();
    format!("{message}\nevidence: {path}\nto decide it again: tracegate check {path}").into()
}

/// `TRACEGATE_DEADLINE_SCALE`, a factor for slow machines; 1 when absent or no number.
fn deadline_scale() -> f64 {
    let text = std::env::var("TRACEGATE_DEADLINE_SCALE").unwrap_or_default();
    text.parse().ok().filter(|scale: &f64| scale.is_finite() && *scale > 0.0).unwrap_or(1.0)
}
