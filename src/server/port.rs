//! Ports: a free one for servers that do not take 0, and the file in which the others report theirs.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// A free port, held until the server is about to start so that two runs do not choose the same.
#[derive(Debug)]
pub(crate) struct HeldPort {
    listener: TcpListener,
    port: u16,
}

impl HeldPort {
    pub(crate) fn choose() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Frees the port; the server must bind it next.
    pub(crate) fn release(self) {
        drop(self.listener);
    }
}

/// The port in a port file, once the file is there.
pub(crate) fn reported(path: &Path) -> Option<u16> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
