//! The metrics of `vllm bench serve`, by its definitions. Times in seconds unless a name says milliseconds.

use serde::Serialize;

use super::drive::Answer;
use crate::procedure::{Bench, Goodput, Metric};

/// Mean, median, population standard deviation and percentiles of one latency, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Arithmetic mean.
    pub(crate) mean_ms: f64,
    /// 50th percentile.
    pub(crate) median_ms: f64,
    /// Population standard deviation (ddof 0).
    pub(crate) std_ms: f64,
    /// Percent and value, linearly interpolated.
    pub(crate) percentiles_ms: Vec<(f64, f64)>,
}

/// Everything computed from the answers of a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct BenchMetrics {
    /// Requests that succeeded.
    pub(crate) completed: usize,
    /// Requests that failed.
    pub(crate) failed: usize,
    /// Prompt tokens of the completed ones.
    pub(crate) total_input_tokens: u64,
    /// Output tokens of the completed ones.
    pub(crate) total_output_tokens: u64,
    /// Seconds from the first dispatch to the last answer.
    pub(crate) duration: f64,
    /// Requests per second that met every limit; `None` where no limit is set.
    pub(crate) request_goodput: Option<f64>,
    /// Most token chunks in one second.
    pub(crate) max_output_tokens_per_s: f64,
    /// Most requests that overlap one second.
    pub(crate) max_concurrent_requests: usize,
    /// The chosen latencies, in the order they were chosen.
    pub(crate) latencies: Vec<(Metric, Spread)>,
}

impl BenchMetrics {
    pub(crate) fn of(bench: &Bench, answers: &[Answer], duration: f64) -> Self {
        let good: Vec<&Answer> = answers.iter().filter(|answer| answer.succeeded()).collect();
        let latencies = bench
            .percentile_metrics
            .iter()
            .filter(|metric| is_defined(**metric, bench))
            .map(|metric| (*metric, spread(&values(*metric, &good), &bench.metric_percentiles)))
            .collect();
        let (max_output_tokens_per_s, max_concurrent_requests) = peaks(&good);
        let limits = bench.goodput;
        let met = || good.iter().filter(|answer| meets(answer, &limits)).count() as f64 / duration;
        Self {
            completed: good.len(),
            failed: answers.len() - good.len(),
            total_input_tokens: good.iter().map(|answer| answer.prompt_tokens).sum(),
            total_output_tokens: good.iter().map(|answer| answer.output_tokens).sum(),
            duration,
            request_goodput: (!limits.is_empty()).then(met),
            max_output_tokens_per_s,
            max_concurrent_requests,
            latencies,
        }
    }

    /// Completed requests per second.
    pub(crate) fn request_throughput(&self) -> f64 {
        self.completed as f64 / self.duration
    }

    /// Output tokens per second.
    pub(crate) fn output_throughput(&self) -> f64 {
        self.total_output_tokens as f64 / self.duration
    }

    /// Prompt and output tokens per second.
    pub(crate) fn total_token_throughput(&self) -> f64 {
        (self.total_input_tokens + self.total_output_tokens) as f64 / self.duration
    }
}

/// Queue times exist under a concurrency limit; with an infinite rate the queue is the load itself.
fn is_defined(metric: Metric, bench: &Bench) -> bool {
    match metric {
        Metric::ClientQueueTime => bench.max_concurrency.is_some(),
        Metric::E2elIncludingClientQueue => {
            bench.max_concurrency.is_some() && bench.request_rate.0.is_finite()
        }
        Metric::Ttft | Metric::Tpot | Metric::Itl | Metric::E2el => true,
    }
}

fn values(metric: Metric, answers: &[&Answer]) -> Vec<f64> {
    let each = |value: fn(&Answer) -> f64| answers.iter().map(|answer| value(answer)).collect();
    match metric {
        Metric::Ttft => each(Answer::ttft),
        Metric::Tpot => answers.iter().filter_map(|answer| tpot(answer)).collect(),
        Metric::Itl => answers.iter().flat_map(|answer| answer.itls()).collect(),
        Metric::E2el => each(Answer::latency),
        Metric::ClientQueueTime => each(|answer| answer.start - answer.arrival),
        Metric::E2elIncludingClientQueue => each(|answer| answer.latency() + answer.start - answer.arrival),
    }
}

/// `(latency - ttft) / (output tokens - 1)`; not defined for a single token.
fn tpot(answer: &Answer) -> Option<f64> {
    let later = answer.output_tokens.checked_sub(1).filter(|later| *later > 0)?;
    Some((answer.latency() - answer.ttft()) / later as f64)
}

