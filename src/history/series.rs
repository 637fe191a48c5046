//! Series: the nights that may be compared with each other, in order, their repetitions put together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::file::History;
use super::record::{Direction, EpochRecord, NightRecord};
use crate::run::Machine;
use crate::stats::median;

/// What must be equal for timings to be compared. The epoch is counted within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// The lane.
    pub lane: String,
    /// The procedure.
    pub procedure: String,
    /// The machine class.
    pub machine_class: String,
    /// The model.
    pub model: String,
    /// Hash of the configuration.
    pub cfg_hash: String,
}

/// One night of a series.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoldedNight {
    /// `YYYY-MM-DD`.
    pub(crate) night: String,
    /// The epoch it belongs to, from 0.
    pub(crate) epoch: usize,
    /// Records it was put together from: more than one after a rerun.
    pub(crate) records: usize,
    /// Repetitions with a verdict.
    pub(crate) n_reps: u32,
    /// All values of each metric.
    pub(crate) values: BTreeMap<String, Vec<f64>>,
    /// The same by independent repetition: one a boot where windows shared several.
    pub(crate) units: BTreeMap<String, Vec<f64>>,
    /// Failed checks, each with what was seen.
    pub(crate) failures: BTreeSet<String>,
    /// Infrastructure errors.
    pub(crate) errors: Vec<String>,
    /// Versions and commits.
    pub(crate) sw: BTreeMap<String, String>,
    /// The machine.
    pub(crate) machine: Machine,
    /// Hash of the snapshot texts, of the last record.
    pub(crate) snapshot_hash: String,
}

/// All nights of one key.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// The key.
    pub(crate) key: Key,
    /// In order of night.
    pub(crate) nights: Vec<FoldedNight>,
    /// Epochs that cover the series, in order of their first night.
    pub(crate) epochs: Vec<EpochRecord>,
    /// Which way of each metric is better, and its unit.
    pub(crate) metrics: BTreeMap<String, (Direction, String)>,
}

impl Series {
    /// The newest night; empty where there is none.
    pub(super) fn last(&self) -> String {
        self.nights.last().map(|night| night.night.clone()).unwrap_or_default()
    }

    /// The nights of the newest epoch that has any.
    #[must_use]
    pub(crate) fn current(&self) -> &[FoldedNight] {
        let Some(last) = self.nights.last() else { return &[] };
        let begin = self.nights.iter().position(|night| night.epoch == last.epoch).unwrap_or(0);
        &self.nights[begin..]
    }
}

impl FoldedNight {
    /// The night's value of a metric.
    #[must_use]
    pub(crate) fn value(&self, metric: &str) -> Option<f64> {
        median(self.units.get(metric)?)
    }

    /// The night's value where it may be judged: no check failed, and a ratio can be taken.
    pub(super) fn timing(&self, metric: &str) -> Option<f64> {
        self.value(metric).filter(|value| self.failures.is_empty() && *value > 0.0)
    }
}

/// Sorts records into series. The order of the lines does not matter.
#[must_use]
pub(crate) fn fold(history: &History) -> Vec<Series> {
    let mut groups: BTreeMap<Key, Vec<&NightRecord>> = BTreeMap::new();
    for night in &history.nights {
        let key = Key {
            lane: night.lane.clone(),
            procedure: night.procedure.clone(),
            machine_class: night.machine_class.clone(),
            model: night.model.clone(),
            cfg_hash: night.cfg_hash.clone(),
        };
        groups.entry(key).or_default().push(night);
    }
    groups.into_iter().map(|(key, records)| series(key, records, &history.epochs)).collect()
}

fn series(key: Key, mut records: Vec<&NightRecord>, epochs: &[EpochRecord]) -> Series {
    records.sort_by(|a, b| (&a.night, &a.utc).cmp(&(&b.night, &b.utc)));
    let covers = |epoch: &&EpochRecord| epoch.covers(&key.lane, &key.procedure, &key.machine_class);
    let mut epochs: Vec<EpochRecord> = epochs.iter().filter(covers).cloned().collect();
    epochs.sort_by(|a, b| (&a.from, &a.utc).cmp(&(&b.from, &b.utc)));
    let mut nights: Vec<FoldedNight> = Vec::new();
    let mut metrics = BTreeMap::new();
    for record in records {
        if nights.last().is_none_or(|last| last.night != record.night) {
            let epoch = epochs.iter().filter(|epoch| epoch.from <= record.night).count();
            nights.push(FoldedNight { night: record.night.clone(), epoch, ..FoldedNight::default() });
        }
        for (name, metric) in &record.metrics {
            metrics.entry(name.clone()).or_insert_with(|| (metric.dir, metric.unit.clone()));
        }
        if let Some(night) = nights.last_mut() {
            add(night, record);
        }
    }
    Series { key, nights, epochs, metrics }
}

fn add(night: &mut FoldedNight, record: &NightRecord) {
    night.records += 1;
    night.n_reps += record.n_reps;
    for (name, metric) in &record.metrics {
        night.values.entry(name.clone()).or_default().extend(&metric.values);
        night.units.entry(name.clone()).or_default().extend(metric.units());
    }
    night.failures.extend(record.structural.failures.iter().cloned());
    night.errors.extend(record.errors.iter().cloned());
    night.sw = record.sw.clone();
    night.machine = record.machine.clone();
    night.snapshot_hash = record.snapshot_hash.clone();
}
