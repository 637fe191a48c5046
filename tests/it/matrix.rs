//! The matrix of faults and detectors, row by row: the exit code is the row's, its detector speaks, and
//! nobody else does.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{root, text, tracegate};
use tracegate::standin::{Expectation, MATRIX, matrix_lines, matrix_page};

/// Runs at a time: most of a run is waiting.
const AT_ONCE: usize = 16;

/// Faults that are only noticed when a deadline is over, with one that is short for them.
const SHORT: [(&str, &str, &str); 4] = [
    ("never-healthy", "boot", "3s"),
    ("request-hangs", "request", "2s"),
    ("never-quiet", "quiet", "1s"),
    ("stop-hangs", "stop", "2s"),
];

/// Faults that leave less than the run waits for: the deadline of the traces ends the wait.
const MISSING: [&str; 6] =
    ["missing-rank", "no-trace", "frontend-only", "empty-trace", "truncated-trace", "invalid-json"];

/// The procedures as they ship, with deadlines that fit a test.
fn procedures(directory: &Path, row: &Expectation) -> PathBuf {
    let fault = row.fault.name();
    let text = std::fs::read_to_string(root().join(format!("procedures/{}.toml", row.procedure))).unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    let deadlines = table["deadlines"].as_table_mut().unwrap();
    for (key, value) in
        [("boot", "30s"), ("stop", "30s"), ("request", "30s"), ("quiet", "30s"), ("trace", "20s")]
    {
        deadlines.insert(key.to_owned(), value.into());
    }
    for (_, key, value) in SHORT.iter().filter(|(name, _, _)| *name == fault) {
        deadlines.insert((*key).to_owned(), (*value).into());
    }
    if MISSING.contains(&fault.as_str()) {
        deadlines.insert("trace".to_owned(), "2s".into());
    }
    std::fs::write(directory.join(format!("{}.toml", row.procedure)), table.to_string()).unwrap();
    directory.to_owned()
}

/// Says what is wrong with one row.
fn play(row: &Expectation) -> Result<(), String> {
    let fault = row.fault.name();
    let directory = tempfile::tempdir().unwrap();
    let output = tracegate()
        .args(["run", row.procedure, "--format", "json", "--fault", &fault, "--procedures"])
        .arg(procedures(directory.path(), row))
        .arg("--snapshots")
        .arg(root().join("snapshots"))
        .arg("--out")
        .arg(directory.path().join("runs"))
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code();
    let fail = |what: String| Err(format!("{fault}: {what}\n{err}{out}"));
    if code != Some(i32::from(row.exit)) {
        return fail(format!("exit code {code:?}, expected {}", row.exit));
    }
    let json: serde_json::Value = serde_json::from_str(&out).map_err(|error| format!("{fault}: {error}"))?;
    let run = &json["runs"][0];
    let spoke = spoke(run);
    let mut expected: Vec<String> = row.also.iter().map(ToString::to_string).collect();
    if row.detector != "none" {
        expected.push(row.detector.to_owned());
    }
    if !row.says.is_empty() && row.detector != "snapshot" {
        expected.push("snapshot".to_owned());
    }
    expected.sort();
    if spoke != expected {
        return fail(format!("{spoke:?} spoke, expected {expected:?}"));
    }
    let says = said(run);
    if says == row.says {
        Ok(())
    } else {
        fail(format!("the snapshot says {says:?}, expected {:?}", row.says))
    }
}

/// The checks that failed, or who gave up, sorted.
fn spoke(run: &serde_json::Value) -> Vec<String> {
    let failed = run["verdict"]["checks"].as_array().into_iter().flatten();
    let failed = failed.filter(|check| check["result"] == "fail");
    let mut spoke: Vec<String> = failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    spoke.extend(run["detector"].as_str().map(ToString::to_string));
    spoke.sort();
    spoke
}

/// The groups of differences that the check `snapshot` names.
fn said(run: &serde_json::Value) -> Vec<String> {
    let mut checks = run["verdict"]["checks"].as_array().into_iter().flatten();
    let failed = checks.find(|check| check["name"] == "snapshot" && check["result"] == "fail");
    let detail = failed.map_or("", |check| check["detail"].as_str().unwrap());
    let group = |part: &str| {
        let words = part.split(' ').take_while(|word| word.chars().all(|c| c.is_ascii_uppercase()));
        words.collect::<Vec<_>>().join(" ")
    };
    detail.split("; ").filter(|part| !part.is_empty()).map(group).collect()
}

#[test]
fn each_fault_is_noticed_by_its_detector_and_by_nobody_else() {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(row) = MATRIX.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(play(row).err());
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} rows are wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_list_and_the_page_are_those_of_the_table() {
    let output = tracegate().args(["standin", "--list-faults"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), matrix_lines());
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.contains(&format!("which of {} planted faults", MATRIX.len())),
        "README counts the faults"
    );
    for line in matrix_lines().lines() {
        assert_eq!(line.split('\t').count(), 4, "{line}");
    }
    let path = root().join("docs/faults.md");
    if std::env::var_os("TRACEGATE_WRITE_PAGE").is_some() {
        std::fs::write(&path, matrix_page()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        page,
        matrix_page(),
        "docs/faults.md is not what the table yields: TRACEGATE_WRITE_PAGE=1 cargo pages"
    );
}
