//! The reviewed text of a run: what should stay the same from run to run and machine to machine. Built, written, read,
//! compared by meaning, and accepted through insta.

mod build;
mod comparison;
mod describe;
mod difference;
mod facts;
mod interval;
mod merge;
mod parse;
mod review;
mod reviews;
mod source;
mod table;
mod text;

pub(crate) use comparison::{Comparison, Differing, compare_run, judge};
pub(crate) use describe::{describe, footer, unified};
pub use difference::{Difference, Group};
pub(crate) use facts::RankGroup;
pub use facts::Snapshot;
pub use parse::SnapshotError;
pub(crate) use parse::body;
pub(crate) use review::{Reviewed, Seen, review};
pub(crate) use reviews::{file_of, keep_copy};
pub use source::{Source, SourceError};
pub(crate) use table::{Column, Table};
