//! The nightly rule by simulation at small size; `cargo bench --bench nightly_rule` has the full one.

use crate::simulation::{FAMILY, NOISES, Noise, RULES, score};
use tracegate::history::{Direction, State, judge};

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

fn last(values: &[f64]) -> (State, Option<usize>) {
    let judged = judge(&[(Direction::Lower, values)]);
    let last = judged[0].last().unwrap();
    (last.state, last.confirmed)
}

/// Fifteen nights around 100 with 1 % noise.
fn quiet() -> Vec<f64> {
    [0.2, -1.1, 0.7, 1.3, -0.4, 0.9, -0.8, 0.1, -1.3, 0.5, 1.1, -0.2, -0.6, 0.8, -0.9]
        .map(|x| 100.0 + x)
        .to_vec()
}

#[test]
fn each_state_has_its_nights() {
    assert_eq!(last(&quiet()[..10]).0, State::Insufficient, "nine nights in front");
    assert_eq!(last(&quiet()[..11]).0, State::Ok);
    let after = |more: &[f64]| last(&[&quiet()[..], more].concat());
    assert_eq!(after(&[130.0]).0, State::Suspect);
    assert_eq!(after(&[130.0, 100.0]).0, State::Ok, "a single outlier is gone the next night");
    assert_eq!(after(&[108.0, 109.0]).0, State::Ok, "two nights below the bound of one confirm nothing");
    assert_eq!(after(&[108.0, 109.0, 108.5]), (State::Regressed, Some(15)));
    assert_eq!(after(&[92.0, 91.0, 92.5]).0, State::Improved);
    assert_eq!(after(&[104.0, 104.0, 104.0]).0, State::Ok, "below the least change");
}

#[test]
fn a_regression_stays_until_the_nights_return() {
    let mut values = quiet();
    values.extend([110.0; 40]);
    assert_eq!(last(&values), (State::Regressed, Some(15)), "forty nights later it is still one");
    values.extend([100.0, 100.5, 99.5]);
    assert_eq!(last(&values).0, State::Ok, "back where it was");
    values.extend([110.0, 111.0, 110.5]);
    assert_eq!(last(&values), (State::Regressed, Some(58)), "the bad nights never were a baseline");
}

#[test]
fn more_is_worse_only_where_less_is_better() {
    let values = [&quiet()[..], &[112.0, 111.0, 113.0]].concat();
    let judged = judge(&[(Direction::Higher, &values)]);
    assert_eq!(judged[0].last().unwrap().state, State::Improved);
}

#[test]
fn no_noise_at_all_is_no_division_by_zero() {
    let mut values = vec![100.0; 20];
    assert_eq!(last(&values).0, State::Ok);
    values.extend([112.0; 3]);
    assert_eq!(last(&values), (State::Regressed, Some(20)));
    assert_eq!(last(&[0.0; 20]).0, State::Ok);
    assert!(judge(&[]).is_empty());
}
