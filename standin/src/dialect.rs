//! The servers that the stand-in can imitate. The Gaudi ones follow genuine files of the plugin and of the fork,
//! written on a CPU; what the bridge adds follows its public sources.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The server whose files and answers are imitated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Dialect {
    /// A CPU build of vLLM 0.32: `execute_context_…` annotations
    #[default]
    #[value(name = "vllm-0.32-cpu")]
    #[serde(rename = "vllm-0.32-cpu")]
    Vllm032Cpu,
    /// vLLM 0.13: `execute_new_…` annotations, which count requests only
    #[value(name = "vllm-0.13")]
    #[serde(rename = "vllm-0.13")]
    Vllm013,
    /// vLLM 0.11: no annotations, enabled by `VLLM_TORCH_PROFILER_DIR`
    #[value(name = "vllm-0.11")]
    #[serde(rename = "vllm-0.11")]
    Vllm011,
    /// vLLM 0.32 with the Gaudi plugin, Python stacks on
    GaudiStack,
    /// The same with `VLLM_PROFILER_ENABLED=full`: high-level slices inside the trace, no stacks
    GaudiFull,
    /// The same with `VLLM_PROFILER_ENABLED=true`: `server_events_*.json` from boot, no window
    GaudiHighLevel,
    /// The same with `VLLM_PT_PROFILE`: one step of warm-up, then an intended assertion
    GaudiPtProfile,
    /// HabanaAI/vllm-fork (V0), Python stacks on: no front end, and one decode of overrun for each request
    GaudiFork,
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Dialect {
    /// Version of vLLM that the imitated server is.
    pub fn vllm_version(self) -> &'static str {
        match self {
            Self::Vllm011 => "0.11.0",
            Self::Vllm013 => "0.13.0",
            Self::GaudiFork => "0.9.0.1",
            _ => "0.32.0",
        }
    }

    /// Version of the Gaudi plugin, where the imitated server has it.
    pub fn plugin_version(self) -> Option<&'static str> {
        match self {
            Self::Vllm032Cpu | Self::Vllm013 | Self::Vllm011 | Self::GaudiFork => None,
            Self::GaudiStack | Self::GaudiFull | Self::GaudiHighLevel | Self::GaudiPtProfile => {
                Some("0.21.0")
            }
        }
    }

    /// Version of `vllm-hpu-extension`, which the fork needs.
    pub fn extension_version(self) -> Option<&'static str> {
        (self == Self::GaudiFork).then_some("1.0")
    }

    /// Gaudi software of either line.
    pub(crate) fn is_gaudi(self) -> bool {
        self.plugin_version().is_some() || self == Self::GaudiFork
    }

    /// Prompts and decodes of one scheduled batch run one after the other, as Gaudi's graphs do.
    pub(crate) fn separates_phases(self) -> bool {
        self.is_gaudi()
    }

    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
