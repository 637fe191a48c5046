//! Decides a run: rules asked of what was observed, their answers, the verdict, and the comparison with the reviewed
//! snapshot. Reads files only, so a run recorded on hardware is decided the same way on a laptop.

mod agreement;
mod answer;
mod batches;
mod bounds;
mod client_times;
mod decided;
mod evidence;
mod gaps;
mod ledger;
mod ranks;
mod review;
mod reviewed;
mod rule;
mod steps;
#[cfg(test)]
mod tests;
mod verdict;
mod window;
mod workload;

pub use answer::Answer;
pub(crate) use decided::decide_with;
pub use decided::{Decided, decide};
pub(crate) use review::{Comparison, Differing};
pub(crate) use reviewed::{COPY, file_of};
pub(crate) use rule::Rule;
pub use verdict::{Check, Verdict};
