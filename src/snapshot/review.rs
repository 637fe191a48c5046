//! Compares a run with the committed snapshot by meaning, and hands the outcome to insta, so that its review, its
//! pending files and `INSTA_UPDATE` work as everywhere.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use insta::Settings;

use super::comparison::{Comparison, compare_text};
use super::facts::Snapshot;

/// How a run compares with what was reviewed.
#[derive(Debug)]
pub(crate) enum Reviewed {
    Equal,
    /// It differs or nothing was reviewed; the message holds the differences and the command that accepts them.
    Different(String),
    /// It differed and `INSTA_UPDATE` had it accepted at once; the message says what changed.
    Accepted(String),
}

/// Differences named in the header of a file that accepts them.
const NAMED: usize = 12;

/// Compares `seen` with `DIRECTORY/NAME.snap`. What happens to the file follows `INSTA_UPDATE`.
pub(crate) fn review(directory: &Path, name: &str, description: &str, seen: &Snapshot) -> Reviewed {
    let file = directory.join(format!("{name}.snap"));
    let committed = std::fs::read_to_string(&file);
    let (message, proposed, widened) = match committed.as_deref().map(|text| (text, compare_text(text, seen)))
    {
        Ok((text, Comparison::Equal | Comparison::None(_))) => {
            // insta still learns that the file has its test.
            assert_with(directory, name, description, super::body(text).0);
            return Reviewed::Equal;
        }
        Ok((_, Comparison::Different(differing))) => {
            let message = differing.text();
            (message, differing.accepting.snapshot, differing.accepting.widened)
        }
        Ok((_, Comparison::Unreadable(error))) => {
            let text = format!("{}: {error}; the run shows:\n{seen}", file.display());
            (text, seen.clone(), Vec::new())
        }
        Err(_) => {
            let text = format!("there is no committed snapshot {}; the run shows:\n{seen}", file.display());
            (text, seen.clone(), Vec::new())
        }
    };
    let note = widening(&widened);
    let description = if note.is_empty() { description.to_owned() } else { format!("{description}; {note}") };
    let wider = if note.is_empty() { String::new() } else { format!("accepting it {note}\n") };
    if assert_with(directory, name, &description, &proposed.to_string()) {
        return Reviewed::Accepted(format!("accepted into {}\n{message}{wider}", file.display()));
    }
    Reviewed::Different(format!(
        "the structure differs from the reviewed snapshot\n{message}\n{wider}to accept it: cargo insta review --snapshot {}",
        file.display()
    ))
}

/// `widens decode aten::slice 120 → 117..120, and 3 more`.
fn widening(widened: &[String]) -> String {
    if widened.is_empty() {
        return String::new();
    }
    let more = widened.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let named: Vec<&str> = widened.iter().take(NAMED).map(String::as_str).collect();
    format!("widens {}{more}", named.join(", "))
}

/// insta's own assertion; it has no form that does not panic. True where it is content.
fn assert_with(directory: &Path, name: &str, description: &str, text: &str) -> bool {
    quiet_insta_panics();
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(description);
    let asserted = panic::catch_unwind(AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(name, text));
    }));
    asserted.is_ok()
}

/// Silences the panic hook for insta's assertion, which is caught; every other panic is shown.
fn quiet_insta_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !crate::panic::message(info.payload()).starts_with("snapshot assertion for") {
                shown(info);
            }
        }));
    });
}
