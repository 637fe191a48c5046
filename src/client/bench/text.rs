//! Text prompts with the server's tokenizer as the oracle: no tokenizer of our own, lengths still right.

use serde::Deserialize;
use serde_json::json;

use super::dataset::{Prompt, RandomDataset};
use crate::client::error::ClientError;
use crate::client::http::{Client, Deadline, within};
use crate::procedure::{Bench, Span};

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
struct Text {
    prompt: String,
}

/// Tries to reach the wanted length, as vLLM does; a text that does not settle stays as it is.
const TRIES: usize = 10;

impl Client {
    /// The workload's prompts as text of the wanted length in the server's tokens.
    pub(crate) async fn text_dataset(
        &self,
        model: &str,
        bench: &Bench,
        limit: Span,
    ) -> Result<RandomDataset, ClientError> {
        let plain = self.tokenize(model, "a", false, limit).await?.len();
        let with_special = self.tokenize(model, "a", true, limit).await?.len();
        let special = with_special.saturating_sub(plain) as u32;
        let mut dataset = RandomDataset::draw(bench, special);
        for prompt in &mut dataset.prompts {
            prompt.text = Some(self.settle(model, prompt, limit).await?);
        }
        Ok(dataset)
    }

    async fn settle(&self, model: &str, prompt: &Prompt, limit: Span) -> Result<String, ClientError> {
        let wanted = prompt.ids.len();
        let mut ids = prompt.ids.clone();
        let mut text = self.detokenize(model, &ids, limit).await?;
        for _ in 0..TRIES {
            ids = self.tokenize(model, &text, false, limit).await?;
            if ids.len() == wanted {
                break;
            }
            ids.truncate(wanted);
            let filler = prompt.ids.iter().copied().cycle().take(wanted - ids.len());
            ids.extend(filler);
            text = self.detokenize(model, &ids, limit).await?;
        }
        Ok(text)
    }

    async fn tokenize(
        &self,
        model: &str,
        text: &str,
        special: bool,
        limit: Span,
    ) -> Result<Vec<u32>, ClientError> {
        let body = json!({"model": model, "prompt": text, "add_special_tokens": special});
        let answer: Tokens = self.ask("/tokenize", &body, limit).await?;
        Ok(answer.tokens)
    }

    async fn detokenize(&self, model: &str, ids: &[u32], limit: Span) -> Result<String, ClientError> {
        let body = json!({"model": model, "tokens": ids});
        let answer: Text = self.ask("/detokenize", &body, limit).await?;
        Ok(answer.prompt)
    }

    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        route: &str,
        body: &serde_json::Value,
        limit: Span,
    ) -> Result<T, ClientError> {
        let deadline = Deadline { limit, key: "request", hint: "" };
        let answer = self.send(route, self.post(route).json(body), deadline).await?;
        within(&format!("POST {route}"), deadline, answer.json()).await
    }
}
