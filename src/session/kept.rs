//! The side of a trial: finds the keeper of its lane's server or starts one, and has its window played.

use std::io::{BufRead, BufReader, Error, ErrorKind, Result};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::keeper::{Asked, KEEPER, Place, Told, say};
use crate::lane::Lane;
use crate::lock::FileLock;
use crate::plan::Plan;
use crate::run::{Phase, RunDirectory, RunError};
use crate::server::interrupt;

/// Between two looks for a signal while a window is played.
const LOOK: Duration = Duration::from_millis(100);

/// The keeper of a lane, for the trials under one directory.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    place: Place,
}

impl Kept {
    /// # Errors
    /// There is no directory for the socket.
    pub(crate) fn new(lane: Lane, out: &Path) -> Result<Self> {
        let out = std::path::absolute(out)?;
        let user = nix::unistd::geteuid();
        // A socket's path has at most some hundred bytes, so it is not in `out`.
        let directory = std::env::temp_dir().join(format!("tracegate-keeper-{user}"));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let digest = Sha256::digest(format!("{lane} {}", out.display()));
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { place: Place::of(directory.join(format!("{name}.sock"))) })
    }

    /// Has a window played on the kept server, which is booted where there is none.
    ///
    /// # Errors
    /// An infrastructure error of the run, or the keeper is gone; what happened is in the run directory.
    pub(crate) fn window(
        &self,
        plan: &Plan,
        directory: &RunDirectory,
        tell: &dyn Fn(Phase, &str),
    ) -> std::result::Result<(), RunError> {
        directory.write_plan(plan)?;
        let gone = |error: Error| RunError::Keeper {
            reason: error.to_string(),
            directory: directory.path().to_owned(),
        };
        let mut stream = self.connected().map_err(gone)?;
        say(&mut stream, &Asked::Window(directory.path().to_owned())).map_err(gone)?;
        match answer(stream, tell).map_err(gone)? {
            Told::Played(None) => Ok(()),
            Told::Played(Some(message)) => Err(RunError::Told { message }),
            _ => Err(gone(Error::other("it said something else"))),
        }
    }

    /// Ends the keeper, where one is left; returns what its servers left behind.
    pub(crate) fn end(&self) -> Vec<String> {
        let asked = UnixStream::connect(&self.place.socket).and_then(|mut stream| {
            say(&mut stream, &Asked::End)?;
            answer(stream, &|_, _| {})
        });
        match asked {
            Ok(Told::Ended(left)) => left,
            // It has ended by itself.
            _ => Vec::new(),
        }
    }

    fn connected(&self) -> Result<UnixStream> {
        let _lock = FileLock::take(&self.place.lock)?;
        if let Ok(stream) = UnixStream::connect(&self.place.socket) {
            return Ok(stream);
        }
        // Nobody listens on what a killed keeper left.
        let _ = std::fs::remove_file(&self.place.socket);
        start(&self.place.socket)?;
        UnixStream::connect(&self.place.socket)
    }
}

/// Starts a keeper: this program, in a process group of its own, so that neither Ctrl-C nor a runner that kills a
/// trial's group reaches it. It ends by itself.
fn start(socket: &PathBuf) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("tracegate-keeper").env(KEEPER, socket).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    // Reaped when it ends, so that it does not stay as a zombie of a long run.
    std::thread::spawn(move || child.wait());
    if line.trim() == "ready" { Ok(()) } else { Err(Error::other("the keeper of the server did not start")) }
}

/// Reads until the last word. A signal is passed on by closing this side, which ends the window.
fn answer(stream: UnixStream, tell: &dyn Fn(Phase, &str)) -> Result<Told> {
    stream.set_read_timeout(Some(LOOK))?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    let mut passed_on = false;
    loop {
        match lines.read_line(&mut line) {
            Ok(0) => return Err(Error::new(ErrorKind::UnexpectedEof, "the keeper of the server has ended")),
            Ok(_) => {
                match serde_json::from_str(&line)? {
                    Told::Status(phase, status) => tell(phase, &status),
                    last => return Ok(last),
                }
                line.clear();
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if interrupt::heard().is_some() && !passed_on {
            passed_on = true;
            lines.get_ref().shutdown(std::net::Shutdown::Write)?;
        }
    }
}
