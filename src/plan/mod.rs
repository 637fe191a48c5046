//! Procedure × lane × versions → exact commands. Every deviation from the manual is a value with a reason.

mod bench;
mod build;
mod command;
mod model;
mod reviews;
mod rules;
mod scene;
mod script;
mod sharing;
mod shell;

pub(crate) use build::refuse_broken;
pub use build::{PlanError, resolve};
pub(crate) use model::RUN;
pub use model::{Adaptation, BenchCommand, Command, Course, Expected, ExpectedEvidence, Plan, PortSource};
pub use reviews::Reviews;
pub(crate) use script::keywords_of;
pub use sharing::{BootGroup, boot_groups};
