//! Boot and life of the stand-in process: bind, report the port, warm up, serve until told to end.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::serve::ListenerExt;
use nix::sys::signal::{SigSet, Signal};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::api::{App, profiles, router};
use super::dialect::Dialect;
use super::engine::Engine;
use super::fault::Fault;
use super::kin;
use super::options::StandinOptions;
use super::{pt_profile, script};

/// Why the stand-in could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandinError {
    /// The port is taken or forbidden.
    #[error(
        "cannot listen on 127.0.0.1:{port}: {source} (is another server using it? --port 0 takes a free one)"
    )]
    Bind {
        /// The port asked for.
        port: u16,
        /// The system's answer.
        source: io::Error,
    },
    /// The port file or the trace directory cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or directory.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The runtime or the listener failed.
    #[error("the stand-in server failed: {0}")]
    Serve(#[from] io::Error),
    /// The intended end of `VLLM_PT_PROFILE`, or an unintended one.
    #[error("AssertionError: {0}")]
    Assertion(String),
    /// The file is no script of tracegate.
    #[error("{path} holds no parameters that the stand-in can play; it runs no Python")]
    Script {
        /// The file.
        path: String,
    },
    /// The fault that was asked for.
    #[error("exiting during boot, as --fault exit-during-boot asks")]
    ExitDuringBoot,
}

/// Serves until SIGTERM or SIGINT. Blocks.
///
/// # Errors
/// The port cannot be bound, a file cannot be written, or the fault asks for an exit during boot.
pub fn run(options: StandinOptions) -> Result<(), StandinError> {
    if let Some(path) = options.script.clone() {
        return script::run(options, &path);
    }
    if options.dialect == Dialect::GaudiPtProfile {
        return pt_profile::run(&options);
    }
    if options.deaf || options.file_limit.is_some() {
        restrict(&options)?;
    }
    if options.log_environment {
        for (name, value) in std::env::vars_os() {
            crate::log::line(format_args!("{}={}", name.display(), value.display()));
        }
    }
    for kind in &options.child {
        kin::start(*kind)?;
    }
    // Several clients and an engine with sleeps: one thread does, and keeps the order of things.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

/// Signals are blocked, not ignored: the mask is this thread's and of all that follow from it.
fn restrict(options: &StandinOptions) -> io::Result<()> {
    if options.deaf {
        kin::deafen()?;
    }
    if let Some(bytes) = options.file_limit {
        // Without the signal a write over the limit is an error, as it is in Python.
        SigSet::from_iter([Signal::SIGXFSZ]).thread_block()?;
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE, bytes, bytes)?;
    }
    Ok(())
}

async fn serve(options: StandinOptions) -> Result<(), StandinError> {
    if let Some(wait) = options.bind_after_ms {
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    }
    let address = if options.exposed { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let listener = TcpListener::bind((address, options.port))
        .await
        .map_err(|source| StandinError::Bind { port: options.port, source })?;
    let port = listener.local_addr()?.port();
    if options.fault == Some(Fault::PortTaken) {
        // The same port once more, while the first listener lives: the system's own refusal.
        let again = TcpListener::bind((address, port)).await;
        again.map_err(|source| StandinError::Bind { port, source })?;
    }
    crate::log::line(format_args!(
        "tracegate stand-in {} (imitates; computes no text)",
        options.dialect.vllm_version()
    ));
    if let Some(path) = &options.port_file {
        report_port(path, port).map_err(|source| write_error(path, source))?;
    }
    if let Some(directory) =
        options.profiler_config.as_ref().and_then(|config| config.torch_profiler_dir.as_ref())
    {
        std::fs::create_dir_all(directory).map_err(|source| write_error(directory, source))?;
    }
    if options.fault == Some(Fault::ExitDuringBoot) {
        return Err(StandinError::ExitDuringBoot);
    }
    let (commands, for_engine) = mpsc::unbounded_channel();
    let warmup = options.warmup();
    let never = options.fault == Some(Fault::NeverHealthy);
    let profiled = profiles(&options);
    let engine = Engine::new(&options, for_engine);
    let app = Arc::new(App {
        options,
        commands,
        token_log: Mutex::default(),
        warm: AtomicBool::new(false),
        unhealthy: AtomicBool::new(false),
        in_flight: AtomicU64::new(0),
        served: AtomicU64::new(0),
        prompt_tokens: AtomicU64::new(0),
        generation_tokens: AtomicU64::new(0),
        prompts: Mutex::default(),
    });
    announce(port, profiled);
    let warming = Arc::clone(&app);
    tokio::spawn(async move {
        tokio::time::sleep(warmup).await;
        if !never {
            warming.warm.store(true, Ordering::Relaxed);
            crate::log::line(format_args!("INFO:     Application startup complete."));
        }
    });
    tokio::spawn(engine.run());
    // Tokens are small writes; held back until the last one is acknowledged they would come late.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let logged = Arc::clone(&app);
    tokio::select! {
        served = axum::serve(listener, router(app)) => served?,
        () = told_to_end() => {}
    }
    write_token_log(&logged)
}

fn write_token_log(app: &App) -> Result<(), StandinError> {
    let (Some(path), Ok(times)) = (&app.options.token_log, app.token_log.lock()) else { return Ok(()) };
    let lines: Vec<String> = times.iter().map(ToString::to_string).collect();
    std::fs::write(path, lines.join("\n") + "\n").map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, source: io::Error) -> StandinError {
    StandinError::Write { path: path.display().to_string(), source }
}

/// The log lines of vLLM that tell whether profiling will work at all.
fn announce(port: u16, profiled: bool) {
    crate::log::line(format_args!("INFO Starting vLLM server on http://127.0.0.1:{port}"));
    crate::log::line(format_args!("INFO Available routes are:"));
    let routes = [
        ("/health", "GET"),
        ("/ping", "GET, POST"),
        ("/version", "GET"),
        ("/load", "GET"),
        ("/metrics", "GET"),
        ("/v1/models", "GET"),
        ("/v1/completions", "POST"),
        ("/tokenize", "POST"),
        ("/detokenize", "POST"),
    ];
    for (route, method) in routes {
        crate::log::line(format_args!("INFO Route: {route}, Methods: {method}"));
    }
    if profiled {
        crate::log::line(format_args!("INFO Route: /start_profile, Methods: POST"));
        crate::log::line(format_args!("INFO Route: /stop_profile, Methods: POST"));
    }
}

/// Written beside and renamed, so that a reader sees the whole port or none.
fn report_port(path: &Path, port: u16) -> io::Result<()> {
    let unfinished = path.with_extension("partial");
    std::fs::write(&unfinished, format!("{port}\n"))?;
    std::fs::rename(unfinished, path)
}

async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the default action ends the process, which is as good.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
