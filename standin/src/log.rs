//! The server's log: standard output, which a run turns into `server.log`.

use std::fmt::Display;
use std::io::Write;

/// Writes a line. A log that cannot be written ends no server.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
