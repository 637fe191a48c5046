//! Sends the workload: due times, a semaphore for concurrency, a stream per request, a time stamp per chunk.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::arrivals::{rate, schedule};
use super::dataset::Prompt;
use super::sse::Splitter;
use crate::client::error::ClientError;
use crate::client::http::{Client, Deadline};
use crate::client::ledger::Served;
use crate::client::usage::{Choice, Usage};
use crate::procedure::{Bench, Span};
use crate::time::Nanos;

/// One request as the client saw it. Times are seconds from the start of the load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// When it was due and released by the schedule.
    pub(crate) arrival: f64,
    /// When it was sent, after the semaphore.
    pub(crate) start: f64,
    /// When each chunk with a choice arrived.
    pub(crate) tokens: Vec<f64>,
    /// `usage.prompt_tokens`, else the length that was sent.
    pub(crate) prompt_tokens: u64,
    /// `usage.completion_tokens`, else the number of chunks.
    pub(crate) output_tokens: u64,
    /// `usage.prompt_tokens_details.cached_tokens`.
    pub(crate) cached_tokens: u64,
    /// The last finish reason.
    pub(crate) finish_reason: Option<String>,
    /// Why it failed; `None` for a success.
    pub(crate) error: Option<String>,
}

impl Answer {
    /// From sending to the last token, not to the end of the stream: as vLLM defines it.
    pub(crate) fn latency(&self) -> f64 {
        self.tokens.last().map_or(0.0, |last| last - self.start)
    }

    pub(crate) fn ttft(&self) -> f64 {
        self.tokens.first().map_or(0.0, |first| first - self.start)
    }

    pub(crate) fn itls(&self) -> impl Iterator<Item = f64> {
        self.tokens.windows(2).map(|pair| pair[1] - pair[0])
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.error.is_none()
    }

    /// The ledger's line, on the Unix clock.
    pub(crate) fn served(&self, request: usize, begun: Nanos) -> Served {
        let at = |seconds: f64| begun + Nanos::from_ns((seconds * 1e9) as i64);
        Served {
            request,
            prompt_tokens: self.prompt_tokens,
            output_tokens: self.output_tokens,
            cached_tokens: self.cached_tokens,
            sent_ns: at(self.start),
            token_ns: self.tokens.iter().map(|seconds| at(*seconds)).collect(),
            done_ns: at(self.tokens.last().copied().unwrap_or(self.start)),
            finish_reason: self.finish_reason.clone(),
        }
    }
}

/// The answers in the order of the dataset, and the whole duration.
#[derive(Clone, Debug)]
pub(crate) struct Driven {
    pub(crate) answers: Vec<Answer>,
    pub(crate) duration: f64,
    /// When the load began, on the Unix clock.
    pub(crate) begun: Nanos,
    /// Whole requests per second of a ramp, each with when it was reached.
    pub(crate) rate_changes: Vec<(u32, SystemTime)>,
}

/// Sends every prompt. A request that fails is an answer with an error, never a lost one.
pub(crate) async fn drive(
    client: &Client,
    model: &str,
    bench: &Bench,
    prompts: &[Prompt],
    limit: Span,
) -> Driven {
    let due = schedule(bench);
    let permits = bench.max_concurrency.map_or(Semaphore::MAX_PERMITS, |limit| limit as usize);
    let semaphore = Arc::new(Semaphore::new(permits));
    let clock = Instant::now();
    let begun = Nanos::now();
    let mut tasks = JoinSet::new();
    let mut rate_changes: Vec<(u32, SystemTime)> = Vec::new();
    for (index, (prompt, due)) in prompts.iter().zip(due).enumerate() {
        let wait = due - clock.elapsed().as_secs_f64();
        if wait > 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(wait)).await;
        }
        let call = Posted {
            client: client.clone(),
            body: body(model, bench, prompt),
            id: format!("tracegate-{index}"),
            clock,
            limit,
            prompt_tokens: prompt.ids.len() as u64,
        };
        let semaphore = Arc::clone(&semaphore);
        if bench.ramp_up.is_some() {
            let reached = rate(bench, index) as u32;
            // The first entry is the rate of the start; then one for each whole number on the way.
            let next = rate_changes.last().map_or(reached, |(last, _)| last + 1);
            rate_changes.extend((next..=reached).map(|rps| (rps, SystemTime::now())));
        }
        let arrival = clock.elapsed().as_secs_f64();
        tasks.spawn(async move {
            // The semaphore is never closed.
            let _permit = semaphore.acquire_owned().await;
            (index, call.make(arrival).await)
        });
    }
    let mut answers =
        vec![Answer { error: Some("the request was lost".to_owned()), ..Answer::default() }; prompts.len()];
    while let Some(joined) = tasks.join_next().await {
        if let Ok((index, answer)) = joined {
            answers[index] = answer;
        }
    }
    Driven { answers, duration: clock.elapsed().as_secs_f64(), begun, rate_changes }
}

