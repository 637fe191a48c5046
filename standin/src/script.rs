//! Plays the script that a plan holds: reads its parameters and does what `LLM(…)` would, on the same engine.
//! It runs no Python.

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use super::engine::{Command, Engine, Request, Token};
use super::fault::Fault;
use super::options::{StandinOptions, parse_profiler_config};
use super::server::StandinError;
use super::tokenizer;

/// Lines of the script as the plan writes it. An interpreter knows nothing of plans, and neither does this one.
const REQUESTS: &str = "REQUESTS = ";
const PLACES: &str = "PLACES = ";

#[derive(Deserialize)]
struct Requests {
    prompts: Vec<String>,
    sampling: Vec<Sampling>,
}

#[derive(Deserialize)]
struct Places {
    llm: Map<String, Value>,
    ledger: String,
}

#[derive(Deserialize)]
struct Sampling {
    max_tokens: u64,
}

/// Runs the script to its end.
pub(super) fn run(mut options: StandinOptions, path: &Path) -> Result<(), StandinError> {
    let (requests, places) = read(path)?;
    configure(&mut options, &places.llm)?;
    if options.fault == Some(Fault::ExitDuringBoot) {
        return Err(StandinError::ExitDuringBoot);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = runtime.block_on(play(&options, &requests))?;
    let mut ledger = std::fs::File::create(&places.ledger)?;
    for line in answers {
        writeln!(ledger, "{line}")?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<(Requests, Places), StandinError> {
    let text = std::fs::read_to_string(path)?;
    let directory = std::path::absolute(path)?.parent().unwrap_or(Path::new("/")).display().to_string();
    let line = |start: &str| -> Option<String> {
        serde_json::from_str(text.lines().find_map(|line| line.strip_prefix(start))?).ok()
    };
    let parse = || -> Option<(Requests, Places)> {
        let requests = serde_json::from_str(&line(REQUESTS)?).ok()?;
        let escaped = serde_json::to_string(&directory).ok()?;
        let inside = escaped.get(1..escaped.len() - 1)?;
        Some((requests, serde_json::from_str(&line(PLACES)?.replace("{run}", inside)).ok()?))
    };
    parse().ok_or_else(|| StandinError::Script { path: path.display().to_string() })
}

fn configure(options: &mut StandinOptions, llm: &Map<String, Value>) -> Result<(), StandinError> {
    let text = |key: &str| llm.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str| llm.get(key).and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok());
    options.model = text("model").unwrap_or_else(|| options.model.clone());
    options.tensor_parallel_size = number("tensor_parallel_size").unwrap_or(options.tensor_parallel_size);
    options.max_model_len = number("max_model_len").unwrap_or(options.max_model_len);
    if let Some(config) = llm.get("profiler_config") {
        let mut config = parse_profiler_config(&config.to_string()).map_err(io::Error::other)?;
        // There is no API server that could have a front end's trace.
        config.ignore_frontend = true;
        options.profiler_config = Some(config);
    }
    Ok(())
}

async fn play(options: &StandinOptions, requests: &Requests) -> Result<Vec<Value>, StandinError> {
    let (commands, for_engine) = mpsc::unbounded_channel();
    tokio::spawn(Engine::new(options, for_engine).run());
    // `LLM(…)` warms up before it returns.
    tokio::time::sleep(options.warmup()).await;
    let gone = || StandinError::Serve(io::Error::other("the engine is gone"));
    let window = async |command: fn(oneshot::Sender<_>) -> Command| {
        let (reply, answer) = oneshot::channel();
        commands.send(command(reply)).map_err(|_| gone())?;
        let answer: Result<(), super::error::ApiError> = answer.await.map_err(|_| gone())?;
        answer.map_err(|error| StandinError::Serve(io::Error::other(format!("{error:?}"))))
    };
    window(Command::Start).await?;
    let sent = now();
    let mut streams = Vec::new();
    for (prompt, sampling) in requests.prompts.iter().zip(&requests.sampling) {
        let (tokens, stream) = mpsc::unbounded_channel::<Token>();
        let prompt_tokens = tokenizer::encode(prompt).len() as u64;
        let request = Request { prompt_tokens, max_tokens: sampling.max_tokens, tokens };
        commands.send(Command::Submit(request)).map_err(|_| gone())?;
        streams.push((prompt_tokens, stream));
    }
    let mut answers = Vec::new();
    for (request, (prompt_tokens, mut stream)) in streams.into_iter().enumerate() {
        let mut output_tokens = 0u64;
        while let Some(token) = stream.recv().await {
            output_tokens += 1;
            if token.last {
                break;
            }
        }
        answers.push(json!({
            "request": request, "prompt_tokens": prompt_tokens, "output_tokens": output_tokens,
            "cached_tokens": 0, "sent_ns": sent, "token_ns": [], "done_ns": now(), "finish_reason": "length",
        }));
    }
    window(Command::Stop).await?;
    Ok(answers)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64
}
