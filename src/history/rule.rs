//! The nightly rule over plain nightly medians: no records, no files, so that simulations decide exactly as nights do.

use serde::Serialize;

use super::mann_whitney::{Tail, holm, mann_whitney};
use super::record::Direction;
use super::robust::{median, relative_noise};

/// Nights a verdict needs in front of tonight.
pub(super) const LEAST_PRIOR: usize = 10;
/// Nights of the baseline.
pub(super) const BASELINE: usize = 15;
/// Nights from which the noise is taken: with fifteen, the estimate itself scatters by a quarter.
pub(super) const NOISE_NIGHTS: usize = 30;
/// Nights that must agree before anything is called a change.
pub(super) const RECENT: usize = 3;
/// Level of the test, after Holm's correction.
pub(super) const ALPHA: f64 = 0.01;
/// The least change worth a person's time, of three nights and of one.
const LEAST_CHANGE: f64 = 0.05;
const LEAST_SUSPECT: f64 = 0.10;
/// Times the noise that a change must exceed.
const NOISES: f64 = 3.0;
/// Noise of the median of three nights, for the noise of one: what three normal values give. With
/// the noise of one night in its place, a step of 10 % at 3 % noise was caught in 77 % of trials
/// instead of 97 % (docs/history.md).
const OF_THREE: f64 = 0.67;

/// What is said of a metric, least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing below.
    Ok,
    /// Better than the baseline, by the rule for `regressed` in the other direction.
    Improved,
    /// Fewer than ten nights in front of tonight.
    Insufficient,
    /// Tonight alone is far off: more repetitions are wanted the same night.
    Suspect,
    /// Three nights are worse than the baseline, beyond chance and beyond the noise.
    Regressed,
}

/// A metric in one night, with the numbers that decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// What is said.
    pub state: State,
    /// Median of the baseline.
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
    /// Index of the first night that was worse, of a regression still in force.
    #[serde(skip)]
    pub confirmed: Option<usize>,
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

/// Walks one metric through its nights.
struct Walk<'a> {
    values: &'a [f64],
    direction: Direction,
    /// Indices of the nights that may stand in a baseline.
    usable: Vec<usize>,
    confirmed: Option<Confirmed>,
}

/// Judges every night of a family of metrics, which must have one value a night each, in order.
/// `result[metric][night]`.
#[must_use]
pub fn judge(family: &[(Direction, &[f64])]) -> Vec<Vec<Judged>> {
    let mut walks: Vec<Walk<'_>> = family
        .iter()
        .map(|(direction, values)| Walk {
            values,
            direction: *direction,
            usable: Vec::new(),
            confirmed: None,
        })
        .collect();
    let nights = family.iter().map(|(_, values)| values.len()).min().unwrap_or(0);
    let mut judged: Vec<Vec<Judged>> = family.iter().map(|_| Vec::with_capacity(nights)).collect();
    for night in 0..nights {
        let mut tonight: Vec<Judged> = walks.iter().map(|walk| walk.measure(night)).collect();
        test(&walks, &mut tonight, night);
        for ((walk, mut metric), judged) in walks.iter_mut().zip(tonight).zip(&mut judged) {
            walk.conclude(night, &mut metric);
            judged.push(metric);
        }
    }
    judged
}

