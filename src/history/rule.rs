//! The nightly rule over plain nightly medians: no records, no files, so that simulations decide exactly as nights do.

use serde::Serialize;

use super::record::Direction;
use crate::stats::{Tail, holm, least_p, mann_whitney, median, relative_noise};

/// Nights a verdict needs in front of tonight.
const LEAST_PRIOR: usize = 10;
/// Nights of the baseline.
const BASELINE: usize = 15;
/// Nights from which the noise is taken: with fifteen, the estimate itself scatters by a quarter.
const NOISE_NIGHTS: usize = 30;
/// Nights that must agree before anything is called a change.
const RECENT: usize = 3;
/// Level of the test, after Holm's correction.
const ALPHA: f64 = 0.01;
/// The least change worth a person's time, of three nights and of one.
const LEAST_CHANGE: f64 = 0.05;
const LEAST_SUSPECT: f64 = 0.10;
/// Times the noise that a change must exceed.
const NOISES: f64 = 3.0;
/// Noise of the median of three nights, for the noise of one: what three normal values give. With
/// the noise of one night in its place, a step of 10 % at 3 % noise was caught in 77 % of trials
/// instead of 97 % (docs/history.md).
const OF_THREE: f64 = 0.67;

/// What the rule finds for a metric, least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    /// Nothing below.
    Ok,
    /// Better than the baseline, by the rule for `regressed` in the other direction.
    Improved,
    /// Too few nights: fewer than ten in front of tonight, or so few that no p can reach the level.
    Insufficient,
    /// Tonight alone is far off: more repetitions are wanted the same night.
    Suspect,
    /// Three nights are worse than the baseline, beyond chance and beyond the noise.
    Regressed,
}

impl Trend {
    /// The word in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Improved => "improved",
            Self::Insufficient => "insufficient",
            Self::Suspect => "suspect",
            Self::Regressed => "regressed",
        }
    }
}

/// A metric in one night, with the numbers that decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// The result.
    pub state: Trend,
    /// Median of the baseline; 0 where there is none.
    pub before: f64,
    /// Median of the last three nights.
    pub after: f64,
    /// By how much `after` is worse than `before`, as a fraction; below zero when better.
    pub worse: f64,
    /// One-sided exact p of the last three nights against the baseline, in the direction seen.
    pub p: f64,
    /// The same after Holm's correction over the family.
    pub p_holm: f64,
    /// Noise of one night, as a fraction.
    pub noise: f64,
    /// The least change of three nights that would be called one.
    pub least_change: f64,
    /// Nights that were compared: the baseline and the last three, tonight included.
    pub nights: usize,
    /// How many of them a verdict needs, with a family of tonight's size.
    pub needed: usize,
    /// Index of the first night of the change, where `state` is `regressed` or `improved`.
    #[serde(skip)]
    pub since: Option<usize>,
}

/// A confirmed regression stays one until its nights return to where they were, or an epoch begins:
/// nights in between are never a baseline, so nothing is rolled past in silence.
#[derive(Clone, Copy, Debug)]
struct Confirmed {
    before: f64,
    least_change: f64,
    p: f64,
    p_holm: f64,
    since: usize,
}

/// Walks one metric through the nights that have it.
struct Walk<'a> {
    all: &'a [Option<f64>],
    direction: Direction,
    /// Where the metric's own nights lie among all of them; the last one is tonight.
    nights: Vec<usize>,
    /// The values of those nights.
    values: Vec<f64>,
    /// Indices of the values that may be part of a baseline.
    usable: Vec<usize>,
    confirmed: Option<Confirmed>,
}

/// Judges every night of a family of metrics: `result[metric][night]`, absent where the metric is.
///
/// The family of a night, over which p-values are corrected, is every metric that the night has and that
/// ten nights in front of it have. No night depends on a later one.
#[must_use]
pub fn assess(family: &[(Direction, &[Option<f64>])]) -> Vec<Vec<Option<Assessment>>> {
    let mut walks: Vec<Walk<'_>> =
        family.iter().map(|(direction, values)| Walk::new(*direction, values)).collect();
    let nights = family.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    let mut judged: Vec<Vec<Option<Assessment>>> =
        family.iter().map(|_| Vec::with_capacity(nights)).collect();
    for night in 0..nights {
        let mut tonight: Vec<Option<Assessment>> = walks.iter_mut().map(|walk| walk.measure(night)).collect();
        test(&walks, &mut tonight);
        for ((walk, mut metric), judged) in walks.iter_mut().zip(tonight).zip(&mut judged) {
            if let Some(metric) = &mut metric {
                walk.conclude(metric);
            }
            judged.push(metric);
        }
    }
    judged
}

