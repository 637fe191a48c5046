//! `vllm bench serve` as a child. It exits 0 when profiling silently failed, so everything it leaves is checked.

use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use super::error::ClientError;
use super::ledger::{Ledger, Served};
use crate::plan::Command;
use crate::procedure::Span;
use crate::server::guard::Guarded;
use crate::server::launch;
use crate::time::Nanos;

/// What the real client writes with `--save-result --save-detailed`.
#[derive(Deserialize)]
struct Results {
    failed: Option<u64>,
    input_lens: Vec<u64>,
    output_lens: Vec<u64>,
    ttfts: Option<Vec<f64>>,
    itls: Option<Vec<Vec<f64>>>,
    start_times: Option<Vec<f64>>,
    errors: Option<Vec<String>>,
}

/// How the real client is run.
pub(crate) struct BenchRun<'a> {
    pub(crate) command: Command,
    /// This version says when it started and stopped the profiler.
    pub(crate) reports_profiler: bool,
    /// The run directory.
    pub(crate) run: &'a Path,
    /// Receives its output.
    pub(crate) log: &'a Path,
    /// The file it was told to write.
    pub(crate) results: &'a Path,
    pub(crate) limit: Span,
}

/// Python ends at once on SIGTERM.
const GRACE: Span = Span(Duration::from_secs(4));

/// True when the client opened the window, or tried to, and did not get to closing it.
pub(crate) fn left_window_open(log: &Path) -> bool {
    let said = std::fs::read(log).unwrap_or_default();
    let says = |text: &str| memchr::memmem::find(&said, text.as_bytes()).is_some();
    says("Starting profiler") && !says("Stopping profiler")
}

/// Runs the command, under a guard as the server is, and returns what it says it did.
pub(crate) async fn run(call: &BenchRun<'_>) -> Result<Ledger, ClientError> {
    let BenchRun { command, reports_profiler, log, results, limit, .. } = call;
    let failed = |reason: String| ClientError::RealClient { reason, log: log.to_path_buf() };
    let launch = launch(command, call.run, call.run.to_owned(), log.to_path_buf());
    let mut client = Guarded::start(&launch).await.map_err(|error| failed(error.to_string()))?;
    let ended = tokio::time::timeout(limit.0, client.ended()).await;
    client.shutdown(GRACE).await;
    let status = match ended {
        Ok(ended) => ended.map_err(failed)?,
        Err(_) => {
            return Err(failed(format!(
                "it did not end within {limit} (deadlines: request and stop together)"
            )));
        }
    };
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    judge(log, *reports_profiler, results)
}

/// Reads what a client that exited 0 said and wrote.
fn judge(log: &Path, reports_profiler: bool, results: &Path) -> Result<Ledger, ClientError> {
    let failed = |reason: String| ClientError::RealClient { reason, log: log.to_owned() };
    let said = std::fs::read(log).map_err(|error| failed(error.to_string()))?;
    for line in ["Profiler started", "Profiler stopped"] {
        if reports_profiler && memchr::memmem::find(&said, line.as_bytes()).is_none() {
            return Err(failed(format!(
                "it exited 0 without saying {line:?}: the profiler routes refused it"
            )));
        }
    }
    let text = std::fs::read_to_string(results)
        .map_err(|error| failed(format!("{}: {error}", results.display())))?;
    let results: Results =
        serde_json::from_str(&text).map_err(|error| failed(format!("{}: {error}", results.display())))?;
    ledger(&results).map_err(failed)
}

fn ledger(results: &Results) -> Result<Ledger, String> {
    let errors: Vec<&String> = results.errors.iter().flatten().filter(|error| !error.is_empty()).collect();
    if let Some(first) = errors.first() {
        return Err(format!(
            "{} of its requests failed, the first with: {}",
            errors.len(),
            crate::text::inert(first, 300)
        ));
    }
    if results.failed.is_some_and(|failed| failed > 0) {
        return Err("some of its requests failed".to_owned());
    }
    if results.input_lens.len() != results.output_lens.len() {
        return Err("its results have prompts without outputs".to_owned());
    }
    let offset = unix_minus_monotonic();
    let lengths = results.input_lens.iter().zip(&results.output_lens);
    let requests = lengths
        .enumerate()
        .map(|(request, (input, output))| {
            let (sent, tokens) = times(results, request, offset);
            Served {
                request,
                prompt_tokens: *input,
                output_tokens: *output,
                cached_tokens: 0,
                sent_ns: sent,
                done_ns: tokens.last().copied().unwrap_or(sent),
                token_ns: tokens,
                finish_reason: None,
            }
        })
        .collect();
    Ok(Ledger { requests })
}

