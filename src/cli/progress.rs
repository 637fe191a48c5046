//! Progress on standard error: a spinner on a terminal, a line per phase elsewhere.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Phase;

/// Without a terminal the statuses of one wait would fill a log; one now and then shows that it goes on.
const EVERY: Duration = Duration::from_secs(30);

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    /// Which of how many, in front of each status.
    place: Option<String>,
    /// The last line: its phase and when it was written.
    last: Cell<Option<(Phase, Instant)>>,
}

impl Progress {
    pub(super) fn of(place: Option<String>) -> Self {
        let quiet = crate::output::is_quiet();
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, quiet, place, last: Cell::new(None) }
    }

    pub(super) fn tell(&self, phase: Phase, status: &str) {
        let status = crate::text::inert(status, 120);
        let place = self.place.as_ref().map_or_else(String::new, |place| format!("{place}, "));
        let text = if status.is_empty() {
            format!("{place}{}", phase.describe())
        } else {
            format!("{place}{}: {status}", phase.describe())
        };
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if self.quiet => {}
            None => {
                let told = self.last.get();
                if told.is_none_or(|(before, at)| before != phase || at.elapsed() >= EVERY) {
                    self.last.set(Some((phase, Instant::now())));
                    crate::output::error_line(format_args!("  {text}"));
                }
            }
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
