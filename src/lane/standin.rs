//! The stand-in lane: always there, because it is this very program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::LaneError;
use super::name::Lane;
use super::site::{Site, Versions};

/// Set for a child that is to be the stand-in. `cargo test -- standin` is a filter, so the word
/// alone must not turn a test binary into a server.
pub(crate) const REEXEC: &str = "TRACEGATE_REEXEC";

pub(super) fn probe() -> Result<Site, LaneError> {
    let program = std::env::current_exe().map_err(|error| {
        LaneError::missing(
            Lane::Standin,
            format!("cannot find the running program: {error}"),
            "run the program by a path that stays valid while it runs",
        )
    })?;
    Ok(site(program))
}

pub(super) fn site(program: PathBuf) -> Site {
    Site {
        lane: Lane::Standin,
        versions: Versions::from([("vllm".to_owned(), "0.32.0".to_owned())]),
        launcher: vec![program.display().to_string(), "standin".to_owned()],
        env: BTreeMap::from([(REEXEC.to_owned(), "standin".to_owned())]),
        extra_args: Vec::new(),
        model_path: None,
        bench: super::vllm_cpu::bench_client(),
        reports_port: true,
        hl_prof_config: None,
    }
}
