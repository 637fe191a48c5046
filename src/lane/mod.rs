//! Where procedures run: what each lane needs, what is found here, and how its server is started.

mod error;
mod examine;
mod gaudi;
mod name;
pub mod setup;
mod site;
mod standin;
pub(crate) mod vllm_cpu;

pub use error::LaneError;
pub use examine::{Finding, State, examine};
pub use name::Lane;
pub use site::{BenchClient, Site, Versions};
pub(crate) use standin::REEXEC;

/// Looks for what a lane needs on this machine. Boots nothing.
///
/// # Errors
/// What is missing, and what to do about it.
pub fn probe(lane: Lane) -> Result<Site, LaneError> {
    match lane {
        Lane::Standin => standin::probe(),
        Lane::VllmCpu => vllm_cpu::probe(),
        Lane::Gaudi => gaudi::probe(),
    }
}

/// What a lane would have with the given versions, for plans on machines without it.
#[must_use]
pub fn assume(lane: Lane, versions: Versions) -> Site {
    match lane {
        Lane::Standin => standin::site("tracegate".into()),
        Lane::VllmCpu => vllm_cpu::assumed(versions),
        Lane::Gaudi => gaudi::assumed(versions),
    }
}
