//! Processes as Linux shows them in /proc: who descends from whom, and signalling exactly those.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd;
use procfs::process::{Process, Stat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::wait::{Wait, seen, until_blocking};

/// Longest time between two looks while processes are waited for.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// One process at one time. A pid alone may be reused; with the start time it names one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Clock ticks since boot.
    pub(super) started: u64,
}

/// A process as it was when looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) group: i32,
    pub(super) zombie: bool,
    pub(super) name: String,
    parent: i32,
}

impl Entry {
    /// `NAME (pid N)`; a process chooses its name itself, so control characters are replaced.
    pub(super) fn describe(&self) -> String {
        format!("{} (pid {})", crate::text::inert(&self.name, 32), self.identity.pid)
    }

    /// Sends a signal to this process and to no other: the pidfd holds whoever has the pid now, and
    /// it is ours only when it began when ours did.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.identity.pid).filter(|pid| !pid.is_init()) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if entry(self.identity.pid).is_some_and(|now| now.identity == self.identity) {
            // It may have ended meanwhile, which is what was wanted.
            let _ = pidfd_send_signal(handle, signal);
        }
    }
}

/// Everything that descends from a process now, zombies included, the process itself left out.
pub(super) fn descendants(root: i32) -> Vec<Entry> {
    let table = table();
    let mut found: Vec<Entry> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for entry in table.values().filter(|entry| entry.parent == parent && entry.identity.pid != root) {
            parents.push(entry.identity.pid);
            found.push(entry.clone());
        }
    }
    found
}

/// Every process that /proc shows. One that ends while it is read is left out.
pub(super) fn table() -> BTreeMap<i32, Entry> {
    let Ok(processes) = procfs::process::all_processes() else { return BTreeMap::new() };
    processes.filter_map(|found| found.ok()?.stat().ok()).map(|stat| (stat.pid, Entry::from(stat))).collect()
}

pub(super) fn entry(pid: i32) -> Option<Entry> {
    Some(Entry::from(Process::new(pid).ok()?.stat().ok()?))
}

impl From<Stat> for Entry {
    fn from(stat: Stat) -> Self {
        Self {
            identity: Identity { pid: stat.pid, started: stat.starttime },
            parent: stat.ppid,
            group: stat.pgrp,
            zombie: matches!(stat.state, 'Z' | 'X'),
            name: stat.comm,
        }
    }
}

/// A guard and everything that was ever seen below it. The second line of defence: used when the
/// guard itself was killed and its descendants have become this process's own children.
#[derive(Debug)]
pub(super) struct Seen {
    guard: i32,
    known: HashSet<Identity>,
}

impl Seen {
    pub(super) fn below(guard: u32) -> Self {
        let mut seen = Self { guard: guard as i32, known: HashSet::new() };
        seen.refresh();
        seen
    }

    /// Looks for new descendants, called at every look at the server.
    pub(super) fn refresh(&mut self) {
        self.known.extend(entry(self.guard).map(|guard| guard.identity));
        self.known.extend(descendants(self.guard).iter().map(|entry| entry.identity));
    }

    /// Kills everything that was seen and still lives, with what it has started meanwhile, until
    /// none is left or `limit` has passed; returns who that was.
    pub(super) fn sweep(&mut self, limit: Duration) -> Vec<String> {
        let mut killed = BTreeMap::new();
        // What outlives even that hangs in the kernel, and is named.
        let _ = until_blocking(Wait::of(limit, LOOK), || {
            self.reap();
            self.grow();
            let table = table().into_values();
            let living: Vec<Entry> =
                table.filter(|entry| self.known.contains(&entry.identity) && !entry.zombie).collect();
            for entry in &living {
                entry.signal(Signal::KILL);
                killed.insert(entry.identity, entry.describe());
            }
            seen(living.is_empty())
        });
        self.reap();
        killed.into_values().collect()
    }

    /// Children of known processes are known.
    fn grow(&mut self) {
        let parents: Vec<i32> = self.known.iter().map(|identity| identity.pid).collect();
        let table = table();
        for pid in parents {
            if table.get(&pid).is_some_and(|entry| self.known.contains(&entry.identity)) {
                self.known.extend(descendants(pid).iter().map(|entry| entry.identity));
            }
        }
    }

    /// Collects the dead that the subreaper setting made children of this process.
    fn reap(&self) {
        let me = std::process::id() as i32;
        for entry in table().values() {
            if entry.zombie && entry.parent == me && self.known.contains(&entry.identity) {
                let pid = unistd::Pid::from_raw(entry.identity.pid);
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_a_descendant_and_is_signalled_only_while_it_is_itself() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let me = std::process::id() as i32;
        let found = descendants(me).into_iter().find(|entry| entry.identity.pid == pid).unwrap();
        // The same pid at another time is another process.
        let stranger = Entry {
            identity: Identity { started: found.identity.started + 1, ..found.identity },
            ..found.clone()
        };
        stranger.signal(Signal::KILL);
        assert!(child.try_wait().unwrap().is_none());
        found.signal(Signal::KILL);
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
