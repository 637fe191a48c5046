//! `tracegate check`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::job::conclude;
use crate::report::table;
use crate::run::RunDirectory;

#[derive(Args)]
pub(super) struct CheckVerb {
    /// A run directory
    #[arg(value_name = "RUN_DIR")]
    directory: PathBuf,
}

impl CheckVerb {
    pub(super) fn run(self) -> Exit {
        let decided = RunDirectory::open(&self.directory).and_then(|directory| conclude(&directory));
        match decided {
            Ok(decided) => {
                crate::output::line(table::decided(&decided));
                if decided.verdict.passed { Exit::Pass } else { Exit::Failed }
            }
            Err(error) => Exit::infrastructure(&error),
        }
    }
}