/// A request with a single token counts as a TPOT of 0.
fn meets(answer: &Answer, limits: &Goodput) -> bool {
    let within = |limit: Option<f64>, seconds: f64| limit.is_none_or(|limit| seconds * 1e3 <= limit);
    within(limits.ttft, answer.ttft())
        && within(limits.tpot, tpot(answer).unwrap_or(0.0))
        && within(limits.e2el, answer.latency())
}

/// Counts over one-second buckets that start with the first request.
fn peaks(answers: &[&Answer]) -> (f64, usize) {
    let first = answers.iter().map(|answer| answer.start).fold(f64::INFINITY, f64::min);
    let last = answers.iter().map(|answer| answer.start + answer.latency()).fold(0.0, f64::max);
    if answers.is_empty() {
        return (0.0, 0);
    }
    let buckets = (last - first).ceil().max(0.0) as usize + 1;
    let mut tokens = vec![0u64; buckets];
    let mut requests = vec![0usize; buckets];
    let bucket = |seconds: f64| ((seconds - first).max(0.0) as usize).min(buckets - 1);
    for answer in answers {
        for token in &answer.tokens {
            tokens[bucket(*token)] += 1;
        }
        for count in &mut requests[bucket(answer.start)..=bucket(answer.start + answer.latency())] {
            *count += 1;
        }
    }
    let most_tokens = tokens.into_iter().max().unwrap_or_default();
    (most_tokens as f64, requests.into_iter().max().unwrap_or_default())
}

/// Of an empty list everything is 0, as vLLM prints it.
fn spread(seconds: &[f64], percents: &[f64]) -> Spread {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len().max(1) as f64;
    let mean = sorted.iter().sum::<f64>() / count;
    let variance = sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    Spread {
        mean_ms: mean * 1e3,
        median_ms: percentile(&sorted, 50.0) * 1e3,
        std_ms: variance.sqrt() * 1e3,
        percentiles_ms: percents
            .iter()
            .map(|percent| (*percent, percentile(&sorted, *percent) * 1e3))
            .collect(),
    }
}

/// numpy's default: linear interpolation between the two nearest ranks.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = percent.clamp(0.0, 100.0) / 100.0 * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procedure::{builtin, find};

    fn answer(start: f64, tokens: &[f64]) -> Answer {
        Answer {
            start,
            tokens: tokens.iter().map(|token| start + token).collect(),
            prompt_tokens: 128,
            output_tokens: tokens.len() as u64,
            ..Answer::default()
        }
    }

    fn near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn percentiles_equal_numpys() {
        // numpy.percentile([1, 2, 4, 8], [50, 90, 99]) = 3.0, 6.8, 7.88; numpy.std = 2.68095132369095.
        let spread = spread(&[0.008, 0.001, 0.004, 0.002], &[50.0, 90.0, 99.0]);
        assert!(near(spread.mean_ms, 3.75) && near(spread.median_ms, 3.0), "{spread:?}");
        assert!(near(spread.std_ms, 2.680_951_323_690_902), "{spread:?}");
        let values: Vec<f64> = spread.percentiles_ms.iter().map(|(_, value)| *value).collect();
        assert!(near(values[0], 3.0) && near(values[1], 6.8) && near(values[2], 7.88), "{values:?}");
        assert!(near(percentile(&[], 99.0), 0.0));
    }

    #[test]
    fn latencies_follow_vllms_definitions() {
        let mut bench = find("async_multiple_requests", &builtin().unwrap()).unwrap().load.bench.unwrap();
        bench.goodput = Goodput { ttft: Some(150.0), ..Goodput::default() };
        // One request of four tokens, one of a single token, one failure.
        let failed = Answer { error: Some("x".into()), ..Answer::default() };
        let answers = [answer(0.0, &[0.1, 0.2, 0.3, 0.5]), answer(1.5, &[0.2]), failed];
        let metrics = BenchMetrics::of(&bench, &answers, 2.0);
        assert_eq!((metrics.completed, metrics.failed), (2, 1));
        assert_eq!((metrics.total_input_tokens, metrics.total_output_tokens), (256, 5));
        let mean = |wanted| {
            metrics
                .latencies
                .iter()
                .find(|(metric, _)| *metric == wanted)
                .map(|(_, spread)| spread.mean_ms)
                .unwrap()
        };
        assert!(near(mean(Metric::Ttft), 150.0));
        assert!(near(mean(Metric::Tpot), 400.0 / 3.0), "the single token has no TPOT");
        assert!(near(mean(Metric::Itl), 400.0 / 3.0));
        assert!(near(mean(Metric::E2el), 350.0));
        assert!(near(metrics.request_goodput.unwrap(), 0.5));
        // Seconds 0 and 1 from the first start: four tokens, then one.
        assert!(near(metrics.max_output_tokens_per_s, 4.0));
        assert_eq!(metrics.max_concurrent_requests, 1);
        assert!(near(metrics.total_token_throughput(), 130.5));
    }
}
