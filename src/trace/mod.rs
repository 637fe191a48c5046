//! Reads trace files: bytes to events to steps to gaps. Knows nothing of servers, lanes or procedures.
#![forbid(unsafe_code)]

mod annotation;
mod budget;
mod call_tree;
mod census;
mod collect;
pub(crate) mod complete;
mod defect;
mod device;
#[doc(hidden)]
pub mod doors;
mod evidence;
mod explain;
mod export;
pub(crate) mod file_name;
mod foreign;
mod forward_name;
mod frame_marks;
mod frame_name;
mod gap;
mod gzip;
mod kernel_name;
mod label;
mod launches;
mod listing;
mod marks;
mod model;
mod names;
mod operator_name;
mod operators;
mod pairs;
mod ranks;
mod read;
mod scan;
mod source;
mod step;
mod zstd;

pub(crate) use budget::Budget;
pub use census::{Census, Duplicate, Foreign};
pub use defect::{DefectKind, Problem};
pub use device::Device;
pub use explain::{ExplainedGap, FrameShare, explain_gaps};
pub(crate) use export::{Exported, export};
pub use forward_name::Bucket;
pub(crate) use gap::neighbours;
pub use gap::{GapSummary, StepPair};
pub use label::Writer;
pub use model::{Format, Recompile, Recompiles, Trace, TraceRole, inspect, trace_files};
pub(crate) use model::{inspect_under, inspect_with, inspect_with_operators};
pub(crate) use operators::Names as KernelNames;
pub use operators::{Counts, Operators, StepOperators};
pub use ranks::Ranks;
pub use step::{Evidence, Step, StepKind, Totals};
