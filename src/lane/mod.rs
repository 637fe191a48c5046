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
pub use site::{BenchClient, Driver, Site, Versions};

use tracegate_standin::Dialect;

/// Looks for what a lane needs on this machine. Boots nothing.
///
/// # Errors
/// What is missing, and what to do about it.
pub fn probe(lane: Lane) -> Result<Site, LaneError> {
    probe_as(lane, Dialect::default())
}

/// The same; the stand-in imitates the server that a procedure names.
///
/// # Errors
/// As [`probe`].
pub fn probe_as(lane: Lane, dialect: Dialect) -> Result<Site, LaneError> {
    match lane {
        Lane::Standin => standin::probe(dialect),
        Lane::VllmCpu => vllm_cpu::probe(),
        Lane::Gaudi => gaudi::probe(),
    }
}

/// What a lane would have with the given versions, for plans on machines without it.
#[must_use]
pub fn assume(lane: Lane, versions: Versions) -> Site {
    assume_as(lane, versions, Dialect::default())
}

/// The same; the stand-in imitates the server that a procedure names, whatever the versions.
#[must_use]
pub fn assume_as(lane: Lane, versions: Versions, dialect: Dialect) -> Site {
    match lane {
        Lane::Standin => standin::site("tracegate".into(), dialect),
        Lane::VllmCpu => vllm_cpu::assumed(versions),
        Lane::Gaudi => gaudi::assumed(versions),
    }
}

/// Accelerators that the kernel shows here.
pub(crate) fn accelerators() -> usize {
    gaudi::devices()
}
