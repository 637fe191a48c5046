//! The reviewed text of a run, and those that ship inside this crate.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::plan::{Plan, Reviews};
use crate::run::RunDirectory;
use crate::snapshot::SnapshotError;

/// A reviewed text and what to call it.
pub(crate) struct ReviewedText {
    pub(crate) text: String,
    pub(crate) label: String,
    /// It holds only for the versions that it was seen with.
    pub(crate) of_its_versions: bool,
}

macro_rules! shipped {
    ($($lane:literal: $($name:literal)*;)*) => {
        [$($(($lane, $name, include_str!(concat!("../../snapshots/", $lane, "/", $name, ".snap")))),*),*]
    };
}

/// The reviewed files of this repository: lane, procedure, text.
const SHIPPED: [(&str, &str, &str); 13] = shipped! {
    "standin": "async_multiple_requests" "async_single_request" "e2e_multiple_requests" "e2e_script"
        "e2e_single_request" "high_level" "script" "specific_decode" "specific_decode_enhanced" "specific_prompt";
    "vllm-cpu": "async_multiple_requests" "async_single_request" "script";
};

/// Why there is no reviewed text.
pub(crate) enum Missing {
    /// Nothing was reviewed.
    None(String),
    /// Something was, and cannot be read: never the same as nothing.
    Unreadable(SnapshotError),
}

/// The reviewed text beside a run's other files: what it was compared with where it ran.
pub(crate) const COPY: &str = "reviewed.snap";

impl ReviewedText {
    /// The reviewed text of a run; why there is none otherwise. Where the directory of snapshots is not on this
    /// machine, the run's own copy stands for it.
    pub(crate) fn of(reviews: &Reviews, plan: &Plan, run: &RunDirectory) -> Result<Self, Missing> {
        let (lane, name) = (plan.lane.name(), plan.procedure.as_str());
        match reviews {
            Reviews::None => {
                Err(Missing::None("no snapshots were named for this procedure (--snapshots DIR)".to_owned()))
            }
            Reviews::Shipped => SHIPPED
                .iter()
                .find(|(of, procedure, _)| (*of, *procedure) == (lane, name))
                .map(|(_, _, text)| Self {
                    text: (*text).to_owned(),
                    label: format!("tracegate's own snapshots/{lane}/{name}.snap"),
                    of_its_versions: true,
                })
                .ok_or_else(|| {
                    Missing::None(format!(
                        "no snapshot of lane {lane} ships with tracegate (--snapshots DIR)"
                    ))
                }),
            Reviews::Directory(root) => {
                let copy = run.path().join(COPY);
                let elsewhere = !root.is_dir() && copy.is_file();
                let file = if elsewhere { copy } else { file_of(root, plan) };
                let label =
                    if elsewhere { format!("the run's own {COPY}") } else { file.display().to_string() };
                match std::fs::read_to_string(&file) {
                    Ok(text) => Ok(Self { text, label, of_its_versions: false }),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        Err(Missing::None(format!("there is no reviewed snapshot {}", file.display())))
                    }
                    Err(error) => Err(Missing::Unreadable(SnapshotError {
                        line: 1,
                        reason: format!("{} cannot be read: {error}", file.display()),
                    })),
                }
            }
        }
    }
}

/// `DIRECTORY/LANE/PROCEDURE.snap`.
pub(crate) fn file_of(root: &Path, plan: &Plan) -> PathBuf {
    root.join(plan.lane.name()).join(format!("{}.snap", plan.procedure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Lane;
    use crate::snapshot::Snapshot;

    #[test]
    fn every_file_of_the_repository_ships_and_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
        let mut files = 0;
        for lane in Lane::ALL {
            let entries = std::fs::read_dir(root.join(lane.name())).into_iter().flatten().flatten();
            files +=
                entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "snap")).count();
        }
        assert_eq!(files, SHIPPED.len());
        for (lane, name, text) in SHIPPED {
            let snapshot = Snapshot::parse(text).unwrap();
            let owner = snapshot.owner.as_ref().unwrap();
            assert_eq!((owner.lane.as_str(), owner.procedure.as_str()), (lane, name));
            // What is read is written as it was.
            assert_eq!(snapshot.to_string().trim_end(), crate::snapshot::body(text).0.trim_end());
            assert!(snapshot.differences(&snapshot).is_empty());
        }
    }
}
