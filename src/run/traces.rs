//! Waits until the window's trace files are all there and finished; `/stop_profile` answering proves neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::RunError;
use crate::plan::Expected;
use crate::procedure::Span;
use crate::server::log;
use crate::trace::complete::{Progress, progress};
use crate::trace::file_name::FileName;
use crate::trace::{Trace, inspect, trace_files};

/// Time between two looks, and how long sizes must stay the same before the files are read.
const POLL: Duration = Duration::from_millis(100);
const STABLE_LOOKS: usize = 4;
/// A file that is cut short and has not grown for this long will not grow. Exports starved by a busy
/// machine paused for seconds.
const STALLED: Duration = Duration::from_secs(10);
/// The same when the server's log says that the export failed.
const FAILED: Duration = Duration::from_secs(2);

/// What is waited for.
pub(super) struct Wanted<'a> {
    pub(super) directory: &'a Path,
    pub(super) expected: &'a Expected,
    pub(super) limit: Span,
    /// The server's log, which tells what HTTP does not.
    pub(super) log: &'a Path,
}

type Files = BTreeMap<PathBuf, Progress>;

/// Returns when as many traces as expected are there, whole, and none of them grows any more.
pub(super) async fn wait(wanted: &Wanted<'_>, tell: &dyn Fn(&str)) -> Result<(), RunError> {
    let begun = Instant::now();
    let mut before = Files::new();
    let mut stable = 0;
    let mut unchanged = Instant::now();
    loop {
        let now = look(wanted.directory)?;
        let missing = missing(&now, wanted.expected);
        if now != before {
            (stable, unchanged) = (0, Instant::now());
        }
        stable += 1;
        let all_there = missing.is_none();
        let status = match missing {
            Some(status) => status,
            None if stable < STABLE_LOOKS => "files still grow".to_owned(),
            // Read once per stretch of quiet: the proof costs a whole pass.
            None if stable == STABLE_LOOKS => match unfinished(&now) {
                None => return Ok(()),
                Some(status) => status,
            },
            None => "a file is cut short and does not grow".to_owned(),
        };
        let waited = Span(Duration::from_secs(begun.elapsed().as_secs()));
        tell(&format!("{status} ({waited} of {})", wanted.limit));
        let quiet = unchanged.elapsed();
        let hopeless = (all_there && quiet >= STALLED)
            || (quiet >= FAILED && log::profiler_complaint(wanted.log).is_some());
        if hopeless || begun.elapsed() >= wanted.limit.0 {
            return settle(&now, wanted, status, begun.elapsed());
        }
        before = now;
        tokio::time::sleep(POLL).await;
    }
}

/// At the end: with no worker trace at all there is nothing to decide; with some, the checks and the
/// reader say what is missing better than a deadline does.
fn settle(now: &Files, wanted: &Wanted<'_>, status: String, waited: Duration) -> Result<(), RunError> {
    if now.keys().any(|path| !name(path).frontend) {
        return Ok(());
    }
    Err(RunError::NoTrace {
        waited: Span(Duration::from_millis(waited.as_millis() as u64).min(wanted.limit.0)),
        status,
        complaint: log::profiler_complaint(wanted.log),
        log: log::tail(wanted.log),
    })
}

fn look(directory: &Path) -> Result<Files, RunError> {
    let files = trace_files(directory).map_err(|error| RunError::directory(directory, error))?;
    // A file that vanishes between listing and opening was an intermediate one.
    Ok(files.into_iter().filter_map(|path| Some((path.clone(), progress(&path).ok()?))).collect())
}

/// The first worker trace that is no whole gzip stream of whole JSON. Damage inside a whole file is
/// the checks' business.
fn unfinished(files: &Files) -> Option<String> {
    let workers = files.keys().filter(|path| !name(path).frontend);
    workers.into_iter().find_map(|path| {
        let traces = inspect(std::slice::from_ref(path)).ok()?;
        let problem = traces.iter().find_map(Trace::fatal)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        Some(format!("{file}: {} at byte {}", problem.code.code(), problem.offset))
    })
}

fn missing(files: &Files, expected: &Expected) -> Option<String> {
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
