//! The names of the lanes.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Where procedures run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Lane {
    /// The embedded stand-in server. Proves the harness, never vLLM.
    Standin,
    /// A real vLLM, CPU build.
    #[value(alias = "vllm_cpu")]
    VllmCpu,
    /// Intel Gaudi hardware.
    Gaudi,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 3] = [Lane::Standin, Lane::VllmCpu, Lane::Gaudi];

    /// The name in files and on the command line: `standin`, `vllm-cpu`, `gaudi`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standin => "standin",
            Self::VllmCpu => "vllm-cpu",
            Self::Gaudi => "gaudi",
        }
    }

    /// The first part of trial names: as the name, with `_`, so that it reads like a Rust path.
    #[must_use]
    pub fn trial_prefix(self) -> &'static str {
        match self {
            Self::Standin => "standin",
            Self::VllmCpu => "vllm_cpu",
            Self::Gaudi => "gaudi",
        }
    }

    /// True when this build of the crate runs the lane's trials. The stand-in is always on; the
    /// others are cargo features of the same name.
    #[must_use]
    pub fn is_on(self) -> bool {
        match self {
            Self::Standin => true,
            Self::VllmCpu => cfg!(feature = "vllm-cpu"),
            Self::Gaudi => cfg!(feature = "gaudi"),
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
