//! Where the reviewed snapshot of a run is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
}
