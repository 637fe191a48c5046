//! `cargo test` for the profiling procedures of vLLM servers.
//!
//! A manual says: boot the server like this, start the profiler, send these requests, stop it, and look at the
//! trace. This crate makes each such procedure a test case that does that and decides.
//!
//! ```
//! use tracegate::{lane, plan, procedure};
//!
//! // The manual's procedure, resolved for a machine with these versions, without booting anything.
//! let procedures = procedure::builtin()?;
//! let versions = [("vllm".to_owned(), "0.32.0".to_owned())].into();
//! let site = lane::assume(lane::Lane::VllmCpu, versions);
//! let plan = plan::resolve(&procedures[0], &site)?;
//! assert!(plan.server.argv.contains(&"--profiler-config".to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`harness`] is what a test target calls; [`job`] runs one procedure from any other program; [`trace`]
//! reads traces that tracegate did not make. The rest are the types in between.

mod atomic;
#[doc(hidden)]
pub mod cli;
mod client;
pub mod harness;
#[doc(hidden)]
pub mod history;
pub mod job;
pub mod judge;
pub mod lane;
mod lock;
pub mod observe;
mod output;
mod panic;
pub mod plan;
pub mod procedure;
mod reexec;
mod report;
pub mod run;
mod server;
mod session;
pub mod snapshot;
mod stats;
mod text;
mod time;
pub mod trace;
mod wait;

pub use client::{ClientError, Ledger, Served};
pub use server::{Attempt, LogTail, ServerError, Shutdown};
pub use time::Nanos;
pub use tracegate_standin::{Dialect, Fault};
