//! What an answer says of its tokens and of its end, whole or streamed.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Choice {
    pub(super) finish_reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: Option<u64>,
    pub(super) completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Usage {
    /// Prompt tokens that were not computed again; 0 where the server does not say.
    pub(super) fn cached_tokens(&self) -> u64 {
        self.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens).unwrap_or(0)
    }
}
