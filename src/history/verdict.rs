//! The verdict of a night: structure at once, timings by the rule, and what changed between before and after.

use serde::Serialize;

use super::absent::{Absent, absent};
use super::file::History;
use super::installed::{Change, installed_changes};
use super::record::Direction;
use super::rule::{Assessment, Trend};
use super::series::{FoldedNight, Key, Series, fold};
use super::timings::assess_nights;

/// The state of a series, or of a night, least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Nothing to say.
    Ok,
    /// A metric is better than it was.
    Improved,
    /// Too few nights to judge timings.
    Insufficient,
    /// A procedure that is known has no record tonight.
    Absent,
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
            Self::Absent => "absent",
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
    /// The result, with the numbers that decided.
    #[serde(flatten)]
    pub assessment: Assessment,
    /// First night of the change, of a regression or an improvement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Versions that changed on that night.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Change>,
}

/// A series tonight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesVerdict {
    /// What is compared.
    #[serde(flatten)]
    pub key: Key,
    /// The night.
    pub night: String,
    /// The most urgent of failures, infrastructure errors and judged metrics.
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
    /// Procedures that are known and have no record of this night.
    pub absent: Vec<Absent>,
}

impl Verdicts {
    /// The most urgent of all.
    #[must_use]
    pub fn worst(&self) -> Option<Overall> {
        let absent = (!self.absent.is_empty()).then_some(Overall::Absent);
        self.series.iter().map(|series| series.state).chain(absent).max()
    }

    /// True where something could not be judged: a procedure has no record, or a metric too few nights.
    #[must_use]
    pub fn undecided(&self) -> bool {
        let insufficient = |metric: &MetricVerdict| metric.assessment.state == Trend::Insufficient;
        !self.absent.is_empty() || self.series.iter().any(|series| series.metrics.iter().any(insufficient))
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
    let tonight = night.map_or_else(|| all.iter().map(Series::last).max().unwrap_or_default(), str::to_owned);
    let absent = absent(&all, &tonight);
    let (present, past): (Vec<Series>, Vec<Series>) =
        all.into_iter().partition(|series| series.last() == tonight);
    let series = present.iter().map(|series| of_series(series, &past)).collect();
    Verdicts { night: tonight, series, absent }
}

/// The same procedure on the same machines, with whatever configuration.
fn same_job(a: &Key, b: &Key) -> bool {
    (&a.lane, &a.procedure, &a.machine_class) == (&b.lane, &b.procedure, &b.machine_class)
}

fn of_series(series: &Series, past: &[Series]) -> SeriesVerdict {
    let nights = series.current();
    let tonight = nights.last().cloned().unwrap_or_default();
    let (metrics, mut notes) = timings(series, nights, &tonight);
    let mut failures: Vec<String> = tonight.failures.iter().cloned().collect();
    failures.extend(tonight.errors.iter().map(|error| format!("infrastructure error: {error}")));
    let timing = metrics.iter().map(|metric| metric.assessment.state).max();
    let state = if tonight.n_reps == 0 {
        Overall::Infrastructure
    } else if !tonight.failures.is_empty() {
        Overall::Failed
    } else {
        match timing {
            Some(Trend::Regressed) => Overall::Regressed,
            Some(Trend::Suspect) => Overall::Suspect,
            Some(Trend::Insufficient) => Overall::Insufficient,
            Some(Trend::Improved) => Overall::Improved,
            Some(Trend::Ok) | None => Overall::Ok,
        }
    };
    if metrics.is_empty() && state == Overall::Ok {
        notes.push(
            "no metric is judged: the night has no gap and no step of a kind that is judged".to_owned(),
        );
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

/// The judged metrics of a night, and why others are not. A night that failed a check or could not answer has none.
fn timings(
    series: &Series,
    nights: &[FoldedNight],
    tonight: &FoldedNight,
) -> (Vec<MetricVerdict>, Vec<String>) {
    if tonight.n_reps == 0 || !tonight.failures.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let (mut metrics, mut notes) = (Vec::new(), Vec::new());
    for (name, judged) in assess_nights(series, nights) {
        let before = nights.iter().filter(|night| night.values.contains_key(name)).count();
        if let Some(metric) = judged.into_iter().next_back().flatten() {
            metrics.extend(describe(series, name, metric, nights));
        } else if tonight.values.contains_key(name) {
            notes.push(format!("{name} is not judged: its median is not above zero, so it has no ratio"));
        } else if before > 0 {
            notes.push(format!("{name} is missing tonight; {before} earlier nights have it"));
        }
    }
    (metrics, notes)
}

fn describe(
    series: &Series,
    name: &str,
    judged: Assessment,
    nights: &[FoldedNight],
) -> Option<MetricVerdict> {
    let (dir, unit) = series.metrics.get(name)?.clone();
    let tonight = nights.last()?.timing(name)?;
    let first = judged.since.and_then(|first| Some((first, nights.get(first)?)));
    let changed = first.and_then(|(first, after)| {
        // Nights without this timing may have had the new version already.
        let before = nights.get(..first)?.iter().rfind(|night| night.timing(name).is_some())?;
        Some(installed_changes(before, after))
    });
    Some(MetricVerdict {
        name: name.to_owned(),
        unit,
        dir,
        tonight,
        since: first.map(|(_, night)| night.night.clone()),
        changed: changed.unwrap_or_default(),
        assessment: judged,
    })
}
