//! Compares a run with the committed snapshot by meaning, and hands the outcome to insta, so that its review, its
//! pending files and `INSTA_UPDATE` work as everywhere.

use std::io::ErrorKind;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use insta::Settings;

use super::describe::{describe, unified};
use super::facts::Snapshot;
use super::merge::Merged;

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

/// A run that is compared, with what to call it where there are several.
pub(crate) struct Seen {
    pub(crate) label: String,
    pub(crate) snapshot: Snapshot,
}

/// Compares runs with `DIRECTORY/NAME.snap`, each by itself. What happens to the file follows `INSTA_UPDATE`.
pub(crate) fn review(directory: &Path, name: &str, description: &str, seen: &[Seen]) -> Reviewed {
    let file = directory.join(format!("{name}.snap"));
    let Some(first) = seen.first() else { return Reviewed::Equal };
    let shows = |why: &str| {
        let message = format!("{why}; the run shows:\n{}", first.snapshot);
        let rest = accepted(first.snapshot.clone(), seen);
        propose(directory, name, description, rest, seen, &message)
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return shows(&format!("there is no committed snapshot {}", file.display()));
        }
        Err(error) => return shows(&format!("{} cannot be read: {error}", file.display())),
    };
    let committed = match Snapshot::parse(&text) {
        Ok(committed) => committed,
        Err(error) => return shows(&format!("{}: {error}", file.display())),
    };
    let message = differing(&committed, seen);
    if message.is_empty() {
        // insta still learns that the file has its test; its header stays as it was accepted.
        let (body, _) = super::body(&text);
        assert_with(directory, name, &described(&text).unwrap_or_else(|| description.to_owned()), body);
        return Reviewed::Equal;
    }
    let message = format!("the structure differs from the reviewed snapshot\n{message}");
    propose(directory, name, description, accepted(committed, seen), seen, &message)
}

/// The differences of each run that has some.
fn differing(committed: &Snapshot, seen: &[Seen]) -> String {
    let mut message = String::new();
    for one in seen {
        let differences = committed.differences(&one.snapshot);
        if differences.is_empty() {
            continue;
        }
        if seen.len() > 1 {
            message += &format!("{}\n", one.label);
        }
        let diff = unified(committed, &committed.replaced_by(&one.snapshot), ("committed", "observed"));
        message += &format!("{}\n{diff}", describe(&differences));
    }
    message
}

/// A snapshot with every run accepted into it that it does not allow already.
fn accepted(snapshot: Snapshot, seen: &[Seen]) -> Merged {
    let mut merged = Merged { snapshot, widened: Vec::new() };
    for one in seen {
        if !merged.snapshot.differences(&one.snapshot).is_empty() {
            let Merged { snapshot, widened } = merged.snapshot.accepting(&one.snapshot);
            merged.snapshot = snapshot;
            merged.widened.extend(widened);
        }
    }
    merged
}

/// Hands a text to insta that is not the committed one.
fn propose(
    directory: &Path,
    name: &str,
    description: &str,
    merged: Merged,
    seen: &[Seen],
    message: &str,
) -> Reviewed {
    let file = directory.join(format!("{name}.snap"));
    // Steps and tokens are no intervals: of runs that differ in them, the last would hide the others.
    if seen.iter().any(|one| !merged.snapshot.differences(&one.snapshot).is_empty()) {
        return Reviewed::Different(format!(
            "{message}\nthe runs contradict one another, and no snapshot allows them all: nothing was proposed"
        ));
    }
    let note = widening(&merged.widened);
    let description = if note.is_empty() { description.to_owned() } else { format!("{description}; {note}") };
    let wider = if note.is_empty() { String::new() } else { format!("accepting it {note}\n") };
    let proposed = merged.snapshot.to_string();
    if !assert_with(directory, name, &description, &proposed) {
        let file = file.display();
        return Reviewed::Different(format!(
            "{message}\n{wider}to accept it: cargo insta review --snapshot {file}"
        ));
    }
    let written =
        std::fs::read_to_string(&file).is_ok_and(|text| super::body(&text).0.trim() == proposed.trim());
    let what = if written { "accepted into" } else { "INSTA_FORCE_PASS: passed although it differs from" };
    Reviewed::Accepted(format!("{what} {}\n{message}\n{wider}", file.display()))
}

/// The description in the header of a snapshot file.
fn described(text: &str) -> Option<String> {
    let header = text.split("\n---\n").next()?;
    let line = header.lines().find_map(|line| line.strip_prefix("description: "))?;
    serde_json::from_str(line).ok()
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
