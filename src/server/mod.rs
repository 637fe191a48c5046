//! Boots, watches and ends servers: starter → instance; readiness; log; reaping. Knows no procedure.

mod error;
mod instance;
pub(crate) mod interrupt;
mod log;
mod port;
mod processes;
mod readiness;
mod starter;

/// Prepares this process for running servers: listens for Ctrl-C and SIGTERM, and makes orphaned
/// descendants children of this process, so that daemons can be found and ended.
pub(crate) fn prepare_process() {
    interrupt::listen();
    // Without it (a kernel before 3.4) only daemons that left their group escape.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

pub use error::{LogTail, ServerError};
pub use instance::{Instance, Shutdown};
pub(crate) use starter::process;
pub use starter::{NotStarted, Starter};
