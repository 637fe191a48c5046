//! Every odd input the reader must bear: the facts and the problems it must yield. Cases come from
//! the wild; the issue is named where there is one.

mod ends;
mod events;

use crate::common::gzip;
use tracegate::trace::{DefectKind, Trace};

const STEP: &str = r#"{"ph":"X","cat":"user_annotation","name":"execute_context_1(4)_generation_0(0)","pid":1,"tid":1,"ts":10.5,"dur":2.25}"#;
const OP: &str =
    r#"{"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":11,"dur":1,"args":{"External id":3}}"#;

/// An object with three events, the middle one given.
fn with(middle: &str) -> Vec<u8> {
    object(&format!("{STEP},{middle},{OP}"))
}

fn object(events: &str) -> Vec<u8> {
    format!("{{\"schemaVersion\":1,\"traceEvents\":[{events}],\"traceName\":\"t\"}}").into_bytes()
}

fn read(bytes: &[u8]) -> Trace {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rank0.1.pt.trace.json");
    std::fs::write(&path, bytes).unwrap();
    Trace::read(&path)
}

/// Reads and compares events, steps, and problems as `code x count`.
#[track_caller]
fn expect(bytes: &[u8], events: u64, steps: usize, problems: &[&str]) -> Trace {
    let trace = read(bytes);
    let seen: Vec<String> =
        trace.problems.iter().map(|problem| format!("{} x{}", problem.code.code(), problem.count)).collect();
    assert_eq!(
        (trace.events, trace.steps.len(), seen),
        (events, steps, problems.iter().map(|p| (*p).to_owned()).collect())
    );
    // The same bytes inside gzip say the same.
    let zipped = read(&gzip(bytes));
    assert_eq!((zipped.events, zipped.steps.len()), (events, steps), "as gzip");
    trace
}

#[track_caller]
fn fatal(bytes: &[u8], code: DefectKind, offset: u64, events: u64) {
    let trace = read(bytes);
    let problem = trace.fatal().unwrap_or_else(|| panic!("not fatal: {:?}", trace.problems));
    assert_eq!((problem.code, problem.offset, trace.events), (code, offset, events), "{problem:?}");
}
