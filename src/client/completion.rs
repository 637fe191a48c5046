//! One `POST /v1/completions`, as the manual's `curl` sends it.

use serde::Deserialize;
use serde_json::Value;

use super::error::ClientError;
use super::http::{COMPLETIONS as ROUTE, Client, Deadline, within};
use super::ledger::Served;
use super::usage::{Choice, Usage};
use crate::procedure::{Request, Span};
use crate::time::Nanos;

#[derive(Deserialize)]
struct Answer {
    usage: Option<Usage>,
    choices: Vec<Choice>,
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
        let answer = self.send(ROUTE, self.completion(body), deadline).await?;
        let what = format!("POST {ROUTE} (request {index})");
        let text = within(&what, deadline, answer.text()).await?;
        let done_ns = Nanos::now();
        let told = read_answer(&what, &text)?;
        Ok(Served {
            request: index,
            prompt_tokens: told.prompt_tokens,
            output_tokens: told.output_tokens,
            cached_tokens: told.cached_tokens,
            sent_ns,
            token_ns: Vec::new(),
            done_ns,
            finish_reason: told.finish_reason,
        })
    }
}

/// What a whole answer must say.
#[derive(Debug)]
struct Told {
    prompt_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    finish_reason: Option<String>,
}

fn read_answer(what: &str, text: &str) -> Result<Told, ClientError> {
    let malformed = |reason: String| ClientError::Malformed {
        what: what.to_owned(),
        reason,
        body: crate::text::inert(text, 200),
    };
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let answer = Answer::deserialize(value).map_err(|error| malformed(error.to_string()))?;
    let usage = answer.usage.ok_or_else(|| malformed("no usage".to_owned()))?;
    let (Some(prompt_tokens), Some(output_tokens)) = (usage.prompt_tokens, usage.completion_tokens) else {
        return Err(malformed("the usage does not count prompt and completion tokens".to_owned()));
    };
    let finish_reason = answer.choices.into_iter().next().and_then(|choice| choice.finish_reason);
    Ok(Told { prompt_tokens, output_tokens, cached_tokens: usage.cached_tokens(), finish_reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_its_tokens_or_is_none() {
        let read = |usage: &str| {
            let text = format!("{{\"choices\":[{{\"finish_reason\":\"length\"}}]{usage}}}");
            read_answer("POST", &text)
                .map(|told| (told.prompt_tokens, told.output_tokens, told.cached_tokens))
        };
        let counted = ",\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":7";
        assert_eq!(read(&format!("{counted}}}")).unwrap(), (4, 7, 0));
        let cached = format!("{counted},\"prompt_tokens_details\":{{\"cached_tokens\":3}}}}");
        assert_eq!(read(&cached).unwrap(), (4, 7, 3));
        for lacking in ["", ",\"usage\":{\"prompt_tokens\":4}", ",\"usage\":{\"completion_tokens\":7}"] {
            assert!(matches!(read(lacking), Err(ClientError::Malformed { .. })), "{lacking}");
        }
    }
}
