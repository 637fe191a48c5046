//! `tracegate open`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Exit;
use super::export::{readable, write};
use crate::report::perfetto::{ORIGIN, PORT, Served, View, link, serve, worst_gap};
use crate::trace::Trace;

#[derive(Args)]
pub(super) struct Open {
    /// The trace
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Port on loopback; the public UI accepts no other than 9001
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// The UI that may fetch the trace, such as `https://perfetto.habana.ai`
    #[arg(long, value_name = "URL", default_value = ORIGIN, value_parser = origin)]
    origin: String,
    /// Serve the file as it is; Perfetto drops slices of it that overlap without nesting
    #[arg(long)]
    raw: bool,
    /// Go on serving after the trace was fetched
    #[arg(long)]
    keep: bool,
}

fn origin(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['/', ' ', '#', '?']) => Ok(text.to_owned()),
        _ => Err("write the scheme and the host only, such as https://ui.perfetto.dev".to_owned()),
    }
}

impl Open {
    pub(super) fn run(self) -> Exit {
        if !self.trace.is_file() {
            return Exit::infrastructure(&format!("{} is no file", self.trace.display()));
        }
        let directory = match tempfile::tempdir() {
            Ok(directory) => directory,
            Err(error) => return Exit::infrastructure(&format!("no temporary directory: {error}")),
        };
        let (path, view) = match self.shown(directory.path()) {
            Ok(shown) => shown,
            Err(exit) => return exit,
        };
        let served = Served { path: path.clone(), origin: self.origin.clone(), keep: self.keep };
        let ready = |port| {
            crate::output::line(link(&self.origin, port, &path, view));
            crate::output::error_line(format_args!(
                "open this link in a browser on this machine; {}",
                if self.keep { "Ctrl-C ends it" } else { "it ends when the trace was fetched" }
            ));
        };
        match serve(served, self.port, ready) {
            Ok(()) => Exit::Pass,
            Err(error) => Exit::infrastructure(&format!(
                "cannot serve on 127.0.0.1:{}: {error}\n  what to do: end the program that has the port, or pass --port (a UI may refuse other ports)",
                self.port
            )),
        }
    }

    /// The file to serve, and the part of it to show: Perfetto's own form, where the trace can be read.
    fn shown(&self, directory: &Path) -> Result<(PathBuf, Option<View>), Exit> {
        if self.raw {
            return Ok((self.trace.clone(), worst_gap(&Trace::read(&self.trace))));
        }
        let trace = readable(&self.trace)?;
        let name = self.trace.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.split(".json").next().unwrap_or_default();
        let path = directory.join(format!("{stem}.pftrace"));
        match write(&self.trace, &trace, &path) {
            Ok(_) => Ok((path, worst_gap(&trace))),
            Err(error) => Err(Exit::infrastructure(&format!("{}: {error}", path.display()))),
        }
    }
}
