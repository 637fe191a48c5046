//! Hands what runs show to insta where it is not what was reviewed, so that its review, its pending files and
//! `INSTA_UPDATE` work as everywhere.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use insta::Settings;

use crate::judge::{Comparison, Decided};
use crate::snapshot::{Merged, Snapshot, accept_all, body};

/// How a run compares with what was reviewed.
#[derive(Debug)]
pub(super) enum Reviewed {
    Equal,
    /// It differs or nothing was reviewed; the message holds the differences and the command that accepts them.
    Different(String),
    /// It differed and `INSTA_UPDATE` had it accepted at once; the message says what changed.
    Accepted(String),
}

/// Differences named in the header of a file that accepts them.
const NAMED: usize = 12;

/// A decided run, with what to call it where there are several.
pub(super) struct Seen<'a> {
    pub(super) label: String,
    pub(super) decided: &'a Decided,
}

/// Says how runs compare with `DIRECTORY/NAME.snap`, each by itself. What happens to the file follows `INSTA_UPDATE`.
pub(super) fn review(directory: &Path, name: &str, description: &str, seen: &[Seen<'_>]) -> Reviewed {
    let file = directory.join(format!("{name}.snap"));
    let Some(first) = seen.first() else { return Reviewed::Equal };
    let proposal = Proposal { directory, name, seen, file: &file };
    let shows = |why: &str| {
        let message = format!("{why}; the run shows:\n{}", first.decided.snapshot);
        proposal.make(description, None, &message)
    };
    let review = &first.decided.review;
    let text = match (&review.comparison, &review.text) {
        (Comparison::Unreadable(error), _) => return shows(&format!("{}: {error}", review.label)),
        (Comparison::None(reason), _) => return shows(reason),
        (_, Some(text)) if file.is_file() => text,
        _ => return shows(&format!("there is no reviewed snapshot {}", file.display())),
    };
    let message = differing(seen);
    if message.is_empty() {
        // insta still learns that the file has its test; its header stays as it was accepted.
        let description = described(text).unwrap_or_else(|| description.to_owned());
        assert_with(directory, name, &description, body(text).0);
        return Reviewed::Equal;
    }
    let committed = Snapshot::parse(text).ok();
    let message = format!("the structure differs from the reviewed snapshot\n{message}");
    proposal.make(description, committed.as_ref(), &message)
}

/// The differences of each run that has some.
fn differing(seen: &[Seen<'_>]) -> String {
    let mut message = String::new();
    for one in seen {
        let Some(differing) = one.decided.review.differing() else { continue };
        if seen.len() > 1 {
            message += &format!("{}\n", one.label);
        }
        message += &differing.text();
    }
    message
}

/// A text for insta that is not the committed one.
struct Proposal<'a> {
    directory: &'a Path,
    name: &'a str,
    seen: &'a [Seen<'a>],
    file: &'a Path,
}

impl Proposal<'_> {
    fn make(&self, description: &str, committed: Option<&Snapshot>, message: &str) -> Reviewed {
        let runs: Vec<&Snapshot> = self.seen.iter().map(|one| &one.decided.snapshot).collect();
        let Some(Merged { snapshot, widened }) = accept_all(committed, &runs) else {
            return Reviewed::Different(format!(
                "{message}\nthe runs contradict one another, and no snapshot allows them all: nothing was proposed"
            ));
        };
        let note = widening(&widened);
        let description =
            if note.is_empty() { description.to_owned() } else { format!("{description}; {note}") };
        let mut wider = if note.is_empty() { String::new() } else { format!("accepting it {note}\n") };
        wider += &self.few(&snapshot);
        let proposed = snapshot.to_string();
        let file = self.file.display();
        if !assert_with(self.directory, self.name, &description, &proposed) {
            return Reviewed::Different(format!(
                "{message}\n{wider}to accept it: cargo insta review --snapshot {file}"
            ));
        }
        let written =
            std::fs::read_to_string(self.file).is_ok_and(|text| body(&text).0.trim() == proposed.trim());
        let what =
            if written { "accepted into" } else { "INSTA_FORCE_PASS: passed although it differs from" };
        Reviewed::Accepted(format!("{what} {file}\n{message}\n{wider}"))
    }

    /// One run of several requests cannot show what varies between clean runs.
    fn few(&self, proposed: &Snapshot) -> String {
        if proposed.runs != Some(1) || proposed.ledger.is_none_or(|ledger| ledger.requests < 2) {
            return String::new();
        }
        format!(
            "it is taken from one run of several requests, and counts that vary between clean runs will fail: take it from several, which `tracegate run {} --out runs` leaves when it is repeated, by `TRACEGATE_REPLAY=runs INSTA_UPDATE=always cargo test`\n",
            self.name
        )
    }
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
