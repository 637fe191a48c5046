//! The guard: a small process between this one and a server, whose only task is that nothing of the
//! server survives. Started by [`Guarded::start`], which re-executes this very program.

mod link;
mod message;
mod process;
mod teardown;

pub(crate) use link::Guarded;
pub(crate) use message::Launch;
pub(crate) use process::main;

/// Value of `TRACEGATE_REEXEC` that makes a program the guard.
pub(crate) const GUARD: &str = "guard";
/// Written into the run directory by a guard whose tracegate ended first.
pub(crate) const ABANDONED: &str = "abandoned.json";
