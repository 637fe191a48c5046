//! The ledger: what the client saw, per request. Times are nanoseconds on the Unix clock.

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// One request as the client saw it; a line of `client.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Served {
    /// Place in the load, from 0.
    pub request: usize,
    /// `usage.prompt_tokens`.
    pub prompt_tokens: u64,
    /// `usage.completion_tokens`.
    pub output_tokens: u64,
    /// `usage.prompt_tokens_details.cached_tokens`, 0 where the server does not say.
    pub cached_tokens: u64,
    /// When the request was sent.
    pub sent_ns: Nanos,
    /// When each token chunk arrived; empty for answers that are not streamed.
    pub token_ns: Vec<Nanos>,
    /// When the answer was complete.
    pub done_ns: Nanos,
    /// The server's reason for the end, such as `length`.
    pub finish_reason: Option<String>,
}

/// All requests of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ledger {
    /// In the order of the load.
    pub requests: Vec<Served>,
}

impl Ledger {
    /// Prompt tokens the engine had to compute: all but the cached ones.
    #[must_use]
    pub fn context_tokens(&self) -> u64 {
        self.requests.iter().map(|served| served.prompt_tokens.saturating_sub(served.cached_tokens)).sum()
    }

    /// Tokens made in generation steps: each request's first token comes from its prompt step.
    #[must_use]
    pub fn generation_tokens(&self) -> u64 {
        self.requests.iter().map(|served| served.output_tokens.saturating_sub(1)).sum()
    }

    /// All output tokens.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.requests.iter().map(|served| served.output_tokens).sum()
    }
}
