//! What a manual says, as data: the TOML model of a procedure and its validation. Knows no lane's commands.

mod bench;
mod custom;
mod error;
mod library;
mod model;
#[cfg(test)]
mod schema;
mod validate;

pub use bench::{Bench, Dataset, Goodput, Metric, PromptForm, RampUp, RampUpStrategy, Rate};
pub use custom::{CustomCheck, Limit};
pub(crate) use custom::{Percentile, Quantity};
pub use error::ProcedureError;
pub use library::{builtin, find, load_directory};
pub use model::{
    BootPolicy, Bound, Deadlines, Expect, HardwareTrace, HwTrace, Load, LoadClient, Manual, Procedure,
    ProfiledKind, Profiler, ProfilerKind, Request, Server, Span, SpecificStep,
};
pub(crate) use validate::sequence_pattern;
