//! Starts a server process so that it cannot outlive this one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command as Process};

use super::error::ServerError;
use super::instance::{Instance, Shutdown};
use super::port::HeldPort;
use super::readiness::{self, Wanted};
use crate::plan::{Command, PortSource};
use crate::procedure::Span;

/// Variables passed on from this process; everything else comes from the plan. Prefixes end in `_`.
const PASSED_ON: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "PYTHONPATH",
    "HABANA_",
    "PT_HPU_",
    "GC_",
    "OMP_",
];

/// How a server is to be started.
#[derive(Clone, Debug)]
pub struct Starter {
    /// The command with placeholders.
    pub command: Command,
    /// The run directory: the log goes there, and placeholders name it.
    pub run: PathBuf,
    /// How the port comes about.
    pub port: PortSource,
    /// From spawn to ready.
    pub deadline: Span,
    /// The model that `/v1/models` must list.
    pub served_model: String,
}

/// A server that was not started, and how what there was of it ended.
#[derive(Debug)]
pub struct NotStarted {
    /// Why.
    pub error: ServerError,
    /// The command that ran, and its end.
    pub ran: Option<(Command, Shutdown)>,
}

impl From<ServerError> for NotStarted {
    fn from(error: ServerError) -> Self {
        Self { error, ran: None }
    }
}

impl Starter {
    /// Starts the server and waits until it is ready. On any failure nothing of it is left.
    ///
    /// # Errors
    /// It cannot be started, ends, does not become ready in time, or is not the one wanted.
    pub async fn start(&self, progress: &dyn Fn(&str)) -> Result<Instance, NotStarted> {
        let held = match self.port {
            PortSource::Reported => None,
            PortSource::Chosen => Some(HeldPort::choose().map_err(ServerError::NoPort)?),
        };
        let port = held.as_ref().map(HeldPort::port);
        let command = self.command.filled(&self.run, port);
        if let Some(held) = held {
            held.release();
        }
        let log = self.run.join("server.log");
        let child = self.spawn(&command, &log)?;
        let mut instance = Instance::new(child, port, log, command);
        let wanted = Wanted {
            deadline: self.deadline,
            port_file: self.run.join("port"),
            served_model: &self.served_model,
        };
        match readiness::wait(&mut instance, &wanted, progress).await {
            Ok(()) => Ok(instance),
            Err(error) => {
                let command = instance.command().clone();
                let shutdown = instance.shutdown(Span(std::time::Duration::from_secs(10))).await;
                Err(NotStarted { error, ran: Some((command, shutdown)) })
            }
        }
    }

    fn spawn(&self, command: &Command, log: &PathBuf) -> Result<Child, ServerError> {
        let file_error = |source| ServerError::File { path: log.clone(), source };
        let out = File::create(log).map_err(file_error)?;
        let err = out.try_clone().map_err(file_error)?;
        let cwd = self.run.join("cwd");
        std::fs::create_dir_all(&cwd).map_err(|source| ServerError::File { path: cwd.clone(), source })?;
        let mut process = process(command)?;
        // Never inherited: a surviving child that holds this process's stderr hangs the caller's shell.
        process.stdin(Stdio::null()).stdout(out).stderr(err).current_dir(cwd);
        process.process_group(0);
        end_with_parent(&mut process);
        process.spawn().map_err(|source| ServerError::Spawn { program: command.argv[0].clone(), source })
    }
}

/// A process of a command with the allowed part of this process's environment.
pub(crate) fn process(command: &Command) -> Result<Process, ServerError> {
    let (program, args) = command.argv.split_first().ok_or_else(|| ServerError::Spawn {
        program: String::new(),
        source: std::io::Error::other("the command is empty"),
    })?;
    let mut process = Process::new(program);
    process.args(args).env_clear().envs(passed_on()).envs(&command.env);
    Ok(process)
}

fn passed_on() -> BTreeMap<String, String> {
    let wanted = |name: &str| {
        PASSED_ON.iter().any(|known| name == *known || (known.ends_with('_') && name.starts_with(known)))
    };
    // A variable that is not Unicode cannot be one of these in any sane set-up.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| wanted(name))
        .collect()
}

/// Asks the kernel to end the server when the thread that started it ends, however it ends. Runs
/// use one thread each, which lives as long as the run.
#[expect(unsafe_code, reason = "pre_exec is unsafe; both calls inside are async-signal-safe system calls")]
fn end_with_parent(process: &mut Process) {
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only prctl(2), getppid(2) and error construction from an errno
    // happen; none allocates or takes a lock.
    unsafe {
        process.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
            // The parent may have ended before the line above.
            if nix::unistd::getppid() != parent {
                return Err(std::io::Error::from_raw_os_error(nix::libc::ESRCH));
            }
            Ok(())
        });
    }
}
