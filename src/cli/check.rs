//! `tracegate check`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::form::{Form, print_json};
use crate::job;
use crate::judge::decide;
use crate::report::table;
use crate::run::RunDirectory;

#[derive(Args)]
pub(super) struct CheckVerb {
    /// A run directory
    #[arg(value_name = "RUN_DIR")]
    directory: PathBuf,
    /// Directory of reviewed snapshots, as LANE/PROCEDURE.snap, instead of where the run had them
    #[arg(long, value_name = "DIR", value_parser = super::snapshots::directory)]
    snapshots: Option<PathBuf>,
    /// Write verdict.json, observed.snap and report.html anew; without it nothing in the run directory changes
    #[arg(long)]
    write: bool,
    /// Form of the output; json is verdict.json
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

impl CheckVerb {
    pub(super) fn run(self) -> Exit {
        let reviews = self.snapshots.as_deref().map(super::snapshots::reviews);
        let decided = RunDirectory::open(&self.directory).and_then(|directory| {
            let decided = decide(&directory, reviews.as_ref())?;
            if self.write {
                job::write(&directory, &decided)?;
            }
            Ok(decided)
        });
        match decided {
            Ok(decided) => {
                match self.format {
                    Form::Json => print_json(&decided.verdict),
                    Form::Text if crate::output::is_quiet() => {
                        crate::output::line(table::failures(&decided.verdict));
                    }
                    Form::Text => crate::output::line(table::decided(&decided)),
                }
                if decided.verdict.passed { Exit::Pass } else { Exit::Failed }
            }
            Err(error) => Exit::infrastructure(&error),
        }
    }
}
