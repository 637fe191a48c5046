//! `POST /v1/completions`, plain and streaming. The text is empty: nothing is computed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::api::{App, parse};
use super::engine::{Request, ToEngine, Token};
use super::error::ApiError;
use super::fault::Fault;
use super::tokenizer;

/// The fields that change what is answered; all others are accepted and ignored.
#[derive(Deserialize)]
struct Asked {
    model: Option<String>,
    prompt: Option<Value>,
    max_tokens: Option<i64>,
    temperature: Option<f64>,
    n: Option<i64>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// vLLM's default when a request does not say.
const DEFAULT_MAX_TOKENS: i64 = 16;

pub(crate) async fn completions(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, ApiError> {
    if !app.warm.load(Ordering::Relaxed) {
        // A real server does not listen before it is warm; a client that did not wait must notice.
        return Err(ApiError::not_ready());
    }
    match app.options.fault {
        Some(Fault::RequestFails) => return Err(ApiError::internal("EngineCore encountered an issue")),
        Some(Fault::RequestHangs) => std::future::pending().await,
        Some(Fault::CrashInLoad) => std::process::abort(),
        _ => {}
    }
    let asked: Asked = parse(&body)?;
    let model = app.options.model_name();
    if let Some(name) = asked.model.as_deref()
        && name != model
    {
        return Err(ApiError::unknown_model(name, model));
    }
    check(&asked)?;
    let (prompt_tokens, max_tokens) = lengths(&asked, u64::from(app.options.max_model_len))?;
    let cached = cached(&app, &asked, prompt_tokens);
    let (tokens, from_engine) = mpsc::unbounded_channel();
    let mut call = Completion::new(Arc::clone(&app), prompt_tokens);
    call.cached = cached;
    let request = Request { prompt_tokens: prompt_tokens - cached, max_tokens, tokens };
    app.commands.send(ToEngine::Submit(request)).map_err(|_| ApiError::internal("EngineDeadError"))?;
    if asked.stream {
        let usage = asked.stream_options.is_some_and(|options| options.include_usage);
        return Ok(stream_answer(call, from_engine, usage));
    }
    plain_answer(call, from_engine).await
}

/// What vLLM refuses, and what is not imitated.
fn check(asked: &Asked) -> Result<(), ApiError> {
    if let Some(temperature) = asked.temperature
        && temperature < 0.0
    {
        let message = format!(
            "temperature must be non-negative, got {temperature}. (parameter=temperature, value={temperature})"
        );
        return Err(ApiError::bad_request(message, "temperature"));
    }
    if asked.stream_options.is_some() && !asked.stream {
        return Err(ApiError::bad_request(
            "Stream options can only be defined when `stream=True`.",
            "stream_options",
        ));
    }
    match asked.n.unwrap_or(1) {
        1 => Ok(()),
        n => Err(ApiError::bad_request(format!("n={n}: the stand-in imitates one choice only"), "n")),
    }
}

/// Text, token ids, or a list of exactly one of these.
fn count_tokens(prompt: &Value) -> Result<u64, ApiError> {
    const LOCATION: &str = "body.prompt";
    match prompt {
        Value::Null => Ok(0),
        Value::String(text) => Ok(tokenizer::encode(text).len() as u64),
        Value::Array(items) if items.iter().all(Value::is_u64) => Ok(items.len() as u64),
        Value::Array(items) => match items.as_slice() {
            [one] => count_tokens(one),
            _ => Err(ApiError::validation("the stand-in imitates one prompt per request", LOCATION)),
        },
        _ => Err(ApiError::validation("Input should be a valid string or list of token ids", LOCATION)),
    }
}

fn lengths(asked: &Asked, longest: u64) -> Result<(u64, u64), ApiError> {
    let prompt_tokens = count_tokens(asked.prompt.as_ref().unwrap_or(&Value::Null))?;
    if prompt_tokens == 0 {
        let message = "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)";
        return Err(ApiError::bad_request(message, "prompt"));
    }
    let asked_tokens = asked.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    let Some(max_tokens) = u64::try_from(asked_tokens).ok().filter(|tokens| *tokens > 0) else {
        let message = format!(
            "max_tokens must be at least 1, got {asked_tokens}. (parameter=max_tokens, value={asked_tokens})"
        );
        return Err(ApiError::bad_request(message, "max_tokens"));
    };
    if prompt_tokens + max_tokens > longest {
        let message = format!(
            "max_tokens={max_tokens} cannot be greater than max_model_len={longest} less {prompt_tokens} prompt tokens. Please request fewer output tokens. (parameter=max_tokens, value={max_tokens})"
        );
        return Err(ApiError::bad_request(message, "max_tokens"));
    }
    Ok((prompt_tokens, max_tokens))
}

/// Prompt tokens that the prefix cache answers, by the fault: all but the last of a prompt that was served before.
fn cached(app: &App, asked: &Asked, prompt_tokens: u64) -> u64 {
    if app.options.fault != Some(Fault::CachedPrompt) {
        return 0;
    }
    let prompt = asked.prompt.as_ref().map(Value::to_string).unwrap_or_default();
    let known = app.prompts.lock().is_ok_and(|mut known| !known.insert(prompt));
    if known { prompt_tokens - 1 } else { 0 }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One request being answered; counts itself out when it ends, however it ends.
struct Completion {
    app: Arc<App>,
    id: String,
    created: u64,
    prompt_tokens: u64,
    /// Of them, answered from the prefix cache.
    cached: u64,
    generated: u64,
}

impl Completion {
    fn new(app: Arc<App>, prompt_tokens: u64) -> Self {
        app.in_flight.fetch_add(1, Ordering::Relaxed);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let id = format!("cmpl-{:016x}", NEXT_ID.fetch_add(1, Ordering::Relaxed));
        Self { app, id, created, prompt_tokens, cached: 0, generated: 0 }
    }

    fn log_token(&self) {
        if self.app.options.token_log.is_some()
            && let Ok(mut log) = self.app.token_log.lock()
        {
            log.push(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos());
        }
    }

    fn body(&self, choices: &Value) -> Value {
        json!({
            "id": self.id, "object": "text_completion", "created": self.created,
            "model": self.app.options.model_name(), "choices": choices,
        })
    }

    fn choice(finish_reason: Option<&str>) -> Value {
        json!([{
            "index": 0, "text": "", "logprobs": null, "finish_reason": finish_reason,
            "stop_reason": null, "token_ids": null, "prompt_token_ids": null,
        }])
    }

    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.generated,
            "completion_tokens": self.generated,
            "prompt_tokens_details": if self.cached > 0 { json!({"cached_tokens": self.cached}) } else { Value::Null },
        })
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.app.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.app.served.fetch_add(1, Ordering::Relaxed);
        self.app.prompt_tokens.fetch_add(self.prompt_tokens, Ordering::Relaxed);
        self.app.generation_tokens.fetch_add(self.generated, Ordering::Relaxed);
    }
}

