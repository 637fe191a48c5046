//! Which files of a directory are traces: by what stands in them, and by their names where damage leaves nothing
//! else to tell them by.

use std::io;
use std::path::{Path, PathBuf};

use super::defect::DefectKind;
use super::file_name::is_trace_name;
use super::foreign;
use super::read::{Sink, read_head};
use super::scan::RawEvent;

/// Files that are looked into under one directory. Above it somebody named a whole disk.
const MOST_FILES: usize = 10_000;

/// Every trace under the given paths: files as they are, directories by what stands in them.
///
/// # Errors
/// A path that cannot be listed, or a directory without a trace.
pub(crate) fn trace_paths(paths: &[PathBuf], recursive: bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if path.is_dir() {
            // A run directory keeps its traces one level down.
            let inside = path.join("traces");
            let directory = if path.join("run.json").is_file() && inside.is_dir() { &inside } else { path };
            files.extend(below(directory, recursive).map_err(named)?);
        } else {
            std::fs::File::open(path).map_err(named)?;
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Traces of a directory, sorted. Directories in it are gone into when asked, or when no trace lies at the top.
fn below(directory: &Path, recursive: bool) -> io::Result<Vec<PathBuf>> {
    let mut search = Search::default();
    let mut deeper = search.level(directory)?;
    if recursive || search.found.is_empty() {
        while let Some(next) = deeper.pop() {
            deeper.extend(search.level(&next)?);
        }
    }
    if search.found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, search.nothing()));
    }
    search.found.sort();
    Ok(search.found)
}

#[derive(Default)]
struct Search {
    found: Vec<PathBuf>,
    looked: usize,
    /// The first files that are something else, and what they are.
    others: Vec<String>,
}

impl Search {
    /// Looks at the files directly in a directory; returns the directories in it. Links are not followed into
    /// directories: they may lead in circles.
    fn level(&mut self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut directories = Vec::new();
        let mut entries = std::fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') {
                    directories.push(path);
                }
            } else if path.is_file() {
                self.file(path, &name)?;
            }
        }
        Ok(directories)
    }

    fn file(&mut self, path: PathBuf, name: &str) -> io::Result<()> {
        self.looked += 1;
        if self.looked > MOST_FILES {
            let text = format!("more than {MOST_FILES} files; name the directory of the traces");
            return Err(io::Error::other(text));
        }
        if is_trace_name(name) {
            self.found.push(path);
            return Ok(());
        }
        let mut seen = Seen::default();
        read_head(&path, &mut seen);
        if seen.event {
            self.found.push(path);
        } else if let Some(what) = foreign::by_name(name).or(seen.refused).filter(|_| self.others.len() < 3) {
            self.others.push(format!("\n  {name}: {what}"));
        }
        Ok(())
    }

    fn nothing(&self) -> String {
        let files = if self.looked == 1 { "file" } else { "files" };
        format!("no trace here or below, in {} {files}{}", self.looked, self.others.concat())
    }
}

/// Whether the beginning of a file holds an event.
#[derive(Default)]
struct Seen {
    event: bool,
    refused: Option<String>,
}

impl Sink for Seen {
    fn member(&mut self, _key: &[u8], _value: &[u8]) {}

    fn event(&mut self, event: &RawEvent<'_>, _offset: u64) {
        self.event |= !event.ph.is_empty() || !event.ts.is_empty();
    }

    fn defect(&mut self, kind: DefectKind, _offset: u64, detail: &dyn Fn() -> String) {
        if kind == DefectKind::NotATrace {
            self.refused = Some(detail());
        }
    }
}
