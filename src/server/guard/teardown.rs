//! Ending everything below the guard: ask, wait, kill, until the kernel says that no child is left.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::process::Signal;

use crate::server::Shutdown;
use crate::server::processes::{Entry, Identity, LOOK, descendants};
use crate::wait::{Wait, seen, until};

/// How long killed processes may take to vanish. One that hangs in the kernel, on a device for
/// example, outlives any signal; then it is named.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for processes other than the leader once that has ended.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// The guard's view of its server.
pub(super) struct Kept {
    leader: i32,
    /// Wait status, once the leader was collected. Until then its pid cannot be reused.
    status: Option<i32>,
    /// The guard has no child, and as a subreaper no descendant either.
    alone: bool,
    /// Who had to be ended, and how.
    ended: BTreeMap<Identity, String>,
}

impl Kept {
    pub(super) fn new(leader: i32) -> Self {
        Self { leader, status: None, alone: false, ended: BTreeMap::new() }
    }

    /// Collects the dead; returns the leader's wait status when it was among them.
    pub(super) fn reap_leader(&mut self) -> Option<i32> {
        let before = self.status;
        self.reap();
        if before.is_none() { self.status } else { None }
    }

    fn reap(&mut self) {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code << 8),
                Ok(WaitStatus::Signaled(pid, signal, core)) => {
                    (pid, signal as i32 | if core { 0x80 } else { 0 })
                }
                Ok(WaitStatus::StillAlive) => {
                    self.alone = false;
                    return;
                }
                Err(Errno::ECHILD) => {
                    self.alone = true;
                    return;
                }
                Err(Errno::EINTR) | Ok(_) => continue,
                Err(_) => return,
            };
            if pid.as_raw() == self.leader {
                self.status = Some(status);
            }
        }
    }

    /// Ends everything: SIGTERM to the leader; after half of the grace to its group; then, once the
    /// leader is gone or the grace is over, whatever has not ended by itself is asked, killed and
    /// named. May be dropped and called again.
    pub(super) async fn end(&mut self, grace: Duration) -> Shutdown {
        let half = grace / 2;
        self.signal(Signal::TERM, |entry, leader| entry.identity.pid == leader);
        if !self.wait(half, |kept| kept.status.is_some()).await {
            self.signal(Signal::TERM, |entry, leader| entry.group == leader);
            self.wait(half, |kept| kept.status.is_some()).await;
        }
        // Workers end a moment after the leader.
        if !self.wait(half.min(STRAGGLERS), |kept| kept.alone).await {
            self.end_rest(half.min(STRAGGLERS) / 2).await;
        }
        let surviving = if self.alone { Vec::new() } else { living() };
        Shutdown {
            status: self
                .status
                .map_or_else(|| "unknown".to_owned(), |raw| ExitStatus::from_raw(raw).to_string()),
            killed: self.ended.values().cloned().collect(),
            surviving: surviving.iter().map(Entry::describe).collect(),
        }
    }

    async fn end_rest(&mut self, grace: Duration) {
        // The device is given back more surely by a worker that is asked first.
        for entry in living() {
            entry.signal(Signal::TERM);
            self.note(&entry, "ended by SIGTERM");
        }
        if self.wait(grace, |kept| kept.alone).await {
            return;
        }
        let begun = Instant::now();
        // Whoever is killed may have had children meanwhile, hence the rounds.
        while !self.alone && begun.elapsed() < KILL_LIMIT {
            for entry in living() {
                entry.signal(Signal::KILL);
                self.note(&entry, "killed");
            }
            self.wait(LOOK, |kept| kept.alone).await;
        }
    }

    fn note(&mut self, entry: &Entry, how: &str) {
        let leader = if entry.identity.pid == self.leader { "the server itself, " } else { "" };
        self.ended.insert(entry.identity, format!("{}: {leader}{how}", entry.describe()));
    }

    fn signal(&self, signal: Signal, wanted: impl Fn(&Entry, i32) -> bool) {
        living().iter().filter(|entry| wanted(entry, self.leader)).for_each(|entry| entry.signal(signal));
    }

    /// True when it came about within the limit.
    async fn wait(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        until(
            Wait::of(limit, LOOK),
            |_| {},
            async || {
                self.reap();
                seen(done(self))
            },
        )
        .await
        .is_ok()
    }
}

/// Descendants of this process that still run.
fn living() -> Vec<Entry> {
    let mut living = descendants(std::process::id() as i32);
    living.retain(|entry| !entry.zombie);
    living
}
