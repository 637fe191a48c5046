//! Waits until the window's trace files are all there and finished; `/stop_profile` answering proves neither.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::RunError;
use crate::plan::Expected;
use crate::procedure::Span;
use crate::server::{LogPart, log};
use crate::time::Nanos;
use crate::trace::complete::{Progress, progress};
use crate::trace::file_name::FileName;
use crate::trace::{Trace, trace_files};
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
pub(super) struct Awaited<'a> {
    pub(super) directory: &'a Path,
    pub(super) expected: &'a Expected,
    pub(super) limit: Span,
    /// The server's log, which tells what HTTP does not.
    pub(super) log: LogPart<'a>,
    /// The server and all its children have ended: what is there is as whole as it will ever be.
    pub(super) writer_ended: bool,
    /// What the directory holds of other windows; absent where one window has it for itself.
    pub(super) others: Option<Others>,
}

/// Files of other windows in a directory that windows share.
pub(super) struct Others {
    /// Those that were there before the window was opened.
    pub(super) before: BTreeSet<PathBuf>,
    /// When it was opened, on the Unix clock: a trace that ended before is of an earlier window.
    pub(super) opened: Nanos,
}

/// The files of a window.
#[derive(Debug, Default)]
pub(super) struct Attributed {
    pub(super) own: Vec<PathBuf>,
    /// Files of an earlier window that were written only now.
    pub(super) late: BTreeSet<PathBuf>,
}

type Files = BTreeMap<PathBuf, Progress>;

/// Returns when as many traces as expected are there, whole, and none of them grows any more.
pub(super) async fn wait(wanted: &Awaited<'_>, tell: &dyn Fn(&str)) -> Result<Attributed, RunError> {
    let begun = Instant::now();
    let mut stretch = Stretch::begin(Files::new());
    let mut late = BTreeSet::new();
    let mut first = true;
    let waited = until(Wait::of(wanted.limit.0, POLL), tell, async || {
        let now = look(wanted, &late)?;
        if now != stretch.files {
            stretch = Stretch::begin(now);
        }
        let missing = missing(&stretch.files, wanted.expected);
        let all_there = missing.is_none();
        let status = match missing {
            Some(status) => status,
            None if stretch.read => "a file is cut short and does not grow".to_owned(),
            // Once per stretch of quiet: the proof costs a whole pass.
            None if wanted.writer_ended || stretch.quiet() >= STABLE => {
                stretch.read = true;
                match examine(&stretch.files, wanted, false) {
                    Examined::Whole => return Ok(Look::Done(())),
                    Examined::Unfinished(status) => status,
                    Examined::Late(file) => leave_out(file, &mut late),
                }
            }
            // And once at the start, because most servers answer when they have written; then everything must be whole.
            None if std::mem::take(&mut first) && ends_itself(&stretch.files) => {
                match examine(&stretch.files, wanted, true) {
                    Examined::Whole => return Ok(Look::Done(())),
                    Examined::Unfinished(status) => status,
                    Examined::Late(file) => leave_out(file, &mut late),
                }
            }
            None => "files still grow".to_owned(),
        };
        let hopeless = (all_there && stretch.quiet() >= STALLED)
            || (stretch.quiet() >= FAILED && log::profiler_complaint(wanted.log).is_some());
        if hopeless {
            return settle(wanted, &mut late, status, begun.elapsed()).map(Look::Done);
        }
        Ok(Look::NotYet(status))
    });
    match waited.await {
        Ok(()) => {}
        Err(Unmet::Failed(error)) => return Err(error),
        Err(Unmet::Overdue(status)) => {
            settle(wanted, &mut late, status, begun.elapsed())?;
        }
    }
    Ok(Attributed { own: look(wanted, &late)?.into_keys().collect(), late })
}

fn with_late(status: String, late: &BTreeSet<PathBuf>) -> String {
    let names: Vec<String> = late.iter().map(|path| short(path)).collect();
    match names.as_slice() {
        [] => status,
        names => format!("{status}; left out, because they are of an earlier window: {}", names.join(", ")),
    }
}

fn leave_out(file: PathBuf, late: &mut BTreeSet<PathBuf>) -> String {
    let status = format!("{} is of an earlier window", short(&file));
    late.insert(file);
    status
}

