//! What a session cost: boots, and the time that went into them and into windows.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::run::{Phase, RunRecord};

/// Boots and windows of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// Windows that were tried.
    pub(crate) windows: u32,
    /// Boots that became ready or not.
    pub(crate) boots: u32,
    pub(crate) booting_s: f64,
    pub(crate) in_windows_s: f64,
}

impl Cost {
    pub(super) fn booted(&mut self, took: Duration) {
        self.boots += 1;
        self.booting_s += took.as_secs_f64();
    }

    pub(super) fn window(&mut self, took: Duration) {
        self.windows += 1;
        self.in_windows_s += took.as_secs_f64();
    }

    /// A run that booted for itself alone.
    pub(super) fn own(&mut self, record: &RunRecord) {
        let of = |boot: bool| -> f64 {
            let phases = record.phases.iter();
            let spans = phases.filter(|phase| matches!(phase.phase, Phase::Prepare | Phase::Boot) == boot);
            spans.filter_map(|phase| Some((phase.end_ns? - phase.start_ns).as_millis_f64() / 1e3)).sum()
        };
        self.windows += 1;
        self.boots += 1;
        self.booting_s += of(true);
        self.in_windows_s += of(false);
    }
}

/// `11 windows, 3 boots, 92 s booting, 31 s in windows; one boot each would have been 11`.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |count: u32, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let seconds = |s: f64| if s < 10.0 { format!("{s:.1} s") } else { format!("{s:.0} s") };
        write!(
            f,
            "{}, {}, {} booting, {} in windows",
            word(self.windows, "window"),
            word(self.boots, "boot"),
            seconds(self.booting_s),
            seconds(self.in_windows_s)
        )?;
        if self.boots == self.windows {
            return Ok(());
        }
        write!(f, "; one boot each would have been {}", self.windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_what_sharing_saved() {
        let cost = Cost { windows: 11, boots: 3, booting_s: 92.4, in_windows_s: 31.2 };
        assert_eq!(
            cost.to_string(),
            "11 windows, 3 boots, 92 s booting, 31 s in windows; one boot each would have been 11"
        );
        let cost = Cost { windows: 1, boots: 1, booting_s: 0.25, in_windows_s: 0.1 };
        assert_eq!(cost.to_string(), "1 window, 1 boot, 0.2 s booting, 0.1 s in windows");
    }
}
