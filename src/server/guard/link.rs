//! This side of a guard: start one, hear when its process ends, have everything ended.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::GUARD;
use super::message::{Event, Launch, Order};
use crate::procedure::Span;
use crate::reexec::REEXEC;
use crate::server::processes::{LOOK, Seen};
use crate::server::{ServerError, Shutdown};
use crate::wait::{Wait, seen, until_blocking};

/// A guard answers at once, on a machine that is not standing still.
const FIRST_EVENT: Duration = Duration::from_secs(30);
/// What a guard may take beyond the grace it was given: stragglers, kills and their rounds.
const BEYOND_GRACE: Duration = Duration::from_secs(30);
/// The same for one that was dropped and ends its server at once.
const DROPPED: Duration = Duration::from_secs(15);

/// A process under a guard. Dropping it ends the process and everything that descends from it.
#[derive(Debug)]
pub(crate) struct Guarded {
    guard: Child,
    orders: Option<ChildStdin>,
    events: Lines<BufReader<ChildStdout>>,
    status: Option<ExitStatus>,
    seen: Seen,
    down: bool,
}

impl Guarded {
    /// Starts a guard, and the process under it.
    ///
    /// # Errors
    /// The process cannot be started, or this program cannot be its own guard.
    pub(crate) async fn start(launch: &Launch) -> Result<Self, ServerError> {
        let mut guarded = Self::start_guard(&launch.abandoned)?;
        guarded.order(&Order::Start(launch.clone())).await.map_err(unfit)?;
        let event = tokio::time::timeout(FIRST_EVENT, guarded.next_event()).await;
        match event {
            Ok(Some(Event::Started)) => Ok(guarded),
            Ok(Some(Event::NotStarted { reason })) => {
                guarded.down = true;
                let program = launch.argv.first().cloned().unwrap_or_default();
                Err(ServerError::Spawn { program, source: std::io::Error::other(reason) })
            }
            _ => Err(unfit("it did not answer as a guard")),
        }
    }

    fn start_guard(abandoned: &Path) -> Result<Self, ServerError> {
        // A program that was started to be something and is not that would start itself for ever.
        if std::env::var_os(REEXEC).is_some() {
            return Err(unfit("it was started to be a part of tracegate and did not become one"));
        }
        // The file itself: its name may be another program's by now, as when cargo has rebuilt it.
        let mut command = Command::new("/proc/self/exe");
        // Whoever lists processes sees what this one is and which run it belongs to.
        command.arg0("tracegate-guard").args(abandoned.parent());
        command.env_clear().envs(crate::server::passed_on()).env(REEXEC, GUARD);
        // Its standard error would keep a caller's pipe open for as long as the guard needs.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = command.spawn().map_err(unfit)?;
        let (Some(orders), Some(events)) = (guard.stdin.take(), guard.stdout.take()) else {
            return Err(unfit("it has no pipes"));
        };
        let seen = Seen::below(guard.id().unwrap_or_default());
        let events = BufReader::new(events).lines();
        Ok(Self { guard, orders: Some(orders), events, status: None, seen, down: false })
    }

    /// Pid of the guard: everything below it is the server's.
    pub(crate) fn pid(&self) -> i32 {
        self.guard.id().unwrap_or_default() as i32
    }

    /// The exit status, if the process has ended; also looks for new descendants.
    pub(crate) fn try_ended(&mut self) -> Option<Result<ExitStatus, String>> {
        self.seen.refresh();
        self.ended().now_or_never()
    }

    /// Resolves when the process ends, or when its guard is gone.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus, String> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        match self.next_event().await {
            Some(Event::Ended { status }) => Ok(*self.status.insert(ExitStatus::from_raw(status))),
            _ => Err("unknown: its guard is gone, killed by someone".to_owned()),
        }
    }

    /// Has everything ended: SIGTERM, at most `grace`, then SIGKILL. Returns when nothing is left.
    pub(crate) async fn shutdown(mut self, grace: Span) -> Shutdown {
        self.seen.refresh();
        let grace_ms = u64::try_from(grace.0.as_millis()).unwrap_or(u64::MAX);
        // A guard that is gone cannot be told; what it left is swept below.
        let _ = self.order(&Order::End { grace_ms }).await;
        let answered = tokio::time::timeout(grace.0.saturating_mul(2) + BEYOND_GRACE, async {
            loop {
                match self.next_event().await {
                    Some(Event::Down(shutdown)) => return Some(shutdown),
                    Some(Event::Ended { status }) => self.status = Some(ExitStatus::from_raw(status)),
                    Some(_) => {}
                    None => return None,
                }
            }
        })
        .await
        .unwrap_or(None);
        let shutdown = match answered {
            Some(shutdown) => shutdown,
            None => self.without_guard(),
        };
        self.orders = None;
        let _ = tokio::time::timeout(DROPPED, self.guard.wait()).await;
        self.down = true;
        shutdown
    }

    fn without_guard(&mut self) -> Shutdown {
        Shutdown {
            status: self.status.map_or_else(|| "unknown".to_owned(), |status| status.to_string()),
            killed: self.seen.sweep(Duration::from_secs(10)),
            surviving: Vec::new(),
        }
    }

    async fn order(&mut self, order: &Order) -> std::io::Result<()> {
        let line = serde_json::to_string(order)? + "\n";
        match &mut self.orders {
            Some(orders) => orders.write_all(line.as_bytes()).await,
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    async fn next_event(&mut self) -> Option<Event> {
        serde_json::from_str(&self.events.next_line().await.ok()??).ok()
    }
}

impl Drop for Guarded {
    /// A panic or an early return got here. The guard ends its server once the pipe is closed.
    fn drop(&mut self) {
        if self.down {
            return;
        }
        self.seen.refresh();
        self.orders = None;
        let gone = || seen(matches!(self.guard.try_wait(), Ok(Some(_))));
        // One that hangs has lost its task; what it left is swept.
        let _ = until_blocking(Wait::of(DROPPED, LOOK), gone);
        self.seen.sweep(Duration::from_secs(5));
    }
}

fn unfit(reason: impl ToString) -> ServerError {
    ServerError::Guard { reason: reason.to_string() }
}
