//! Run directories as a shell's pattern names them: beside them may stand directories of boots that several runs share.

use std::path::PathBuf;

/// What a boot that several runs share leaves in its own directory, and no run does.
const BOOT: &str = "boot.json";

/// The paths without those of shared boots, whose runs have directories of their own. Where nothing else was
/// named, the boots stay, and are refused as no runs.
pub(super) fn runs(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let is_run = |path: &&PathBuf| !path.join(BOOT).is_file() || path.join("run.json").exists();
    let runs: Vec<PathBuf> = paths.iter().filter(is_run).cloned().collect();
    if runs.is_empty() { paths } else { runs }
}
