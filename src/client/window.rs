//! The window: exactly one accepted start, exactly one stop.

use super::error::ClientError;
use super::http::{Client, Deadline, within};
use crate::procedure::Span;

impl Client {
    /// Opens the window.
    pub(crate) async fn start_profile(&self, limit: Span) -> Result<(), ClientError> {
        let deadline = Deadline { limit, key: "request", hint: "" };
        self.profile("/start_profile", deadline).await
    }

    /// Closes the window. The answer comes when the trace is exported, or before (vllm#51816).
    pub(crate) async fn stop_profile(&self, limit: Span) -> Result<(), ClientError> {
        let hint = "; exports of 20 minutes were seen (vllm#22748): raise deadlines.stop, send fewer requests, or switch Python stacks off";
        self.profile("/stop_profile", Deadline { limit, key: "stop", hint }).await
    }

    async fn profile(&self, route: &str, deadline: Deadline) -> Result<(), ClientError> {
        let answer = self.send(route, self.post(route), deadline).await?;
        within(&format!("POST {route}"), deadline, answer.bytes()).await?;
        Ok(())
    }
}
