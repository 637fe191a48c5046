//! A server that outlives the process that booted it: trials of one run are often processes of their own, and take turns
//! on a keeper, which plays their windows and ends when nobody has come for a while.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::group::Session;
use crate::lock::FileLock;
use crate::plan::Plan;
use crate::run::{Phase, RunDirectory};
use crate::server::interrupt;

/// Names the socket to a process that was started to be a keeper.
pub(crate) const KEEPER: &str = "TRACEGATE_KEEPER";

/// Nobody came for this long: the run is over, or was killed. A runner starts the next process at once.
const GRACE: Duration = Duration::from_secs(10);
/// Between two looks for somebody.
const LOOK: Duration = Duration::from_millis(10);

/// What a trial asks of a keeper: one line each way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Asked {
    /// Play the plan in this run directory.
    Window(PathBuf),
    /// End the server: nobody comes any more.
    End,
}

/// What a keeper says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    Status(Phase, String),
    /// The window has come to its end, or why it has not.
    Played(Option<String>),
    /// The server has ended, and this is what it left.
    Ended(Vec<String>),
}

/// Where a keeper is found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) socket: PathBuf,
    pub(super) lock: PathBuf,
}

impl Place {
    /// Of a socket, as the keeper is told it.
    pub(super) fn of(socket: PathBuf) -> Self {
        let lock = socket.with_extension("lock");
        Self { socket, lock }
    }
}

/// This process as a keeper, where it was started to be one.
pub(crate) fn main() -> Option<ExitCode> {
    let place = Place::of(std::env::var_os(KEEPER).map(PathBuf::from)?);
    let kept = UnixListener::bind(&place.socket).and_then(|listener| {
        listener.set_nonblocking(true)?;
        // Whoever started it waits for this line.
        writeln!(std::io::stdout(), "ready")?;
        std::io::stdout().flush()?;
        let session = Session::new()?;
        Keeper { session, listener, waiting: Vec::new(), served: String::new() }.keep(&place);
        Ok(())
    });
    Some(if kept.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Somebody with a window to be played.
struct Client {
    stream: UnixStream,
    asked: Asked,
    plan: Option<Plan>,
}

struct Keeper {
    session: Session,
    listener: UnixListener,
    waiting: Vec<Client>,
    /// The server of the window before.
    served: String,
}

impl Keeper {
    fn keep(mut self, place: &Place) {
        let mut last = Instant::now();
        let mut ending = None;
        while interrupt::heard().is_none() {
            self.meet();
            match self.next() {
                Some(Client { stream, asked: Asked::Window(directory), plan: Some(plan) }) => {
                    self.play(stream, &directory, &plan, place);
                    last = Instant::now();
                }
                Some(Client { stream, asked: Asked::End, .. }) => {
                    ending = Some(stream);
                    break;
                }
                Some(Client { mut stream, .. }) => {
                    let _ = say(&mut stream, &Told::Played(Some("its plan cannot be read".to_owned())));
                }
                None if last.elapsed() >= GRACE => break,
                None => std::thread::sleep(LOOK),
            }
        }
        // Under the lock: whoever comes now finds this one, or starts another.
        let locked = FileLock::take(&place.lock);
        let _ = std::fs::remove_file(&place.socket);
        drop(locked);
        self.meet();
        for mut late in self.waiting.drain(..) {
            let _ =
                say(&mut late.stream, &Told::Played(Some("the keeper of the server was ending".to_owned())));
        }
        let left = self.session.end();
        if let Some(mut stream) = ending {
            let _ = say(&mut stream, &Told::Ended(left));
        }
    }

    /// Accepts everybody who is there, and hears what they want.
    fn meet(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let Ok(asked) = hear(&stream) else { continue };
            let plan = match &asked {
                Asked::Window(directory) => RunDirectory::at(directory.clone()).plan().ok(),
                Asked::End => None,
            };
            self.waiting.push(Client { stream, asked, plan });
        }
    }

    /// The next one: first those whose server is at hand, in the order in which they came; an end only when nobody
    /// else waits.
    fn next(&mut self) -> Option<Client> {
        let same = |client: &Client| client.plan.as_ref().is_some_and(|plan| plan.server_id() == self.served);
        let window = |client: &Client| matches!(client.asked, Asked::Window(_));
        let place = self
            .waiting
            .iter()
            .position(same)
            .or_else(|| self.waiting.iter().position(window))
            .or(if self.waiting.is_empty() { None } else { Some(0) })?;
        Some(self.waiting.remove(place))
    }

    fn play(&mut self, stream: UnixStream, directory: &Path, plan: &Plan, place: &Place) {
        let Ok(mut says) = stream.try_clone() else { return };
        let playing = Arc::new(AtomicBool::new(true));
        watch(stream, Arc::clone(&playing), place.clone());
        let told = std::sync::Mutex::new(says.try_clone().ok());
        let tell = |phase: Phase, status: &str| {
            if let Ok(mut stream) = told.lock()
                && let Some(stream) = stream.as_mut()
            {
                let _ = say(stream, &Told::Status(phase, crate::text::inert(status, 500)));
            }
        };
        let played = self.session.run(plan, &RunDirectory::at(directory.to_owned()), None, &tell);
        self.served = plan.server_id();
        playing.store(false, Ordering::SeqCst);
        let _ = say(&mut says, &Told::Played(played.err().map(|error| error.to_string())));
        let _ = says.shutdown(std::net::Shutdown::Both);
    }
}

/// A client that goes away while its window is played was killed: nobody would wait for a boot of half an hour.
fn watch(stream: UnixStream, playing: Arc<AtomicBool>, place: Place) {
    std::thread::spawn(move || {
        let mut line = String::new();
        let gone = BufReader::new(stream).read_line(&mut line);
        if playing.load(Ordering::SeqCst) && gone.is_ok_and(|bytes| bytes == 0) {
            let _ = std::fs::remove_file(&place.socket);
            interrupt::raise(nix::sys::signal::Signal::SIGTERM as i32);
        }
    });
}

fn hear(stream: &UnixStream) -> std::io::Result<Asked> {
    stream.set_nonblocking(false)?;
    // A line comes with the connection; one who says nothing holds nobody up for long.
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    stream.set_read_timeout(None)?;
    Ok(serde_json::from_str(&line)?)
}

/// Writes a line.
pub(super) fn say(stream: &mut UnixStream, what: &impl Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string(what)?;
    writeln!(stream, "{text}")
}
