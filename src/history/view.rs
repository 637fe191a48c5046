//! A history as points for tables and pages: each night of each metric with its verdict then.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::file::History;
use super::record::Direction;
use super::rule::{Judged, State};
use super::series::{Key, Series, fold};
use super::timings::{JUDGED, judge_nights};

/// One night of one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// `YYYY-MM-DD`.
    pub night: String,
    /// The epoch.
    pub epoch: usize,
    /// Median of the repetitions.
    pub median: f64,
    /// All repetitions.
    pub values: Vec<f64>,
    /// The verdict of that night; absent where the metric or the night is not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// Where a night may lie without being called a change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Band {
    /// Median of the baseline.
    pub centre: f64,
    /// Lower edge.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
}

/// One metric of a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricView {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Which way is better.
    pub dir: Direction,
    /// In order of night.
    pub points: Vec<Point>,
    /// First nights of the regressions and improvements among these points.
    pub dated: Vec<String>,
    /// The band of the newest night.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
}

/// The begin of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochView {
    /// First night.
    pub from: String,
    /// Why.
    pub reason: String,
    /// Where it was discussed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesView {
    /// What is compared.
    #[serde(flatten)]
    pub key: Key,
    /// Epochs in order.
    pub epochs: Vec<EpochView>,
    /// Judged metrics first.
    pub metrics: Vec<MetricView>,
}

/// Every series, with at most `last` nights each.
#[must_use]
pub fn views(history: &History, last: usize) -> Vec<SeriesView> {
    fold(history).iter().map(|series| view(series, last)).collect()
}

fn view(series: &Series, last: usize) -> SeriesView {
    let judged = JUDGED.iter().copied().filter(|name| series.metrics.contains_key(*name));
    let others = series.metrics.keys().map(String::as_str).filter(|name| !JUDGED.contains(name));
    let nights = judged_nights(series);
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
type JudgedNights = BTreeMap<&'static str, Vec<Option<Judged>>>;

fn judged_nights(series: &Series) -> JudgedNights {
    let mut all = JudgedNights::new();
    for epoch in series.nights.chunk_by(|a, b| a.epoch == b.epoch) {
        let begin = all.values().next().map_or(0, Vec::len);
        for (name, mut judged) in judge_nights(series, epoch) {
            for metric in judged.iter_mut().flatten() {
                metric.since = metric.since.map(|index| begin + index);
            }
            all.entry(name).or_default().extend(judged);
        }
    }
    all
}

fn metric(series: &Series, name: &str, judged: &JudgedNights, last: usize) -> MetricView {
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
