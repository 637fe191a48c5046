//! Faults the stand-in can play: each makes one lie that one detector must find.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A fault of the server or of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// The trace lacks one decode step that the client was served.
    DropDecode,
    /// One decode step stands twice in the trace.
    DuplicateStep,
    /// The trace has no prompt step.
    MissingPrompt,
    /// The first decode step stands before the prompt step.
    ReorderSteps,
    /// The gaps between steps are three times as long.
    LongGaps,
    /// The worker trace file ends in the middle of the gzip stream.
    TruncatedTrace,
    /// The worker trace stops in the middle of its JSON, in a whole gzip stream.
    InvalidJson,
    /// The worker trace has no bytes.
    EmptyTrace,
    /// Only the front end writes a trace.
    FrontendOnly,
    /// One rank of several writes no trace; with one rank there is no worker trace at all.
    MissingRank,
    /// Something is compiled inside the window, during the first decode step.
    Recompile,
    /// The last rank runs half a second behind the others.
    SkewedRank,
    /// `/health` answers 503 for ever.
    NeverHealthy,
    /// The process ends with an error while it boots.
    ExitDuringBoot,
    /// `/start_profile` and `/stop_profile` are not there, as without `--profiler-config`.
    NoProfileRoutes,
    /// `/start_profile` answers 409: a session is active already.
    AlreadyActive,
    /// `/stop_profile` answers 500.
    StopFails,
    /// `/stop_profile` answers 200 and writes no trace.
    NoTrace,
    /// `/stop_profile` takes two seconds longer.
    SlowStop,
    /// `/stop_profile` answers at once and the trace is written two seconds later (vllm#51816).
    AsyncExport,
    /// The process dies when `/stop_profile` is called.
    CrashOnStop,
    /// `/v1/models` lists another model.
    WrongModel,
    /// `/version` names another release.
    WrongVersion,
    /// `/start_profile` answers 500 while the worker records (vllm-ascend#16642).
    StartFails,
    /// `/start_profile` answers 500 as vllm-gaudi does without its variable (vllm-gaudi#1268).
    ProfilerNotEnabled,
    /// `/start_profile` answers 500 as a worker with an old `profile()` does (vllm-gaudi 3e32d047).
    OldSignature,
    /// A completion answers 500.
    RequestFails,
    /// A completion is never answered.
    RequestHangs,
    /// The process dies when a completion is asked for.
    CrashInLoad,
    /// `/metrics` never stops showing a running request.
    NeverQuiet,
    /// `/stop_profile` is never answered (vllm#8326).
    StopHangs,
    /// `/health` answers 503 once the window is closed.
    UnhealthyAfterStop,
    /// The last rank writes its trace 1.5 seconds after the others.
    LateRank,
    /// The worker trace is half written for 1.5 seconds.
    SlowExport,
    /// The trace ends before the last tenth of the load: nothing of it was recorded.
    LostTail,
    /// The prompt step says one context token more than was asked for.
    WrongTokenCounts,
    /// An empty batch is run between two decode steps.
    ExtraIdle,
    /// The worker writes a second trace of the same window.
    TwoTraces,
    /// The server's port is in use when it binds.
    PortTaken,
    /// A streamed answer breaks off behind its second token.
    StreamCut,
    /// One layer multiplies with `aten::mm` in place of `aten::addmm`.
    ChangedOps,
    /// Every layer multiplies with `_C::onednn_mm` in place of `aten::addmm`.
    SwappedOps,
    /// Each decode step copies a tensor from the device to the host.
    ExtraD2h,
    /// Each decode step waits for the device.
    ExtraSync,
    /// Each decode step reads one element of a tensor.
    ExtraItem,
    /// The sampler draws at random in place of taking the largest.
    SamplerSwap,
    /// The trace of the window before is written once more while this one is closed.
    LateFile,
    /// The second window leaves what the first one recorded, and nothing of its own.
    StaleFile,
    /// A prompt that was served before is answered from the prefix cache, whatever its salt.
    CachedPrompt,
    /// `/stop_profile` answers 200 and leaves the session active: the next start is refused.
    StuckSession,
}

impl Fault {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Ranks without which the fault cannot show.
    #[must_use]
    pub fn ranks(self) -> u32 {
        match self {
            Self::MissingRank | Self::SkewedRank | Self::LateRank => 2,
            _ => 1,
        }
    }

    /// Windows on one boot without which the fault cannot show.
    #[must_use]
    pub fn windows(self) -> u32 {
        match self {
            Self::LateFile | Self::StaleFile | Self::CachedPrompt | Self::StuckSession => 2,
            _ => 1,
        }
    }
}