/// The body that `vllm bench serve` sends, with an explicit temperature.
fn body(model: &str, bench: &Bench, prompt: &Prompt) -> Value {
    let mut body = json!({
        "model": model,
        "prompt": prompt.ids,
        "repetition_penalty": 1.0,
        "max_tokens": prompt.output_len,
        "logprobs": null,
        "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": bench.temperature,
    });
    if let Some(text) = &prompt.text {
        body["prompt"] = json!(text);
    }
    if bench.ignore_eos {
        body["ignore_eos"] = json!(true);
    }
    body
}

struct Posted {
    client: Client,
    body: Value,
    id: String,
    clock: Instant,
    limit: Span,
    prompt_tokens: u64,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<IgnoredAny>,
}

impl Posted {
    async fn make(&self, arrival: f64) -> Answer {
        let start = self.clock.elapsed().as_secs_f64();
        let mut answer = Answer { arrival, start, prompt_tokens: self.prompt_tokens, ..Answer::default() };
        match tokio::time::timeout(self.limit.0, self.stream(&mut answer)).await {
            Ok(Ok(())) if answer.tokens.is_empty() => {
                answer.error = Some("the answer was 200 and held no token".to_owned());
            }
            Ok(Ok(())) => {}
            Ok(Err(error)) => answer.error = Some(error.to_string()),
            Err(_) => {
                answer.error = Some(format!("no complete answer within {} (deadline: request)", self.limit));
            }
        }
        if answer.output_tokens == 0 {
            answer.output_tokens = answer.tokens.len() as u64;
        }
        answer
    }

    async fn stream(&self, answer: &mut Answer) -> Result<(), ClientError> {
        const ROUTE: &str = "/v1/completions";
        let deadline = Deadline { limit: self.limit, key: "request", hint: "" };
        let request = self.client.completion(self.body.clone()).header("x-request-id", &self.id);
        let mut response = self.client.send(ROUTE, request, deadline).await?;
        let broken = |reason: String| ClientError::NoAnswer { what: format!("POST {ROUTE}"), reason };
        // Chunks are stamped when they arrive and read when all have: with hundreds of streams on one
        // thread, reading one would delay the stamps of the others.
        let mut chunks = Vec::new();
        let ended = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => chunks.push((self.clock.elapsed().as_secs_f64(), chunk)),
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        let mut splitter = Splitter::default();
        for (at, chunk) in chunks {
            splitter.push(&chunk);
            while let Some(message) = splitter.next() {
                let chunk: Chunk = serde_json::from_slice(&message)
                    .map_err(|error| broken(format!("a chunk is no JSON: {error}")))?;
                if chunk.error.is_some() {
                    return Err(broken(crate::text::inert(&String::from_utf8_lossy(&message), 300)));
                }
                answer.take(chunk, at);
            }
        }
        if let Some(reason) = ended {
            return Err(broken(format!("the stream broke after {} tokens: {reason}", answer.tokens.len())));
        }
        if splitter.is_done() && answer.finish_reason.is_some() {
            return Ok(());
        }
        Err(broken(format!("the stream ended in the middle, after {} tokens", answer.tokens.len())))
    }
}

impl Answer {
    fn take(&mut self, chunk: Chunk, at: f64) {
        if let Some(choice) = chunk.choices.into_iter().next() {
            self.tokens.push(at);
            self.finish_reason = choice.finish_reason.or_else(|| self.finish_reason.take());
        } else if let Some(usage) = chunk.usage {
            // As vLLM: only a chunk without choices carries the usage that counts.
            self.output_tokens = usage.completion_tokens.unwrap_or(self.output_tokens);
            self.prompt_tokens = usage.prompt_tokens.unwrap_or(self.prompt_tokens);
            self.cached_tokens = usage.cached_tokens();
        }
    }
}
