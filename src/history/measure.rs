//! From run directories to the record of a night: what is measured, and under which name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::error::HistoryError;
use super::file::{History, append};
use super::identity::{configuration, hash};
use super::record::{Direction, EpochRecord, NightRecord, SCHEMA, Samples, Structural, check_night};
use crate::client::Ledger;
use crate::judge::{Answer, Decided, decide};
use crate::plan::Plan;
use crate::run::{Machine, RunDirectory, RunRecord};
use crate::stats::percentile;
use crate::time::Nanos;

/// What the person recording knows better than the run directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// The night of all of them, `YYYY-MM-DD`, instead of the date (UTC) on which each began.
    pub(crate) night: Option<String>,
    /// The machine class, such as a runner's label.
    pub(crate) machine_class: Option<String>,
    /// Further versions and commits as installed.
    pub(crate) sw: BTreeMap<String, String>,
}

/// What recording did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// The lines that were appended.
    pub(crate) nights: Vec<NightRecord>,
    /// Repetitions that were in the history already.
    pub(crate) known: usize,
}

/// Measures run directories and appends a line for each procedure, lane, machine class, configuration and
/// night. Repetitions that are in the file already are left out, so that recording again after an
/// interruption is safe.
///
/// # Errors
/// A path is no run directory, or its plan or record cannot be read; the file cannot be read or written. A
/// run that ended in an infrastructure error is none: it is in the record.
pub(crate) fn record(
    path: &Path,
    directories: &[PathBuf],
    overrides: &Overrides,
) -> Result<Recorded, HistoryError> {
    let history = match History::read(path) {
        Ok(history) => history,
        Err(HistoryError::Absent { .. }) => History::default(),
        Err(error) => return Err(error),
    };
    let (nights, known) = measure(directories, overrides, &history)?;
    let mut recorded = Recorded { nights: Vec::new(), known };
    for mut record in nights {
        let covers = |epoch: &&EpochRecord| {
            epoch.covers(&record.lane, &record.procedure, &record.machine_class) && epoch.from <= record.night
        };
        record.epoch = history.epochs.iter().filter(covers).count() as u32;
        let same = |history: &History| history.nights.iter().any(|night| night.run_id == record.run_id);
        if append(path, &record, same)? {
            recorded.nights.push(record);
        } else {
            recorded.known += record.runs.len();
        }
    }
    Ok(recorded)
}

fn measure(
    directories: &[PathBuf],
    overrides: &Overrides,
    history: &History,
) -> Result<(Vec<NightRecord>, usize), HistoryError> {
    overrides.night.as_deref().map_or(Ok(()), check_night)?;
    let mut known = 0;
    let mut groups: BTreeMap<GroupKey, Vec<Repetition>> = BTreeMap::new();
    for path in directories {
        let repetition = Repetition::read(path)?;
        let plan = &repetition.plan;
        let key = GroupKey {
            night: overrides
                .night
                .clone()
                .unwrap_or_else(|| utc(repetition.begun()).chars().take(10).collect()),
            lane: plan.lane.name().to_owned(),
            procedure: plan.procedure.clone(),
            machine_class: overrides.machine_class.clone().unwrap_or_else(|| repetition.machine().class()),
            cfg_hash: configuration(plan),
        };
        let recorded = is_recorded(history, &key, &repetition);
        let group = groups.entry(key).or_default();
        // A path may be named twice, through a pattern and by itself.
        if recorded || group.iter().any(|other| other.begun() == repetition.begun()) {
            known += 1;
        } else {
            group.push(repetition);
        }
    }
    groups.retain(|_, repetitions| !repetitions.is_empty());
    let nights = groups.into_iter().map(|(key, repetitions)| night(key, repetitions, overrides)).collect();
    Ok((nights, known))
}

/// What the repetitions of one record have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    night: String,
    lane: String,
    procedure: String,
    machine_class: String,
    cfg_hash: String,
}

/// One run directory.
struct Repetition {
    plan: Plan,
    run: RunRecord,
    decided: Result<Box<Decided>, String>,
}

impl Repetition {
    fn read(path: &Path) -> Result<Self, HistoryError> {
        let directory = RunDirectory::open(path)?;
        Ok(Self {
            plan: directory.plan()?,
            run: directory.record()?,
            decided: decide(&directory, None).map(Box::new).map_err(|error| error.to_string()),
        })
    }

    fn machine(&self) -> Machine {
        self.run.machine.clone().unwrap_or_default()
    }

    fn begun(&self) -> Nanos {
        self.run.phases.first().map(|phase| phase.start_ns).unwrap_or_default()
    }
}

fn is_recorded(history: &History, key: &GroupKey, one: &Repetition) -> bool {
    let begun = one.begun().as_ns().to_string();
    history.nights.iter().any(|night| {
        (&night.lane, &night.procedure, &night.machine_class)
            == (&key.lane, &key.procedure, &key.machine_class)
            && night.runs.contains(&begun)
    })
}

