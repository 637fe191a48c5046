//! Standard output and error that may be closed or full: a pipe into `head` must end no run.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when output was lost to anything but a reader that wanted no more.
static LOST: AtomicBool = AtomicBool::new(false);

/// Writes a text and a newline to standard output.
pub(crate) fn line(text: impl Display) {
    note(writeln!(std::io::stdout().lock(), "{}", shown(&text)));
}

/// Set by `--quiet`: verdicts, failures and errors only.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves out what [`detail`] would write from now on.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// True when only verdicts, failures and errors are wanted.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes a line that `--quiet` leaves out.
pub(crate) fn detail(text: impl Display) {
    if !is_quiet() {
        line(text);
    }
}

/// Writes a text to standard output.
pub(crate) fn text(text: impl Display) {
    let mut out = std::io::stdout().lock();
    note(write!(out, "{}", shown(&text)).and_then(|()| out.flush()));
}

/// Writes a line to standard error. When that fails, too, nobody is left to be told.
pub(crate) fn error_line(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(&text));
}

/// The last gate before a terminal: names and messages come from servers and traces, and nothing
/// that tracegate prints itself needs a control character.
fn shown(text: &dyn Display) -> String {
    crate::text::printable(&text.to_string()).into_owned()
}

pub(crate) fn note(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        error_line(format_args!("error: standard output: {error}"));
    }
}

/// True when a result could not be shown, on a full disk for example.
pub(crate) fn was_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}
