//! When requests are sent: rate, burstiness, ramp-up.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Gamma};

use crate::procedure::{Bench, RampUp, RampUpStrategy};

/// Seconds from the start at which each request is due.
///
/// Intervals follow a gamma distribution of shape `burstiness` and mean `1 / rate`; without a ramp
/// they are stretched so that the last request is due at `num_prompts / rate`, as vLLM does. vLLM draws
/// from numpy's global generator; the distribution here is the same, the draws are not.
pub(super) fn schedule(bench: &Bench) -> Vec<f64> {
    let count = bench.num_prompts as usize;
    let mut random = StdRng::seed_from_u64(bench.seed);
    let mut at = 0.0;
    let mut due: Vec<f64> = (0..count)
        .map(|index| {
            at += interval(rate(bench, index), bench.burstiness, &mut random);
            at
        })
        .collect();
    let last = due.last().copied().unwrap_or_default();
    if bench.ramp_up.is_none() && last > 0.0 {
        let stretch = count as f64 / bench.request_rate.0 / last;
        due.iter_mut().for_each(|due| *due *= stretch);
    }
    due
}

/// Requests per second when request `index` is drawn.
pub(super) fn rate(bench: &Bench, index: usize) -> f64 {
    let Some(RampUp { strategy, start_rps, end_rps }) = bench.ramp_up else { return bench.request_rate.0 };
    let progress = index as f64 / f64::from(bench.num_prompts.saturating_sub(1).max(1));
    let (start, end) = (f64::from(start_rps), f64::from(end_rps));
    match strategy {
        RampUpStrategy::Linear => start + (end - start) * progress,
        RampUpStrategy::Exponential => start * (end / start).powf(progress),
    }
}

fn interval(rate: f64, burstiness: f64, random: &mut StdRng) -> f64 {
    if rate.is_infinite() {
        return 0.0;
    }
    if burstiness.is_infinite() {
        return 1.0 / rate;
    }
    // The parameters are validated to be positive; a degenerate one means even intervals.
    Gamma::new(burstiness, 1.0 / (rate * burstiness)).map_or(1.0 / rate, |gamma| gamma.sample(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procedure::{Rate, builtin, find};

    fn bench(count: u32, rate: f64, burstiness: f64) -> Bench {
        let procedure = find("async_multiple_requests", &builtin().unwrap()).unwrap();
        Bench { num_prompts: count, request_rate: Rate(rate), burstiness, ..procedure.load.bench.unwrap() }
    }

    #[test]
    fn an_infinite_rate_sends_everything_at_once() {
        assert_eq!(schedule(&bench(4, f64::INFINITY, 1.0)), [0.0; 4]);
    }

    #[test]
    fn infinite_burstiness_is_even() {
        let due = schedule(&bench(4, 2.0, f64::INFINITY));
        assert_eq!(due, [0.5, 1.0, 1.5, 2.0]);
    }

    #[test]
    fn the_last_request_is_due_at_count_over_rate() {
        for burstiness in [0.3, 1.0, 5.0] {
            let due = schedule(&bench(1_000, 50.0, burstiness));
            assert!((due[999] - 20.0).abs() < 1e-9, "{burstiness}");
            assert!(due.is_sorted());
            // The coefficient of variation of a gamma distribution is 1 / sqrt(shape).
            let intervals: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = intervals.iter().sum::<f64>() / 999.0;
            let variance = intervals.iter().map(|i| (i - mean).powi(2)).sum::<f64>() / 999.0;
            let expected = 1.0 / burstiness.sqrt();
            assert!((variance.sqrt() / mean - expected).abs() < 0.15 * expected, "{burstiness}");
        }
    }

    #[test]
    fn ramps_end_at_their_rate() {
        for strategy in [RampUpStrategy::Linear, RampUpStrategy::Exponential] {
            let mut bench = bench(11, f64::INFINITY, f64::INFINITY);
            bench.ramp_up = Some(RampUp { strategy, start_rps: 1, end_rps: 100 });
            let due = schedule(&bench);
            assert!((due[0] - 1.0).abs() < 1e-12);
            assert!((due[10] - due[9] - 0.01).abs() < 1e-9, "{strategy:?}");
            let middle = 1.0 / (due[5] - due[4]);
            let expected = if strategy == RampUpStrategy::Linear { 50.5 } else { 10.0 };
            assert!((middle - expected).abs() < 1e-6, "{strategy:?}: {middle}");
        }
    }
}
