//! `tracegate diff`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::form::print_json;
use crate::snapshot::{Difference, Source, SourceError, View, describe, not_compared, unified};

#[derive(Args)]
pub(super) struct Diff {
    /// What was: a run directory, a trace or a directory of traces, or a .snap file
    #[arg(value_name = "A")]
    before: PathBuf,
    /// What is: one of the same
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: DiffForm,
    /// Compare what whole files ran, their steps aside: for traces that have none
    #[arg(long)]
    whole: bool,
    /// Compare the device's kernels by their whole names; without it their template arguments, sizes of tiles and
    /// hashes are left out
    #[arg(long)]
    exact_kernels: bool,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum DiffForm {
    /// For people
    #[default]
    Text,
    /// For programs: the differences as objects
    Json,
    /// For pull requests
    Markdown,
}

#[derive(Serialize)]
struct DiffOutput<'a> {
    equal: bool,
    differences: &'a [Difference],
    not_compared: &'a [String],
}

impl Diff {
    /// 0 when nothing differs, 1 when something does, 3 when one of the two cannot be read or they have nothing in
    /// common that could be compared.
    pub(super) fn run(self) -> Exit {
        let view = View { whole: self.whole, exact_kernels: self.exact_kernels };
        let read = || -> Result<(Source, Source), SourceError> {
            Ok((Source::read(&self.before, view)?, Source::read(&self.after, view)?))
        };
        let (before, after) = match read() {
            Ok(sources) => sources,
            Err(error) => return Exit::infrastructure(&error),
        };
        if let Some(reason) = before.nothing_in_common(&after, view) {
            return Exit::infrastructure(&reason);
        }
        let differences = before.snapshot.differences(&after.snapshot);
        let names = (self.before.display().to_string(), self.after.display().to_string());
        let lines = || unified(&before.snapshot, &after.snapshot, (&names.0, &names.1));
        let mut left = not_compared(&before.snapshot, &after.snapshot, (&names.0, &names.1));
        if self.whole {
            left.push("steps and gaps: whole files were asked for".to_owned());
        }
        let mut groups = if differences.is_empty() {
            "no difference in what is compared\n".to_owned()
        } else {
            describe(&differences)
        };
        for one in &left {
            groups += &format!("not compared: {}\n", crate::text::inert(one, 400));
        }
        match self.format {
            DiffForm::Json => {
                let equal = differences.is_empty();
                print_json(&DiffOutput { equal, differences: &differences, not_compared: &left });
            }
            _ if differences.is_empty() => crate::output::line(groups.trim_end()),
            DiffForm::Text => {
                crate::output::line(&groups);
                crate::output::detail(lines());
                crate::output::detail(after.left_out.trim_end());
            }
            // Indented: a fence could be closed by the text itself.
            DiffForm::Markdown => {
                let indent =
                    |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
                crate::output::line(format_args!(
                    "{}\n<details><summary>The lines of the snapshot</summary>\n\n{}\n</details>",
                    indent(&groups),
                    indent(&lines())
                ));
            }
        }
        if differences.is_empty() { Exit::Pass } else { Exit::Failed }
    }
}
