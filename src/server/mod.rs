//! Boots, watches and ends servers: starter → instance under a guard; readiness; log. Knows no procedure.

mod environment;
mod error;
pub(crate) mod guard;
mod instance;
pub(crate) mod interrupt;
mod listener;
pub(crate) mod log;
mod port;
mod processes;
mod readiness;
mod starter;

/// Prepares this process for running servers: listens for Ctrl-C and SIGTERM, and makes orphaned
/// descendants children of this process, so that they can be found even when a guard was killed.
pub(crate) fn prepare_process() {
    interrupt::listen();
    // Without it (a kernel before 3.4) only what a killed guard leaves escapes.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

pub(crate) use environment::{left_out, passed_on};
pub use error::{LogTail, ServerError};
pub(crate) use instance::Instance;
pub use instance::Shutdown;
pub(crate) use log::LogPart;
pub use starter::Attempt;
pub(crate) use starter::Starter;
pub(crate) use starter::launch;
