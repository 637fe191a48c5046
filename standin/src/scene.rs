//! Where a fault can be played: what a run has that faults can touch, and what each fault needs of it.

use super::dialect::Dialect;
use super::fault::Fault;

/// How a run comes to its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A server, whose profiler is started and stopped over HTTP.
    Window,
    /// A server that records from boot and appends to its trace as it goes.
    FromBoot,
    /// A script that starts and stops the profiler itself and ends.
    Script,
    /// A server that profiles one step of its warm-up and ends before it serves.
    WarmUpStep,
}

/// What a run has that a fault can touch, or that would notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// How it comes to its trace.
    pub act: Act,
    /// Whom the stand-in imitates.
    pub dialect: Dialect,
    /// Answers come token by token.
    pub streamed: bool,
    /// No two requests are served at a time, so the steps have one order.
    pub one_by_one: bool,
    /// Ranks.
    pub ranks: u32,
    /// Windows on one boot.
    pub windows: u32,
    /// The step gaps have bounds.
    pub bounds_gaps: bool,
    /// The distance between ranks has a bound.
    pub bounds_skew: bool,
    /// Compilations inside the window are limited.
    pub limits_recompiles: bool,
}

/// Something without which a fault would change nothing, or nothing that anybody looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Whatever is started.
    Server,
    /// Routes of a profiler.
    Routes,
    /// A profiler that is started and stopped, by whomever.
    Window,
    /// A trace that is written in one go.
    WholeFile,
    /// Operators in the trace, and steps over an empty batch.
    Operators,
    /// Token by token.
    Stream,
    /// One order of steps.
    OneByOne,
    /// Several ranks, each with a trace.
    Ranks,
    /// Several windows on one boot.
    Windows,
    /// A bound of the step gaps.
    GapBounds,
    /// Something that the clocks of ranks are held against.
    Clocks,
    /// A limit of compilations.
    RecompileLimit,
}

impl Need {
    /// True where a run has it.
    #[must_use]
    pub fn is_met(self, scene: &Scene) -> bool {
        match self {
            Self::Server => matches!(scene.act, Act::Window | Act::FromBoot),
            Self::Routes => scene.act == Act::Window,
            Self::Window => matches!(scene.act, Act::Window | Act::Script),
            Self::WholeFile => scene.act != Act::FromBoot,
            Self::Operators => scene.dialect.plugin_version().is_none(),
            Self::Stream => scene.streamed,
            Self::OneByOne => scene.one_by_one,
            Self::Ranks => scene.ranks > 1,
            Self::Windows => scene.windows > 1,
            Self::GapBounds => scene.bounds_gaps,
            // Of several ranks of the plugin only the driver tells its steps.
            Self::Clocks => scene.bounds_skew || (scene.streamed && scene.dialect.plugin_version().is_none()),
            Self::RecompileLimit => scene.limits_recompiles,
        }
    }

    /// What it is, behind "it needs".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Server => "a server that answers requests",
            Self::Routes => "a server with the profiler's routes",
            Self::Window => "a profiler that is started and stopped",
            Self::WholeFile => "a trace that is written in one go",
            Self::Operators => "operators in the trace",
            Self::Stream => "streamed answers",
            Self::OneByOne => "requests one by one",
            Self::Ranks => "several ranks",
            Self::Windows => "several windows on one boot (--repeat 2)",
            Self::GapBounds => "bounds of the step gaps",
            Self::Clocks => "expect.max_rank_skew or streamed answers",
            Self::RecompileLimit => "expect.max_recompiles",
        }
    }
}

impl Fault {
    /// All that a run must have for the fault to be played in it, and noticed.
    #[must_use]
    pub fn needs(self) -> &'static [Need] {
        use Need::{
            Clocks, GapBounds, OneByOne, Operators, Ranks, RecompileLimit, Routes, Server, Stream, WholeFile,
            Window, Windows,
        };
        match self {
            Self::ExitDuringBoot | Self::NoTrace => &[],
            Self::NeverHealthy
            | Self::PortTaken
            | Self::WrongModel
            | Self::WrongVersion
            | Self::RequestFails
            | Self::RequestHangs
            | Self::CrashInLoad
            | Self::NeverQuiet => &[Server],
            Self::NoProfileRoutes | Self::UnhealthyAfterStop | Self::FrontendOnly | Self::AsyncExport => {
                &[Routes]
            }
            Self::AlreadyActive
            | Self::StartFails
            | Self::ProfilerNotEnabled
            | Self::OldSignature
            | Self::StopFails
            | Self::StopHangs
            | Self::CrashOnStop
            | Self::SlowStop
            | Self::TwoTraces
            | Self::DropDecode
            | Self::DuplicateStep
            | Self::MissingPrompt
            | Self::LostTail
            | Self::WrongTokenCounts => &[Window],
            Self::ReorderSteps => &[Window, OneByOne],
            Self::ExtraIdle => &[Window, OneByOne, Operators],
            Self::Recompile => &[Window, RecompileLimit],
            Self::ChangedOps
            | Self::SwappedOps
            | Self::ExtraD2h
            | Self::ExtraSync
            | Self::ExtraItem
            | Self::SamplerSwap => &[Window, Operators],
            Self::TruncatedTrace | Self::InvalidJson | Self::EmptyTrace | Self::SlowExport => &[WholeFile],
            Self::LongGaps => &[GapBounds],
            Self::StreamCut => &[Stream],
            Self::LateFile | Self::StaleFile | Self::CachedPrompt | Self::StuckSession => &[Routes, Windows],
            Self::MissingRank | Self::LateRank => &[Window, Ranks],
            Self::SkewedRank => &[Window, Ranks, Clocks],
        }
    }

    /// What a run lacks for the fault to be played in it; `None` where it can be.
    #[must_use]
    pub fn lacks(self, scene: &Scene) -> Option<Need> {
        self.needs().iter().copied().find(|need| !need.is_met(scene))
    }
}
