//! The statistics that several rooms share: order statistics, an exact test, its correction.

mod holm;
mod mann_whitney;
mod order;

pub(crate) use holm::holm;
pub(crate) use mann_whitney::{Tail, least_p, mann_whitney};
pub(crate) use order::{median, percentile, relative_noise};
