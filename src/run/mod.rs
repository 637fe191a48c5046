//! One execution of a plan: boots, profiles, sends, collects. Leaves a run directory and decides nothing.

mod directory;
mod ending;
mod error;
mod execute;
mod machine;
mod patience;
mod polled;
mod prepare;
mod record;
mod retention;
mod traces;
mod turn;
mod window;

pub use directory::RunDirectory;
pub use error::{BadTrace, FailedCall, RunError};
pub(crate) use execute::default_parent;
pub use execute::execute;
pub use machine::Machine;
pub use record::{Phase, RunRecord, RunState, WindowRecord};
pub use retention::prune;
