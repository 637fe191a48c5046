//! Procedures → libtest-mimic trials. What other crates call from a test target with `harness = false`.

mod builder;
mod meta;
mod trial;

pub use builder::{Harness, run};
