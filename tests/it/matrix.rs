//! The matrix of faults and detectors, row by row: the exit code is the row's, its detector speaks, and
//! nobody else does.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{root, text, tracegate};
use tracegate::procedure::{Procedure, builtin};
use tracegate_standin::{Act, Expectation, MATRIX, matrix_lines, matrix_page};

/// Runs at a time: most of a run is waiting.
const AT_ONCE: usize = 16;

/// Faults that are only noticed when a deadline is over, with deadlines that are short for them.
const SHORT: [(&str, &[(&str, &str)]); 4] = [
    ("never-healthy", &[("boot", "3s")]),
    ("request-hangs", &[("request", "2s")]),
    ("never-quiet", &[("quiet", "1s")]),
    ("stop-hangs", &[("stop", "2s")]),
];

/// Faults that leave less than the run waits for: the deadline of the traces ends the wait.
const MISSING: [&str; 7] = [
    "missing-rank",
    "no-trace",
    "frontend-only",
    "empty-trace",
    "truncated-trace",
    "invalid-json",
    "stale-file",
];

/// Combinations of a fault and a shipped procedure that can be played. A rule that refuses more, or less, is a change
/// of what is proved.
const PLAYED: usize = 265;

/// One fault in one procedure.
struct Pair<'a> {
    row: &'a Expectation,
    procedure: &'a Procedure,
}

impl Pair<'_> {
    /// The procedure as it ships, with deadlines that fit a test.
    fn write(&self, directory: &Path) {
        let (fault, name) = (self.row.fault.name(), &self.procedure.name);
        let text = std::fs::read_to_string(root().join(format!("procedures/{name}.toml"))).unwrap();
        let mut table: toml::Table = text.parse().unwrap();
        let deadlines = table["deadlines"].as_table_mut().unwrap();
        let mut set =
            vec![("boot", "30s"), ("stop", "30s"), ("request", "30s"), ("quiet", "30s"), ("trace", "20s")];
        set.extend(SHORT.iter().filter(|(name, _)| *name == fault).flat_map(|(_, short)| *short));
        if MISSING.contains(&fault.as_str()) {
            set.push(("trace", "2s"));
        }
        if fault == "stop-hangs" && self.procedure.scene().act == Act::Script {
            // A script has these three together.
            set.extend([("boot", "2s"), ("request", "1s"), ("stop", "1s")]);
        }
        for (key, value) in set {
            deadlines.insert(key.to_owned(), value.into());
        }
        std::fs::write(directory.join(format!("{name}.toml")), table.to_string()).unwrap();
    }

    /// True when it was played; says what is wrong with it.
    fn play(&self) -> Result<bool, String> {
        let (fault, name) = (self.row.fault.name(), &self.procedure.name);
        let directory = tempfile::tempdir().unwrap();
        self.write(directory.path());
        let output = tracegate()
            .args(["run", name, "--format", "json", "--fault", &fault])
            .args(["--repeat", &self.row.fault.windows().to_string(), "--procedures"])
            .arg(directory.path())
            .arg("--snapshots")
            .arg(root().join("snapshots"))
            .arg("--out")
            .arg(directory.path().join("runs"))
            .output()
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let code = output.status.code();
        let fail = |what: String| Err(format!("{fault} in {name}: {what}\n{err}{out}"));
        let shown = *name == self.row.procedure;
        if code == Some(2) && !shown {
            let refused = format!("fault {fault} cannot be played in {name}: it needs ");
            let made = directory.path().join("runs").exists();
            return if err.contains(&refused) && !made {
                Ok(false)
            } else {
                fail("refused badly".to_owned())
            };
        }
        if code != Some(i32::from(self.row.exit)) {
            return fail(format!("exit code {code:?}, expected {}", self.row.exit));
        }
        let json: serde_json::Value =
            serde_json::from_str(&out).map_err(|error| format!("{fault} in {name}: {error}"))?;
        let run = json["runs"].as_array().unwrap().last().unwrap();
        let mut spoke = spoke(run);
        spoke.extend(json["replaced"].as_array().unwrap().iter().map(|_| "second boot".to_owned()));
        let detector = self.row.detector_in(&self.procedure.scene());
        if detector == "none" {
            // A fault that is borne must have been there.
            let took = length(Path::new(run["directory"].as_str().unwrap()));
            if took < 1_400_000_000 {
                return fail(format!("it made the run no longer: {took} ns"));
            }
        } else if !spoke.iter().any(|who| who == detector) {
            return fail(format!("{spoke:?} spoke, expected {detector}"));
        }
        if shown && let Err(wrong) = self.nobody_else(run, &spoke) {
            return fail(wrong);
        }
        Ok(true)
    }

    /// In the procedure of its row, nobody speaks whom the row does not name.
    fn nobody_else(&self, run: &serde_json::Value, spoke: &[String]) -> Result<(), String> {
        let row = self.row;
        let mut expected: Vec<&str> = row.also.to_vec();
        expected.extend(Some(row.detector).filter(|detector| *detector != "none"));
        expected.extend(Some("snapshot").filter(|_| !row.says.is_empty() && row.detector != "snapshot"));
        expected.sort_unstable();
        if spoke != expected {
            return Err(format!("{spoke:?} spoke, expected {expected:?}"));
        }
        let says = said(run);
        if says == row.says {
            Ok(())
        } else {
            Err(format!("the snapshot says {says:?}, expected {:?}", row.says))
        }
    }
}

/// Nanoseconds from the first phase of a run to the end of its last.
fn length(run: &Path) -> i64 {
    let record = std::fs::read(run.join("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let phases = record["phases"].as_array().unwrap();
    let at = |phase: &serde_json::Value, key: &str| phase[key].as_i64().unwrap();
    at(phases.last().unwrap(), "end_ns") - at(&phases[0], "start_ns")
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
fn each_fault_in_each_procedure_is_refused_or_noticed() {
    let procedures = builtin().unwrap();
    let pairs: Vec<Pair> = MATRIX
        .iter()
        .flat_map(|row| procedures.iter().map(move |procedure| Pair { row, procedure }))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut played = Vec::new();
        while let Some(pair) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            played.push(pair.play());
        }
        played
    };
    let played: Vec<Result<bool, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let wrong: Vec<&String> = played.iter().filter_map(|played| played.as_ref().err()).collect();
    let shown: Vec<&str> = wrong.iter().take(5).map(|wrong| wrong.as_str()).collect();
    assert!(wrong.is_empty(), "{} pairs are wrong\n{}", wrong.len(), shown.join("\n"));
    assert_eq!(played.iter().filter(|played| **played == Ok(true)).count(), PLAYED);
}

/// Who asks for the wrong place is told the right ones; who asks for all gets those in which it can be played.
#[test]
fn a_fault_that_cannot_be_played_says_where_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = tracegate().arg("run").args(args).arg("--out").arg(directory.path()).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = run(&["async_single_request", "--fault", "stream-cut"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it needs streamed answers"), "{said}");
    assert!(said.contains("it can be played in async_multiple_requests, e2e_multiple_requests\n"), "{said}");
    // One rank is asked for, and the fault needs others.
    let (code, said) =
        run(&["async_single_request", "--fault", "skewed-rank", "--tensor-parallel-size", "1"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it needs several ranks"), "{said}");
    let (code, said) = run(&["--fault", "stream-cut"]);
    assert_eq!((code, said.matches("verdict: none").count()), (Some(3), 2), "{said}");
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
