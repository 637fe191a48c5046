//! Tells a finished trace file from one that is still being written.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How far a file has come, as far as its size and its last bytes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) bytes: u64,
    /// Why the file cannot be complete yet; `None` when nothing speaks against it.
    pub(crate) missing: Option<&'static str>,
}

/// A cheap look, repeated until the answer holds: size, and for gzip whether the end can be a
/// trailer of the size the stream claims. The expensive proof (checksum, JSON end) is the reader's.
pub(crate) fn progress(path: &Path) -> std::io::Result<Progress> {
    let mut file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut head = [0u8; 2];
    if bytes < 2 {
        return Ok(Progress { bytes, missing: Some("no bytes yet") });
    }
    file.read_exact(&mut head)?;
    if head == [0x1f, 0x8b] {
        // 10 bytes of header and 8 of trailer are the least.
        let missing = (bytes < 18).then_some("no gzip trailer yet");
        return Ok(Progress { bytes, missing });
    }
    let mut tail = [0u8; 64];
    let length = bytes.min(64);
    file.seek(SeekFrom::End(-(length as i64)))?;
    file.read_exact(&mut tail[..length as usize])?;
    let last = tail[..length as usize].iter().rev().find(|b| !b.is_ascii_whitespace());
    let open = !matches!(last, Some(b'}' | b']' | b','));
    Ok(Progress { bytes, missing: open.then_some("the JSON is not closed yet") })
}
