//! `run.json`: what happened when, written as it happens, so that an aborted run says how far it came.

use serde::{Deserialize, Serialize};

use crate::plan::Command;
use crate::server::{Attempt, Shutdown};
use crate::time::Nanos;

/// Parts of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Commands before the server.
    Prepare,
    /// The server starts and warms up.
    Boot,
    /// Requests before the window, where the procedure has them.
    WarmUp,
    /// `/start_profile`.
    Start,
    /// The requests.
    Load,
    /// The server finishes what it runs.
    Quiet,
    /// `/stop_profile`.
    Stop,
    /// Trace files become complete.
    Trace,
    /// The server ends.
    Shutdown,
}

impl Phase {
    /// What is waited for, for progress lines.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Prepare => "preparing",
            Self::Boot => "booting the server",
            Self::WarmUp => "warming up",
            Self::Start => "opening the profiling window",
            Self::Load => "sending requests",
            Self::Quiet => "waiting for the server to be quiet",
            Self::Stop => "closing the profiling window",
            Self::Trace => "waiting for complete traces",
            Self::Shutdown => "ending the server",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// It has not; or the process was killed.
    Incomplete,
    /// Everything was done; a verdict is possible.
    Complete,
    /// An infrastructure error.
    Error,
}

/// One phase and when it began and ended, on the Unix clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// Begin.
    pub start_ns: Nanos,
    /// End; absent while it runs.
    pub end_ns: Option<Nanos>,
}

/// The calls that opened and closed the window; 0 where `vllm bench serve` made them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WindowRecord {
    /// `/start_profile` sent.
    pub starts: u32,
    /// `/stop_profile` sent.
    pub stops: u32,
    /// The answer to a stop that was sent after a failure inside the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_stop: Option<String>,
    /// Files of earlier windows that appeared in this one. They were left in the boot directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late_files: Vec<String>,
}

/// The boot that a window shares with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SharedBoot {
    /// The boot directory, beside the run directory. It has the whole log, and how the server ended.
    pub directory: String,
    /// Names the boot among all boots of all machines: the directory's name and when it began.
    pub id: String,
    /// Place of this window among those of the boot, from 1. The first one is cold: what happens once
    /// happens in it.
    pub window: u32,
    /// How prompts of earlier windows were kept from being answered from the prefix cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheGuard>,
    /// Why the server was replaced before this window, where it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
}

/// What keeps a window's prompts from being answered from the prefix cache of the window before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheGuard {
    /// `POST /reset_prefix_cache` was accepted; servers have it in their development mode.
    Reset,
    /// Each request carried the window's own `cache_salt`.
    Salt,
}

/// The contents of `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// Version of this file's shape.
    pub schema: u32,
    /// Version of tracegate that ran.
    pub tracegate: String,
    /// How it ended.
    pub state: RunState,
    /// The infrastructure error, if there was one.
    pub error: Option<String>,
    /// The server's command as it was run.
    pub server: Option<Command>,
    /// Variables of this process that steer servers and were not passed on; names only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Every boot with its port; more than one when a port was taken.
    #[serde(default)]
    pub boots: Vec<Attempt>,
    /// The boot that the window shares with others; absent where it has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedBoot>,
    /// The calls that opened and closed the window.
    #[serde(default)]
    pub window: WindowRecord,
    /// Phases in order.
    pub phases: Vec<PhaseTime>,
    /// How the server ended.
    pub shutdown: Option<Shutdown>,
    /// The machine it ran on; absent in runs recorded before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<super::Machine>,
    /// The fault that the stand-in was asked to play.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<tracegate_standin::Fault>,
}

impl RunRecord {
    pub(crate) fn begun() -> Self {
        Self {
            schema: 1,
            tracegate: env!("CARGO_PKG_VERSION").to_owned(),
            state: RunState::Incomplete,
            error: None,
            server: None,
            left_out: crate::server::left_out(),
            boots: Vec::new(),
            shared: None,
            window: WindowRecord::default(),
            phases: Vec::new(),
            shutdown: None,
            machine: Some(super::Machine::here()),
            fault: None,
        }
    }
}