/// Fills in the p-values where any metric has moved far enough for them to matter.
fn test(walks: &[Walk<'_>], tonight: &mut [Judged], night: usize) {
    let moved = |metric: &Judged| metric.worse.abs() >= metric.least_change;
    if !tonight.iter().any(moved) {
        return;
    }
    for (walk, metric) in walks.iter().zip(&mut *tonight) {
        metric.p = walk.p(night, metric.after > metric.before);
    }
    let corrected = holm(&tonight.iter().map(|metric| metric.p).collect::<Vec<_>>());
    for (metric, p) in tonight.iter_mut().zip(corrected) {
        metric.p_holm = p;
    }
}

impl Walk<'_> {
    /// The last usable nights in front of a night, at most `most`, the latest first.
    fn before(&self, night: usize, most: usize) -> Vec<f64> {
        let earlier = self.usable.iter().rev().filter(|index| **index < night);
        earlier.take(most).map(|index| self.values[*index]).collect()
    }

    /// The baseline of the test: usable nights in front of the last three.
    fn baseline(&self, night: usize) -> Vec<f64> {
        self.before((night + 1).saturating_sub(RECENT), BASELINE)
    }

    fn recent(&self, night: usize) -> &[f64] {
        &self.values[(night + 1).saturating_sub(RECENT)..=night]
    }

    fn measure(&self, night: usize) -> Judged {
        let baseline = self.baseline(night);
        let before = median(&baseline).unwrap_or(0.0);
        let after = median(self.recent(night)).unwrap_or(0.0);
        let earlier = self.before((night + 1).saturating_sub(RECENT), NOISE_NIGHTS);
        let noise = relative_noise(&earlier).unwrap_or(0.0);
        Judged {
            state: State::Ok,
            before,
            after,
            worse: self.worse(before, after),
            p: 1.0,
            p_holm: 1.0,
            noise,
            least_change: LEAST_CHANGE.max(NOISES * OF_THREE * noise),
            confirmed: None,
        }
    }

    /// The ratio less one, turned so that above zero is worse.
    fn worse(&self, before: f64, after: f64) -> f64 {
        let (worse, better) = match self.direction {
            Direction::Lower => (after, before),
            Direction::Higher => (before, after),
        };
        if better > 0.0 { worse / better - 1.0 } else { 0.0 }
    }

    fn p(&self, night: usize, grown: bool) -> f64 {
        let tail = if grown { Tail::Greater } else { Tail::Less };
        mann_whitney(self.recent(night), &self.baseline(night), tail)
    }

    fn conclude(&mut self, night: usize, metric: &mut Judged) {
        if let Some(confirmed) = self.confirmed {
            let worse = self.worse(confirmed.before, metric.after);
            if worse >= confirmed.least_change {
                metric.state = State::Regressed;
                metric.before = confirmed.before;
                (metric.worse, metric.least_change) = (worse, confirmed.least_change);
                (metric.p, metric.p_holm) = (confirmed.p, confirmed.p_holm);
                metric.confirmed = Some(confirmed.since);
                return;
            }
            self.confirmed = None;
        }
        metric.state = self.state(night, metric);
        if metric.state == State::Regressed {
            let since = self.first_worse(night, metric);
            metric.confirmed = Some(since);
            self.usable.retain(|index| *index < since);
            self.confirmed = Some(Confirmed {
                before: metric.before,
                least_change: metric.least_change,
                p: metric.p,
                p_holm: metric.p_holm,
                since,
            });
        } else {
            self.usable.push(night);
        }
    }

    /// The first night of the change: of the three that confirmed it, or earlier where confirmation
    /// took longer. Half of what would be called a change tells the sides apart.
    fn first_worse(&self, night: usize, metric: &Judged) -> usize {
        let worse = |index: usize| self.worse(metric.before, self.values[index]) >= metric.least_change / 2.0;
        let mut since = night + 1 - RECENT;
        while since < night && !worse(since) {
            since += 1;
        }
        while since > 0 && worse(since - 1) {
            since -= 1;
        }
        since
    }

    fn state(&self, night: usize, metric: &Judged) -> State {
        if night < LEAST_PRIOR {
            return State::Insufficient;
        }
        if metric.p_holm <= ALPHA && metric.worse.abs() >= metric.least_change {
            return if metric.worse > 0.0 { State::Regressed } else { State::Improved };
        }
        let prior = median(&self.before(night, BASELINE)).unwrap_or(0.0);
        let alone = self.worse(prior, self.values[night]);
        if alone > LEAST_SUSPECT.max(NOISES * metric.noise) { State::Suspect } else { State::Ok }
    }
}
