//! Awkward children of the stand-in, as real servers have them: real processes that sleep, and end by
//! themselves after two minutes, so that not even a broken supervisor leaves them for ever.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use nix::sys::signal::{SigSet, Signal};

use crate::REEXEC;

/// Value of `TRACEGATE_REEXEC` that makes a program such a child.
pub const KIN: &str = "kin";
const LAST_RESORT: Duration = Duration::from_secs(120);

/// A kind of child, by how it escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Kin {
    /// In the server's own process group, as `multiprocessing` makes them
    SameGroup,
    /// In a session of its own
    Setsid,
    /// Forked twice, so that its parent is gone
    Daemon,
    /// In the server's group, ignoring SIGTERM
    Deaf,
    /// Forked twice, ignoring SIGTERM
    DeafDaemon,
}

impl Kin {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Starts a child and returns when it is what it is to be.
pub(super) fn start(kind: Kin) -> std::io::Result<()> {
    let mut child = re_execute(&[&kind.name()]).stdout(Stdio::piped()).spawn()?;
    let mut ready = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut ready)?;
    }
    if matches!(kind, Kin::Daemon | Kin::DeafDaemon) {
        child.wait()?;
    }
    Ok(())
}

fn re_execute(arguments: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).env(REEXEC, KIN).stdin(Stdio::null());
    command
}

/// Is the child that the first argument names.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().and_then(|name| Kin::from_str(&name, false).ok());
    let Some(kind) = kind else { return ExitCode::FAILURE };
    let orphan = arguments.next().is_some();
    match live(kind, orphan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn live(kind: Kin, orphan: bool) -> std::io::Result<()> {
    let daemon = matches!(kind, Kin::Daemon | Kin::DeafDaemon);
    if (kind == Kin::Setsid || daemon) && !orphan {
        nix::unistd::setsid()?;
    }
    if daemon && !orphan {
        // The second fork: the parent ends at once, and nothing leads back to the server.
        re_execute(&[&kind.name(), "orphan"]).spawn()?;
        return Ok(());
    }
    if matches!(kind, Kin::Deaf | Kin::DeafDaemon) {
        deafen()?;
    }
    // What `ps` and a verdict show; the kernel keeps 15 bytes.
    let name = std::ffi::CString::new(format!("kin-{}", kind.name()))?;
    nix::sys::prctl::set_name(&name)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    std::thread::sleep(LAST_RESORT);
    Ok(())
}

/// Blocks the signals that ask a process to end.
pub(super) fn deafen() -> nix::Result<()> {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]).thread_block()
}
