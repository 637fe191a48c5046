//! Who listens on a port, as the kernel tells it: the only answer to "is this our server?" that another
//! server cannot give as well.

use std::net::IpAddr;

use procfs::net::{self, TcpState};
use procfs::process::{FDInfo, FDTarget, Process};

use super::processes::{Entry, descendants, table};

/// What was found on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nobody,
    /// A process below the guard, on loopback only.
    Ours,
    /// A process below the guard, reachable from outside.
    OursExposed(IpAddr),
    /// Another process, described; `None` where the system does not show whose socket it is.
    Stranger(Option<String>),
    /// The system does not show sockets.
    Unknown,
}

/// Looks who listens on a port that the processes below `guard` should have.
pub(super) fn find(port: u16, guard: i32) -> Found {
    // The sockets first: one that is ours is still held when the processes are looked at.
    let Ok(mut sockets) = net::tcp() else { return Found::Unknown };
    sockets.extend(net::tcp6().unwrap_or_default());
    sockets.retain(|socket| socket.state == TcpState::Listen && socket.local_address.port() == port);
    let ours = descendants(guard);
    let mut found = Found::Nobody;
    for socket in sockets {
        if !ours.iter().any(|entry| holds(entry, socket.inode)) {
            return Found::Stranger(owner(socket.inode));
        }
        // ::ffff:127.0.0.1 is loopback, too.
        let address = socket.local_address.ip().to_canonical();
        if !address.is_loopback() {
            found = Found::OursExposed(address);
        } else if found == Found::Nobody {
            found = Found::Ours;
        }
    }
    found
}

fn owner(inode: u64) -> Option<String> {
    table().values().find(|entry| holds(entry, inode)).map(Entry::describe)
}

fn holds(entry: &Entry, inode: u64) -> bool {
    let files = Process::new(entry.identity.pid).and_then(|process| process.fd());
    let is_it = |file: FDInfo| matches!(file.target, FDTarget::Socket(found) if found == inode);
    files.is_ok_and(|files| files.flatten().any(is_it))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_listener_of_another_process_is_a_stranger() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nothing below pid 0x7fff_fffe: every socket is a stranger's.
        let Found::Stranger(Some(who)) = find(port, 0x7fff_fffe) else { panic!("not found") };
        assert!(who.contains(&format!("(pid {})", std::process::id())), "{who}");
        // The parent of this process has this process below it.
        assert_eq!(find(port, std::os::unix::process::parent_id() as i32), Found::Ours);
        drop(listener);
        assert_eq!(find(port, 0x7fff_fffe), Found::Nobody);
    }
}
