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
use crate::wait::{Look, Unmet, Wait, until};

/// Longest time between two looks.
const POLL: Duration = Duration::from_millis(100);
/// How long sizes must stay the same before files are read that their writer may still append to.
const STABLE: Duration = Duration::from_millis(300);
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
    /// The server and all its children have ended: what is there is as whole as it will ever be.
    pub(super) writer_ended: bool,
}

type Files = BTreeMap<PathBuf, Progress>;

/// Returns when as many traces as expected are there, whole, and none of them grows any more.
pub(super) async fn wait(wanted: &Wanted<'_>, tell: &dyn Fn(&str)) -> Result<(), RunError> {
    let begun = Instant::now();
    let mut stretch = Stretch::begin(Files::new());
    let mut first = true;
    let waited = until(Wait::of(wanted.limit.0, POLL), tell, async || {
        let now = look(wanted.directory)?;
        if now != stretch.files {
            stretch = Stretch::begin(now);
        }
        let missing = missing(&stretch.files, wanted.expected);
        let all_there = missing.is_none();
        let status = match missing {
            Some(status) => status,
            None if stretch.read => "a file is cut short and does not grow".to_owned(),
            // Once at the start, because most servers answer when they have written, and then once per stretch of
            // quiet: the proof costs a whole pass.
            None if wanted.writer_ended
                || stretch.quiet() >= STABLE
                || (first && ends_itself(&stretch.files)) =>
            {
                first = false;
                stretch.read = true;
                match unfinished(&stretch.files) {
                    None => return Ok(Look::Done(())),
                    Some(status) => status,
                }
            }
            None => "files still grow".to_owned(),
        };
        let hopeless = (all_there && stretch.quiet() >= STALLED)
            || (stretch.quiet() >= FAILED && log::profiler_complaint(wanted.log).is_some());
        if hopeless {
            return settle(&stretch.files, wanted, status, begun.elapsed()).map(Look::Done);
        }
        Ok(Look::NotYet(status))
    });
    match waited.await {
        Ok(()) => Ok(()),
        Err(Unmet::Failed(error)) => Err(error),
        Err(Unmet::Overdue(status)) => settle(&look(wanted.directory)?, wanted, status, begun.elapsed()),
    }
}

/// A time during which no file appeared or grew.
struct Stretch {
    files: Files,
    since: Instant,
    /// The files were read in it, and one was not whole.
    read: bool,
}

impl Stretch {
    fn begin(files: Files) -> Self {
        Self { files, since: Instant::now(), read: false }
    }

    fn quiet(&self) -> Duration {
        self.since.elapsed()
    }
}

/// Each file can prove its own end: a whole gzip stream is never appended to. A plain file that reads well may grow
/// all the same.
fn ends_itself(files: &Files) -> bool {
    files.keys().all(|path| path.extension().is_some_and(|end| end == "gz"))
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
