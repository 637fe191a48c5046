//! Turns on what only one run can use at a time: a device, or all cores of the machine.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::lane::Lane;

/// Time between two looks at a lock that another process holds.
const POLL: Duration = Duration::from_millis(200);

/// The right to run on a lane; given back when dropped, and by the kernel when the process ends.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: Option<Flock<File>>,
}

impl Turn {
    /// Waits until no other run uses the lane, in this process or in another of this machine. The
    /// stand-in needs no turns.
    ///
    /// # Errors
    /// The lock file cannot be opened, or the process was told to end while it waited.
    pub(super) fn take(lane: Lane) -> Result<Self, String> {
        if lane == Lane::Standin {
            return Ok(Self { _lock: None });
        }
        let path = path(lane);
        let named =
            |reason: String| format!("cannot wait for the turn on lane {lane}: {}: {reason}", path.display());
        // Every user of the machine takes turns on the same file.
        let open = || OpenOptions::new().create(true).truncate(false).write(true).mode(0o666).open(&path);
        let mut file = open().map_err(|error| named(error.to_string()))?;
        loop {
            // Locks belong to open files, so two threads of one process exclude each other, too.
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self { _lock: Some(lock) }),
                Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
                Err((_, error)) => return Err(named(error.to_string())),
            }
            if crate::server::interrupt::heard().is_some() {
                return Err(named("interrupted".to_owned()));
            }
            std::thread::sleep(POLL);
        }
    }
}

fn path(lane: Lane) -> PathBuf {
    std::env::temp_dir().join(format!("tracegate-{lane}.lock"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time() {
        static INSIDE: AtomicUsize = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let turn = Turn::take(Lane::Gaudi).unwrap();
                    assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::sleep(Duration::from_millis(5));
                    INSIDE.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                });
            }
        });
        let (first, second) = (Turn::take(Lane::Standin), Turn::take(Lane::Standin));
        assert!(first.is_ok() && second.is_ok());
    }
}
