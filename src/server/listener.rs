//! Who listens on a port, as the kernel tells it: the only answer to "is this our server?" that another
//! server cannot give as well.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

#[derive(Clone, Debug, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    inode: u64,
}

/// Looks who listens on a port that the processes below `guard` should have.
pub(super) fn find(port: u16, guard: i32) -> Found {
    // The sockets first: one that is ours is still held when the processes are looked at.
    let Ok(tcp) = fs::read_to_string("/proc/net/tcp") else { return Found::Unknown };
    let tcp6 = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    let listeners: Vec<Listener> = listeners(&tcp, port).chain(listeners(&tcp6, port)).collect();
    let ours = descendants(guard);
    let mut found = Found::Nobody;
    for listener in listeners {
        if !ours.iter().any(|entry| holds(entry, listener.inode)) {
            return Found::Stranger(owner(listener.inode));
        }
        if !listener.address.is_loopback() {
            found = Found::OursExposed(listener.address);
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
    let wanted = format!("socket:[{inode}]");
    let Ok(handles) = fs::read_dir(format!("/proc/{}/fd", entry.identity.pid)) else { return false };
    handles
        .flatten()
        .any(|handle| fs::read_link(handle.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
}

/// Listening sockets of `/proc/net/tcp` or `tcp6` on a port.
fn listeners(table: &str, port: u16) -> impl Iterator<Item = Listener> {
    table.lines().skip(1).filter_map(move |line| {
        const LISTEN: &str = "0A";
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, local_port) = fields.get(1)?.split_once(':')?;
        let ours = *fields.get(3)? == LISTEN && u16::from_str_radix(local_port, 16).ok()? == port;
        let inode = fields.get(9)?.parse().ok()?;
        ours.then_some(Listener { address: address_of(address)?, inode })
    })
}

/// Groups of eight hexadecimal digits, each a 32-bit word in the machine's own byte order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let words: Vec<[u8; 4]> = hex
        .as_bytes()
        .chunks(8)
        .map(|word| Some(u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?.to_ne_bytes()))
        .collect::<Option<_>>()?;
    match words.as_slice() {
        [word] => Some(IpAddr::V4(Ipv4Addr::from(*word))),
        words @ [_, _, _, _] => {
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            // ::ffff:127.0.0.1 is loopback, too.
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn reads_addresses_in_the_kernels_form() {
        let one = u32::from_ne_bytes([127, 0, 0, 1]);
        assert_eq!(address_of(&format!("{one:08X}")), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(address_of("00000000"), Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let last = u32::from_ne_bytes([0, 0, 0, 1]);
        let six = format!("000000000000000000000000{last:08X}");
        assert_eq!(address_of(&six), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(address_of("no"), None);
    }

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
