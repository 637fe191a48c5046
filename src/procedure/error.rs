//! Errors in procedure files, pointing at file, line and key.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Why a procedure cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcedureError {
    /// The file cannot be read.
    #[error("cannot read the procedure {path}: {source}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file says something impossible.
    #[error("{0}")]
    Invalid(#[from] Located),
    /// No procedure has this name.
    #[error("there is no procedure {name:?}; known are {known} (or give the path of a .toml file)")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Every known name.
        known: String,
    },
    /// A directory without procedures.
    #[error("there is no procedure (*.toml) in {directory}")]
    None {
        /// The directory.
        directory: PathBuf,
    },
    /// Procedures and lanes were chosen that have nothing in common.
    #[error(
        "no chosen procedure names a lane of this harness ({lanes}): nothing would run; look at `lanes` in its file"
    )]
    NoTrial {
        /// The lanes of the harness.
        lanes: String,
    },
    /// Two files have the same name inside.
    #[error("two procedures are called {name:?}: {first} and {second}")]
    Duplicate {
        /// The name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// A complaint about one place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the key, such as `load.request[0].max_tokens`; empty where no key is at fault.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl std::error::Error for Located {}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl Located {
    /// From an error of the TOML reader, which knows the byte range.
    pub(crate) fn from_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        let key = DeTable::parse(text).ok().map(|table| key_at(table.get_ref(), offset)).unwrap_or_default();
        let message = error.message().trim().replace('\n', "; ");
        Self::at_offset(file, text, offset, key, message)
    }

    /// From a key that validation refused.
    pub(crate) fn from_key(file: &Path, text: &str, key: &str, message: String) -> Self {
        let offset = DeTable::parse(text).ok().and_then(|table| offset_of(table.get_ref(), key)).unwrap_or(0);
        Self::at_offset(file, text, offset, key.to_owned(), message)
    }

    fn at_offset(file: &Path, text: &str, offset: usize, key: String, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        Self { file: file.to_owned(), line, column, key, message }
    }
}

/// The path of the innermost key or value that covers a byte offset.
fn key_at(table: &DeTable<'_>, offset: usize) -> String {
    for (key, value) in table {
        let name = key.get_ref().to_string();
        if key.span().contains(&offset) {
            return name;
        }
        if value.span().contains(&offset) {
            return name + &inside(value.get_ref(), offset);
        }
        // The span of `[a.b]` covers its header only, so tables are searched whatever they span.
        if let DeValue::Table(_) | DeValue::Array(_) = value.get_ref() {
            let deeper = inside(value.get_ref(), offset);
            if !deeper.is_empty() {
                return name + &deeper;
            }
        }
    }
    String::new()
}

fn inside(value: &DeValue<'_>, offset: usize) -> String {
    match value {
        DeValue::Table(table) => match key_at(table, offset) {
            key if key.is_empty() => key,
            key => format!(".{key}"),
        },
        DeValue::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| {
                let deeper = inside(item.get_ref(), offset);
                let here = item.span().contains(&offset) || !deeper.is_empty();
                here.then(|| format!("[{index}]{deeper}"))
            })
            .unwrap_or_default(),
        _ => String::new(),
    }
}

/// Where the value of a path such as `load.request[0].max_tokens` starts; of a missing key, where
/// the table that should hold it starts.
fn offset_of(table: &DeTable<'_>, path: &str) -> Option<usize> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (name, index) = match head.split_once('[') {
        Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
        None => (head, None),
    };
    let (key, mut value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
    let mut start = key.span().start;
    if let (Some(index), DeValue::Array(items)) = (index, value.get_ref()) {
        value = items.get(index)?;
        start = value.span().start;
    }
    match (rest, value.get_ref()) {
        (Some(rest), DeValue::Table(inner)) => offset_of(inner, rest).or(Some(start)),
        _ => Some(start),
    }
}
