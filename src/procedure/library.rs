//! Where procedures come from: those that ship inside the crate, single files, directories.

use std::path::{Path, PathBuf};

use super::error::{Located, ProcedureError};
use super::model::Procedure;
use super::validate::complaint;

/// The procedure files of this repository, by name.
const BUILTIN: [(&str, &str); 10] = [
    ("async_single_request", include_str!("../../procedures/async_single_request.toml")),
    ("async_multiple_requests", include_str!("../../procedures/async_multiple_requests.toml")),
    ("e2e_single_request", include_str!("../../procedures/e2e_single_request.toml")),
    ("e2e_multiple_requests", include_str!("../../procedures/e2e_multiple_requests.toml")),
    ("e2e_script", include_str!("../../procedures/e2e_script.toml")),
    ("high_level", include_str!("../../procedures/high_level.toml")),
    ("script", include_str!("../../procedures/script.toml")),
    ("specific_prompt", include_str!("../../procedures/specific_prompt.toml")),
    ("specific_decode", include_str!("../../procedures/specific_decode.toml")),
    ("specific_decode_enhanced", include_str!("../../procedures/specific_decode_enhanced.toml")),
];

impl Procedure {
    /// Reads one procedure. `file` is used in messages only.
    ///
    /// ```
    /// use std::path::Path;
    /// use tracegate::procedure::Procedure;
    ///
    /// let error = Procedure::parse(Path::new("mine.toml"), "name = \"mine\"\nheading = \"Mine\"\n").unwrap_err();
    /// assert!(error.to_string().starts_with("mine.toml:2:1: `heading`: unknown field `heading`"));
    /// ```
    ///
    /// # Errors
    /// Unknown keys, wrong types and impossible values, with line and key.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ProcedureError> {
        let procedure: Self = toml::from_str(text).map_err(|error| Located::from_toml(file, text, &error))?;
        match complaint(&procedure) {
            Some((key, message)) => Err(Located::from_key(file, text, &key, message).into()),
            None => Ok(procedure),
        }
    }

    /// Reads one procedure file.
    ///
    /// # Errors
    /// As [`Procedure::parse`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ProcedureError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProcedureError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }
}

/// The procedures that ship inside the crate.
///
/// # Errors
/// Never for a released crate: its own tests read them.
pub fn builtin() -> Result<Vec<Procedure>, ProcedureError> {
    BUILTIN
        .iter()
        .map(|(name, text)| Procedure::parse(&PathBuf::from(format!("procedures/{name}.toml")), text))
        .collect()
}

/// Every `*.toml` directly in a directory, by name.
///
/// # Errors
/// The first file that cannot be used, or two files of one name.
pub fn load_directory(directory: &Path) -> Result<Vec<Procedure>, ProcedureError> {
    let unreadable = |source| ProcedureError::Unreadable { path: directory.to_owned(), source };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let mut procedures: Vec<Procedure> = Vec::new();
    for file in &files {
        let procedure = Procedure::load(file)?;
        if let Some(place) = procedures.iter().position(|known| known.name == procedure.name) {
            return Err(ProcedureError::Duplicate {
                name: procedure.name,
                first: files[place].clone(),
                second: file.clone(),
            });
        }
        procedures.push(procedure);
    }
    Ok(procedures)
}

/// One procedure, by the path of its file or by name among `known`.
///
/// # Errors
/// The file cannot be used, or the name is unknown.
pub fn find(name: &str, known: &[Procedure]) -> Result<Procedure, ProcedureError> {
    if Path::new(name).extension().is_some_and(|end| end == "toml") {
        return Procedure::load(Path::new(name));
    }
    known.iter().find(|procedure| procedure.name == name).cloned().ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|procedure| procedure.name.as_str()).collect();
        ProcedureError::Unknown { name: name.to_owned(), known: names.join(", ") }
    })
}
