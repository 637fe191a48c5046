//! Why a request or the profiling window failed, with the likely cause.

use crate::procedure::Span;

/// An infrastructure error on the client's side of the connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No answer.
    #[error("{what}: no answer: {reason}")]
    NoAnswer {
        /// The call, such as `POST /start_profile`.
        what: String,
        /// What went wrong.
        reason: String,
    },
    /// No answer in time.
    #[error("{what}: no answer within {waited} (deadline: {deadline}){hint}")]
    Deadline {
        /// The call.
        what: String,
        /// How long it was waited for.
        waited: Span,
        /// Key of the deadline in the procedure.
        deadline: &'static str,
        /// What is known about slow answers.
        hint: &'static str,
    },
    /// An answer that is no success.
    #[error("{what} answered {status}: {body}{diagnosis}")]
    Refused {
        /// The call.
        what: String,
        /// HTTP status.
        status: u16,
        /// The message in the body.
        body: String,
        /// The known cause, with a link.
        diagnosis: String,
    },
    /// Some requests of a load failed.
    #[error("{failed} of {total} requests failed; the first: {first}")]
    Requests {
        /// How many failed.
        failed: usize,
        /// How many were sent.
        total: usize,
        /// Why the first failed.
        first: String,
    },
    /// `vllm bench serve` did not do what it was run for.
    #[error("`vllm bench serve`: {reason}\n  its output: {log}")]
    RealClient {
        /// What went wrong.
        reason: String,
        /// What it printed.
        log: std::path::PathBuf,
    },
    /// A success with a body that is not what vLLM sends.
    #[error("{what} answered 200 with a body that is no completion: {reason}: {body}")]
    Malformed {
        /// The call.
        what: String,
        /// What is missing.
        reason: String,
        /// The body's beginning.
        body: String,
    },
}

impl ClientError {
    /// Which call noticed: the start, the stop, or a request between them.
    pub(crate) fn detector(&self) -> &'static str {
        match self {
            Self::NoAnswer { what, .. } | Self::Deadline { what, .. } | Self::Refused { what, .. } => {
                match what.as_str() {
                    what if what.contains("/start_profile") => "start",
                    what if what.contains("/stop_profile") => "stop",
                    _ => "request",
                }
            }
            Self::Requests { .. } | Self::RealClient { .. } | Self::Malformed { .. } => "request",
        }
    }
}

/// Causes of refusals of the profiler's routes, with the issues where they were found.
pub(crate) fn diagnosis(route: &str, status: u16, body: &str) -> String {
    const VLLM: &str = "https://github.com/vllm-project/vllm/issues/";
    let (cause, source) = match (route, status) {
        ("/start_profile" | "/stop_profile", 404) => (
            "the profiler routes are not mounted: vLLM 0.16 and newer need --profiler-config (vllm#33536)",
            format!("{VLLM}33536"),
        ),
        ("/start_profile", 409) => (
            "a session is active already: someone else profiles this server, or an earlier window was not closed",
            "vLLM 0.32: vllm/entrypoints/serve/profile, ProfilerAlreadyActiveError".to_owned(),
        ),
        _ if body.contains("Profiler is not enabled") => (
            "the worker was not told: on Gaudi VLLM_TORCH_PROFILER_DIR is needed besides --profiler-config (vllm-gaudi#1268)",
            "https://github.com/vllm-project/vllm-gaudi/pull/1268".to_owned(),
        ),
        _ if body.contains("profile_prefix") || body.contains("positional argument") => (
            "the worker's profile() has an old signature: vllm-gaudi 0.17.1 to 0.19.1.post1; 0.21.0 mends it (vllm-gaudi 3e32d047)",
            "https://github.com/vllm-project/vllm-gaudi/commit/3e32d047".to_owned(),
        ),
        _ if body.contains("profiling overrides") => (
            "workers on this platform take no delay_iterations or max_iterations",
            "vLLM 0.32: vllm/v1/executor/abstract.py".to_owned(),
        ),
        _ if body.contains("not running") => {
            ("the profiler was not running when it was stopped (vllm#51676)", format!("{VLLM}51676"))
        }
        ("/stop_profile", 500..) => (
            "the worker failed while it exported the trace; its log says why. A server whose workers died answers so, too",
            "https://github.com/vllm-project/vllm-ascend/issues/16642".to_owned(),
        ),
        ("/start_profile", 500..) => (
            "the worker failed to start the profiler, or the front end failed while the worker records; its log says which",
            "https://github.com/vllm-project/vllm-ascend/issues/16642".to_owned(),
        ),
        _ => return String::new(),
    };
    format!("\n  likely cause: {cause}\n  source: {source}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogue of failures, as far as an answer tells them apart.
    #[test]
    fn refusals_are_told_apart() {
        for (route, status, body, cause, source) in [
            ("/start_profile", 404, "Not Found", "not mounted", "vllm/issues/33536"),
            ("/stop_profile", 404, "Not Found", "not mounted", "vllm/issues/33536"),
            ("/start_profile", 409, "already active", "a session is active", "ProfilerAlreadyActive"),
            ("/start_profile", 500, "Profiler is not enabled.", "was not told", "vllm-gaudi/pull/1268"),
            ("/start_profile", 500, "takes 2 positional arguments", "old signature", "3e32d047"),
            ("/stop_profile", 500, "when it's not running", "not running", "vllm/issues/51676"),
            ("/stop_profile", 500, "EngineDeadError", "while it exported", "vllm-ascend/issues/16642"),
            ("/start_profile", 503, "", "failed to start", "vllm-ascend/issues/16642"),
        ] {
            let said = diagnosis(route, status, body);
            assert!(said.contains(cause) && said.contains(source), "{route} {status} {body}: {said}");
        }
        assert_eq!(diagnosis("/v1/completions", 404, "The model does not exist"), "");
    }
}