/// Python's `perf_counter` is Linux's monotonic clock; traces and the ledger use the Unix clock.
fn times(results: &Results, request: usize, offset: Nanos) -> (Nanos, Vec<Nanos>) {
    let at = |seconds: f64| Nanos::from_ns((seconds * 1e9) as i64) + offset;
    let pick = |list: &Option<Vec<f64>>| list.as_ref().and_then(|list| list.get(request).copied());
    let (Some(start), Some(ttft)) = (pick(&results.start_times), pick(&results.ttfts)) else {
        return (Nanos::ZERO, Vec::new());
    };
    let mut seconds = start + ttft;
    let mut tokens = vec![at(seconds)];
    for itl in results.itls.iter().flatten().nth(request).into_iter().flatten() {
        seconds += itl;
        tokens.push(at(seconds));
    }
    (at(start), tokens)
}

fn unix_minus_monotonic() -> Nanos {
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec()));
    Nanos::now() - Nanos::from_ns(monotonic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"{"failed": 0, "input_lens": [128, 130], "output_lens": [4, 4],
        "ttfts": [0.1, 0.2], "itls": [[0.01, 0.01, 0.01], [0.02, 0.02, 0.02]],
        "start_times": [100.0, 100.5], "errors": ["", ""]}"#;

    /// A client that printed a text and exited 0, with results already written.
    fn run_saying(text: &str, results: &str, reports_profiler: bool) -> Result<Ledger, ClientError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bench.json");
        std::fs::write(&file, results).unwrap();
        let log = directory.path().join("client.log");
        std::fs::write(&log, text).unwrap();
        judge(&log, reports_profiler, &file)
    }

    #[test]
    fn a_client_that_did_not_get_to_stopping_left_the_window_open() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("client.log");
        for (said, open) in [
            ("", false),
            ("Starting profiler...\nProfiler started\n", true),
            ("Starting profiler...\nStopping profiler...\n", false),
        ] {
            std::fs::write(&log, said).unwrap();
            assert_eq!(left_window_open(&log), open, "{said}");
        }
    }

    #[test]
    fn exit_zero_without_a_profiler_is_an_error() {
        // vLLM 0.32 against routes that answer 404: prints this, exits 0, writes nothing.
        let error = run_saying("Starting profiler...\nStopping profiler...\n", RESULTS, true).unwrap_err();
        assert!(error.to_string().contains("without saying \"Profiler started\""), "{error}");
        // Clients before 0.32 never say it; then only the traces can tell.
        assert_eq!(run_saying("Starting profiler...\n", RESULTS, false).unwrap().requests.len(), 2);
    }

    #[test]
    fn the_results_become_the_ledger() {
        let ledger = run_saying("Profiler started\nProfiler stopped\n", RESULTS, true).unwrap();
        assert_eq!((ledger.context_tokens(), ledger.generation_tokens()), (258, 6));
        let second = &ledger.requests[1];
        let after = |index: usize| (second.token_ns[index] - second.sent_ns).as_millis_f64();
        assert_eq!(second.token_ns.len(), 4);
        assert!((after(0) - 200.0).abs() < 0.01 && (after(3) - 260.0).abs() < 0.01);
    }

    #[test]
    fn failed_requests_and_damaged_results_are_errors() {
        let failed = RESULTS.replace("[\"\", \"\"]", "[\"\", \"Service Unavailable\"]");
        let said = "Profiler started\nProfiler stopped\n";
        let error = run_saying(said, &failed, true).unwrap_err().to_string();
        assert!(error.contains("1 of its requests failed, the first with: Service Unavailable"), "{error}");
        assert!(run_saying(said, "{", true).unwrap_err().to_string().contains("bench.json: EOF"));
    }
}
