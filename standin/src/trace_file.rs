//! A trace file as a profiler leaves it: whole, or with what a fault makes of it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::event_writer::create;
use super::fault::Fault;

/// How long slow exports are slow.
pub(super) const PAUSE: Duration = Duration::from_millis(1500);

/// Writes a document, compressed or plain.
pub(super) fn leave(path: &Path, json: &[u8], gzip: bool, fault: Option<Fault>) -> io::Result<()> {
    let mut out = create(path, gzip)?;
    match fault {
        Some(Fault::InvalidJson) => out.write_all(&json[..json.len() * 6 / 10])?,
        Some(Fault::SlowExport) => {
            let (first, second) = json.split_at(json.len() / 2);
            out.write_all(first)?;
            out.flush()?;
            std::thread::sleep(PAUSE);
            out.write_all(second)?;
        }
        _ => out.write_all(json)?,
    }
    out.finish()?;
    match fault {
        Some(Fault::TruncatedTrace) => cut(path, |length| length * 6 / 10),
        Some(Fault::EmptyTrace) => cut(path, |_| 0),
        _ => Ok(()),
    }
}

fn cut(path: &Path, to: impl FnOnce(u64) -> u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(to(file.metadata()?.len()))
}
