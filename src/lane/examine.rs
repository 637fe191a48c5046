//! What `doctor` looks at: everything a lane needs, each with what was found and what to do next.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::name::Lane;
use super::site::{Driver, Site};
use super::{gaudi, probe, setup, vllm_cpu};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its name.
    pub what: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub state: Condition,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "detail", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Condition {
    /// As it should be.
    Present(String),
    /// Works, and worth knowing.
    Noticed(String),
    /// The lane cannot run.
    Missing(String),
}

fn present(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, state: Condition::Present(detail.into()), remedy: None }
}

fn noticed(what: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what, state: Condition::Noticed(detail.into()), remedy: Some(remedy.into()) }
}

fn missing(what: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what, state: Condition::Missing(detail.into()), remedy: Some(remedy.into()) }
}

/// Looks at everything a lane needs. `out` is where run directories would be made.
#[must_use]
pub fn examine(lane: Lane, out: &Path, broken: impl Fn(&Site) -> Result<(), String>) -> Vec<Finding> {
    let mut findings = vec![output_directory(out), port(), temporary_space()];
    match lane {
        Lane::Standin => findings.push(present("server", "embedded; an imitation of vLLM 0.32.0")),
        Lane::VllmCpu => findings.extend(vllm_cpu_parts()),
        Lane::Gaudi => findings.extend(gaudi_parts()),
    }
    match probe(lane) {
        Ok(site) => findings.extend(versions(&site, broken)),
        // The parts above say more precisely what is missing; this covers what they do not look at.
        Err(error) if findings.iter().all(|finding| !matches!(finding.state, Condition::Missing(_))) => {
            findings.push(missing("lane", error.to_string(), "see above"));
        }
        Err(_) => {}
    }
    findings
}

/// Where it does not exist yet, the nearest directory above is tried: looking leaves nothing behind.
fn output_directory(out: &Path) -> Finding {
    let existing = nearest_existing(out).unwrap_or_else(|| PathBuf::from("/"));
    // A file is made and removed again: permissions alone do not tell about read-only mounts and quotas.
    match tempfile::NamedTempFile::new_in(&existing) {
        Ok(_) => present("output directory", out.display().to_string()),
        Err(error) => {
            missing("output directory", format!("{}: {error}", out.display()), "choose another with --out")
        }
    }
}

fn nearest_existing(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().find(|path| path.exists()).map(Path::to_owned)
}

fn port() -> Finding {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(_) => present("port", "a free port on 127.0.0.1 can be had"),
        Err(error) => {
            missing("port", format!("no port on 127.0.0.1: {error}"), "allow listening on loopback")
        }
    }
}

/// Kineto writes the whole uncompressed JSON to TMPDIR before it compresses: 65 MB for one request.
fn temporary_space() -> Finding {
    let directory = std::env::temp_dir();
    if !directory.is_dir() {
        return missing("TMPDIR", format!("{} is no directory", directory.display()), "set TMPDIR to one");
    }
    match free_gb(&directory) {
        Some(free) if free < 2.0 => noticed(
            "TMPDIR",
            format!("{free:.1} GB are free in {}", directory.display()),
            "set TMPDIR to a larger disk: the uncompressed trace is written there first",
        ),
        Some(free) => present("TMPDIR", format!("{free:.0} GB are free in {}", directory.display())),
        None => noticed("TMPDIR", format!("{} cannot be looked at", directory.display()), "set TMPDIR"),
    }
}

/// Free space in gigabytes, of the nearest directory that exists.
pub(super) fn free_gb(path: &Path) -> Option<f64> {
    let disk = nix::sys::statvfs::statvfs(&nearest_existing(path)?).ok()?;
    Some((disk.blocks_available() * disk.fragment_size()) as f64 / 1e9)
}

