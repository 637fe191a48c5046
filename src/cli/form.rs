//! The forms of output that verbs share.

use clap::ValueEnum;
use serde::Serialize;

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Prints a value as JSON. A value of this crate that cannot be written is a defect, and said so.
pub(super) fn print_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => crate::output::line(text),
        Err(error) => crate::output::error_line(format_args!("error: the result is no JSON: {error}")),
    }
}
