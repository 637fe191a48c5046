//! The embedded stand-in for a vLLM server: the HTTP API, a continuous-batching scheduler with a latency
//! model, and traces as a vLLM 0.32 CPU worker writes them. It imitates; it computes no text, loads no
//! model and proves nothing about vLLM. Shares no code with the trace reader, so that the two can disagree.

mod api;
mod completions;
mod dialect;
mod disguise;
mod engine;
mod error;
mod event_file;
mod event_writer;
mod export;
mod fault;
mod fork;
mod frontend_trace;
mod gaudi_trace;
mod high_level;
pub mod kin;
mod latency;
mod log;
mod matrix;
mod ops;
mod options;
mod profiler;
mod pt_profile;
mod random;
mod scene;
mod script;
mod server;
mod synth;
mod tokenizer;
mod trace_file;
mod worker_trace;

pub use dialect::Dialect;
pub use fault::Fault;
pub use matrix::{Expectation, MATRIX, matrix_lines, matrix_page};
pub use options::{ProfilerConfig, StandinOptions};
pub use scene::{Act, Need, Scene};
pub use server::{StandinError, run};
pub use synth::{SynthOptions, synthesise};

/// The variable by which a program that runs procedures starts itself: as the guard of a server, as the stand-in, or
/// as one of the stand-in's children. Its value says which part that process is. A word in the arguments would not do:
/// `cargo test -- standin` is a filter.
pub const REEXEC: &str = "TRACEGATE_REEXEC";