fn short(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
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
fn settle(
    wanted: &Awaited<'_>,
    late: &mut BTreeSet<PathBuf>,
    status: String,
    waited: Duration,
) -> Result<(), RunError> {
    let mut files = look(wanted, late)?;
    while let Examined::Late(file) = examine(&files, wanted, false) {
        files.remove(&file);
        late.insert(file);
    }
    if files.keys().any(|path| !name(path).frontend) {
        return Ok(());
    }
    Err(RunError::NoTrace {
        waited: Span(Duration::from_millis(waited.as_millis() as u64).min(wanted.limit.0)),
        status: with_late(status, late),
        complaint: log::profiler_complaint(wanted.log).map(Into::into),
        log: log::tail(wanted.log.path),
    })
}

fn look(wanted: &Awaited<'_>, late: &BTreeSet<PathBuf>) -> Result<Files, RunError> {
    let directory = wanted.directory;
    let mut files = trace_files(directory).map_err(|error| RunError::directory(directory, error))?;
    let before = wanted.others.as_ref().map(|others| &others.before);
    files.retain(|path| !late.contains(path) && before.is_none_or(|before| !before.contains(path)));
    // A file that vanishes between listing and opening was an intermediate one.
    Ok(files.into_iter().filter_map(|path| Some((path.clone(), progress(&path).ok()?))).collect())
}

/// What a whole pass over the files shows.
enum Examined {
    Whole,
    Unfinished(String),
    Late(PathBuf),
}

/// Finds the first trace, of a worker or of anybody, that is no whole gzip stream of whole JSON (damage inside a whole file is the
/// checks' business), and files of earlier windows.
fn examine(files: &Files, wanted: &Awaited<'_>, frontends: bool) -> Examined {
    let opened = wanted.others.as_ref().map(|others| others.opened);
    for path in files.keys().filter(|path| opened.is_some() || frontends || !name(path).frontend) {
        let trace = Trace::read(path);
        if let Some(problem) = trace.fatal().filter(|_| frontends || !name(path).frontend) {
            let (file, code) = (short(path), problem.code.code());
            return Examined::Unfinished(format!("{file}: {code} at byte {}", problem.offset));
        }
        if trace.ended.zip(opened).is_some_and(|(ended, opened)| ended < opened) {
            return Examined::Late(path.clone());
        }
    }
    Examined::Whole
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// How long a directory is waited for with a worker trace that is there and a front end's that is whole after
    /// `late`.
    fn waited(late: Duration, writer_ended: bool) -> (Duration, bool) {
        let directory = tempfile::tempdir().unwrap();
        let event =
            "{\"traceEvents\":[{\"ph\":\"X\",\"name\":\"a\",\"pid\":1,\"tid\":1,\"ts\":1,\"dur\":1}]}";
        let (whole, path) = (gzip(event), |name: &str| directory.path().join(name));
        std::fs::write(path("rank0.1.pt.trace.json.gz"), &whole).unwrap();
        let frontend = path("host_1.async_llm.1.pt.trace.json.gz");
        let (begin, end) = whole.split_at(whole.len() / 2);
        std::fs::write(&frontend, begin).unwrap();
        let expected: Expected = toml::from_str(
            "ranks = 1\nfrontend = true\nsequence = \"D\"\nevidence = \"annotation\"\nworker_files = \"rank0\"",
        )
        .unwrap();
        let log = path("server.log");
        let limit = Span(Duration::from_secs(5));
        let wanted = Awaited {
            directory: directory.path(),
            expected: &expected,
            limit,
            log: LogPart::whole(&log),
            writer_ended,
            others: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(late);
                let mut file = std::fs::OpenOptions::new().append(true).open(&frontend).unwrap();
                file.write_all(end).unwrap();
            });
            runtime.block_on(wait(&wanted, &|_| {})).unwrap();
            (begun.elapsed(), Trace::read(&frontend).fatal().is_none())
        })
    }

    /// The front end writes beside the workers: a server that is ended while it does leaves half of its trace.
    #[test]
    fn a_front_end_that_still_writes_is_waited_for() {
        let (_, whole) = waited(Duration::from_millis(150), false);
        assert!(whole);
    }

    /// Nothing is appended any more, and what the reader decides from is the workers'.
    #[test]
    fn a_writer_that_has_ended_is_not_waited_for() {
        let (took, _) = waited(Duration::from_millis(400), true);
        assert!(took < STABLE, "{took:?}");
    }
}
