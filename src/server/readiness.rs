//! Waits for a server: any sign of failure ends the wait, all signs of success are needed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::error::ServerError;
use super::instance::Instance;
use super::interrupt::interrupted;
use super::log;
use super::port;
use crate::procedure::Span;

/// What a server must be to be ready.
pub(crate) struct Wanted<'a> {
    pub(crate) deadline: Span,
    pub(crate) port_file: PathBuf,
    pub(crate) served_model: &'a str,
}

/// Time between two looks. A real boot takes minutes, the stand-in's a tenth of a second.
const POLL: Duration = Duration::from_millis(50);

enum Look {
    Ready,
    NotYet(String),
}

/// Returns when the server is healthy, serves the model, and has the profiler's route.
pub(crate) async fn wait(
    instance: &mut Instance,
    wanted: &Wanted<'_>,
    progress: &dyn Fn(&str),
) -> Result<(), ServerError> {
    let begun = Instant::now();
    let client = http_client();
    loop {
        instance.check_alive("while it booted")?;
        let status = match look(instance, wanted, &client).await? {
            Look::Ready => return check_route(instance),
            Look::NotYet(status) => status,
        };
        progress(&status);
        if begun.elapsed() >= wanted.deadline.0 {
            return Err(ServerError::NotReady {
                waited: wanted.deadline,
                last: status,
                log: log::tail(instance.log()),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = interrupted() => return Err(ServerError::Interrupted),
        }
    }
}

/// A client for loopback: no proxy, no redirects, short patience.
fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap_or_default()
}

async fn look(
    instance: &mut Instance,
    wanted: &Wanted<'_>,
    client: &reqwest::Client,
) -> Result<Look, ServerError> {
    if instance.port().is_none() {
        match port::reported(&wanted.port_file) {
            Some(port) => instance.set_port(port),
            None => return Ok(Look::NotYet("no port reported yet".to_owned())),
        }
    }
    let base = instance.base_url();
    match client.get(format!("{base}/health")).send().await {
        Ok(answer) if answer.status().is_success() => {}
        Ok(answer) => return Ok(Look::NotYet(format!("/health answers {}", answer.status().as_u16()))),
        Err(error) if error.is_connect() => {
            return Ok(Look::NotYet("nothing listens on the port yet".to_owned()));
        }
        Err(error) => return Ok(Look::NotYet(format!("/health: {error}"))),
    }
    // Something is healthy on the port: is it the server that was started, or did that one end
    // because the port was taken?
    instance.check_alive("while it booted")?;
    let models = match models(client, &base).await {
        Ok(models) => models,
        Err(status) => return Ok(Look::NotYet(status)),
    };
    if models.iter().any(|id| id == wanted.served_model) {
        return Ok(Look::Ready);
    }
    Err(ServerError::Foreign {
        port: instance.port().unwrap_or_default(),
        found: format!("it serves {models:?}, and {:?} was started", wanted.served_model),
    })
}

async fn models(client: &reqwest::Client, base: &str) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Models {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
    }
    let answer = client
        .get(format!("{base}/v1/models"))
        .send()
        .await
        .map_err(|error| format!("/v1/models: {error}"))?;
    let models: Models = answer.json().await.map_err(|error| format!("/v1/models: {error}"))?;
    Ok(models.data.into_iter().map(|model| model.id).collect())
}

/// The log names the routes before anything is sent: a window that cannot be opened is known now.
fn check_route(instance: &Instance) -> Result<(), ServerError> {
    let lists_routes = log::contains(instance.log(), "Available routes are:");
    if lists_routes && !log::contains(instance.log(), "Route: /start_profile, Methods: POST") {
        return Err(ServerError::NoProfiler {
            hint: "vLLM 0.16 and newer mount it only with --profiler-config; older ones only with VLLM_TORCH_PROFILER_DIR",
            log: log::tail(instance.log()),
        });
    }
    Ok(())
}
