//! Decides a run directory: named checks over traces and ledger, and the verdict. Reads files only, so a
//! run recorded on hardware is decided the same way on a laptop.

mod agreement;
mod batches;
mod client_times;
mod custom;
mod decide;
mod evidence;
mod gaps;
mod ledger;
mod outcome;
mod ranks;
mod steps;
mod workload;

pub use client_times::Arrivals;
pub(crate) use client_times::arrivals;
pub use decide::{Decided, decide};
pub use outcome::{Check, Outcome, Verdict};
pub(crate) use steps::fits_sequence;
