//! The window protocol against a stand-in with faults: one start, one stop, also after any failure inside
//! the window; every deadline says how long, what was last seen, and where the log is.

use std::path::PathBuf;

use crate::common::{procedure_with, text, tracegate};
use libtest_mimic::Trial;
use serde_json::Value;

/// A fault, deadlines that it needs, how often the window is opened and closed, and what is said.
struct Case {
    fault: &'static str,
    deadline: Option<(&'static str, &'static str)>,
    starts: u64,
    stops: u64,
    said: &'static [&'static str],
}

const fn case(fault: &'static str, starts: u64, stops: u64, said: &'static [&'static str]) -> Case {
    Case { fault, deadline: None, starts, stops, said }
}

static CASES: [Case; 16] = [
    // Catalogue row 22: the worker may record although the front end failed.
    case("start-fails", 1, 1, &["POST /start_profile answered 500", "vllm-ascend/issues/16642"]),
    case("profiler-not-enabled", 1, 1, &["answered 500", "vllm-gaudi/pull/1268"]),
    case("old-signature", 1, 1, &["answered 500", "vllm-gaudi/commit/3e32d047"]),
    // Somebody else's window is not closed.
    case("already-active", 1, 0, &["answered 409", "a session is active already", "ProfilerAlreadyActive"]),
    case("no-profile-routes", 0, 0, &["no /start_profile route", "vllm/pull/33536", "last lines of"]),
    case("request-fails", 1, 1, &["POST /v1/completions answered 500: EngineCore encountered an issue"]),
    Case {
        deadline: Some(("request = \"5m\"", "request = \"1s\"")),
        ..case(
            "request-hangs",
            1,
            1,
            &["no answer within 1s (deadline: request)", "last seen: /health answers 200", "last lines of"],
        )
    },
    case("crash-in-load", 1, 0, &["the server ended while a request was served: signal: 6", "last lines of"]),
    Case {
        deadline: Some(("quiet = \"1m\"", "quiet = \"300ms\"")),
        ..case(
            "never-quiet",
            1,
            1,
            &[
                "the server was not quiet after 300ms (deadline: quiet): /metrics says that 1 requests run",
                "last lines of",
            ],
        )
    },
    // Rows 7 and 4: what was answered, or not answered, is not asked again.
    case("stop-fails", 1, 1, &["POST /stop_profile answered 500", "vllm/issues/51676"]),
    Case {
        deadline: Some(("stop = \"20s\"", "stop = \"300ms\"")),
        ..case(
            "stop-hangs",
            1,
            1,
            &[
                "POST /stop_profile: no answer within 300ms (deadline: stop)",
                "vllm#22748",
                "last seen: /health answers 200",
                "last lines of",
            ],
        )
    },
    case("crash-on-stop", 1, 1, &["the server ended while the window was closed: signal: 6"]),
    case("unhealthy-after-stop", 1, 1, &["not healthy: /health answers 503", "vllm-ascend/issues/16642"]),
    case("wrong-model", 0, 0, &["answered by another server: it serves [\"someone/elses-model\"]"]),
    case("wrong-version", 0, 0, &["it says that it is vLLM \"0.11.0\", and \"0.32.0\" was started"]),
    case("no-trace", 1, 1, &["HTTP 200 is no proof of a trace", "last lines of"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |case: &'static Case| {
        Trial::test(format!("window::{}", case.fault.replace('-', "_")), move || {
            play(case);
            Ok(())
        })
    };
    let warm_up = crate::trial("window::a_failed_warm_up_opens_none", a_failed_warm_up_opens_none);
    CASES.iter().map(trial).chain([warm_up]).collect()
}

fn play(case: &Case) {
    let directory = tempfile::tempdir().unwrap();
    let change = case.deadline.into_iter().collect::<Vec<_>>();
    let procedure = procedure_with(directory.path(), &[], &change);
    let runs = directory.path().join("runs");
    let output = tracegate()
        .arg("run")
        .arg(procedure)
        .args(["--fault", case.fault, "--out"])
        .arg(&runs)
        .output()
        .unwrap();
    let fault = case.fault;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{fault}: {said}");
    for part in case.said {
        assert!(said.contains(part), "{fault}: {part:?} is not in\n{said}");
    }
    let run = runs.join("standin/async_single_request-1");
    let record: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["state"], "error", "{fault}");
    assert_eq!(record["shutdown"]["killed"], serde_json::json!([]), "{fault}");
    assert_eq!(
        (&record["window"]["starts"], &record["window"]["stops"]),
        (&case.starts.into(), &case.stops.into()),
        "{fault}"
    );
    // The server counts for itself.
    let asked = (posts(&run, "start_profile"), posts(&run, "stop_profile"));
    assert_eq!(asked, (case.starts, case.stops), "{fault}");
}

/// Requests before the window fail: nothing was opened, nothing is closed.
fn a_failed_warm_up_opens_none() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = crate::common::root().join("procedures/async_multiple_requests.toml");
    let text_of = std::fs::read_to_string(shipped).unwrap();
    let warm = text_of
        .replace("num_prompts = 4", "num_prompts = 4\nnum_warmups = 2")
        .replace("request = \"5m\"", "request = \"1s\"");
    let procedure = directory.path().join("warm.toml");
    std::fs::write(&procedure, warm).unwrap();
    let output = tracegate()
        .arg("run")
        .arg(procedure)
        .args(["--fault", "request-hangs", "--out"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in [
        "  warming up",
        "2 of 2 requests failed; the first: ",
        "within 1s (deadline: request)",
        "last seen: /health answers 200",
        "last lines of",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let run = directory.path().join("standin/async_multiple_requests-1");
    assert_eq!((posts(&run, "start_profile"), posts(&run, "stop_profile")), (0, 0));
}

fn posts(run: &std::path::Path, route: &str) -> u64 {
    let log: PathBuf = run.join("server.log");
    std::fs::read_to_string(log).unwrap().matches(&format!("\"POST /{route} ")).count() as u64
}
