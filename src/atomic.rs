//! Whole files: beside and renamed, so that a reader finds the old one or the new one and never a half.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a file, readable as the umask says: others decide recorded runs, too.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text, false)
}

/// The same, and on the disk when it returns, name and all: a power cut leaves the old file or the new one.
pub(crate) fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text, true)
}

fn replace(path: &Path, text: &str, durable: bool) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // tempfile's own mode is 0600 whatever the umask.
    let mut file = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    if durable {
        file.as_file().sync_all()?;
    }
    file.persist(path)?;
    if durable { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything in a run directory was 0600, and another user's `check` was refused.
    #[test]
    fn the_umask_decides_who_may_read() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, ours) = (directory.path().join("plain"), directory.path().join("ours"));
        std::fs::write(&plain, "1").unwrap();
        for write in [write, write_durably] {
            write(&ours, "2").unwrap();
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
            assert_eq!(mode(&ours), mode(&plain));
            assert_eq!(std::fs::read_to_string(&ours).unwrap(), "2");
            assert_eq!(directory.path().read_dir().unwrap().count(), 2);
        }
    }
}
