//! The reviewed text of a run: what should stay the same from run to run and machine to machine.

mod compare;
mod text;

pub(crate) use compare::{Compared, compare, unified};
pub use text::snapshot_text;
