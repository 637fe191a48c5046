//! The run directory: everything one run left, enough to decide again without a server.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::RunError;
use super::record::RunRecord;
use super::retention;
use crate::atomic;
use crate::client::{Ledger, Served};
use crate::lane::Lane;
use crate::plan::Plan;
use crate::server::LogPart;

/// A run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes a fresh directory `PARENT/LANE/PROCEDURE-N`. N is one more than the largest there is, so
    /// that the order of numbers is the order of runs although old ones are removed.
    ///
    /// # Errors
    /// It cannot be made, or its path cannot stand inside the JSON of `--profiler-config`.
    pub fn create(parent: &Path, plan: &Plan) -> Result<Self, RunError> {
        Self::create_as(parent, plan.lane, &plan.procedure)
    }

    /// The same under another name, for the server of a boot group.
    pub(super) fn create_as(parent: &Path, lane: Lane, name: &str) -> Result<Self, RunError> {
        let lane = std::path::absolute(parent)
            .map_err(|error| RunError::directory(parent, error))?
            .join(lane.name());
        std::fs::create_dir_all(&lane).map_err(|error| RunError::directory(&lane, error))?;
        if lane.to_str().is_none_or(|text| text.ends_with('"') || text.contains(char::is_control)) {
            let reason =
                "the path must be UTF-8 without control characters: it becomes part of commands and messages";
            return Err(RunError::directory(lane, reason));
        }
        let newest = retention::numbered(&lane, name).last().map_or(0, |(number, _)| *number);
        for number in newest + 1.. {
            let path = lane.join(format!("{name}-{number}"));
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    for inner in ["traces", "home", "cwd"] {
                        let inner = path.join(inner);
                        std::fs::create_dir(&inner).map_err(|error| RunError::directory(&inner, error))?;
                    }
                    return Ok(Self(path));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RunError::directory(path, error)),
            }
        }
        Err(RunError::directory(lane, "no free number"))
    }

    /// An existing run directory. It may come from another machine, and from someone else.
    ///
    /// # Errors
    /// It is not one, or a part of it is elsewhere.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        if !path.join("run.json").is_file() || !path.join("plan.toml").is_file() {
            return Err(RunError::directory(path, "is no run directory: run.json or plan.toml is missing"));
        }
        for directory in [path.to_owned(), path.join("traces")] {
            refuse_links(&directory)?;
        }
        Ok(Self(path.to_owned()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the traces are.
    #[must_use]
    pub fn traces(&self) -> PathBuf {
        self.0.join("traces")
    }

    /// The last line of the server's log that tells of a failed export.
    pub(crate) fn profiler_complaint(&self) -> Option<String> {
        crate::server::log::profiler_complaint(LogPart::whole(&self.0.join("server.log")))
    }

    /// Makes room for another try of the same window: what the first one left stays beside it.
    pub(crate) fn set_aside(&self) -> Result<(), RunError> {
        for name in ["run.json", "server.log", "client.jsonl"] {
            let from = self.0.join(name);
            if from.exists() {
                let to = self.0.join(format!("first-try.{name}"));
                std::fs::rename(&from, &to).map_err(|error| RunError::directory(from, error))?;
            }
        }
        Ok(())
    }

    pub(crate) fn write_text(&self, name: &str, text: &str) -> Result<(), RunError> {
        let path = self.0.join(name);
        atomic::write(&path, text).map_err(|error| RunError::directory(path, error))
    }

    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        self.write_text(name, &self.json(name, value)?)
    }

    /// As [`Self::write_json`], and on the disk when it returns. For the file that says whether the directory is
    /// complete.
    pub(crate) fn write_json_durably(&self, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        let path = self.0.join(name);
        let text = self.json(name, value)?;
        atomic::write_durably(&path, &text).map_err(|error| RunError::directory(path, error))
    }

    fn json(&self, name: &str, value: &impl Serialize) -> Result<String, RunError> {
        let text = serde_json::to_string_pretty(value);
        text.map(|text| text + "\n").map_err(|error| RunError::directory(self.0.join(name), error))
    }

    pub(crate) fn write_plan(&self, plan: &Plan) -> Result<(), RunError> {
        let text = toml::to_string_pretty(plan)
            .map_err(|error| RunError::directory(self.0.join("plan.toml"), error))?;
        self.write_text("plan.toml", &text)?;
        if let Some(script) = &plan.script {
            self.write_text("script.py", script)?;
        }
        self.write_text("plan.sh", &plan.to_script())
    }

    /// Appends one served request; what was served before a crash stays.
    pub(crate) fn append_served(&self, served: &Served) -> Result<(), RunError> {
        let path = self.0.join("client.jsonl");
        let append = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
            let line = serde_json::to_string(served)?;
            writeln!(file, "{line}")
        };
        append().map_err(|error| RunError::directory(&path, error))
    }

    /// The plan that was run.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn plan(&self) -> Result<Plan, RunError> {
        let path = self.0.join("plan.toml");
        let text = read(&path)?;
        toml::from_str(&text).map_err(|error| RunError::directory(path, error))
    }

    /// What happened.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn record(&self) -> Result<RunRecord, RunError> {
        self.read_json("run.json")
    }

    /// Whether it passed, where it was decided.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn passed(&self) -> Result<bool, RunError> {
        #[derive(serde::Deserialize)]
        struct Verdict {
            passed: bool,
        }
        Ok(self.read_json::<Verdict>("verdict.json")?.passed)
    }

    /// How far a run came that did not complete, for messages.
    pub(crate) fn how_far(&self, record: &RunRecord) -> String {
        let mut text = match record.phases.last() {
            Some(last) => format!("it was cut off while {}", last.phase.describe()),
            None => "it was cut off before it began".to_owned(),
        };
        let guard: Result<crate::server::Shutdown, _> = self.read_json(crate::server::guard::ABANDONED);
        if let Ok(shutdown) = guard {
            text += &format!("; its guard then ended the server ({})", shutdown.status);
            if !shutdown.left_nothing() {
                text += &format!(": {}", shutdown.describe_leftovers());
            }
        }
        text
    }

    /// What the client saw.
    ///
    /// # Errors
    /// The file is missing, or a line is damaged.
    pub fn ledger(&self) -> Result<Ledger, RunError> {
        let path = self.0.join("client.jsonl");
        let text = read(&path)?;
        let requests = text
            .lines()
            .enumerate()
            .map(|(number, line)| {
                serde_json::from_str(line)
                    .map_err(|error| RunError::directory(&path, format!("line {}: {error}", number + 1)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Ledger { requests })
    }

    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, RunError> {
        let path = self.0.join(name);
        let text = read(&path)?;
        serde_json::from_str(&text).map_err(|error| RunError::directory(path, error))
    }
}

/// A link in a run directory would have files from elsewhere read, and quoted in messages.
fn refuse_links(directory: &Path) -> Result<(), RunError> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
    let is_link = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
    match entries.flatten().find(is_link) {
        None => Ok(()),
        Some(link) => Err(RunError::directory(
            link.path(),
            "is a symbolic link: a run directory holds its files itself",
        )),
    }
}

fn read(path: &Path) -> Result<String, RunError> {
    std::fs::read_to_string(path).map_err(|error| RunError::directory(path, error))
}
