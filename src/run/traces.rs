//! Waits until the window's trace files are all there and finished; `/stop_profile` answering proves neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::RunError;
use crate::plan::Expected;
use crate::procedure::Span;
use crate::trace::complete::{Progress, progress};
use crate::trace::file_name::FileName;
use crate::trace::trace_files;

/// Time between two looks, and how long sizes must stay the same. Exports pause for seconds only
/// between files, so the number of files is waited for as well.
const POLL: Duration = Duration::from_millis(100);
const STABLE_LOOKS: usize = 3;

/// Returns when as many traces as expected are there and none of them grows any more.
pub(super) async fn wait(
    directory: &Path,
    expected: &Expected,
    limit: Span,
    tell: &dyn Fn(&str),
) -> Result<(), RunError> {
    let begun = Instant::now();
    let mut before = BTreeMap::new();
    let mut stable = 0;
    loop {
        let now = look(directory)?;
        let missing = missing(&now, expected);
        stable = if now == before { stable + 1 } else { 0 };
        if missing.is_none() && stable >= STABLE_LOOKS {
            return Ok(());
        }
        let status = missing.unwrap_or_else(|| "files still grow".to_owned());
        tell(&status);
        // A set that is incomplete and has not changed for the whole time will not come.
        if begun.elapsed() >= limit.0 {
            return settle(&now, &status, limit);
        }
        before = now;
        tokio::time::sleep(POLL).await;
    }
}

/// At the deadline: with no worker trace at all there is nothing to decide; with some, the checks
/// and the reader say what is missing better than a deadline does.
fn settle(now: &BTreeMap<PathBuf, Progress>, status: &str, limit: Span) -> Result<(), RunError> {
    if now.keys().any(|path| !name(path).frontend) {
        return Ok(());
    }
    Err(RunError::NoTrace { waited: limit, status: status.to_owned() })
}

fn look(directory: &Path) -> Result<BTreeMap<PathBuf, Progress>, RunError> {
    let files = trace_files(directory).map_err(|error| RunError::directory(directory, error))?;
    // A file that vanishes between listing and opening was an intermediate one.
    Ok(files.into_iter().filter_map(|path| Some((path.clone(), progress(&path).ok()?))).collect())
}

fn missing(files: &BTreeMap<PathBuf, Progress>, expected: &Expected) -> Option<String> {
    if let Some((path, progress)) = files.iter().find(|(_, progress)| progress.missing.is_some()) {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        return Some(format!("{file}: {}", progress.missing.unwrap_or_default()));
    }
    let workers = files.keys().filter(|path| !name(path).frontend).count() as u32;
    if workers < expected.ranks {
        return Some(format!("{workers} of {} worker traces are there", expected.ranks));
    }
    if expected.frontend && !files.keys().any(|path| name(path).frontend) {
        return Some("the front-end trace is not there".to_owned());
    }
    None
}

fn name(path: &Path) -> FileName {
    FileName::parse(&path.file_name().unwrap_or_default().to_string_lossy())
}
