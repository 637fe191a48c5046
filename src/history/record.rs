//! The lines of a history file: one night of one procedure on one lane, or the begin of an epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::HistoryError;
use crate::run::Machine;
use crate::stats::median;

/// Version of the lines that this crate writes and the newest it reads.
pub(super) const SCHEMA: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// The repetitions of one procedure in one night.
    Night(Box<NightRecord>),
    /// From here on the earlier nights are no baseline any more.
    Epoch(EpochRecord),
}

/// Which way of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Less is better, as for times.
    Lower,
    /// More is better, as for throughput.
    Higher,
}

/// All values of one metric in one night, one a repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// `ns` for every time.
    pub unit: String,
    /// Which way is better.
    pub dir: Direction,
    /// In the order of the repetitions. The night's value is their median.
    pub values: Vec<f64>,
    /// The boot of each value, where windows shared boots. Windows of one boot are no independent repetitions:
    /// of several boots the night's value is the median of the boots' medians.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boots: Vec<String>,
}

impl Samples {
    /// One value for each independent repetition: the medians of the boots where there are several, otherwise
    /// every value.
    pub(super) fn units(&self) -> Vec<f64> {
        let mut boots: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (boot, value) in self.boots.iter().zip(&self.values) {
            boots.entry(boot).or_default().push(*value);
        }
        if boots.len() < 2 || self.boots.len() != self.values.len() {
            return self.values.clone();
        }
        boots.values().filter_map(|values| median(values)).collect()
    }
}

/// The results of the checks in one night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structural {
    /// No check failed in any repetition.
    pub passed: bool,
    /// The worst result of each check: `pass`, `FAIL`, `n/a`.
    pub checks: BTreeMap<String, String>,
    /// What the failed checks saw, once each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// One night of one procedure on one lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NightRecord {
    /// Version of the line's shape.
    pub schema_version: u32,
    /// Always `night`.
    pub record: String,
    /// Hash of what was recorded: the same runs have the same.
    pub run_id: String,
    /// The repetitions: when each began, in nanoseconds on the Unix clock. None is recorded twice.
    pub runs: Vec<String>,
    /// The night, `YYYY-MM-DD`. Several records of one night are its repetitions together.
    pub night: String,
    /// When the first repetition began, RFC 3339.
    pub utc: String,
    /// The lane.
    pub lane: String,
    /// The procedure.
    pub procedure: String,
    /// The epoch at the time of writing. Readers count the epoch records instead, because one may
    /// begin in the past.
    pub epoch: u32,
    /// Timings are compared within a class only.
    pub machine_class: String,
    /// The machine as it was.
    pub machine: Machine,
    /// The model as it was served.
    pub model: String,
    /// Versions and commits as installed.
    pub sw: BTreeMap<String, String>,
    /// Hash of the load and the server's flags, versions and paths left out.
    pub cfg_hash: String,
    /// Repetitions with a verdict.
    pub n_reps: u32,
    /// Metrics by name, such as `gap.decode_to_decode.p50`.
    pub metrics: BTreeMap<String, Samples>,
    /// The checks.
    pub structural: Structural,
    /// Hash of the repetitions' snapshot texts.
    pub snapshot_hash: String,
    /// `pass`, `fail`, or `none` where every repetition ended in an infrastructure error.
    pub verdict: String,
    /// Infrastructure errors of repetitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// The begin of an epoch: an accepted change, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Version of the line's shape.
    pub schema_version: u32,
    /// Always `epoch`.
    pub record: String,
    /// When it was written, RFC 3339.
    pub utc: String,
    /// First night of the epoch, `YYYY-MM-DD`.
    pub from: String,
    /// The lane it is for; every lane when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// The procedure it is for; every procedure when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procedure: Option<String>,
    /// The machine class it is for; every class when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_class: Option<String>,
    /// Why the change is accepted.
    pub reason: String,
    /// Where it was discussed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// The part of a line that says what it is.
#[derive(Deserialize)]
struct Head<'a> {
    schema_version: u32,
    #[serde(borrow)]
    record: std::borrow::Cow<'a, str>,
}

impl Line {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let head: Head<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if head.schema_version > SCHEMA {
            return Err(format!(
                "schema_version {} is newer than {SCHEMA}, the newest this tracegate reads",
                head.schema_version
            ));
        }
        match head.record.as_ref() {
            "night" => serde_json::from_str(text).map(|night| Self::Night(Box::new(night))),
            "epoch" => serde_json::from_str(text).map(Self::Epoch),
            other => return Err(format!("an unknown kind of record, {other:?}")),
        }
        .map_err(|error| error.to_string())
    }
}

impl EpochRecord {
    /// True where the epoch is for this series.
    #[must_use]
    pub fn covers(&self, lane: &str, procedure: &str, machine_class: &str) -> bool {
        let fits = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|text| text == name);
        fits(&self.lane, lane) && fits(&self.procedure, procedure) && fits(&self.machine_class, machine_class)
    }
}

/// Rejects anything but a night.
///
/// # Errors
/// The text is no date as `YYYY-MM-DD`.
pub(crate) fn check_night(text: &str) -> Result<(), HistoryError> {
    if is_night(text) { Ok(()) } else { Err(HistoryError::Night { text: text.to_owned() }) }
}

/// True for `YYYY-MM-DD`.
pub(super) fn is_night(text: &str) -> bool {
    text.len() == 10 && humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve windows of one slow boot counted as twelve repetitions.
    #[test]
    fn of_several_boots_each_counts_once() {
        let samples = |values: &[f64], boots: &[&str]| Samples {
            unit: "ns".to_owned(),
            dir: Direction::Lower,
            values: values.to_vec(),
            boots: boots.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(samples(&[1.0, 2.0, 9.0, 9.0, 9.0], &["a", "a", "b", "b", "b"]).units(), [1.5, 9.0]);
        assert_eq!(samples(&[1.0, 2.0], &["a", "a"]).units(), [1.0, 2.0]);
        assert_eq!(samples(&[1.0, 2.0], &[]).units(), [1.0, 2.0]);
    }
}
