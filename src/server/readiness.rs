//! Waits for a server: any sign of failure ends the wait, all signs of success are needed.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use pep440_rs::Version;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ServerError;
use super::instance::Instance;
use super::interrupt::interrupted;
use super::listener::{self, Found};
use super::log;
use super::port;
use crate::procedure::Span;
use crate::wait::{Look, Unmet, Wait, until};

/// What goes on until the server is ready, as messages have it.
pub(super) const BOOTING: &str = "while it booted";

/// What a server must be to be ready.
pub(super) struct Wanted<'a> {
    pub(super) deadline: Span,
    /// Start of the first boot, from which the deadline counts.
    pub(super) begun: Instant,
    pub(super) attempt: usize,
    pub(super) port_file: PathBuf,
    pub(super) served_model: &'a str,
    pub(super) profiled: bool,
    pub(super) version: Option<&'a str>,
}

/// Longest time between two looks. The stand-in boots in a moment; a real boot takes minutes, and each look reads
/// all of /proc, beside a server that needs the processor.
const POLL: Duration = Duration::from_millis(500);

/// Returns when the server is healthy, is the one that was started, serves the model, and has the
/// profiler's route.
pub(super) async fn wait(
    instance: &mut Instance,
    wanted: &Wanted<'_>,
    progress: &dyn Fn(&str),
) -> Result<(), ServerError> {
    let client = http_client();
    let wait = Wait::since(wanted.begun, wanted.deadline.0, POLL);
    // Another process has the port. Looked at twice: between two lists of the kernel a server may hand its
    // socket to a child.
    let mut strangers = 0;
    let waited = until(wait, progress, async || {
        instance.check_alive(BOOTING)?;
        let found = look(instance, wanted, &client).await?;
        strangers = if let Seen::Stranger(_) = found { strangers + 1 } else { 0 };
        let status = match found {
            Seen::Ready => return Ok(Look::Done(())),
            Seen::NotYet(status) => status,
            Seen::Stranger(found) if strangers > 1 => {
                let port = instance.port().unwrap_or_default();
                return Err(ServerError::Taken { port, found, log: instance.log_tail() });
            }
            Seen::Stranger(found) => format!("the port is held by {found}"),
        };
        Ok(Look::NotYet(if wanted.attempt > 1 {
            format!("boot {}: {status}", wanted.attempt)
        } else {
            status
        }))
    });
    let waited = tokio::select! {
        waited = waited => waited,
        () = interrupted() => return Err(ServerError::Interrupted),
    };
    match waited {
        Ok(()) if wanted.profiled => check_route(instance),
        Ok(()) => Ok(()),
        Err(Unmet::Failed(error)) => Err(error),
        Err(Unmet::Overdue(last)) => {
            Err(ServerError::NotReady { waited: wanted.deadline, last, log: instance.log_tail() })
        }
    }
}

/// What one look at the server found.
enum Seen {
    Ready,
    NotYet(String),
    Stranger(String),
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
) -> Result<Seen, ServerError> {
    let Some(port) = instance.port().or_else(|| port::reported(&wanted.port_file)) else {
        return Ok(Seen::NotYet("no port reported yet".to_owned()));
    };
    instance.set_port(port);
    match listener::find(port, instance.guard()) {
        Found::Nobody => return Ok(Seen::NotYet("nothing listens on the port yet".to_owned())),
        Found::Stranger(who) => {
            return Ok(Seen::Stranger(who.unwrap_or_else(|| "a process of another user".to_owned())));
        }
        Found::OursExposed(address) => return Err(ServerError::Exposed { address, port }),
        Found::Ours | Found::Unknown => {}
    }
    let base = instance.base_url();
    match client.get(format!("{base}/health")).send().await {
        Ok(answer) if answer.status().is_success() => {}
        Ok(answer) => return Ok(Seen::NotYet(format!("/health answers {}", answer.status().as_u16()))),
        Err(error) if error.is_connect() => {
            return Ok(Seen::NotYet("nothing listens on the port yet".to_owned()));
        }
        Err(error) => return Ok(Seen::NotYet(format!("/health: {error}"))),
    }
    instance.check_alive(BOOTING)?;
    identify(port, &base, wanted, client).await
}

/// The kernel has said whose socket it is, where it tells; the server must also be of the kind that
/// was started.
async fn identify(
    port: u16,
    base: &str,
    wanted: &Wanted<'_>,
    client: &reqwest::Client,
) -> Result<Seen, ServerError> {
    #[derive(Deserialize)]
    struct Models {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
    }
    #[derive(Deserialize)]
    struct Answer {
        version: String,
    }
    let models: Models = match get(client, base, "/v1/models").await {
        Ok(models) => models,
        Err(status) => return Ok(Seen::NotYet(status)),
    };
    let ids: Vec<String> = models.data.into_iter().map(|model| model.id).collect();
    if !ids.iter().any(|id| id == wanted.served_model) {
        let found = format!("it serves {ids:?}, and {:?} was started", wanted.served_model);
        return Err(ServerError::Foreign { port, found });
    }
    // A server without the route cannot contradict.
    if let (Some(planned), Ok(answer)) = (wanted.version, get::<Answer>(client, base, "/version").await)
        && !same_release(planned, &answer.version)
    {
        let found = format!("it says that it is vLLM {:?}, and {planned:?} was started", answer.version);
        return Err(ServerError::Foreign { port, found });
    }
    Ok(Seen::Ready)
}

/// Equal up to the local part: `0.32.0+cpu` and `0.32.0` are one release. What is no version says
/// nothing.
fn same_release(planned: &str, found: &str) -> bool {
    match (Version::from_str(planned), Version::from_str(found)) {
        (Ok(planned), Ok(found)) => planned.without_local() == found.without_local(),
        _ => true,
    }
}

async fn get<T: DeserializeOwned>(client: &reqwest::Client, base: &str, route: &str) -> Result<T, String> {
    let said = |error: reqwest::Error| format!("{route}: {error}");
    let answer = client.get(format!("{base}{route}")).send().await.map_err(said)?;
    answer.error_for_status().map_err(said)?.json().await.map_err(said)
}

/// The log names the routes before anything is sent: a window that cannot be opened is known now.
fn check_route(instance: &Instance) -> Result<(), ServerError> {
    // Under a newer FastAPI, vLLM 0.11 lists /docs and /metrics only and serves everything: a list
    // that lacks what has just answered says nothing.
    let lists_routes = log::contains(instance.log(), "Route: /health, Methods:");
    if lists_routes && !log::contains(instance.log(), "Route: /start_profile, Methods: POST") {
        return Err(ServerError::NoProfiler {
            hint: "vLLM 0.16 and newer mount it only with --profiler-config; older ones only with VLLM_TORCH_PROFILER_DIR (https://github.com/vllm-project/vllm/pull/33536)",
            log: instance.log_tail(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_part_makes_no_other_release() {
        assert!(same_release("0.32.0+cpu", "0.32.0"));
        assert!(!same_release("0.32.0", "0.31.0"));
        assert!(same_release("0.32.0", "a build of someone's"));
    }
}