fn vllm_cpu_parts() -> Vec<Finding> {
    const SETUP: &str = "tracegate setup vllm-cpu";
    let mut findings = Vec::new();
    let built = probe(Lane::VllmCpu);
    findings.push(match setup::find_python() {
        Some(python) => present("Python", format!("{python}, of a version that vLLM supports")),
        None if built.is_ok() => present("Python", "none on PATH; the environment has its own"),
        None => missing("Python", "no Python 3.11 to 3.14 with venv on PATH", "install one"),
    });
    match built {
        Ok(site) => findings.push(present("environment", site.launcher.first().cloned().unwrap_or_default())),
        Err(error) => {
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            findings.push(missing("environment", first, SETUP));
            findings.extend(vllm_cpu::directory(vllm_cpu::DEFAULT_VLLM).map(|directory| disk(&directory)));
        }
    }
    findings
}

fn disk(directory: &Path) -> Finding {
    let place = directory.display();
    match free_gb(directory) {
        Some(free) if free < setup::NEEDED_GB as f64 => missing(
            "disk",
            format!("{free:.1} GB are free at {place}, {} are needed", setup::NEEDED_GB),
            "free some space, or set XDG_CACHE_HOME to a larger disk",
        ),
        Some(free) => present("disk", format!("{free:.0} GB are free")),
        None => noticed("disk", format!("{place} cannot be looked at"), "set XDG_CACHE_HOME"),
    }
}

fn gaudi_parts() -> Vec<Finding> {
    let tool = |what: &'static str, remedy: &str| match gaudi::find_on_path(what) {
        Some(path) => present(what, path.display().to_string()),
        None => missing(what, "not on PATH", remedy),
    };
    let mut findings = vec![
        tool("hl-smi", "install the Intel Gaudi driver and software"),
        match gaudi::find_on_path("hl-prof-config") {
            Some(path) => present("hl-prof-config", path.display().to_string()),
            None => noticed(
                "hl-prof-config",
                "not on PATH: procedures with [hardware_trace] are refused, others run",
                "install the Gaudi profiling tools",
            ),
        },
        tool("python3", "install Python with vLLM and vllm-gaudi"),
    ];
    if let Some(hl_smi) = gaudi::find_on_path("hl-smi") {
        findings.push(driver(&hl_smi));
    }
    let installed =
        gaudi::find_on_path("python3").map(|python| gaudi::installed(&python)).unwrap_or_default();
    for (what, packages) in [("vLLM", &["vllm"][..]), ("plugin", &["vllm-gaudi", "vllm-hpu-extension"])] {
        if !packages.iter().any(|package| installed.contains_key(*package)) {
            let detail = format!("{} is not installed for python3", packages.join(" or "));
            findings.push(missing(what, detail, "activate the environment in which the server runs"));
        }
    }
    findings.push(match gaudi::devices() {
        0 => missing(
            "devices",
            "no /dev/accel/accel* here",
            "run on a machine with Gaudi, or pass the devices into the container",
        ),
        count => present("devices", format!("{count} under /dev/accel")),
    });
    findings
}

fn driver(hl_smi: &Path) -> Finding {
    match Driver::ask(hl_smi) {
        Ok(Driver { version: Some(version), .. }) => present("driver", version),
        Ok(Driver { version: None, .. }) => present("driver", "hl-smi answers"),
        Err(reason) => missing("driver", reason, "load the driver; see docs.habana.ai"),
    }
}

fn versions(site: &Site, broken: impl Fn(&Site) -> Result<(), String>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (package, version) in &site.versions {
        let what = match package.as_str() {
            "vllm" => "vLLM",
            "vllm-gaudi" => "plugin",
            _ => "package",
        };
        findings.push(present(what, format!("{package} {version}")));
    }
    match broken(site) {
        Ok(()) => findings.push(present("known breakage", "none for these versions")),
        Err(error) => {
            findings.push(missing(
                "known breakage",
                error.lines().next().unwrap_or_default(),
                remedy(&error),
            ));
        }
    }
    findings
}

/// The advice inside a plan's refusal.
fn remedy(refusal: &str) -> String {
    refusal
        .lines()
        .find_map(|line| line.trim().strip_prefix("what to do: "))
        .unwrap_or("see above")
        .to_owned()
}
