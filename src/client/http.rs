//! One server's base address and how answers become results.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use super::error::{ClientError, diagnosis};
use crate::procedure::Span;
use crate::server::Instance;

/// Where completions are asked for.
pub(super) const COMPLETIONS: &str = "/v1/completions";

/// A client for one server on loopback.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// Keeps prompts of other windows from being answered from the prefix cache.
    salt: Option<String>,
}

/// How long a call may take and how that is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) limit: Span,
    pub(crate) key: &'static str,
    pub(crate) hint: &'static str,
}

impl Client {
    pub(crate) fn new(instance: &Instance) -> Self {
        Self::at(instance.base_url())
    }

    pub(crate) fn at(base: String) -> Self {
        // The deadlines are the caller's: a profiled server may be silent for minutes.
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        Self { http, base, salt: None }
    }

    /// The same with a `cache_salt` in each completion: vLLM's prefix cache answers a prompt only for the salt
    /// under which it was filled.
    pub(crate) fn salted(mut self, salt: String) -> Self {
        self.salt = Some(salt);
        self
    }

    /// A completion with this body.
    pub(super) fn completion(&self, mut body: Value) -> RequestBuilder {
        if let (Some(salt), Some(fields)) = (&self.salt, body.as_object_mut()) {
            fields.insert("cache_salt".to_owned(), Value::from(salt.as_str()));
        }
        self.post(COMPLETIONS).json(&body)
    }

    /// Empties the prefix cache; whether the server did. Only development servers have the route.
    pub(crate) async fn reset_prefix_cache(&self, limit: Span) -> bool {
        let answer = tokio::time::timeout(limit.0, self.post("/reset_prefix_cache").send()).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status().is_success()))
    }

    pub(super) fn get(&self, route: &str) -> RequestBuilder {
        self.http.get(format!("{}{route}", self.base))
    }

    pub(crate) fn post(&self, route: &str) -> RequestBuilder {
        self.http.post(format!("{}{route}", self.base))
    }

    /// Sends and insists on success within the deadline. The body is not read yet.
    pub(crate) async fn send(
        &self,
        route: &str,
        request: RequestBuilder,
        deadline: Deadline,
    ) -> Result<Response, ClientError> {
        let what = format!("POST {route}");
        let answer = within(&what, deadline, request.send()).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        // The status counts; a body that does not arrive changes nothing about it.
        let text = tokio::time::timeout(Duration::from_secs(10), answer.text()).await;
        let text = text.map(Result::unwrap_or_default).unwrap_or_default();
        let body = message_of(&text);
        let diagnosis = diagnosis(route, status, &body);
        Err(ClientError::Refused { what, status, body, diagnosis })
    }
}

/// Waits for an answer within a deadline.
pub(crate) async fn within<T>(
    what: &str,
    deadline: Deadline,
    answer: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(deadline.limit.0, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ClientError::NoAnswer { what: what.to_owned(), reason: causes(&error) }),
        Err(_) => Err(ClientError::Deadline {
            what: what.to_owned(),
            waited: deadline.limit,
            deadline: deadline.key,
            hint: deadline.hint,
        }),
    }
}

/// The whole chain of causes; reqwest's own text names only the outermost.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// vLLM's `error.message`, FastAPI's `detail`, or the beginning of whatever came.
fn message_of(text: &str) -> String {
    let body: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let message = body["error"]["message"].as_str().or_else(|| body["detail"].as_str());
    crate::text::inert(message.unwrap_or(text), 400)
}
