//! What only one process of the machine may do at a time: a lock on a file, given back when it is dropped, and by the
//! kernel when the process ends.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// An exclusive lock. Locks belong to open files, so two threads of one process exclude each other, too.
#[derive(Debug)]
pub(crate) struct FileLock {
    _held: Flock<File>,
}

impl FileLock {
    /// The lock, unless somebody has it.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        match Flock::lock(open(path)?, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Some(Self { _held: held })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// The lock, as soon as nobody has it.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let held =
            Flock::lock(open(path)?, FlockArg::LockExclusive).map_err(|(_, error)| Error::from(error))?;
        Ok(Self { _held: held })
    }
}

/// Opens the file, and makes it where there is none. Every user of the machine can lock it: reading is enough for
/// that where the file is another's, and one that is there is never opened as if it had to be made, which Linux
/// refuses for others' files in a shared directory.
fn open(path: &Path) -> Result<File> {
    let there = || match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    };
    match there() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(path)?;
            there()
        }
        opened => opened,
    }
}

/// Beside and linked, so that nobody meets a file that is not readable yet, whatever the umask.
fn make(path: &Path) -> Result<()> {
    let file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    match file.persist_noclobber(path) {
        Err(lost) if lost.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(lost) => Err(lost.error),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = FileLock::try_take(&path).unwrap();
        assert!(held.is_some());
        assert!(FileLock::try_take(&path).unwrap().is_none());
        drop(held);
        assert!(FileLock::try_take(&path).unwrap().is_some());
        FileLock::take(&path).unwrap();
    }

    /// Made with the default mode and opened for writing, it refused every user but the first.
    #[test]
    fn another_user_can_take_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let path = directory.path().join("lock");
        drop(FileLock::take(&path).unwrap());
        let taken = std::thread::spawn(move || {
            let owner = nix::unistd::geteuid();
            // Of this thread alone, and of no effect for who is not root: then the mode stands for another user.
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            if !owner.is_root() {
                std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
            }
            assert!(
                OpenOptions::new().write(true).open(&path).is_err(),
                "the test has another user's rights"
            );
            FileLock::try_take(&path)
        });
        assert!(taken.join().unwrap().unwrap().is_some());
    }
}
