//! The server's log file: its last lines and the lines that decide early.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::error::LogTail;

/// Lines shown in messages.
const LINES: usize = 40;
/// Bytes looked at for them.
const TAIL: u64 = 16 << 10;

/// The end of a log. A log that cannot be read has no lines.
pub(crate) fn tail(path: &Path) -> LogTail {
    let lines = read_tail(path).map(|text| last_lines(&text)).unwrap_or_default();
    LogTail { path: path.to_owned(), lines, cause: first_error(path) }
}

/// The exception of the first traceback in the log, with its process. One of the API server, which reports that
/// another process failed, counts only where there is no other.
fn first_error(path: &Path) -> Option<Box<str>> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<(&str, &str)> = text.lines().map(split_prefix).collect();
    let begins = |line: &&(&str, &str)| line.1.starts_with("Traceback (most recent call last)");
    let caught = |prefix: &str| ["WARNING", "INFO", "DEBUG"].iter().any(|level| prefix.contains(level));
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (at, (prefix, _)) in lines.iter().enumerate().filter(|(_, line)| begins(line)) {
        let process = process(prefix);
        let own = lines[at + 1..].iter().filter(|(prefix, _)| self::process(prefix) == process);
        let exception = own.map(|(_, said)| *said).find(|said| is_exception(said));
        found.extend(exception.filter(|_| !caught(prefix)).map(|exception| (process, exception)));
    }
    let engine = found.iter().find(|(process, _)| !process.is_empty() && !process.contains("APIServer"));
    let (process, exception) = engine.or(found.first())?;
    let of = if process.is_empty() { String::new() } else { format!(" ({process})") };
    Some(crate::text::inert(&format!("{exception}{of}"), 400).into())
}

/// `(EngineCore_DP0 pid=7) ERROR 11-24 10:00:00 [core.py:9] ` and the rest of the line.
fn split_prefix(line: &str) -> (&str, &str) {
    let (process, rest) = match line.strip_prefix('(').and_then(|rest| rest.find(") ")) {
        Some(end) if line[..end].contains("pid=") => line.split_at(end + 3),
        _ => ("", line),
    };
    let level =
        ["ERROR ", "WARNING ", "INFO ", "DEBUG ", "CRITICAL "].iter().any(|level| rest.starts_with(level));
    let behind = match rest.find("] ").filter(|_| level) {
        Some(end) => end + 2,
        // A line of a traceback may be empty behind its prefix.
        None if level && rest.trim_end().ends_with(']') => rest.len(),
        None => 0,
    };
    (&line[..process.len() + behind], &rest[behind..])
}

/// `EngineCore_DP0 pid=7` of a prefix.
fn process(prefix: &str) -> &str {
    prefix.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or("", |(process, _)| process)
}

/// `torch.OutOfMemoryError: …`, as it stands behind a traceback.
fn is_exception(said: &str) -> bool {
    let name = said.split(':').next().unwrap_or_default().trim_end();
    let last = name.rsplit('.').next().unwrap_or_default();
    let named = ["Error", "Exception", "Interrupt", "Exit", "Failure"].iter().any(|end| last.ends_with(end));
    named && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| crate::text::inert(line, 400)).collect()
}

/// True when the log has a text; the whole log is read, which at boot is some hundred lines.
pub(crate) fn contains(path: &Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| memchr::memmem::find(&bytes, text.as_bytes()).is_some())
}

/// The last line that tells of an error, which is what ended a process that has ended. Warnings are none: their
/// writers went on.
pub(super) fn last_error(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let tells = |line: &&str| {
        let warns = line.starts_with("[W") || line.contains("WARNING") || line.contains("Warning");
        let line = line.to_ascii_lowercase();
        !warns
            && ["error", "errno", "exception", "killed", "fatal", "cannot", "in use"]
                .iter()
                .any(|said| line.contains(said))
    };
    Some(crate::text::inert(text.lines().rev().find(tells)?, 400))
}

/// A log from some byte on: what a window of a shared boot may be told by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPart<'a> {
    pub(crate) path: &'a Path,
    pub(crate) from: u64,
}

impl<'a> LogPart<'a> {
    pub(crate) fn whole(path: &'a Path) -> Self {
        Self { path, from: 0 }
    }

