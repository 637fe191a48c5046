//! Begins an epoch: an accepted change, after which earlier nights are no baseline.

use std::path::Path;

use super::error::HistoryError;
use super::file::{History, append};
use super::record::{EpochRecord, SCHEMA, check_night};

/// Appends the begin of an epoch.
pub(crate) fn rebaseline(path: &Path, mut epoch: EpochRecord) -> Result<EpochRecord, HistoryError> {
    check_night(&epoch.from)?;
    let history = History::read(path)?;
    let covered =
        history.nights.iter().any(|night| epoch.covers(&night.lane, &night.procedure, &night.machine_class));
    if !covered {
        // A misspelt name would begin no epoch, and nobody would notice.
        let mut known: Vec<String> = history
            .nights
            .iter()
            .map(|night| format!("{}/{} on {}", night.lane, night.procedure, night.machine_class))
            .collect();
        known.sort();
        known.dedup();
        return Err(HistoryError::NoMatch {
            path: path.to_owned(),
            wanted: scope(&epoch),
            known: if known.is_empty() { "no nights".to_owned() } else { known.join(", ") },
        });
    }
    epoch.schema_version = SCHEMA;
    epoch.record = "epoch".to_owned();
    append(path, &epoch, |_| false)?;
    Ok(epoch)
}

/// What an epoch is for, in words.
pub(crate) fn scope(epoch: &EpochRecord) -> String {
    let part = |what: &str, name: &Option<String>| match name {
        Some(name) => format!("{what} {name}"),
        None => format!("every {what}"),
    };
    format!(
        "{}, {}, {}",
        part("lane", &epoch.lane),
        part("procedure", &epoch.procedure),
        part("machine class", &epoch.machine_class)
    )
}
