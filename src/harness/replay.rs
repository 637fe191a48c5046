//! Recorded runs decided again, trial by trial, without a server: what a hardware runner left is reviewed on a laptop.
//! Nothing is written into the recordings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use super::accept::Seen;
use super::trial::{compare, shown};
use crate::judge::{Decided, Rule, decide_with};
use crate::lane::Lane;
use crate::plan::Reviews;
use crate::procedure::Procedure;
use crate::report::table;
use crate::run::RunDirectory;
use crate::snapshot::footer;

/// Names the directory of recorded runs; trials then decide those and boot nothing.
pub(super) const REPLAY: &str = "TRACEGATE_REPLAY";

/// How deep recordings are looked for: `DIR/LANE/PROCEDURE-N`, and further for unpacked archives.
const DEPTH: usize = 8;

/// The recordings of a directory by lane and procedure.
#[derive(Clone, Debug, Default)]
pub(super) struct Recordings {
    root: PathBuf,
    runs: BTreeMap<(Lane, String), Vec<RunDirectory>>,
    /// Directories that look like runs and are none.
    damaged: Vec<String>,
}

impl Recordings {
    /// The recordings that the environment names, where it names some.
    pub(super) fn named() -> Option<Self> {
        let root = std::env::var_os(REPLAY).filter(|value| !value.is_empty()).map(PathBuf::from)?;
        let mut recordings = Self { root: root.clone(), ..Self::default() };
        recordings.look(&root, 0);
        Some(recordings)
    }

    fn look(&mut self, directory: &Path, depth: usize) {
        if directory.join("run.json").is_file() {
            match RunDirectory::open(directory).and_then(|run| Ok((run.plan()?, run))) {
                Ok((plan, run)) => self.runs.entry((plan.lane, plan.procedure)).or_default().push(run),
                Err(error) => self.damaged.push(error.to_string()),
            }
            return;
        }
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return self.damaged.push(format!("{}: {error}", directory.display())),
        };
        let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inner.sort();
        if directory.join("plan.toml").is_file() {
            self.damaged.push(format!("{}: a run directory without its run.json", directory.display()));
            return;
        }
        for path in inner.iter().filter(|path| path.is_dir()) {
            if depth == DEPTH {
                let path = path.display();
                self.damaged.push(format!(
                    "{path}: not looked into, {DEPTH} levels down: name a directory nearer to the runs"
                ));
                continue;
            }
            self.look(path, depth + 1);
        }
    }

    fn of(&self, lane: Lane, procedure: &str) -> &[RunDirectory] {
        self.runs.get(&(lane, procedure.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The trial of a procedure: ignored where nothing of it was recorded.
    pub(super) fn trial(
        &self,
        name: String,
        lane: Lane,
        procedure: Procedure,
        snapshots: PathBuf,
        rules: Vec<Rule>,
    ) -> Trial {
        let runs = self.of(lane, &procedure.name).to_vec();
        let root = self.root.clone();
        let nothing = runs.is_empty();
        Trial::test(name, move || {
            if nothing {
                // Reached only when ignored trials are asked for; a pass would be a lie.
                return Err(format!("nothing of it was recorded under {}", root.display()).into());
            }
            replay(lane, &procedure, &runs, &snapshots, &rules)
        })
        .with_ignored_flag(nothing)
    }

    /// The trial that fails when something recorded was not decided.
    pub(super) fn meta(&self, known: &[(Lane, String)]) -> Trial {
        let mut wrong = self.damaged.clone();
        let unowned = self.runs.keys().filter(|key| !known.contains(key));
        wrong.extend(unowned.map(|(lane, name)| format!("{lane} runs of {name}: no trial decides them")));
        if self.runs.is_empty() {
            wrong.push(format!("{}: no run directory (run.json) is in it", self.root.display()));
        }
        Trial::test("meta::every_recording_is_decided", move || {
            if wrong.is_empty() { Ok(()) } else { Err(shown(&wrong.join("\n"))) }
        })
    }
}

/// Decides every recording of a procedure and compares each with the snapshot.
fn replay(
    lane: Lane,
    procedure: &Procedure,
    runs: &[RunDirectory],
    snapshots: &Path,
    rules: &[Rule],
) -> Result<(), Failed> {
    let mut complaints = Vec::new();
    let mut passed = Vec::new();
    let reviews = Reviews::Directory(snapshots.to_owned());
    for run in runs {
        let path = run.path().display();
        match decide_with(run, Some(&reviews), rules) {
            Err(error) => complaints.push(format!("{path}: infrastructure error, no verdict: {error}")),
            // What becomes of another structure is decided below, by all runs together.
            Ok(decided) if decided.verdict.failed().any(|check| check.name != "snapshot") => {
                complaints.push(format!("{path}:\n{}", table::checks(&decided.verdict)));
            }
            // Decided, and not of the reviewed configuration.
            Ok(decided) if !decided.observed.plan.options.is_empty() => {}
            Ok(decided) => passed.push((path.to_string(), decided)),
        }
    }
    let seen: Vec<Seen<'_>> =
        passed.iter().map(|(label, decided)| Seen { label: label.clone(), decided }).collect();
    let left_out = passed.last().map_or_else(String::new, |(_, Decided { observed, .. })| {
        footer(&observed.traces, &observed.operators)
    });
    complaints.extend(compare(lane, procedure, snapshots, &seen).map(|text| format!("{text}\n{left_out}")));
    if complaints.is_empty() { Ok(()) } else { Err(shown(&complaints.join("\n"))) }
}
