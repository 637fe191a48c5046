//! Waiting for an answer while the server lives: a line of progress each second, the server's end as
//! the cause when it ends, and the last known status when the answer does not come.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::error::RunError;
use super::record::Phase;
use crate::client::{Client, ClientError};
use crate::procedure::Span;
use crate::server::{Instance, log};

/// Time between two lines of progress.
const TICK: Duration = Duration::from_secs(1);

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
                tokio::time::sleep(Duration::from_millis(200)).await;
                instance.check_alive(waiting.during)?;
                Err(RunError::client(error, client, instance).await)
            }
        },
        ended = instance.ended(waiting.during) => Err(ended.into()),
    }
}

/// Waits for anything that has a deadline of its own, and tells each second how long and what the log
/// last said.
pub(super) async fn told<T>(waiting: &Waiting<'_>, path: &Path, future: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let mut future = pin!(future);
    loop {
        if let Ok(done) = tokio::time::timeout(TICK, &mut future).await {
            return done;
        }
        let waited = Span(Duration::from_secs(begun.elapsed().as_secs()));
        let last = log::tail(path).lines.pop().unwrap_or_else(|| "nothing yet".to_owned());
        (waiting.tell)(waiting.phase, &format!("{waited} of {}; its log says: {last}", waiting.limit));
    }
}
