//! The history file: JSON lines, appended only. Several writers and a crash may harm one line at most, and a harmed
//! line is reported and skipped.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;

use super::error::HistoryError;
use super::record::{EpochRecord, Line, NightRecord};

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Everything of a history file that could be read.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order of the file.
    pub nights: Vec<NightRecord>,
    /// In the order of the file.
    pub epochs: Vec<EpochRecord>,
    /// Lines that were skipped.
    pub damage: Vec<Damage>,
}

impl History {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not there or cannot be read. Damage inside is no error: see [`History::damage`].
    pub fn read(path: &Path) -> Result<Self, HistoryError> {
        let bytes = std::fs::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => HistoryError::Absent { path: path.to_owned() },
            _ => HistoryError::File { path: path.to_owned(), source },
        })?;
        Ok(Self::parse(&bytes))
    }

    /// Reads the bytes of a file. Large ones are read by every core.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let lines: Vec<(usize, &[u8])> =
            bytes.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line)).collect();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = lines.len().div_ceil(cores).max(1_000);
        let mut history = Self::default();
        std::thread::scope(|scope| {
            let reading: Vec<_> =
                lines.chunks(share).map(|some| scope.spawn(|| Self::parse_lines(some))).collect();
            for thread in reading {
                // A thread that panicked is a defect of this crate, and would panic again.
                let part = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                history.nights.extend(part.nights);
                history.epochs.extend(part.epochs);
                history.damage.extend(part.damage);
            }
        });
        history.drop_copies();
        history
    }

    fn parse_lines(lines: &[(usize, &[u8])]) -> Self {
        let mut history = Self::default();
        for (line, bytes) in lines {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let parsed = std::str::from_utf8(bytes).map_err(|error| error.to_string()).and_then(Line::parse);
            match parsed {
                Ok(Line::Night(night)) if !super::record::is_night(&night.night) => history
                    .damage
                    .push(Damage { line: *line, reason: format!("{:?} is not a night", night.night) }),
                Ok(Line::Night(night)) => history.nights.push(*night),
                Ok(Line::Epoch(epoch)) => history.epochs.push(epoch),
                Err(reason) => history.damage.push(Damage { line: *line, reason }),
            }
        }
        history
    }

    /// A union merge of git leaves lines twice that both sides had.
    fn drop_copies(&mut self) {
        let mut seen = std::collections::HashSet::new();
        self.nights.retain(|night| seen.insert(night.run_id.clone()));
    }
}

/// Appends a line unless `known` finds it among what is there. True when it was appended.
pub(super) fn append(
    path: &Path,
    record: &impl Serialize,
    known: impl Fn(&History) -> bool,
) -> Result<bool, HistoryError> {
    let failed = |source| HistoryError::File { path: path.to_owned(), source };
    let line = serde_json::to_string(record).map_err(|error| failed(error.into()))?;
    let fresh = !path.exists();
    let file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(failed)?;
    // Readers take no lock: they see whole lines, or a last one without its end, which is damage.
    let mut file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno.into()))?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(failed)?;
    if known(&History::parse(&bytes)) {
        return Ok(false);
    }
    // A writer that died left half a line; it must not swallow this one.
    let mended = if bytes.last().is_some_and(|last| *last != b'\n') { "\n" } else { "" };
    file.write_all(format!("{mended}{line}\n").as_bytes()).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    if fresh {
        sync_directory(path).map_err(failed)?;
    }
    Ok(true)
}

/// A new name is durable once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.map_or_else(|| PathBuf::from("."), Path::to_owned))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(reason: &str) -> EpochRecord {
        EpochRecord {
            schema_version: 1,
            record: "epoch".to_owned(),
            utc: "2026-10-01T00:00:00Z".to_owned(),
            from: "2026-10-01".to_owned(),
            lane: None,
            procedure: None,
            machine_class: None,
            reason: reason.to_owned(),
            link: None,
        }
    }

    #[test]
    fn half_a_line_harms_only_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h.jsonl");
        append(&path, &epoch("first"), |_| false).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"schema_version\":1,\"record\":\"epo").unwrap();
        append(&path, &epoch("second"), |_| false).unwrap();
        let history = History::read(&path).unwrap();
        let reasons: Vec<_> = history.epochs.iter().map(|epoch| epoch.reason.as_str()).collect();
        assert_eq!(reasons, ["first", "second"]);
        assert_eq!(history.damage.len(), 1);
        assert_eq!(history.damage[0].line, 2);
        assert!(history.damage[0].reason.contains("EOF while parsing"), "{}", history.damage[0].reason);
    }

    #[test]
    fn lines_of_a_newer_or_unknown_kind_are_named() {
        let text = "{\"schema_version\":9,\"record\":\"night\"}\n{\"schema_version\":1,\"record\":\"moon\"}\n\n\u{1}\n";
        let history = History::parse(text.as_bytes());
        let said: Vec<_> = history.damage.iter().map(|d| (d.line, d.reason.as_str())).collect();
        assert_eq!(said[0], (1, "schema_version 9 is newer than 1, the newest this tracegate reads"));
        assert_eq!(said[1], (2, "an unknown kind of record, \"moon\""));
        assert_eq!(said[2].0, 4);
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h.jsonl");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for line in 0..10 {
                        append(path, &epoch(&format!("{writer} {line}")), |_| false).unwrap();
                    }
                });
            }
        });
        let history = History::read(&path).unwrap();
        assert_eq!((history.epochs.len(), history.damage.len()), (40, 0));
    }
}
