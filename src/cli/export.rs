//! `tracegate export`.

use std::fs::Permissions;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Exit;
use crate::trace::{Exported, Trace, export};

#[derive(Args)]
pub(super) struct Export {
    /// The trace
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The file to write, in Perfetto's own form
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Export {
    pub(super) fn run(self) -> Exit {
        let trace = match readable(&self.trace) {
            Ok(trace) => trace,
            Err(exit) => return exit,
        };
        match write(&self.trace, &trace, &self.output) {
            Ok(done) => {
                let Exported { slices, moved, flows, loose_flows, others, left_out } = done;
                crate::output::line(format_args!(
                    "{}: {slices} slices ({moved} of them overlap others and stand on tracks of their own), {flows} ends of flows, {others} instants and counts, {} steps",
                    self.output.display(),
                    trace.steps.len(),
                ));
                if loose_flows + left_out > 0 {
                    crate::output::error_line(format_args!(
                        "left out: {loose_flows} ends of flows without a slice, {left_out} events without a form in Perfetto's tracks"
                    ));
                }
                Exit::Pass
            }
            Err(error) => Exit::infrastructure(&format!("{}: {error}", self.output.display())),
        }
    }
}

/// The trace, as far as it was read: half of one is shown, too, and said to be half.
pub(super) fn readable(path: &Path) -> Result<Trace, Exit> {
    if !path.is_file() {
        return Err(Exit::infrastructure(&format!("{} is no file", path.display())));
    }
    let trace = Trace::read(path);
    match trace.fatal() {
        Some(problem) if trace.events == 0 || trace.is_none() => Err(Exit::infrastructure(&format!(
            "{}: {}: {}",
            path.display(),
            problem.code.code(),
            problem.detail
        ))),
        Some(problem) => {
            crate::output::error_line(format_args!(
                "warning: {}: {}: {}; what stands before it is shown",
                path.display(),
                problem.code.code(),
                problem.detail
            ));
            Ok(trace)
        }
        None => Ok(trace),
    }
}

/// Writes beside the file and renames: nobody opens half of it.
pub(super) fn write(path: &Path, trace: &Trace, to: &Path) -> std::io::Result<Exported> {
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // tempfile's own mode is 0600 whatever the umask.
    let mode = Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().permissions(mode).tempfile_in(directory)?;
    let done = export(path, trace, BufWriter::with_capacity(1 << 20, file.as_file()))?;
    file.persist(to).map_err(|error| error.error)?;
    Ok(done)
}
