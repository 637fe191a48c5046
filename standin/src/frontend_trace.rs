//! The trace of the API server's front end: Python frames of a process called `python`, and no steps.

use std::io::{self, Write};

use serde_json::Value;

use super::disguise::Disguise;
use super::event_writer::{EventWriter, Slice};

const FRAMES: [&str; 6] = [
    "threading.py(1002): _bootstrap",
    "threading.py(1045): _bootstrap_inner",
    "threading.py(982): run",
    "concurrent/futures/thread.py(69): _worker",
    "vllm/v1/engine/async_llm.py(1129): stop_profile",
    "torch/profiler/profiler.py(388): stop_trace",
];

/// Writes the whole file. Times are nanoseconds on the Unix clock.
pub(crate) fn write<W: Write>(
    out: W,
    base: i64,
    window: (i64, i64),
    vllm_version: &str,
    disguise: Disguise,
    trace_name: &str,
) -> io::Result<W> {
    let pid = disguise.pid(std::process::id());
    let metadata = [
        ("with_stack", "1".to_owned()),
        ("vllm_version", Value::from(vllm_version).to_string()),
        ("host_name", Value::from(disguise.host()).to_string()),
    ];
    let mut writer = EventWriter::begin(out, base, &metadata)?;
    writer.metadata("process_name", pid, 0, window.0, "name", &Value::from("python"))?;
    writer.metadata("process_labels", pid, 0, window.0, "labels", &Value::from("CPU"))?;
    writer.metadata(
        "thread_name",
        pid,
        pid,
        window.0,
        "name",
        &Value::from(disguise.thread(format!("thread {pid} (python)"))),
    )?;
    let length = window.1 - window.0;
    for (depth, name) in FRAMES.iter().enumerate() {
        let inset = depth as i64 * 1_500;
        let slice = Slice {
            cat: "python_function",
            name: &disguise.frame(name),
            pid,
            tid: pid,
            start: window.0 + 5_000 + inset,
            duration: (length - 20_000 - 2 * inset).max(100),
        };
        match depth {
            0 => writer.slice(slice, format_args!("\"Python parent id\": null, \"Python id\": 1"))?,
            _ => writer
                .slice(slice, format_args!("\"Python parent id\": {depth}, \"Python id\": {}", depth + 1))?,
        }
    }
    writer.end(window, trace_name)
}
