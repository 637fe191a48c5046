//! The nightly rule by simulation at small size; `cargo bench --bench nightly_rule` has the full one.

use crate::simulation::{FAMILY, NOISES, Noise, RULES, score};
use tracegate::history::{Assessment, Direction, Trend, assess};

const TRIALS: u64 = 60;

fn rule(index: usize) -> crate::simulation::Alerts {
    RULES[index].2
}

/// Bounds with room for 60 trials around the measured rates in docs/history.md.
#[test]
fn a_step_of_ten_percent_is_caught_and_quiet_nights_are_quiet() {
    let one = score(Noise::Clean(0.03), 1, rule(2), TRIALS);
    assert!(one.caught >= 92.0, "{one:?}");
    assert!(one.false_per_100 <= 0.5, "{one:?}");
    assert_eq!(one.delay, 3);
    let family = score(Noise::Clean(0.03), FAMILY, rule(3), TRIALS);
    assert!(family.caught >= 85.0, "{family:?}");
    assert!(family.false_per_100 <= 0.8, "{family:?}");
}

#[test]
fn the_rule_is_quieter_than_yesterday_and_a_t_test_in_every_noise() {
    for (name, noise) in NOISES {
        let [yesterday, t_test, nightly] = [0, 1, 2].map(|index| score(noise, 1, rule(index), TRIALS));
        // A regression stays one for several nights: what begins is what calls a person.
        assert!(
            nightly.false_begun_per_100 < yesterday.false_begun_per_100,
            "{name}: {nightly:?} {yesterday:?}"
        );
        assert!(nightly.false_begun_per_100 < t_test.false_begun_per_100, "{name}: {nightly:?} {t_test:?}");
    }
}

/// Each metric's last night.
fn newest(family: &[(Direction, &[Option<f64>])]) -> Vec<Option<Assessment>> {
    assess(family).into_iter().map(|nights| nights.last().unwrap().clone()).collect()
}

