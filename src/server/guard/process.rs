//! The guard's own life: start the server, watch it, and end it when told to, or when the process
//! that started the guard is gone. Runs in a session of its own, so that no signal to a terminal's or
//! a test runner's process group reaches it.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::message::{Event, Launch, Order};
use super::teardown::Kept;

/// Grace of a server whose tracegate is gone: nobody waits for a trace any more, and a killed run
/// must leave nothing behind within seconds.
const ABANDONED_GRACE: Duration = Duration::from_secs(3);

/// Is the guard until nothing is left to guard.
pub(crate) fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(guard()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What can end the server before it ends by itself.
struct Orders {
    lines: Lines<BufReader<pipe::Receiver>>,
    terminated: Signal,
}

impl Orders {
    /// The next order; `None` when tracegate is gone, or when this process is told to end.
    async fn next(&mut self) -> Option<Order> {
        tokio::select! {
            line = self.lines.next_line() => serde_json::from_str(&line.ok()??).ok(),
            _ = self.terminated.recv() => None,
        }
    }
}

async fn guard() -> std::io::Result<()> {
    // Fails only for the leader of a group, which has been separated already.
    let _ = nix::unistd::setsid();
    let _ = nix::sys::prctl::set_name(c"tracegate-guard");
    // Daemons become children of the guard: what it has no child of, does not exist.
    nix::sys::prctl::set_child_subreaper(true)?;
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let lines = BufReader::new(pipe::Receiver::from_file(input)?).lines();
    let mut orders = Orders { lines, terminated: signal(SignalKind::terminate())? };
    let mut children = signal(SignalKind::child())?;
    let Some(Order::Start(launch)) = orders.next().await else { return Ok(()) };
    let mut kept = match start(&launch) {
        Ok(leader) => Kept::new(leader),
        Err(error) => {
            tell(&Event::NotStarted { reason: error.to_string() });
            return Ok(());
        }
    };
    tell(&Event::Started);
    let grace = loop {
        tokio::select! {
            _ = children.recv() => {
                if let Some(status) = kept.reap_leader() {
                    tell(&Event::Ended { status });
                }
            }
            order = orders.next() => match order {
                Some(Order::End { grace_ms }) => break Some(Duration::from_millis(grace_ms)),
                Some(Order::Start(_)) => {}
                None => break None,
            }
        }
    };
    if let Some(grace) = grace {
        tokio::select! {
            biased;
            shutdown = kept.end(grace) => {
                tell(&Event::Down(shutdown));
                return Ok(());
            }
            // Tracegate may be killed while it waits for the end.
            _ = orders.next() => {}
        }
    }
    let shutdown = kept.end(ABANDONED_GRACE).await;
    let text = serde_json::to_string_pretty(&shutdown)?;
    std::fs::write(&launch.abandoned, text + "\n")
}

fn tell(event: &Event) {
    // Whoever does not listen any more is gone, which the input tells, too.
    if let Ok(line) = serde_json::to_string(event) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// Starts the server as the leader of a group of its own.
fn start(launch: &Launch) -> std::io::Result<i32> {
    let (program, args) =
        launch.argv.split_first().ok_or_else(|| std::io::Error::other("the command is empty"))?;
    let out = File::create(&launch.log)?;
    let mut process = Command::new(program);
    process.args(args).env_clear().envs(&launch.env).current_dir(&launch.cwd);
    process.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out).process_group(0);
    end_with_guard(&mut process);
    Ok(process.spawn()?.id() as i32)
}

/// Asks the kernel to kill the server when the guard ends, which only a SIGKILL of the guard itself
/// can bring about before the server is gone. The guard has one thread, which lives as long as it.
#[expect(unsafe_code, reason = "pre_exec is unsafe; both calls inside are async-signal-safe system calls")]
fn end_with_guard(process: &mut Command) {
    let guard = nix::unistd::getpid();
    // SAFETY: between fork and exec only prctl(2), getppid(2) and error construction from an errno
    // happen; none allocates or takes a lock.
    unsafe {
        process.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            // The guard may have ended before the line above.
            if nix::unistd::getppid() != guard {
                return Err(std::io::Error::from_raw_os_error(nix::libc::ESRCH));
            }
            Ok(())
        });
    }
}
