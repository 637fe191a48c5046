//! The verdict of a night: structure at once, timings by the rule, and what changed between before and after.

use serde::Serialize;

use super::change_point::change_points;
use super::file::History;
use super::installed::{Change, installed_changes};
use super::record::Direction;
use super::rule::{Judged, RECENT, State, judge};
use super::series::{FoldedNight, Key, Series, fold};

/// The metrics that decide. Others are recorded and shown: client times are taken under the
/// profiler, and pairs with mixed steps depend on how requests were batched. Four, because Holm's
/// correction over more than eight could never reject with three nights against fifteen.
pub(crate) const JUDGED: [&str; 4] =
    ["gap.decode_to_decode.p50", "gap.prompt_to_decode.p50", "step.decode.p50", "step.prompt.p50"];

/// Nights over which changes are dated, and the level of that test.
const DATED: usize = 90;
pub(super) const DATING_LEVEL: f64 = 0.001;

/// What is said of a series tonight, least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Nothing to say.
    Ok,
    /// A metric is better than it was.
    Improved,
    /// Fewer than ten nights in front of tonight.
    Insufficient,
    /// Tonight is far off; repeat it.
    Suspect,
    /// A metric is worse than it was.
    Regressed,
    /// A check failed.
    Failed,
    /// No repetition could answer.
    Infrastructure,
}

impl Overall {
    /// The word in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Improved => "improved",
            Self::Insufficient => "insufficient",
            Self::Suspect => "suspect",
            Self::Regressed => "regressed",
            Self::Failed => "failed",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// A metric tonight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricVerdict {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Which way is better.
    pub dir: Direction,
    /// Tonight's median.
    pub tonight: f64,
    /// What is said, with the numbers that decided.
    #[serde(flatten)]
    pub judged: Judged,
    /// First night that was worse, of a regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Versions that changed on that night.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Change>,
    /// Nights on which E-divisive sees a change, in the last 90.
    pub dated: Vec<String>,
}

/// A series tonight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesVerdict {
    /// What is compared.
    #[serde(flatten)]
    pub key: Key,
    /// The night.
    pub night: String,
    /// What is said.
    pub state: Overall,
    /// Nights of the epoch, tonight included.
    pub nights: usize,
    /// The epoch.
    pub epoch: usize,
    /// Repetitions tonight.
    pub n_reps: u32,
    /// More repetitions of tonight would tell chance from change.
    pub rerun: bool,
    /// Failed checks and infrastructure errors.
    pub failures: Vec<String>,
    /// The judged metrics.
    pub metrics: Vec<MetricVerdict>,
    /// What else a reader must know.
    pub notes: Vec<String>,
}

/// Every series of a night.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdicts {
    /// The night judged: the newest one, or the one asked for.
    pub night: String,
    /// Series that have this night.
    pub series: Vec<SeriesVerdict>,
    /// Series that were recorded within the last week and not on this night, with their last one.
    pub absent: Vec<(Key, String)>,
}

impl Verdicts {
    /// The most urgent of all.
    #[must_use]
    pub fn worst(&self) -> Option<Overall> {
        self.series.iter().map(|series| series.state).max()
    }
}

/// Judges the newest night, or the one asked for as if later ones had not been.
#[must_use]
pub fn verdicts(history: &History, night: Option<&str>) -> Verdicts {
    let mut all = fold(history);
    if let Some(night) = night {
        for series in &mut all {
            series.nights.retain(|known| known.night.as_str() <= night);
        }
    }
    all.retain(|series| !series.nights.is_empty());
    let last = |series: &Series| series.nights.last().map(|night| night.night.clone()).unwrap_or_default();
    let tonight = night.map_or_else(|| all.iter().map(&last).max().unwrap_or_default(), str::to_owned);
    let (present, past): (Vec<Series>, Vec<Series>) =
        all.into_iter().partition(|series| last(series) == tonight);
    let absent = past
        .iter()
        .filter(|series| {
            recent(&last(series), &tonight) && !present.iter().any(|other| same_job(&other.key, &series.key))
        })
        .map(|series| (series.key.clone(), last(series)))
        .collect();
    let series = present.iter().map(|series| of_series(series, &past)).collect();
    Verdicts { night: tonight, series, absent }
}

/// The same procedure on the same machines, with whatever configuration.
fn same_job(a: &Key, b: &Key) -> bool {
    (&a.lane, &a.procedure, &a.machine_class) == (&b.lane, &b.procedure, &b.machine_class)
}

fn recent(night: &str, tonight: &str) -> bool {
    let at = |night: &str| humantime::parse_rfc3339(&format!("{night}T00:00:00Z")).ok();
    let (Some(then), Some(now)) = (at(night), at(tonight)) else { return false };
    now.duration_since(then).is_ok_and(|age| age.as_secs() <= 7 * 86_400)
}

