//! Missing, accepted, widened, replaced.

use std::path::Path;

use libtest_mimic::Trial;

use super::{harness, repository, snapshot};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("accept::a_missing_snapshot_fails_and_is_pending", a_missing_snapshot_fails_and_is_pending),
        trial("accept::the_same_software_widens", the_same_software_widens),
        trial("accept::other_software_replaces", other_software_replaces),
        trial("accept::a_damaged_snapshot_is_named_with_its_line", a_damaged_snapshot_is_named_with_its_line),
        trial("accept::pending_files_go_where_they_are_asked_for", pending_files_go_where_they_are_asked_for),
    ]
}

fn accepted() -> tempfile::TempDir {
    let repository = repository();
    let (passed, said) = harness(repository.path(), &[("INSTA_UPDATE", "always")]);
    assert!(said.contains("accepted into"), "{said}");
    // `meta::` wanted the file before the trial wrote it.
    assert!(!passed || said.contains("3 passed"), "{said}");
    let (passed, said) = harness(repository.path(), &[]);
    assert!(passed, "{said}");
    repository
}

fn edit(repository: &Path, from: &str, to: &str) {
    let file = snapshot(repository);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

fn a_missing_snapshot_fails_and_is_pending() {
    let repository = repository();
    let (passed, said) = harness(repository.path(), &[("CI", "true"), ("INSTA_UPDATE", "auto")]);
    assert!(!passed);
    assert!(said.contains("there is no reviewed snapshot"), "{said}");
    assert!(said.contains("[ops prompt decode]") && said.contains("cargo insta review --snapshot"), "{said}");
    assert!(said.contains("no snapshot under"), "{said}");
    let pending = snapshot(repository.path()).with_extension("snap.new");
    assert!(!pending.exists(), "in CI nothing is written");
    let (passed, _) = harness(repository.path(), &[("INSTA_UPDATE", "new")]);
    assert!(!passed);
    assert!(std::fs::read_to_string(pending).unwrap().contains("\naten::addmm: 48\n"));
}

fn the_same_software_widens() {
    let repository = accepted();
    let path = repository.path();
    edit(path, "\naten::slice: 120\n", "\naten::slice: prompt 120, decode 118..119\n");
    let (passed, said) = harness(path, &[]);
    assert!(!passed);
    assert!(said.contains("OP MORE\n  decode: aten::slice 118..119 → 120\n"), "{said}");
    assert!(said.contains("-aten::slice: prompt 120, decode 118..119\n+aten::slice: 120\n"), "{said}");
    assert!(said.contains("accepting it widens decode aten::slice 118..119 → 118..120"), "{said}");
    assert!(said.contains("normalised: ") && said.contains("raw: traces/rank0."), "{said}");
    let (passed, said) = harness(path, &[("INSTA_UPDATE", "always")]);
    assert!(passed && said.contains("widens decode aten::slice"), "{said}");
    let text = std::fs::read_to_string(snapshot(path)).unwrap();
    assert!(text.contains("decode 118..120\n"), "{text}");
    let description = text.lines().find(|line| line.starts_with("description:")).unwrap();
    assert!(description.contains("widens decode aten::slice 118..119 → 118..120"), "{description}");
    let (passed, said) = harness(path, &[]);
    assert!(passed, "{said}");
}

fn other_software_replaces() {
    let repository = accepted();
    let path = repository.path();
    edit(path, "seen vllm 0.32.0", "seen vllm 0.31.0");
    edit(path, "\naten::slice: 120\n", "\naten::slice: prompt 120, decode 130\n");
    // What did not differ stays as it was reviewed.
    edit(path, "aten::addmm: 48", "aten::addmm: 47..48");
    let (passed, said) = harness(path, &[]);
    assert!(!passed && said.contains("OP FEWER\n  decode: aten::slice 130 → 120\n"), "{said}");
    assert!(!said.contains("widens") && !said.contains("aten::addmm 4"), "{said}");
    harness(path, &[("INSTA_UPDATE", "always")]);
    let text = std::fs::read_to_string(snapshot(path)).unwrap();
    for line in ["seen vllm 0.32.0", "aten::slice: 120", "aten::addmm: 47..48"] {
        assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
    }
}

fn a_damaged_snapshot_is_named_with_its_line() {
    let repository = accepted();
    edit(repository.path(), "aten::addmm: 48", "<<<<<<< HEAD");
    let (passed, said) = harness(repository.path(), &[]);
    assert!(!passed);
    let text = std::fs::read_to_string(snapshot(repository.path())).unwrap();
    let line = 1 + text.lines().position(|line| line == "<<<<<<< HEAD").unwrap();
    assert!(said.contains(&format!("line {line}: a merge conflict")), "{said}");
}

fn pending_files_go_where_they_are_asked_for() {
    let repository = accepted();
    edit(repository.path(), "aten::addmm: 48", "aten::addmm: 50");
    let pending = tempfile::tempdir().unwrap();
    let place = pending.path().to_str().unwrap();
    let (passed, said) = harness(repository.path(), &[("INSTA_UPDATE", "new"), ("INSTA_PENDING_DIR", place)]);
    assert!(!passed, "{said}");
    let file = pending.path().join("snapshots/standin/async_single_request.snap.new");
    assert!(std::fs::read_to_string(&file).unwrap().contains("aten::addmm: 48..50"), "{said}");
    assert!(!snapshot(repository.path()).with_extension("snap.new").exists());
}
