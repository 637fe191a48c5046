//! Processes as Linux shows them in /proc: who descends from whom, and ending exactly those.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// One process at one time. A pid alone may be reused; with the start time it names one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Identity {
    pid: i32,
    started: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    identity: Identity,
    parent: i32,
    group: i32,
    zombie: bool,
    name: String,
}

/// The process tree of one server: its leader and everything that ever descended from it.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    leader: Pid,
    known: HashSet<Identity>,
}

impl ProcessTree {
    pub(crate) fn of(leader: u32) -> Self {
        let leader = Pid::from_raw(leader as i32);
        let mut tree = Self { leader, known: HashSet::new() };
        tree.refresh();
        tree
    }

    /// Looks for new descendants. Called often: a child is found by its parent or its group, and
    /// both can be gone later (a daemon leaves its group and outlives its parent).
    pub(crate) fn refresh(&mut self) {
        let table = table();
        let mut grown = true;
        while grown {
            grown = false;
            for entry in table.values() {
                let ours = entry.identity.pid == self.leader.as_raw()
                    || entry.group == self.leader.as_raw()
                    || table.get(&entry.parent).is_some_and(|parent| self.known.contains(&parent.identity));
                grown |= ours && self.known.insert(entry.identity);
            }
        }
    }

    /// Asks the leader to end.
    pub(crate) fn terminate_leader(&self) {
        if self.has_leader() {
            // No such process means that it has ended already.
            let _ = kill(self.leader, Signal::SIGTERM);
        }
    }

    pub(crate) fn signal_group(&self, signal: Signal) {
        if self.has_leader() {
            let _ = killpg(self.leader, signal);
        }
    }

    /// To the kernel, 0 is this process's own group and 1 is init.
    fn has_leader(&self) -> bool {
        self.leader.as_raw() > 1
    }

    /// Descendants that still run, by name and pid.
    pub(crate) fn alive(&mut self) -> Vec<String> {
        self.refresh();
        let names =
            self.living().into_iter().map(|entry| format!("{} (pid {})", entry.name, entry.identity.pid));
        names.collect()
    }

    fn living(&self) -> Vec<Entry> {
        let table = table();
        let ours = table.into_values().filter(|entry| self.known.contains(&entry.identity));
        ours.filter(|entry| !entry.zombie).collect()
    }

    /// Kills every known descendant until none is left or `limit` has passed; returns who had to be
    /// killed. Whoever is killed may have had children meanwhile, hence the rounds.
    pub(crate) fn sweep(&mut self, limit: Duration) -> Vec<String> {
        let begun = Instant::now();
        let mut killed = BTreeMap::new();
        loop {
            self.refresh();
            let living = self.living();
            if living.is_empty() || begun.elapsed() > limit {
                self.reap();
                return killed.into_values().collect();
            }
            for entry in living {
                let pid = entry.identity.pid;
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                killed.insert(entry.identity, format!("{} (pid {pid})", entry.name));
            }
            std::thread::sleep(Duration::from_millis(20));
            self.reap();
        }
    }

    /// Collects dead descendants that the subreaper setting made children of this process.
    fn reap(&self) {
        let me = std::process::id() as i32;
        for entry in table().values() {
            let orphan = entry.zombie && entry.parent == me && entry.identity.pid != self.leader.as_raw();
            if orphan && self.known.contains(&entry.identity) {
                let _ = waitpid(Pid::from_raw(entry.identity.pid), Some(WaitPidFlag::WNOHANG));
            }
        }
    }
}

/// Every process that /proc shows. One that ends while it is read is left out.
fn table() -> BTreeMap<i32, Entry> {
    let Ok(directory) = fs::read_dir("/proc") else { return BTreeMap::new() };
    directory
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse_stat(pid, &stat)?))
        })
        .collect()
}

/// `pid (comm) state ppid pgrp session …`; the name may hold spaces and parentheses.
fn parse_stat(pid: i32, stat: &str) -> Option<Entry> {
    let open = stat.find('(')?;
    let close = stat.rfind(')')?;
    let rest: Vec<&str> = stat.get(close + 1..)?.split_whitespace().collect();
    Some(Entry {
        identity: Identity { pid, started: rest.get(19)?.parse().ok()? },
        parent: rest.get(1)?.parse().ok()?,
        group: rest.get(2)?.parse().ok()?,
        zombie: matches!(*rest.first()?, "Z" | "X"),
        name: stat.get(open + 1..close)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_name_with_spaces_and_parentheses() {
        let stat = "42 (VLLM::Worker (0)) S 7 42 42 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 987654 1 1";
        let entry = parse_stat(42, stat).unwrap();
        assert_eq!((entry.parent, entry.group, entry.zombie), (7, 42, false));
        assert_eq!(entry.identity, Identity { pid: 42, started: 987_654 });
        assert_eq!(entry.name, "VLLM::Worker (0)");
    }

    #[test]
    fn this_process_is_in_the_table() {
        let me = std::process::id() as i32;
        assert!(table().contains_key(&me));
    }
}
