//! The routes around completions: health, models, version, metrics, load, tokenizer, profiler.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::completions::completions;
use super::engine::ToEngine;
use super::error::ApiError;
use super::fault::Fault;
use super::options::StandinOptions;
use super::tokenizer;

/// What every route shares.
pub(crate) struct App {
    pub(crate) options: StandinOptions,
    pub(crate) commands: mpsc::UnboundedSender<ToEngine>,
    /// When tokens were handed out, where that is asked for.
    pub(crate) token_log: Mutex<Vec<u128>>,
    pub(crate) warm: AtomicBool,
    /// Set once the window is closed, by the fault.
    pub(crate) unhealthy: AtomicBool,
    pub(crate) in_flight: AtomicU64,
    pub(crate) served: AtomicU64,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) generation_tokens: AtomicU64,
    /// Prompts that were served, for the fault that answers them from the cache.
    pub(crate) prompts: Mutex<HashSet<String>>,
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/health", get(health))
        .route("/ping", get(health).post(health))
        .route("/version", get(version))
        .route("/load", get(load))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/completions", post(completions))
        .route("/tokenize", post(tokenize))
        .route("/detokenize", post(detokenize));
    if profiles(&app.options) {
        router =
            router.route("/start_profile", post(start_profile)).route("/stop_profile", post(stop_profile));
    }
    router.fallback(not_found).method_not_allowed_fallback(not_allowed).with_state(app)
}

/// True when the profiler routes are mounted.
pub(crate) fn profiles(options: &StandinOptions) -> bool {
    options.mounts_profiler() && options.fault != Some(Fault::NoProfileRoutes)
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"detail": "Not Found"}))).into_response()
}

async fn not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({"detail": "Method Not Allowed"}))).into_response()
}

async fn health(State(app): State<Arc<App>>) -> StatusCode {
    if app.warm.load(Ordering::Relaxed) && !app.unhealthy.load(Ordering::Relaxed) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn version(State(app): State<Arc<App>>) -> Response {
    let wrong = app.options.fault == Some(Fault::WrongVersion);
    let version = if wrong { "0.11.0" } else { app.options.dialect.vllm_version() };
    Json(json!({"version": version})).into_response()
}

async fn load(State(app): State<Arc<App>>) -> Response {
    Json(json!({"server_load": app.in_flight.load(Ordering::Relaxed)})).into_response()
}

async fn models(State(app): State<Arc<App>>) -> Response {
    let id = if app.options.fault == Some(Fault::WrongModel) {
        "someone/elses-model"
    } else {
        app.options.model_name()
    };
    Json(json!({"object": "list", "data": [{
        "id": id, "object": "model", "created": 0, "owned_by": "vllm",
        "root": app.options.model, "parent": null, "max_model_len": app.options.max_model_len,
        "permission": [],
    }]}))
    .into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> String {
    let labels = format!("{{engine=\"0\",model_name=\"{}\"}}", app.options.model_name());
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let stuck = u64::from(app.options.fault == Some(Fault::NeverQuiet) && value(&app.served) > 0);
    [
        ("gauge", "num_requests_running", value(&app.in_flight) + stuck),
        ("gauge", "num_requests_waiting", 0),
        ("counter", "prompt_tokens_total", value(&app.prompt_tokens)),
        ("counter", "generation_tokens_total", value(&app.generation_tokens)),
        ("counter", "request_success_total", value(&app.served)),
    ]
    .map(|(kind, name, value)| format!("# TYPE vllm:{name} {kind}\nvllm:{name}{labels} {value}.0\n"))
    .concat()
}

#[derive(Deserialize)]
struct Tokenize {
    prompt: String,
}

async fn tokenize(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, ApiError> {
    let asked: Tokenize = parse(&body)?;
    let tokens = tokenizer::encode(&asked.prompt);
    let answer = json!({
        "count": tokens.len(), "max_model_len": app.options.max_model_len, "tokens": tokens, "token_strs": null,
    });
    Ok(Json(answer).into_response())
}

#[derive(Deserialize)]
struct Detokenize {
    tokens: Vec<u32>,
}

async fn detokenize(body: Bytes) -> Result<Response, ApiError> {
    let asked: Detokenize = parse(&body)?;
    Ok(Json(json!({"prompt": tokenizer::decode(&asked.tokens)})).into_response())
}

/// Reads a JSON body, answering as vLLM does when it has not the right shape.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::validation("JSON decode error", &format!("body.{}", error.column())))?;
    T::deserialize(value).map_err(|error| ApiError::validation(&error.to_string(), "body"))
}

/// The body that vLLM 0.32 accepts. Extra keys are ignored, which also covers the completions
/// payload that `vllm bench serve` 0.10 to 0.29 sends here.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the types are checked as vLLM checks them; the values change nothing here")]
struct StartProfile {
    profile_prefix: Option<String>,
    delay_iterations: Option<u64>,
    max_iterations: Option<u64>,
}

async fn start_profile(State(app): State<Arc<App>>, body: Bytes) -> Result<StatusCode, ApiError> {
    if !body.is_empty() {
        parse::<Option<StartProfile>>(&body)?;
    }
    ask(&app, "start_profile", ToEngine::Start).await
}

async fn stop_profile(State(app): State<Arc<App>>) -> Result<StatusCode, ApiError> {
    let stopped = ask(&app, "stop_profile", ToEngine::Stop).await;
    if app.options.fault == Some(Fault::UnhealthyAfterStop) {
        app.unhealthy.store(true, Ordering::Relaxed);
    }
    stopped
}

type Reply = oneshot::Sender<Result<(), ApiError>>;

async fn ask(app: &App, route: &str, command: fn(Reply) -> ToEngine) -> Result<StatusCode, ApiError> {
    let (reply, answer) = oneshot::channel();
    crate::log::line(format_args!("INFO: 127.0.0.1 - \"POST /{route} HTTP/1.1\""));
    let gone = || ApiError::internal("EngineDeadError");
    app.commands.send(command(reply)).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())??;
    Ok(StatusCode::OK)
}
