//! Procedures → libtest-mimic trials. What other crates call from a test target with `harness = false`.

mod accept;
mod builder;
mod meta;
mod replay;
mod trial;

pub use builder::{Harness, run};

pub use crate::judge::Answer;
pub use crate::observe::Observed;

/// A run re-executes the running program: once as the guard of each server, and on the stand-in lane
/// as the server. When this process is one of these, it is that until it ends, and its exit code is
/// returned; otherwise `None` at once. [`run`] calls it; any other `main` that runs procedures, through
/// [`crate::job::Job`] for example, must call it first.
#[must_use]
pub fn reexecuted() -> Option<std::process::ExitCode> {
    crate::cli::reexecuted()
}
