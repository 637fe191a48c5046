//! Compares a text with the committed snapshot through insta, and turns its panic into one clean message.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Mutex, Once};

use insta::{Comparator, DefaultComparator, Settings, Snapshot};
use similar::TextDiff;

/// How a text compares.
#[derive(Debug)]
pub(crate) enum Compared {
    Equal,
    /// Differs or is missing; the message holds the diff or the text, and the command that accepts it.
    Different(String),
}

/// Compares `text` with `DIRECTORY/NAME.snap`. What happens to the file follows `INSTA_UPDATE`.
pub(crate) fn compare(directory: &Path, name: &str, description: &str, text: &str) -> Compared {
    quiet_insta_panics();
    let seen = Recorder::default();
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(description);
    settings.set_comparator(Box::new(seen.clone()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(name, text));
    }));
    if outcome.is_ok() {
        return Compared::Equal;
    }
    let file = directory.join(format!("{name}.snap"));
    let diff = seen.committed().map_or_else(
        || format!("there is no committed snapshot {}; the run shows:\n{text}", file.display()),
        |committed| unified(&committed, text),
    );
    Compared::Different(format!(
        "the structure differs from the reviewed snapshot\n{diff}\nto accept it: cargo insta review --snapshot {}",
        file.display()
    ))
}

/// The unified difference of two snapshot texts.
pub(crate) fn unified(committed: &str, observed: &str) -> String {
    let (committed, observed) = (format!("{}\n", committed.trim_end()), format!("{}\n", observed.trim_end()));
    TextDiff::from_lines(&committed, &observed)
        .unified_diff()
        .context_radius(3)
        .header("committed", "observed")
        .to_string()
}

/// Keeps the committed text when it differs: insta prints its own diff in the middle of other
/// trials' output, and a message in the trial's own failure is wanted instead.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Option<String>>>);

impl Recorder {
    fn committed(&self) -> Option<String> {
        self.0.lock().ok()?.clone()
    }
}

impl Comparator for Recorder {
    fn matches(&self, reference: &Snapshot, test: &Snapshot) -> bool {
        let equal = DefaultComparator.matches(reference, test);
        if !equal && let Ok(mut committed) = self.0.lock() {
            *committed = reference.contents().as_text().map(ToString::to_string);
        }
        equal
    }

    fn dyn_clone(&self) -> Box<dyn Comparator> {
        Box::new(self.clone())
    }
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
