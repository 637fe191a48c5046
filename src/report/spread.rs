//! What several windows of one procedure show together: how far their medians lie apart, and whether their structure is
//! the same.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::grid::{Grid, numbers, words};
use crate::history::medians;
use crate::judge::Decided;
use crate::run::RunDirectory;
use crate::snapshot::{Snapshot, headline};
use crate::stats::{median, percentile};
use crate::time::Nanos;

/// Windows of one procedure.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Spread {
    windows: Vec<Window>,
}

/// One window.
#[derive(Debug, Serialize)]
struct Window {
    /// The run directory's name.
    name: String,
    /// The boot, where it was shared.
    boot: Option<String>,
    /// The first window of its boot: what happens once happens in it.
    cold: bool,
    /// Medians by metric, in nanoseconds.
    medians: BTreeMap<String, f64>,
    #[serde(skip)]
    snapshot: Snapshot,
}

impl Spread {
    pub(crate) fn add(&mut self, directory: &RunDirectory, decided: &Decided) {
        let shared = decided.observed.record.shared.as_ref();
        self.windows.push(Window {
            name: directory.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            boot: shared.map(|shared| shared.id.clone()),
            cold: shared.is_none_or(|shared| shared.window == 1),
            medians: medians(decided),
            snapshot: decided.snapshot.clone(),
        });
    }

    /// Windows whose structure is not that of the first warm one, each with the difference. What only cold windows
    /// have is not a difference between windows: it happens once in a boot.
    fn differing(&self) -> (Vec<String>, Vec<String>) {
        let Some(base) = self.windows.iter().find(|window| !window.cold).or(self.windows.first()) else {
            return Default::default();
        };
        let (mut cold, mut others) = (Vec::new(), Vec::new());
        for window in &self.windows {
            let differences = base.snapshot.differences(&window.snapshot);
            if differences.is_empty() {
                continue;
            }
            let text = format!("{}: {}", window.name, headline(&differences));
            if window.cold && !base.cold { cold.push(text) } else { others.push(text) }
        }
        // What one cold window has and another has not is no matter of being the first.
        if cold.len() < self.windows.iter().filter(|window| window.cold).count() {
            others.append(&mut cold);
        }
        (cold, others)
    }

    fn grid(&self) -> Grid {
        let mut grid = Grid::new([
            words("median of"),
            numbers("windows"),
            numbers("least"),
            numbers("median"),
            numbers("p90"),
            numbers("most"),
        ]);
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, value) in self.windows.iter().flat_map(|window| &window.medians) {
            values.entry(name).or_default().push(*value);
        }
        for (name, mut values) in values {
            values.sort_by(f64::total_cmp);
            let shown = |value: Option<f64>| {
                value.map_or_else(String::new, |ns| Nanos::from_ns(ns as i64).to_string())
            };
            let name = name.trim_end_matches(".p50").replace(['.', '_'], " ");
            grid.row([
                name,
                values.len().to_string(),
                shown(values.first().copied()),
                shown(median(&values)),
                shown(percentile(&values, 90)),
                shown(values.last().copied()),
            ]);
        }
        grid
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut boots: Vec<&str> = self.windows.iter().filter_map(|window| window.boot.as_deref()).collect();
        boots.dedup();
        let own = self.windows.iter().filter(|window| window.boot.is_none()).count();
        let boots = boots.len() + own;
        let plural = if boots == 1 { "" } else { "s" };
        writeln!(f, "{} windows of {boots} boot{plural}", self.windows.len())?;
        let (cold, others) = self.differing();
        if cold.is_empty() && others.is_empty() {
            writeln!(f, "their structure is the same")?;
        }
        for line in &cold {
            writeln!(f, "only in the first window of a boot (cold): {line}")?;
        }
        for line in &others {
            writeln!(f, "structure differs in {line}")?;
        }
        writeln!(f, "{}", self.grid().text())
    }
}
