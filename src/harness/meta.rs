//! The harness's own order: every snapshot has an owner, every lane that is always on has its snapshots.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use crate::lane::Lane;
use crate::procedure::Procedure;

/// The `meta::` trials: `known` may own snapshots, `reviewed` must have theirs.
pub(super) fn trials(snapshots: &Path, known: &[Procedure], reviewed: &[Procedure]) -> Vec<Trial> {
    let names = |procedures: &[Procedure]| -> Vec<String> {
        procedures.iter().map(|procedure| procedure.name.clone()).collect()
    };
    let (root, known) = (snapshots.to_owned(), names(known));
    let owners =
        Trial::test("meta::every_snapshot_has_an_owner", move || every_snapshot_has_an_owner(&root, &known));
    let on_standin = reviewed.iter().filter(|procedure| procedure.lanes.contains(&Lane::Standin));
    let (root, names) = (snapshots.to_owned(), names(&on_standin.cloned().collect::<Vec<_>>()));
    let reviewed = Trial::test("meta::every_procedure_has_a_snapshot", move || {
        every_procedure_has_a_snapshot(&root, &names)
    });
    vec![owners, reviewed]
}

fn every_snapshot_has_an_owner(root: &Path, procedures: &[String]) -> Result<(), Failed> {
    let mut orphans = Vec::new();
    for lane in Lane::ALL {
        for path in snapshots_in(&root.join(lane.name())) {
            let owner = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !procedures.contains(&owner) {
                orphans.push(path.display().to_string());
            }
        }
    }
    if orphans.is_empty() {
        return Ok(());
    }
    Err(format!("snapshots of no procedure (delete them, or restore the procedure):\n{}", orphans.join("\n"))
        .into())
}

/// The stand-in lane runs everywhere, so a procedure without its snapshot was never reviewed.
fn every_procedure_has_a_snapshot(root: &Path, procedures: &[String]) -> Result<(), Failed> {
    let lane = root.join(Lane::Standin.name());
    let missing: Vec<&String> =
        procedures.iter().filter(|name| !lane.join(format!("{name}.snap")).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "no snapshot under {} for {missing:?}: run `cargo test`, then `cargo insta review`",
        lane.display()
    )
    .into())
}

fn snapshots_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|end| end == "snap")).collect()
}