/// Corrects over the family: what it needs, and the p-values where any metric has moved far enough for
/// them to matter.
fn test(walks: &[Walk<'_>], tonight: &mut [Option<Assessment>]) {
    let mut family: Vec<(&Walk<'_>, &mut Assessment)> = walks
        .iter()
        .zip(tonight)
        .filter_map(|(walk, metric)| Some((walk, metric.as_mut()?)))
        .filter(|(walk, _)| walk.tonight() >= LEAST_PRIOR)
        .collect();
    let size = family.len();
    for (_, metric) in &mut family {
        metric.needed = needed(size);
    }
    if !family.iter().any(|(_, metric)| metric.worse.abs() >= metric.least_change) {
        return;
    }
    for (walk, metric) in &mut family {
        metric.p = walk.p(metric.after > metric.before);
    }
    let corrected = holm(&family.iter().map(|(_, metric)| metric.p).collect::<Vec<_>>());
    for ((_, metric), p) in family.iter_mut().zip(corrected) {
        metric.p_holm = p;
    }
}

/// True where three nights beyond a baseline of this many reach the level in a family of this size.
fn reaches(baseline: usize, family: usize) -> bool {
    family as f64 * least_p(RECENT, baseline) <= ALPHA
}

/// Nights, tonight included, with which a metric can be judged in a family of this size.
fn needed(family: usize) -> usize {
    // The baseline never grows beyond fifteen nights: a family that needs more is never judged.
    let baseline = (0..=BASELINE).find(|nights| reaches(*nights, family)).unwrap_or(BASELINE + 1);
    (LEAST_PRIOR + 1).max(baseline + RECENT)
}

impl<'a> Walk<'a> {
    fn new(direction: Direction, all: &'a [Option<f64>]) -> Self {
        Self { all, direction, nights: Vec::new(), values: Vec::new(), usable: Vec::new(), confirmed: None }
    }

    /// Index of tonight's value, which is the number of nights in front of it.
    fn tonight(&self) -> usize {
        self.values.len().saturating_sub(1)
    }

    /// Where the last three nights begin.
    fn recent(&self) -> usize {
        self.values.len().saturating_sub(RECENT)
    }

    /// The last usable values in front of an index, at most `most`, the latest first.
    fn before(&self, index: usize, most: usize) -> Vec<f64> {
        let earlier = self.usable.iter().rev().filter(|usable| **usable < index);
        earlier.take(most).map(|usable| self.values[*usable]).collect()
    }

    /// The baseline of the test: usable nights in front of the last three.
    fn baseline(&self) -> Vec<f64> {
        self.before(self.recent(), BASELINE)
    }

    fn measure(&mut self, night: usize) -> Option<Assessment> {
        self.values.push(self.all[night]?);
        self.nights.push(night);
        let (baseline, recent) = (self.baseline(), &self.values[self.recent()..]);
        let before = median(&baseline).unwrap_or(0.0);
        let after = median(recent).unwrap_or(0.0);
        let noise = relative_noise(&self.before(self.recent(), NOISE_NIGHTS)).unwrap_or(0.0);
        Some(Assessment {
            state: Trend::Ok,
            before,
            after,
            worse: self.worse(before, after),
            p: 1.0,
            p_holm: 1.0,
            noise,
            least_change: LEAST_CHANGE.max(NOISES * OF_THREE * noise),
            nights: baseline.len() + recent.len(),
            needed: needed(1),
            since: None,
        })
    }

    /// The ratio less one, turned so that above zero is worse.
    fn worse(&self, before: f64, after: f64) -> f64 {
        let (worse, better) = match self.direction {
            Direction::Lower => (after, before),
            Direction::Higher => (before, after),
        };
        if better > 0.0 { worse / better - 1.0 } else { 0.0 }
    }

    fn p(&self, grown: bool) -> f64 {
        let tail = if grown { Tail::Greater } else { Tail::Less };
        mann_whitney(&self.values[self.recent()..], &self.baseline(), tail)
    }

    fn conclude(&mut self, metric: &mut Assessment) {
        if let Some(confirmed) = self.confirmed {
            let worse = self.worse(confirmed.before, metric.after);
            if worse >= confirmed.least_change {
                metric.state = Trend::Regressed;
                metric.before = confirmed.before;
                (metric.worse, metric.least_change) = (worse, confirmed.least_change);
                (metric.p, metric.p_holm) = (confirmed.p, confirmed.p_holm);
                metric.since = Some(self.nights[confirmed.since]);
                return;
            }
            self.confirmed = None;
        }
        metric.state = self.state(metric);
        let changed = matches!(metric.state, Trend::Regressed | Trend::Improved);
        let since = changed.then(|| self.first_changed(metric));
        metric.since = since.map(|index| self.nights[index]);
        match (metric.state, since) {
            (Trend::Regressed, Some(since)) => {
                self.usable.retain(|index| *index < since);
                self.confirmed = Some(Confirmed {
                    before: metric.before,
                    least_change: metric.least_change,
                    p: metric.p,
                    p_holm: metric.p_holm,
                    since,
                });
            }
            _ => self.usable.push(self.tonight()),
        }
    }

    /// The first night of the change: of the three that confirmed it, or earlier where confirmation
    /// took longer. Half of what would be called a change tells the sides apart.
    fn first_changed(&self, metric: &Assessment) -> usize {
        let turned = metric.worse.signum();
        let changed = |index: usize| {
            turned * self.worse(metric.before, self.values[index]) >= metric.least_change / 2.0
        };
        let mut since = self.recent();
        while since < self.tonight() && !changed(since) {
            since += 1;
        }
        while since > 0 && changed(since - 1) {
            since -= 1;
        }
        since
    }

    fn state(&self, metric: &Assessment) -> Trend {
        if self.tonight() < LEAST_PRIOR {
            return Trend::Insufficient;
        }
        if metric.p_holm <= ALPHA && metric.worse.abs() >= metric.least_change {
            return if metric.worse > 0.0 { Trend::Regressed } else { Trend::Improved };
        }
        // A test that could not have rejected has accepted nothing.
        if metric.nights < metric.needed {
            return Trend::Insufficient;
        }
        let prior = median(&self.before(self.tonight(), BASELINE)).unwrap_or(0.0);
        let alone = self.worse(prior, self.values[self.tonight()]);
        if alone > LEAST_SUSPECT.max(NOISES * metric.noise) { Trend::Suspect } else { Trend::Ok }
    }
}
