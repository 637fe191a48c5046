//! Turns on what only one run can use at a time: a device, or all cores of the machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::RunError;
use crate::lane::Lane;
use crate::lock::FileLock;
use crate::wait::{Look, Unmet, Wait, until};

/// Longest time between two looks at a lock that another process holds.
const POLL: Duration = Duration::from_millis(200);

/// Waits until no other run uses the lane, in this process or in another of this machine; the turn is given back
/// when it is dropped. The stand-in needs no turns.
///
/// # Errors
/// The lock file can neither be opened nor made.
pub(super) async fn take(lane: Lane, tell: impl Fn(&str)) -> Result<Option<FileLock>, RunError> {
    if lane == Lane::Standin {
        return Ok(None);
    }
    // Every user of the machine takes turns on the same file.
    let path = std::env::temp_dir().join(format!("tracegate-{lane}.lock"));
    wait_for(&path, tell).await.map(Some).map_err(|(path, reason)| RunError::Turn {
        lane,
        path,
        reason: reason.to_string(),
    })
}

async fn wait_for(path: &Path, tell: impl Fn(&str)) -> Result<FileLock, (PathBuf, std::io::Error)> {
    let taken = until(Wait::endless(POLL), tell, async || {
        Ok(match FileLock::try_take(path)? {
            Some(lock) => Look::Done(lock),
            None => Look::NotYet("another run has the turn".to_owned()),
        })
    });
    match taken.await {
        Ok(lock) => Ok(lock),
        Err(Unmet::Failed(error)) => Err((path.to_owned(), error)),
        Err(Unmet::Overdue(status)) => Err((path.to_owned(), std::io::Error::other(status))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time() {
        static INSIDE: AtomicUsize = AtomicUsize::new(0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("turn");
        let turn = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let lock = runtime.block_on(wait_for(&path, |_| {})).unwrap();
            assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0);
            std::thread::sleep(Duration::from_millis(5));
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            drop(lock);
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(turn))));
    }
}
