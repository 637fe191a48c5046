//! A history as points for tables and pages: each night of each metric with its verdict then.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::file::History;
use super::record::Direction;
use super::rule::{Assessment, Trend};
use super::series::{Key, Series, fold};
use super::timings::{JUDGED, assess_nights};

/// One night of one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    /// `YYYY-MM-DD`.
    pub(crate) night: String,
    /// The epoch.
    pub(crate) epoch: usize,
    /// Median of the repetitions.
    pub(crate) median: f64,
    /// All repetitions.
    pub(crate) values: Vec<f64>,
    /// The verdict of that night; absent where the metric or the night is not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Trend>,
}

/// Where a night may lie without being called a change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Band {
    /// Median of the baseline.
    pub(crate) centre: f64,
    /// Lower edge.
    pub(crate) low: f64,
    /// Upper edge.
    pub(crate) high: f64,
}

/// One metric of a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MetricView {
    /// Its name.
    pub(crate) name: String,
    /// Its unit.
    pub(crate) unit: String,
    /// Which way is better.
    pub(crate) dir: Direction,
    /// In order of night.
    pub(crate) points: Vec<Point>,
    /// First nights of the regressions and improvements among these points.
    pub(crate) dated: Vec<String>,
    /// The band of the newest night.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) band: Option<Band>,
}

/// The begin of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EpochView {
    /// First night.
    pub(crate) from: String,
    /// Why.
    pub(crate) reason: String,
    /// Where it was discussed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SeriesView {
    /// What is compared.
    #[serde(flatten)]
    pub(crate) key: Key,
    /// Epochs in order.
    pub(crate) epochs: Vec<EpochView>,
    /// Assessment metrics first.
    pub(crate) metrics: Vec<MetricView>,
}

/// Every series, with at most `last` nights each.
#[must_use]
pub(crate) fn views(history: &History, last: usize) -> Vec<SeriesView> {
    fold(history).iter().map(|series| view(series, last)).collect()
}

fn view(series: &Series, last: usize) -> SeriesView {
    let judged = JUDGED.iter().copied().filter(|name| series.metrics.contains_key(*name));
    let others = series.metrics.keys().map(String::as_str).filter(|name| !JUDGED.contains(name));
    let nights = assessed_nights(series);
    let metrics = judged.chain(others).map(|name| metric(series, name, &nights, last)).collect();
    let epochs = series
        .epochs
        .iter()
        .map(|epoch| EpochView {
            from: epoch.from.clone(),
            reason: epoch.reason.clone(),
            link: epoch.link.clone(),
        })
        .collect();
    SeriesView { key: series.key.clone(), epochs, metrics }
}

/// Every judged metric with one place for each night of the series.
type AssessedNights = BTreeMap<&'static str, Vec<Option<Assessment>>>;

fn assessed_nights(series: &Series) -> AssessedNights {
    let mut all = AssessedNights::new();
    for epoch in series.nights.chunk_by(|a, b| a.epoch == b.epoch) {
        let begin = all.values().next().map_or(0, Vec::len);
        for (name, mut judged) in assess_nights(series, epoch) {
            for metric in judged.iter_mut().flatten() {
                metric.since = metric.since.map(|index| begin + index);
            }
            all.entry(name).or_default().extend(judged);
        }
    }
    all
}

fn metric(series: &Series, name: &str, judged: &AssessedNights, last: usize) -> MetricView {
    let (dir, unit) = series.metrics[name].clone();
    let nothing = Vec::new();
    let judged = judged.get(name).unwrap_or(&nothing);
    let begin = series.nights.len().saturating_sub(last);
    let points: Vec<Point> = series
        .nights
        .iter()
        .enumerate()
        .skip(begin)
        .filter_map(|(index, night)| {
            Some(Point {
                night: night.night.clone(),
                epoch: night.epoch,
                median: night.value(name)?,
                values: night.values.get(name)?.clone(),
                state: judged.get(index).and_then(Option::as_ref).map(|judged| judged.state),
            })
        })
        .collect();
    let first: BTreeSet<usize> = judged.iter().flatten().filter_map(|judged| judged.since).collect();
    let dated = first.range(begin..).filter_map(|index| Some(series.nights.get(*index)?.night.clone()));
    let band = judged.iter().flatten().next_back().filter(|judged| judged.before > 0.0).map(|judged| Band {
        centre: judged.before,
        low: judged.before * (1.0 - judged.least_change),
        high: judged.before * (1.0 + judged.least_change),
    });
    MetricView { name: name.to_owned(), unit, dir, dated: dated.collect(), points, band }
}
