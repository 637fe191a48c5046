//! Where the reviewed snapshot of a run is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::procedure::{Procedure, builtin};

/// Where a run's reviewed snapshot is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reviews {
    /// Nowhere: nothing of this procedure was reviewed.
    #[default]
    None,
    /// Inside this crate, for the procedures that ship with it and the versions they were reviewed with.
    Shipped,
    /// `DIRECTORY/LANE/PROCEDURE.snap`.
    Directory(PathBuf),
}

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

impl Reviews {
    /// The directory `snapshots` beside a directory of procedures, where it is there; otherwise what
    /// ships with this crate, for a procedure that ships with it and was not edited.
    #[must_use]
    pub fn of(procedure: &Procedure, procedures: Option<&Path>) -> Self {
        let beside = procedures.map(|directory| directory.join("../snapshots")).filter(|path| path.is_dir());
        match beside {
            Some(directory) => Self::Directory(std::path::absolute(&directory).unwrap_or(directory)),
            None if builtin().is_ok_and(|known| known.contains(procedure)) => Self::Shipped,
            None => Self::None,
        }
    }

    /// The reviewed text of a run; why there is none otherwise.
    pub(crate) fn text(&self, plan: &Plan) -> Result<ReviewedText, String> {
        let (lane, name) = (plan.lane.name(), plan.procedure.as_str());
        match self {
            Self::None => Err("no snapshots were named for this procedure (--snapshots DIR)".to_owned()),
            Self::Shipped => SHIPPED
                .iter()
                .find(|(of, procedure, _)| (*of, *procedure) == (lane, name))
                .map(|(_, _, text)| ReviewedText {
                    text: (*text).to_owned(),
                    label: format!("tracegate's own snapshots/{lane}/{name}.snap"),
                    of_its_versions: true,
                })
                .ok_or_else(|| format!("no snapshot of lane {lane} ships with tracegate (--snapshots DIR)")),
            Self::Directory(root) => {
                let file = file_of(root, plan);
                let label = file.display().to_string();
                std::fs::read_to_string(&file)
                    .map(|text| ReviewedText { text, label, of_its_versions: false })
                    .map_err(|_| format!("there is no reviewed snapshot {}", file.display()))
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
