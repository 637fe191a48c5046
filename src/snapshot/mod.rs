//! The reviewed text of a run: what should stay the same from run to run and machine to machine. Built, written, read,
//! compared by meaning, merged.

mod build;
mod describe;
mod difference;
mod facts;
mod interval;
mod merge;
mod parse;
mod source;
mod table;
mod text;

pub(crate) use describe::{describe, footer, headline, unified};
pub use difference::{Difference, Group, not_compared};
pub(crate) use facts::RankGroup;
pub use facts::Snapshot;
pub(crate) use merge::{Merged, accept_all};
pub use parse::SnapshotError;
pub(crate) use parse::body;
pub use source::{Source, SourceError, View};
pub(crate) use table::{Column, Table};
