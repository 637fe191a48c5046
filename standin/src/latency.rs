//! The latency model: how long steps and gaps last. Deterministic for a seed.

use super::options::StandinOptions;
use super::random::SplitMix;

/// Times of the imitated engine, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Latency {
    decode_ns: f64,
    prompt_ns: f64,
    gap_ns: f64,
    jitter: f64,
    random: SplitMix,
}

/// Cost of one more prompt token.
const PROMPT_TOKEN_NS: f64 = 20_000.0;
/// Cost of one more request in a decode batch.
const DECODE_REQUEST_NS: f64 = 50_000.0;

impl Latency {
    pub(crate) fn new(options: &StandinOptions) -> Self {
        Self {
            decode_ns: options.decode_ms * 1e6,
            prompt_ns: options.prompt_ms * 1e6,
            gap_ns: options.gap_ms * 1e6,
            jitter: options.jitter.clamp(0.0, 0.9),
            random: SplitMix::new(options.seed),
        }
    }

    /// Duration of a step over so many prompt tokens and so many decoding requests.
    pub(crate) fn step(&mut self, prompt_tokens: u64, decoding: u64) -> i64 {
        let prompt =
            if prompt_tokens > 0 { self.prompt_ns + PROMPT_TOKEN_NS * prompt_tokens as f64 } else { 0.0 };
        let decode = if decoding > 0 && prompt_tokens == 0 { self.decode_ns } else { 0.0 };
        let batch = DECODE_REQUEST_NS * decoding.saturating_sub(1) as f64;
        self.jittered(prompt + decode + batch)
    }

    /// Duration of the host work between two steps.
    pub(crate) fn gap(&mut self) -> i64 {
        self.jittered(self.gap_ns)
    }

    fn jittered(&mut self, ns: f64) -> i64 {
        self.random.around(ns as i64, self.jitter).max(1_000)
    }
}