fn some(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

fn last(values: &[f64]) -> (Trend, Option<usize>) {
    let judged = newest(&[(Direction::Lower, &some(values))]).remove(0).unwrap();
    (judged.state, judged.since)
}

/// Fifteen nights around 100 with 1 % noise.
fn quiet() -> Vec<f64> {
    [0.2, -1.1, 0.7, 1.3, -0.4, 0.9, -0.8, 0.1, -1.3, 0.5, 1.1, -0.2, -0.6, 0.8, -0.9]
        .map(|x| 100.0 + x)
        .to_vec()
}

#[test]
fn each_state_has_its_nights() {
    assert_eq!(last(&quiet()[..10]).0, Trend::Insufficient, "nine nights in front");
    assert_eq!(last(&quiet()[..11]).0, Trend::Ok);
    let after = |more: &[f64]| last(&[&quiet()[..], more].concat());
    assert_eq!(after(&[130.0]).0, Trend::Suspect);
    assert_eq!(after(&[130.0, 100.0]).0, Trend::Ok, "a single outlier is gone the next night");
    assert_eq!(after(&[108.0, 109.0]).0, Trend::Ok, "two nights below the bound of one confirm nothing");
    assert_eq!(after(&[108.0, 109.0, 108.5]), (Trend::Regressed, Some(15)));
    assert_eq!(after(&[92.0, 91.0, 92.5]), (Trend::Improved, Some(15)));
    assert_eq!(after(&[92.0, 91.0, 92.5, 91.5]), (Trend::Improved, Some(15)), "one improvement, one date");
    assert_eq!(after(&[104.0, 104.0, 104.0]).0, Trend::Ok, "below the least change");
}

#[test]
fn a_regression_stays_until_the_nights_return() {
    let mut values = quiet();
    values.extend([110.0; 40]);
    assert_eq!(last(&values), (Trend::Regressed, Some(15)), "forty nights later it is still one");
    values.extend([100.0, 100.5, 99.5]);
    assert_eq!(last(&values).0, Trend::Ok, "back where it was");
    values.extend([110.0, 111.0, 110.5]);
    assert_eq!(last(&values), (Trend::Regressed, Some(58)), "the bad nights never were a baseline");
    // Not even those that were ok until the third one confirmed the change.
    let back = [&quiet()[..12], &[109.0, 108.5, 109.5], &[100.0, 100.5, 99.5]].concat();
    let judged = newest(&[(Direction::Lower, &some(&back))]).remove(0).unwrap();
    assert_eq!((judged.state, judged.nights), (Trend::Ok, 12 + 3));
}

#[test]
fn more_is_worse_only_where_less_is_better() {
    let values = [&quiet()[..], &[112.0, 111.0, 113.0]].concat();
    let judged = newest(&[(Direction::Higher, &some(&values))]).remove(0).unwrap();
    assert_eq!(judged.state, Trend::Improved);
}

#[test]
fn no_noise_at_all_is_no_division_by_zero() {
    let mut values = vec![100.0; 20];
    assert_eq!(last(&values).0, Trend::Ok);
    values.extend([112.0; 3]);
    assert_eq!(last(&values), (Trend::Regressed, Some(20)));
    assert_eq!(last(&[0.0; 20]).0, Trend::Ok);
    assert!(assess(&[]).is_empty());
}

/// Three nights against fewer than twelve cannot reach the level among four metrics: nights 11 to 14 said `ok`.
#[test]
fn a_night_on_which_no_p_can_reach_the_level_is_not_judged() {
    let nights = [&quiet()[..], &[100.2, 99.7, 100.4]].concat();
    for count in 11..=18 {
        let quiet = some(&nights[..count]);
        let grown = |factor: f64, last: usize| {
            let mut values = quiet.clone();
            values[count - last..].iter_mut().flatten().for_each(|value| *value *= factor);
            values
        };
        let states = |first: &[Option<f64>], others: &[Option<f64>]| -> Vec<Trend> {
            let family = [first, others, others, others].map(|values| (Direction::Lower, values));
            newest(&family).into_iter().map(|metric| metric.unwrap().state).collect()
        };
        let judged = |state: Trend| if count < 15 { Trend::Insufficient } else { state };
        let one = states(&grown(1.09, 3), &quiet);
        assert_eq!(
            one,
            [judged(Trend::Regressed), judged(Trend::Ok), judged(Trend::Ok), judged(Trend::Ok)],
            "{count}"
        );
        let tripled = grown(3.0, 1);
        assert_eq!(states(&tripled, &tripled), [judged(Trend::Suspect); 4], "{count}");
    }
    // A smaller family reaches it earlier.
    let family = |size: usize, count: usize| {
        let values = some(&nights[..count]);
        let judged = newest(&vec![(Direction::Lower, values.as_slice()); size]).remove(0).unwrap();
        (judged.state, judged.nights, judged.needed)
    };
    assert_eq!(family(1, 11), (Trend::Ok, 11, 11));
    assert_eq!(family(2, 11), (Trend::Insufficient, 11, 12));
    assert_eq!(family(2, 12).0, Trend::Ok);
    assert_eq!(family(3, 13), (Trend::Insufficient, 13, 14));
    assert_eq!(family(3, 14).0, Trend::Ok);
    assert_eq!(family(9, 18), (Trend::Insufficient, 18, 19), "fifteen nights never suffice for nine");
}

/// A metric that a night lacks is judged over the nights that have it, and the others over all of theirs.
#[test]
fn metrics_are_judged_over_their_own_nights() {
    let whole = some(&[&quiet()[..], &[109.0, 108.5, 109.5]].concat());
    let alone = newest(&[(Direction::Lower, &whole)]);
    let mut once = vec![None; whole.len()];
    once[7] = Some(5.0);
    let beside = newest(&[(Direction::Lower, &whole), (Direction::Lower, &once)]);
    assert_eq!(beside[0], alone[0], "one night of another metric changes nothing");
    assert_eq!(beside[1], None);
    let mut new = vec![None; whole.len()];
    new[12..].iter_mut().for_each(|place| *place = Some(5.0));
    let beside = newest(&[(Direction::Lower, &whole), (Direction::Lower, &new)]);
    assert_eq!(beside[0], alone[0], "what has too few nights is not tested, and costs the family nothing");
    assert_eq!(beside[1].as_ref().unwrap().state, Trend::Insufficient);
    let mut gaps = vec![None; 2 * whole.len()];
    gaps.iter_mut().step_by(2).zip(&whole).for_each(|(place, value)| *place = *value);
    let every_other = assess(&[(Direction::Lower, &gaps)]).remove(0);
    let last = every_other[gaps.len() - 2].clone().unwrap();
    assert_eq!((last.state, last.since), (Trend::Regressed, Some(30)), "the date is one of all nights");
    assert_eq!(every_other[gaps.len() - 1], None);
}
