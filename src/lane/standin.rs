//! The stand-in lane: always there, because it is this very program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::LaneError;
use super::name::Lane;
use super::site::{Site, Versions};
use crate::reexec::REEXEC;
use tracegate_standin::Dialect;

pub(super) fn probe(dialect: Dialect) -> Result<Site, LaneError> {
    let program = std::env::current_exe().map_err(|error| {
        LaneError::missing(
            Lane::Standin,
            format!("cannot find the running program: {error}"),
            "run the program by a path that stays valid while it runs",
        )
    })?;
    Ok(site(program, dialect))
}

/// The stand-in as it imitates one server.
pub(super) fn site(program: PathBuf, dialect: Dialect) -> Site {
    let mut versions = Versions::from([("vllm".to_owned(), dialect.vllm_version().to_owned())]);
    if let Some(plugin) = dialect.plugin_version() {
        versions.insert("vllm-gaudi".to_owned(), plugin.to_owned());
    }
    if let Some(extension) = dialect.extension_version() {
        versions.insert("vllm-hpu-extension".to_owned(), extension.to_owned());
    }
    let mut launcher = vec![program.display().to_string(), "standin".to_owned()];
    if dialect != Dialect::default() {
        launcher.extend(["--dialect".to_owned(), dialect.name()]);
    }
    let script = launcher.iter().cloned().chain(["--script".to_owned()]).collect();
    Site {
        lane: Lane::Standin,
        versions,
        launcher,
        script,
        env: BTreeMap::from([(REEXEC.to_owned(), "standin".to_owned())]),
        extra_args: Vec::new(),
        model_path: None,
        bench: super::vllm_cpu::bench_client(),
        reports_port: true,
        hl_prof_config: None,
        driver: None,
    }
}
