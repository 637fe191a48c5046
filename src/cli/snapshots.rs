//! `--snapshots DIR`, shared by the verbs that compare.

use std::path::{Path, PathBuf};

use crate::plan::Reviews;

/// A directory that was named and is not there would turn every comparison into `n/a`.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("is no directory".to_owned()) }
}

/// The reviewed files of a named directory, wherever the run is decided from.
pub(super) fn reviews(directory: &Path) -> Reviews {
    Reviews::Directory(std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()))
}