    /// The bytes of the part; none where the log cannot be read.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let read = || {
            let mut file = fs::File::open(self.path)?;
            file.seek(SeekFrom::Start(self.from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        read().unwrap_or_default()
    }
}

/// Bytes that a log has by now.
pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Lines by which servers tell that no usable trace will come; HTTP 200 does not (vLLM catches what
/// the profiler raises and logs it). The last such line is returned.
pub(crate) fn profiler_complaint(log: LogPart<'_>) -> Option<String> {
    const SAID: [&str; 12] = [
        // Built without support for the device (both Gaudi lines), or stopped without a start.
        "Legacy HPU profiling is not supported",
        "HPU is not available, disabling HPU profiling",
        "Profiler must be initialized before stopping trace",
        "Can't disable Kineto profiler when it's not running",
        "Failed to start profiler",
        "Failed to stop profiler",
        "No space left on device",
        "File too large",
        "No profiler entries",
        "synProfilerStart failed",
        "synProfilerGetTrace failed",
        "Disk quota exceeded",
    ];
    let bytes = log.bytes();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| SAID.iter().any(|said| line.contains(said)))?;
    Some(crate::text::inert(line.trim(), 300))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 lines of the API server's traceback hid why the engine failed.
    #[test]
    fn the_error_of_the_process_that_failed_first_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        let engine = "(EngineCore_DP0 pid=7) ERROR 11-24 10:00:00 [core.py:708] ";
        let api = "(APIServer pid=5) ";
        let log = [
            "INFO 11-24 10:00:00 [api_server.py:1] starting".to_owned(),
            "WARNING 11-24 10:00:00 [x.py:1] Traceback (most recent call last):".to_owned(),
            "WARNING 11-24 10:00:00 [x.py:1] ImportError: optional".to_owned(),
            format!("{engine}EngineCore failed to start."),
            format!("{engine}Traceback (most recent call last):"),
            format!("{engine}  File \"core.py\", line 1, in run"),
            format!("{api}Traceback (most recent call last):"),
            format!("{engine}RuntimeError: synStatus=26 [Generic failure] Device acquire failed."),
            format!("{api}  File \"api_server.py\", line 1"),
            format!("{api}RuntimeError: Engine core initialization failed. See root cause above."),
        ];
        fs::write(&path, log.join("\n")).unwrap();
        let cause =
            "RuntimeError: synStatus=26 [Generic failure] Device acquire failed. (EngineCore_DP0 pid=7)";
        assert_eq!(tail(&path).cause.as_deref(), Some(cause));
        let exited =
            super::super::ServerError::Exited { during: "booting", status: "1".to_owned(), log: tail(&path) };
        assert!(exited.to_string().lines().next().unwrap().ends_with(cause), "{exited}");
        // A process alone has no prefix.
        fs::write(&path, "Traceback (most recent call last):\n  File \"x\"\nValueError: no\nbye\n").unwrap();
        assert_eq!(tail(&path).cause.as_deref(), Some("ValueError: no"));
        fs::write(&path, "INFO fine\n").unwrap();
        assert_eq!(tail(&path).cause, None);
    }

    #[test]
    fn shows_the_last_lines_without_control_characters() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        let text: String = (0..100).map(|n| format!("line {n} \x1b[31mred\n")).collect();
        fs::write(&path, text).unwrap();
        let tail = tail(&path);
        assert_eq!(tail.lines.len(), LINES);
        assert_eq!(tail.lines[39], "line 99 \u{fffd}[31mred");
        assert!(contains(&path, "line 7 "));
        assert!(!contains(&path, "line 100"));
        assert_eq!(profiler_complaint(LogPart::whole(&path)), None);
        fs::write(&path, "a\nERROR Failed to stop profiler: [Errno 28] \x07No space\nb\n").unwrap();
        // The routes answer 200 while the fork's engine dies of it.
        fs::write(
            &path,
            "RuntimeError: Legacy HPU profiling is not supported. Requires use_kineto=True\nb\n",
        )
        .unwrap();
        assert!(profiler_complaint(LogPart::whole(&path)).unwrap().contains("Legacy HPU profiling"));
        fs::write(&path, "a\nERROR Failed to stop profiler: [Errno 28] \x07No space\nb\n").unwrap();
        assert_eq!(
            profiler_complaint(LogPart::whole(&path)).as_deref(),
            Some("ERROR Failed to stop profiler: [Errno 28] \u{fffd}No space")
        );
        // What an earlier window complained of is not said of this one.
        assert_eq!(profiler_complaint(LogPart { path: &path, from: length(&path) - 2 }), None);
    }
}
