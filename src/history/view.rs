//! A history as points for tables and pages: each night of each metric with what was said of it then.

use serde::Serialize;

use super::change_point::change_points;
use super::file::History;
use super::record::Direction;
use super::rule::{Judged, RECENT, State, judge};
use super::series::{FoldedNight, Key, Series, fold};
use super::verdict::{DATING_LEVEL, JUDGED};

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
    /// What was said that night; absent where the metric or the night is not judged.
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
    /// First nights after the changes that E-divisive sees in these points.
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
    let states = states(series);
    let metrics = judged.chain(others).map(|name| metric(series, name, &states, last)).collect();
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

/// What was said of each judged metric on each night that has them all.
type States = Vec<(String, Vec<(String, Judged)>)>;

fn states(series: &Series) -> States {
    let names: Vec<&str> = JUDGED.into_iter().filter(|name| series.metrics.contains_key(*name)).collect();
    let mut states: States = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    for epoch in series.nights.chunk_by(|a, b| a.epoch == b.epoch) {
        let complete = |night: &&FoldedNight| {
            night.failures.is_empty() && names.iter().all(|name| night.value(name).is_some_and(|v| v > 0.0))
        };
        let nights: Vec<&FoldedNight> = epoch.iter().filter(complete).collect();
        let values: Vec<Vec<f64>> =
            names.iter().map(|name| nights.iter().filter_map(|night| night.value(name)).collect()).collect();
        let family: Vec<(Direction, &[f64])> =
            names.iter().zip(&values).map(|(name, values)| (series.metrics[*name].0, &values[..])).collect();
        for ((_, all), judged) in states.iter_mut().zip(judge(&family)) {
            all.extend(nights.iter().map(|night| night.night.clone()).zip(judged));
        }
    }
    states
}

fn dated(points: &[Point]) -> Vec<String> {
    let medians: Vec<f64> = points.iter().map(|point| point.median).collect();
    let changes = change_points(&medians, DATING_LEVEL, RECENT);
    changes.into_iter().filter_map(|change| Some(points.get(change.index)?.night.clone())).collect()
}

fn metric(series: &Series, name: &str, states: &States, last: usize) -> MetricView {
    let (dir, unit) = series.metrics[name].clone();
    let said = states.iter().find(|(known, _)| known == name).map(|(_, said)| said);
    let begin = series.nights.len().saturating_sub(last);
    let points: Vec<Point> = series.nights[begin..]
        .iter()
        .filter_map(|night| {
            let judged = said.and_then(|said| said.iter().find(|(known, _)| *known == night.night));
            Some(Point {
                night: night.night.clone(),
                epoch: night.epoch,
                median: night.value(name)?,
                values: night.values.get(name)?.clone(),
                state: judged.map(|(_, judged)| judged.state),
            })
        })
        .collect();
    let newest = said.and_then(|said| said.last()).map(|(_, judged)| judged);
    let band = newest.filter(|judged| judged.before > 0.0).map(|judged| Band {
        centre: judged.before,
        low: judged.before * (1.0 - judged.least_change),
        high: judged.before * (1.0 + judged.least_change),
    });
    MetricView { name: name.to_owned(), unit, dir, dated: dated(&points), points, band }
}