fn of_series(series: &Series, past: &[Series]) -> SeriesVerdict {
    let nights = series.current();
    let tonight = nights.last().cloned().unwrap_or_default();
    let (metrics, mut notes) = timings(series, nights, &tonight);
    let mut failures: Vec<String> = tonight.failures.iter().cloned().collect();
    failures.extend(tonight.errors.iter().map(|error| format!("infrastructure error: {error}")));
    let timing = metrics.iter().map(|metric| metric.judged.state).max();
    let state = if tonight.n_reps == 0 {
        Overall::Infrastructure
    } else if !tonight.failures.is_empty() {
        Overall::Failed
    } else {
        match timing {
            Some(State::Regressed) => Overall::Regressed,
            Some(State::Suspect) => Overall::Suspect,
            Some(State::Insufficient) => Overall::Insufficient,
            Some(State::Improved) => Overall::Improved,
            Some(State::Ok) | None => Overall::Ok,
        }
    };
    if metrics.is_empty() && state == Overall::Ok {
        notes.push("no metric is judged: this night has no gap and no step of a judged kind".to_owned());
    }
    notes.extend(structure_note(nights));
    if nights.len() == 1
        && tonight.epoch == 0
        && let Some(before) = past
            .iter()
            .filter(|other| same_job(&other.key, &series.key))
            .max_by_key(|other| other.nights.last().map(|night| night.night.clone()))
    {
        notes.push(format!(
            "a new series: the configuration or the model differs from that of {} earlier nights (cfg {} before, {} now)",
            before.nights.len(),
            before.key.cfg_hash,
            series.key.cfg_hash
        ));
    }
    SeriesVerdict {
        key: series.key.clone(),
        night: tonight.night.clone(),
        state,
        nights: nights.len(),
        epoch: tonight.epoch,
        n_reps: tonight.n_reps,
        rerun: state == Overall::Suspect && tonight.records == 1,
        failures,
        metrics,
        notes,
    }
}

fn structure_note(nights: &[FoldedNight]) -> Option<String> {
    let [.., before, tonight] = nights else { return None };
    (before.n_reps > 0 && tonight.n_reps > 0 && before.snapshot_hash != tonight.snapshot_hash).then(|| {
        format!(
            "the snapshot text differs from that of {} ({} before, {} now): compare observed.snap of both nights",
            before.night, before.snapshot_hash, tonight.snapshot_hash
        )
    })
}

/// Judges the timings of an epoch. Nights that failed a check or could not answer have none.
fn timings(
    series: &Series,
    nights: &[FoldedNight],
    tonight: &FoldedNight,
) -> (Vec<MetricVerdict>, Vec<String>) {
    let mut notes = Vec::new();
    if tonight.n_reps == 0 || !tonight.failures.is_empty() {
        return (Vec::new(), notes);
    }
    let mut names = Vec::new();
    for name in JUDGED.into_iter().filter(|name| tonight.values.contains_key(*name)) {
        if tonight.value(name).is_some_and(|value| value > 0.0) {
            names.push(name);
        } else {
            notes.push(format!("{name} is not judged: its median is not above zero, so there is no ratio"));
        }
    }
    for name in JUDGED.into_iter().filter(|name| !tonight.values.contains_key(*name)) {
        let before = nights.iter().filter(|night| night.values.contains_key(name)).count();
        if before > 0 {
            notes.push(format!("{name} is not there tonight, and was in {before} nights before"));
        }
    }
    let usable = |night: &&FoldedNight| {
        night.failures.is_empty()
            && names.iter().all(|name| night.value(name).is_some_and(|value| value > 0.0))
    };
    let timed: Vec<&FoldedNight> = nights.iter().filter(usable).collect();
    let values: Vec<Vec<f64>> =
        names.iter().map(|name| timed.iter().filter_map(|night| night.value(name)).collect()).collect();
    let direction = |name: &str| series.metrics.get(name).map_or(Direction::Lower, |(dir, _)| *dir);
    let family: Vec<(Direction, &[f64])> =
        names.iter().zip(&values).map(|(name, values)| (direction(name), values.as_slice())).collect();
    let judged = judge(&family);
    let metrics = names
        .iter()
        .zip(values.iter().zip(judged))
        .filter_map(|(name, (values, judged))| {
            let unit = series.metrics.get(*name).map(|(_, unit)| unit.clone()).unwrap_or_default();
            describe(name, unit, direction(name), values, judged.last()?, &timed)
        })
        .collect();
    (metrics, notes)
}

fn describe(
    name: &str,
    unit: String,
    dir: Direction,
    values: &[f64],
    judged: &Judged,
    timed: &[&FoldedNight],
) -> Option<MetricVerdict> {
    let begin = values.len().saturating_sub(DATED);
    let dated = change_points(&values[begin..], DATING_LEVEL, RECENT)
        .into_iter()
        .filter_map(|point| Some(timed.get(begin + point.index)?.night.clone()))
        .collect();
    let since = judged.confirmed.filter(|_| judged.state == State::Regressed);
    let changed = since.map(|first| installed_changes(timed, first)).unwrap_or_default();
    Some(MetricVerdict {
        name: name.to_owned(),
        unit,
        dir,
        tonight: *values.last()?,
        judged: judged.clone(),
        since: since.and_then(|first| Some(timed.get(first)?.night.clone())),
        changed,
        dated,
    })
}
