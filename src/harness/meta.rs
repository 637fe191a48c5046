//! The harness's own order: every snapshot has an owner, every lane that is always on has its snapshots.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use crate::lane::Lane;
use crate::procedure::Procedure;

/// The `meta::` trials: `known` may own snapshots, `reviewed` must have theirs.
pub(super) fn trials(snapshots: &Path, known: &[Procedure], reviewed: &[Procedure]) -> Vec<Trial> {
    let file = |lane: &Lane, procedure: &Procedure| {
        snapshots.join(lane.name()).join(format!("{}.snap", procedure.name))
    };
    let owned =
        known.iter().flat_map(|procedure| procedure.lanes.iter().map(move |lane| file(lane, procedure)));
    let (root, owned) = (snapshots.to_owned(), owned.collect::<Vec<_>>());
    let owners =
        Trial::test("meta::every_snapshot_has_an_owner", move || every_snapshot_has_an_owner(&root, &owned));
    let on_standin = reviewed.iter().filter(|procedure| procedure.lanes.contains(&Lane::Standin));
    let names: Vec<String> = on_standin.map(|procedure| procedure.name.clone()).collect();
    let root = snapshots.to_owned();
    let reviewed = Trial::test("meta::every_procedure_has_a_snapshot", move || {
        every_procedure_has_a_snapshot(&root, &names)
    });
    vec![owners, reviewed]
}

fn every_snapshot_has_an_owner(root: &Path, owned: &[PathBuf]) -> Result<(), Failed> {
    let mut orphans = snapshots_in(root);
    orphans.retain(|path| !owned.contains(path));
    if orphans.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = orphans.iter().map(|path| path.display().to_string()).collect();
    Err(format!(
        "snapshots of no procedure and lane (delete them, or restore the procedure):\n{}",
        names.join("\n")
    )
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

/// Every `*.snap` at any depth, sorted.
fn snapshots_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(snapshots_in(&path));
        } else if path.extension().is_some_and(|end| end == "snap") {
            found.push(path);
        }
    }
    found.sort();
    found
}
