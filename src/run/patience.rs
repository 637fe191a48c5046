//! Waiting for an answer while the server lives: a line of progress each second, the server's end as
//! the cause when it ends, and the last known status when the answer does not come.

use std::path::Path;
use std::time::Duration;

use super::error::RunError;
use super::record::Phase;
use crate::client::{Client, ClientError};
use crate::procedure::Span;
use crate::server::{Instance, log};
use crate::wait;

/// What is waited for.
pub(super) struct Waiting<'a> {
    pub(super) during: &'static str,
    pub(super) phase: Phase,
    pub(super) limit: Span,
    pub(super) tell: &'a dyn Fn(Phase, &str),
}

/// Waits for an answer while the server lives. A dead server closes the connection a moment before
/// its exit status is known, so a failed answer is held against the server first.
pub(super) async fn alive<T>(
    instance: &mut Instance,
    client: &Client,
    waiting: &Waiting<'_>,
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, RunError> {
    let path = instance.log().to_owned();
    tokio::select! {
        biased;
        answer = told(waiting, &path, answer) => match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                still_alive(instance, waiting.during).await?;
                Err(RunError::client(error, client, instance).await)
            }
        },
        ended = instance.ended(waiting.during) => Err(ended.into()),
    }
}

/// The server has not ended, and does not within the moment that passes between the end of a process and its
/// status being known.
pub(super) async fn still_alive(instance: &mut Instance, during: &'static str) -> Result<(), RunError> {
    const MOMENT: Duration = Duration::from_millis(200);
    match tokio::time::timeout(MOMENT, instance.ended(during)).await {
        Ok(ended) => Err(ended.into()),
        Err(_) => Ok(()),
    }
}

/// Waits for anything that has a deadline of its own, and tells each second how long and what the log
/// last said.
pub(super) async fn told<T>(waiting: &Waiting<'_>, path: &Path, future: impl Future<Output = T>) -> T {
    let tell = |waited: Duration| {
        let last = log::tail(path).lines.pop().unwrap_or_else(|| "nothing yet".to_owned());
        let status = format!("{} of {}; its log says: {last}", Span(waited), waiting.limit);
        (waiting.tell)(waiting.phase, &status);
    };
    wait::answer(tell, future).await
}
