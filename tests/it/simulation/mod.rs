//! Seeded nights with and without a planted step, and rules to judge them: shared by the test at small size and the
//! bench at full size. A rule says for each night whether it would alert.
#![allow(dead_code, reason = "the test and the bench use a part each")]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};
use tracegate::history::{Assessment, Direction, Trend, assess};

pub(crate) const NIGHTS: usize = 60;
/// The night of the planted step.
pub(crate) const STEP: usize = 45;
/// Metrics of one procedure that are judged together.
pub(crate) const FAMILY: usize = 4;

/// How nightly medians scatter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Noise {
    /// Log-normal, with this standard deviation.
    Clean(f64),
    /// 3 %, and 3 in 100 nights are 15 to 40 % slower.
    Spiky,
    /// 3 %, and the level walks by 0.4 % a night.
    Drift,
    /// 3 % around two levels, 6 % apart, one of which is drawn each night.
    Bimodal,
    /// 3 %, and one night in five is missing.
    Missing,
}

pub(crate) const NOISES: [(&str, Noise); 6] = [
    ("clean 3 %", Noise::Clean(0.03)),
    ("spiky", Noise::Spiky),
    ("drift", Noise::Drift),
    ("bimodal", Noise::Bimodal),
    ("missing nights", Noise::Missing),
    ("noisy 8 %", Noise::Clean(0.08)),
];

/// Nightly values and the calendar night of each. `step` multiplies the values from [`STEP`] on.
pub(crate) fn nights(noise: Noise, step: f64, seed: u64) -> (Vec<usize>, Vec<f64>) {
    let mut random = StdRng::seed_from_u64(seed);
    let normal = Normal::new(0.0, 1.0).unwrap();
    let mut level: f64 = 0.0;
    let mut kept = (Vec::new(), Vec::new());
    for night in 0..NIGHTS {
        let spread = if let Noise::Clean(spread) = noise { spread } else { 0.03 };
        let mut value = spread * normal.sample(&mut random);
        let odd: f64 = random.random();
        let size: f64 = random.random();
        match noise {
            Noise::Spiky if odd < 0.03 => value += (1.15 + 0.25 * size).ln(),
            Noise::Drift => level += 0.004 * normal.sample(&mut random),
            Noise::Bimodal if odd < 0.5 => value += 0.06,
            Noise::Missing if odd < 0.2 => continue,
            _ => {}
        }
        let planted = if night >= STEP { step } else { 1.0 };
        kept.0.push(night);
        kept.1.push(100.0 * (value + level).exp() * planted);
    }
    kept
}

/// One rule.
pub(crate) type Alerts = fn(&[Vec<f64>]) -> Vec<bool>;

/// The rules of the table. Each sees a family of metrics of which the first may step.
pub(crate) const RULES: [(&str, usize, Alerts); 4] = [
    ("more than 10 % over yesterday", 1, yesterday),
    ("t-test, 99 %, tonight against 30 nights", 1, t_test),
    ("the nightly rule, one metric", 1, nightly),
    ("the nightly rule, four metrics", FAMILY, nightly),
];

fn yesterday(family: &[Vec<f64>]) -> Vec<bool> {
    let values = &family[0];
    (0..values.len()).map(|night| night > 0 && values[night] > 1.1 * values[night - 1]).collect()
}

/// Bencher's form: tonight beyond the 99 % quantile of Student's t around the mean of up to 30 nights.
fn t_test(family: &[Vec<f64>]) -> Vec<bool> {
    let values = &family[0];
    let tonight = |night: usize| {
        let prior = &values[night.saturating_sub(30)..night];
        if prior.len() < 10 {
            return false;
        }
        let count = prior.len() as f64;
        let mean = prior.iter().sum::<f64>() / count;
        let variance = prior.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // One-sided 99 % quantiles of t at 9 to 29 degrees of freedom, within 0.01.
        let quantile = 2.326 + 2.45 / (count - 2.2);
        values[night] > mean + quantile * variance.sqrt()
    };
    (0..values.len()).map(tonight).collect()
}

fn nightly(family: &[Vec<f64>]) -> Vec<bool> {
    let values: Vec<Vec<Option<f64>>> =
        family.iter().map(|values| values.iter().copied().map(Some).collect()).collect();
    let family: Vec<(Direction, &[Option<f64>])> =
        values.iter().map(|values| (Direction::Lower, values.as_slice())).collect();
    let judged = assess(&family);
    let regressed = |metric: &Option<Assessment>| metric.as_ref().unwrap().state == Trend::Regressed;
    (0..judged[0].len()).map(|night| judged.iter().any(|metric| regressed(&metric[night]))).collect()
}

/// What a rule did over many trials.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    /// Nights with an alert for each 100 nights judged without a step.
    pub(crate) false_per_100: f64,
    /// Alerts that began, for each 100 such nights.
    pub(crate) false_begun_per_100: f64,
    /// Share of steps with an alert within seven nights, in percent.
    pub(crate) caught: f64,
    /// Median nights from the step to the first alert, the night of the step being 1.
    pub(crate) delay: usize,
}

/// Runs a rule over seeded trials: each once without a step and once with one of +10 %.
pub(crate) fn score(noise: Noise, metrics: usize, alerts: Alerts, trials: u64) -> Score {
    let (mut nights_judged, mut false_alerts, mut begun, mut delays) = (0usize, 0usize, 0usize, Vec::new());
    for trial in 0..trials {
        let (_, quiet) = family(noise, 1.0, metrics, trial);
        let alerted = alerts(&quiet);
        nights_judged += alerted.len().saturating_sub(10);
        false_alerts += alerted.iter().skip(10).filter(|alert| **alert).count();
        begun += alerted.windows(2).skip(9).filter(|pair| !pair[0] && pair[1]).count();
        let (calendar, stepped) = family(noise, 1.1, metrics, trial + 1_000_000);
        let alerted = alerts(&stepped);
        // An alert that was on already when the step came has caught nothing.
        let first = calendar
            .iter()
            .zip(alerted.iter().enumerate())
            .find(|(night, (at, alert))| **night >= STEP && **alert && (*at == 0 || !alerted[at - 1]))
            .map(|(night, _)| night - STEP + 1);
        delays.extend(first.filter(|delay| *delay <= 7));
    }
    delays.sort_unstable();
    let per_100 = |count: usize| 100.0 * count as f64 / nights_judged as f64;
    Score {
        false_per_100: per_100(false_alerts),
        false_begun_per_100: per_100(begun),
        caught: 100.0 * delays.len() as f64 / trials as f64,
        delay: delays.get(delays.len() / 2).copied().unwrap_or(0),
    }
}

/// Metrics of one procedure; the first has the step. Missing nights are missing in all.
fn family(noise: Noise, step: f64, metrics: usize, seed: u64) -> (Vec<usize>, Vec<Vec<f64>>) {
    let (calendar, first) = nights(noise, step, seed * 31);
    let mut all = vec![first];
    for metric in 1..metrics {
        let quiet = if noise == Noise::Missing { Noise::Clean(0.03) } else { noise };
        let (_, values) = nights(quiet, 1.0, seed * 31 + metric as u64);
        all.push(calendar.iter().map(|night| values[*night]).collect());
    }
    (calendar, all)
}
