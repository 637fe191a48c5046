//! One execution of a plan: boots, profiles, sends, collects. Leaves a run directory and decides nothing.

mod directory;
mod ending;
mod error;
mod execute;
mod machine;
mod polled;
mod prepare;
mod record;
mod retention;
mod shared;
mod traces;
mod turn;
mod waiting;
mod window;

pub use directory::RunDirectory;
pub use error::{BadTrace, FailedCall, RunError};
pub(crate) use execute::default_parent;
pub use execute::execute;
pub(crate) use execute::refuse;
pub use machine::Machine;
pub use record::{CacheGuard, Phase, RunRecord, RunState, SharedBoot, WindowRecord};
pub use retention::prune;
pub(crate) use retention::prune_boots;
pub(crate) use shared::Boot;
