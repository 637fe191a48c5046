//! One `POST /v1/completions`, as the manual's `curl` sends it.

use serde::Deserialize;
use serde_json::Value;

use super::error::ClientError;
use super::http::{Client, Deadline, within};
use super::ledger::Served;
use crate::procedure::{Request, Span};
use crate::time::Nanos;

const ROUTE: &str = "/v1/completions";

#[derive(Deserialize)]
struct Answer {
    usage: Option<Usage>,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Client {
    /// Sends one request and waits for the whole answer.
    pub(crate) async fn complete(
        &self,
        index: usize,
        model: &str,
        request: &Request,
        limit: Span,
    ) -> Result<Served, ClientError> {
        let body = request.body(model);
        let deadline = Deadline { limit, key: "request", hint: "" };
        let sent_ns = Nanos::now();
        let answer = self.send(ROUTE, self.post(ROUTE).json(&body), deadline).await?;
        let what = format!("POST {ROUTE} (request {index})");
        let text = within(&what, deadline, answer.text()).await?;
        let done_ns = Nanos::now();
        let (usage, finish_reason) = read_answer(&what, &text)?;
        let details = usage.prompt_tokens_details;
        Ok(Served {
            request: index,
            prompt_tokens: usage.prompt_tokens,
            output_tokens: usage.completion_tokens,
            cached_tokens: details.and_then(|details| details.cached_tokens).unwrap_or(0),
            sent_ns,
            token_ns: Vec::new(),
            done_ns,
            finish_reason,
        })
    }
}

fn read_answer(what: &str, text: &str) -> Result<(Usage, Option<String>), ClientError> {
    let malformed = |reason: String| ClientError::Malformed {
        what: what.to_owned(),
        reason,
        body: crate::text::inert(text, 200),
    };
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let answer = Answer::deserialize(value).map_err(|error| malformed(error.to_string()))?;
    let usage = answer.usage.ok_or_else(|| malformed("no usage".to_owned()))?;
    Ok((usage, answer.choices.into_iter().next().and_then(|choice| choice.finish_reason)))
}
