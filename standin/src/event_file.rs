//! Where the Gaudi plugin's high-level events go: into the trace (`full`), or into a file of their own that a
//! thread appends to now and then (vllm-gaudi `extension/profiler.py`, `FileWriter`).

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::engine::Executed;
use super::high_level::HighLevel;

pub(super) struct EventFile {
    pid: u32,
    profiler: HighLevel,
    queue: Arc<Mutex<Vec<Recorded>>>,
}

/// Events of one execution.
struct Recorded {
    /// On the Unix clock.
    start: i64,
    events: Vec<Value>,
}

impl EventFile {
    /// Collects events from boot on, warm-up first.
    pub(super) fn begin(epoch: i64, warmup: Duration) -> Self {
        let pid = std::process::id();
        let mut profiler = HighLevel::of(pid);
        let events = profiler.warm_up(epoch, epoch + warmup.as_nanos() as i64);
        Self { pid, profiler, queue: Arc::new(Mutex::new(vec![Recorded { start: epoch, events }])) }
    }

    /// Has a thread append them to `server_events_….json` in `directory`: an array that is never closed.
    pub(super) fn write_to(&self, directory: &Path, poll: Duration) -> io::Result<()> {
        let path = directory.join(format!(
            "server_events_vllm-instance-{}-{:032x}.json",
            self.pid,
            u128::from(self.pid)
        ));
        let mut file = std::fs::File::create(&path)?;
        file.write_all(b"[")?;
        let queue = Arc::clone(&self.queue);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(poll);
                let recorded = std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner));
                let events = recorded.iter().flat_map(|recorded| &recorded.events);
                let text: String = events.map(|event| format!("{event},")).collect();
                if file.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// One execution, on the Unix clock.
    pub(super) fn record(&mut self, step: &Executed) {
        let recorded = self.events_of(step);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
    }

    fn events_of(&mut self, step: &Executed) -> Recorded {
        Recorded { start: step.start, events: self.profiler.events(step) }
    }

    /// What was recorded before the window, which is written, too, and what the trace tells of its steps.
    pub(super) fn take(&mut self, window: i64, told: &[Executed]) -> Vec<Value> {
        let mut recorded = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        recorded.retain(|recorded| recorded.start < window);
        recorded.extend(told.iter().map(|step| self.events_of(step)));
        recorded.into_iter().flat_map(|recorded| recorded.events).collect()
    }
}

/// `full` mode reads the finished trace back, appends the events on the trace's own clock and writes
/// everything in one line, as Python's `json` does.
pub(super) fn merged(trace: &[u8], events: Vec<Value>) -> io::Result<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(trace)?;
    let base = document["baseTimeNanoseconds"].as_f64().unwrap_or_default() / 1e3;
    let all = document["traceEvents"].as_array_mut().ok_or(io::ErrorKind::InvalidData)?;
    for mut event in events {
        if let Some(at) = event["ts"].as_f64() {
            event["ts"] = Value::from(at - base);
        }
        all.push(event);
    }
    all.push(serde_json::json!({"args": {"name": "vLLM"}, "name": "process_name", "ph": "M", "pid": 1, "tid": 0, "ts": 0.0}));
    Ok(serde_json::to_vec(&document)?)
}
