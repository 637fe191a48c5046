//! The gaudi lane: Intel Gaudi hardware with vLLM and its plugin. Never run on hardware by the authors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::LaneError;
use super::name::Lane;
use super::site::{BenchClient, Driver, Site, Versions};

pub(super) fn probe() -> Result<Site, LaneError> {
    let missing = |what: &str, remedy: &str| LaneError::missing(Lane::Gaudi, what, remedy);
    const REMEDY: &str = "run on a machine with Intel Gaudi, its driver and the Gaudi software; see docs.habana.ai, Installation Guide";
    let hl_smi = find_on_path("hl-smi")
        .ok_or_else(|| missing("hl-smi is not on PATH, so there is no Gaudi driver here", REMEDY))?;
    let driver = Driver::ask(&hl_smi).map_err(|reason| missing(&reason, REMEDY))?;
    let python = find_on_path("python3")
        .ok_or_else(|| missing("python3 is not on PATH", "install Python 3 with vLLM and vllm-gaudi"))?;
    let versions = installed(&python);
    let any = |packages: &[&str]| packages.iter().any(|package| versions.contains_key(*package));
    for packages in [&["vllm"][..], &["vllm-gaudi", "vllm-hpu-extension"]] {
        if !any(packages) {
            return Err(missing(
                &format!("{} is not installed for {}", packages.join(" or "), python.display()),
                "activate the environment in which the server runs, then try again",
            ));
        }
    }
    let mut site = assumed(versions);
    site.launcher[0] = python.display().to_string();
    site.script[0] = python.display().to_string();
    site.driver = Some(driver);
    site.hl_prof_config = find_on_path("hl-prof-config");
    Ok(site)
}

/// Asks the interpreter for installed versions; importing vLLM itself would take a minute. Nothing
/// is installed for an interpreter that does not answer.
pub(super) fn installed(python: &Path) -> Versions {
    const SCRIPT: &str = "
from importlib.metadata import version, PackageNotFoundError
for name in ('vllm', 'vllm-gaudi', 'vllm-hpu-extension', 'torch'):
    try:
        print(name, version(name))
    except PackageNotFoundError:
        pass
";
    let output = Command::new(python).args(["-c", SCRIPT]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect()
}

pub(super) fn assumed(versions: Versions) -> Site {
    let bench = versions.get("vllm").map(|version| BenchClient {
        program: "vllm".into(),
        tokenizer: None,
        version: version.clone(),
        env: BTreeMap::new(),
    });
    Site {
        lane: Lane::Gaudi,
        versions,
        launcher: ["python3", "-m", "vllm.entrypoints.openai.api_server"].map(str::to_owned).to_vec(),
        script: vec!["python3".to_owned()],
        env: BTreeMap::new(),
        extra_args: Vec::new(),
        model_path: None,
        bench,
        reports_port: false,
        hl_prof_config: Some("hl-prof-config".into()),
        driver: None,
    }
}

impl Driver {
    /// Asks `hl-smi`. Its output was never seen by the authors: it is kept as it is, and two things are
    /// looked for in it, the words "Driver Version:" and model names such as `HL-325L`.
    pub(super) fn ask(hl_smi: &Path) -> Result<Self, String> {
        let output = Command::new(hl_smi)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("hl-smi cannot be run: {error}"))?;
        if !output.status.success() {
            return Err(format!("hl-smi ended with {}: the driver does not answer", output.status));
        }
        let said = crate::text::inert(&String::from_utf8_lossy(&output.stdout), 8_000);
        let version = said.split_once("Driver Version:").and_then(|(_, rest)| {
            rest.split_whitespace().next().map(|word| word.trim_matches('|').to_owned())
        });
        let model = |word: &&str| {
            word.strip_prefix("HL-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let models = said.split(|c: char| c.is_whitespace() || c == '|').filter(model).count();
        Ok(Self { version, devices: devices().max(models), said })
    }
}

/// The first executable of a name on PATH.
pub(super) fn find_on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// Devices that the driver shows.
pub(super) fn devices() -> usize {
    let Ok(entries) = std::fs::read_dir("/dev/accel") else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.strip_prefix("accel").is_some_and(|rest| rest.parse::<u32>().is_ok())).count()
}