async fn plain_answer(
    mut call: Completion,
    mut tokens: mpsc::UnboundedReceiver<Token>,
) -> Result<Response, ApiError> {
    loop {
        let token = tokens.recv().await.ok_or_else(|| ApiError::internal("EngineDeadError"))?;
        call.generated += 1;
        if token.last {
            break;
        }
    }
    let mut body = call.body(&Completion::choice(Some("length")));
    body["usage"] = call.usage();
    Ok(Json(body).into_response())
}

/// What is still to be sent on a stream.
enum Rest {
    Tokens,
    Usage,
    Done,
    Nothing,
}

fn stream_answer(call: Completion, tokens: mpsc::UnboundedReceiver<Token>, usage: bool) -> Response {
    let chunks =
        stream::unfold((call, tokens, Rest::Tokens), move |(mut call, mut tokens, rest)| async move {
            let (text, rest) = match rest {
                Rest::Tokens if call.generated == 2 && call.app.options.fault == Some(Fault::StreamCut) => {
                    let broken = io::Error::new(io::ErrorKind::ConnectionReset, "--fault stream-cut");
                    return Some((Err(broken), (call, tokens, Rest::Nothing)));
                }
                Rest::Tokens => {
                    let token = tokens.recv().await?;
                    call.generated += 1;
                    call.log_token();
                    let reason = token.last.then_some("length");
                    let next = match (token.last, usage) {
                        (false, _) => Rest::Tokens,
                        (true, true) => Rest::Usage,
                        (true, false) => Rest::Done,
                    };
                    (call.body(&Completion::choice(reason)).to_string(), next)
                }
                Rest::Usage => {
                    let mut body = call.body(&json!([]));
                    body["usage"] = call.usage();
                    (body.to_string(), Rest::Done)
                }
                Rest::Done => ("[DONE]".to_owned(), Rest::Nothing),
                Rest::Nothing => return None,
            };
            let chunk = Ok::<_, io::Error>(Bytes::from(format!("data: {text}\n\n")));
            Some((chunk, (call, tokens, rest)))
        });
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    (headers, Body::from_stream(chunks)).into_response()
}