/// A time on the Unix clock as RFC 3339.
fn utc(at: Nanos) -> String {
    let since = Duration::from_nanos(u64::try_from(at.as_ns()).unwrap_or_default());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

fn night(key: GroupKey, mut repetitions: Vec<Repetition>, overrides: &Overrides) -> NightRecord {
    repetitions.sort_by_key(Repetition::begun);
    let GroupKey { night, lane, procedure, machine_class, cfg_hash } = key;
    let begun: Vec<String> = repetitions.iter().map(|one| one.begun().as_ns().to_string()).collect();
    let mut sw = repetitions[0].plan.versions.clone();
    sw.insert("tracegate".to_owned(), repetitions[0].run.tracegate.clone());
    sw.extend(overrides.sw.clone());
    let decided: Vec<&Decided> = repetitions.iter().filter_map(|one| one.decided.as_deref().ok()).collect();
    let structural = structural(&decided);
    let errors: Vec<String> = repetitions
        .iter()
        .filter_map(|one| one.decided.as_ref().err().map(|error| crate::text::inert(error, 500)))
        .collect();
    let verdict = match (decided.is_empty(), structural.passed) {
        (true, _) => "none",
        (false, true) => "pass",
        (false, false) => "fail",
    };
    let snapshots: BTreeSet<String> = decided.iter().map(|decided| decided.snapshot.core_text()).collect();
    NightRecord {
        schema_version: SCHEMA,
        record: "night".to_owned(),
        run_id: hash(&format!("{lane} {procedure} {machine_class} {}", begun.join(" "))),
        runs: begun,
        night,
        utc: utc(repetitions[0].begun()),
        lane,
        procedure,
        epoch: 0,
        machine_class,
        machine: repetitions[0].machine(),
        model: repetitions[0].plan.served_model.clone(),
        sw,
        cfg_hash,
        n_reps: decided.len() as u32,
        metrics: metrics(&decided),
        structural,
        snapshot_hash: hash(&snapshots.into_iter().collect::<Vec<_>>().join("\n")),
        verdict: verdict.to_owned(),
        errors,
    }
}

fn structural(decided: &[&Decided]) -> Structural {
    let mut checks: BTreeMap<String, String> = BTreeMap::new();
    let mut failures = BTreeSet::new();
    for check in decided.iter().flat_map(|decided| &decided.verdict.checks) {
        let word = check.answer.word();
        let known = checks.entry(check.name.clone()).or_insert_with(|| word.to_owned());
        if matches!(check.answer, Answer::Fails(_)) {
            *known = word.to_owned();
            let detail = crate::text::inert(check.answer.detail(), 300);
            failures.insert(format!("{}: {detail}", check.name));
        }
    }
    Structural {
        passed: !checks.values().any(|word| word == "FAIL"),
        checks,
        failures: failures.into_iter().take(20).collect(),
    }
}

fn metrics(decided: &[&Decided]) -> BTreeMap<String, Samples> {
    let mut metrics = BTreeMap::new();
    for run in decided {
        let record = &run.observed.record;
        let own =
            || record.phases.first().map_or_else(String::new, |phase| phase.start_ns.as_ns().to_string());
        let boot = record.shared.as_ref().map_or_else(own, |shared| shared.id.clone());
        for (name, value) in medians(run) {
            let new = || Samples {
                unit: "ns".to_owned(),
                dir: Direction::Lower,
                values: Vec::new(),
                boots: Vec::new(),
            };
            let samples = metrics.entry(name).or_insert_with(new);
            samples.values.push(value);
            samples.boots.push(boot.clone());
        }
    }
    metrics
}

/// The metrics of one repetition. With several ranks the slowest one's: it is what a batch waits for.
/// The medians of one run by name, in nanoseconds; of several ranks the slowest.
pub(crate) fn medians(decided: &Decided) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let mut keep = |name: String, value: f64| {
        let known: &mut f64 = values.entry(name).or_insert(value);
        *known = known.max(value);
    };
    for trace in decided.observed.workers() {
        for (pair, gap) in &trace.gaps {
            keep(format!("gap.{pair}.p50"), gap.p50_ns.as_ns() as f64);
        }
        let mut durations: BTreeMap<&str, Vec<Nanos>> = BTreeMap::new();
        for step in &trace.steps {
            durations.entry(step.kind.name()).or_default().push(step.duration_ns);
        }
        for (kind, mut durations) in durations.into_iter().filter(|(kind, _)| *kind != "idle") {
            durations.sort_unstable();
            if let Some(p50) = percentile(&durations, 50) {
                keep(format!("step.{kind}.p50"), p50.as_ns() as f64);
            }
        }
    }
    for (name, times) in client_times(&decided.observed.ledger) {
        if let Some(p50) = percentile(&times, 50) {
            keep(format!("client.{name}.p50"), p50.as_ns() as f64);
        }
    }
    values
}

/// Times as the client saw them, sorted; under the profiler, and so longer than without it.
pub(crate) fn client_times(ledger: &Ledger) -> BTreeMap<&'static str, Vec<Nanos>> {
    let mut times: BTreeMap<&str, Vec<Nanos>> = BTreeMap::new();
    let between = |from: Nanos, to: Nanos| to - from;
    for served in &ledger.requests {
        times.entry("e2el").or_default().push(between(served.sent_ns, served.done_ns));
        if let Some(first) = served.token_ns.first() {
            times.entry("ttft").or_default().push(between(served.sent_ns, *first));
        }
        let gaps = served.token_ns.windows(2).map(|pair| between(pair[0], pair[1]));
        times.entry("itl").or_default().extend(gaps);
    }
    times.retain(|_, values| !values.is_empty());
    times.values_mut().for_each(|values| values.sort_unstable());
    times
}
