//! What was found for a lane: versions, how to start the server, what the plan must respect.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use pep440_rs::Version;
use serde::{Deserialize, Serialize};

use super::name::Lane;
use crate::trace::CodeLine;

/// Installed versions by distribution name: `vllm`, `vllm-gaudi`, `torch`, ….
pub type Versions = BTreeMap<String, String>;

/// A lane as it is on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Site {
    /// The lane.
    pub lane: Lane,
    /// What is installed.
    pub versions: Versions,
    /// The server's program and first arguments.
    pub launcher: Vec<String>,
    /// Program and first arguments that run a Python script, whose path follows.
    pub script: Vec<String>,
    /// Variables the lane needs besides the procedure's.
    pub env: BTreeMap<String, String>,
    /// Further server flags of this lane, each with the reason it is there.
    pub extra_args: Vec<(Vec<String>, String)>,
    /// A local model that serves under the procedure's model name.
    pub model_path: Option<PathBuf>,
    /// `vllm bench serve`'s program, where the lane has it.
    pub bench: Option<BenchClient>,
    /// The server writes its port to a file; otherwise the plan chooses one.
    pub reports_port: bool,
    /// `hl-prof-config`, where the lane has it.
    pub hl_prof_config: Option<PathBuf>,
    /// The Gaudi driver, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
}

/// What `hl-smi` said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Driver {
    /// Behind "Driver Version:".
    pub version: Option<String>,
    /// Devices under `/dev/accel`, or named by `hl-smi`.
    pub devices: usize,
    /// All of it.
    pub said: String,
}

impl Site {
    /// Whose worker code is installed.
    #[must_use]
    pub fn code_line(&self) -> CodeLine {
        CodeLine::of_packages(|package| self.versions.contains_key(package)).unwrap_or(CodeLine::VllmV1)
    }

    /// True where the server is Gaudi software.
    #[must_use]
    pub fn is_gaudi(&self) -> bool {
        self.code_line().is_gaudi()
    }

    /// The version of a distribution, where it is known and is a version.
    #[must_use]
    pub fn version(&self, package: &str) -> Option<Version> {
        Version::from_str(self.versions.get(package)?).ok()
    }
}

/// The real client of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BenchClient {
    /// The `vllm` program.
    pub program: PathBuf,
    /// A local tokenizer; the model's own where absent.
    pub tokenizer: Option<PathBuf>,
    /// Its version of vLLM.
    pub version: String,
    /// Variables it needs.
    pub env: BTreeMap<String, String>,
}
