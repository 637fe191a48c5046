//! `tracegate open`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::report::perfetto::{ORIGIN, PORT, Served, link, serve, worst_gap};
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
        let view = worst_gap(&Trace::read(&self.trace));
        let served = Served { path: self.trace.clone(), origin: self.origin.clone(), keep: self.keep };
        let ready = |port| {
            crate::output::line(link(&self.origin, port, &self.trace, view));
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
}
