//! The stand-in's command line: vLLM's own flags where it has them, so that a plan can swap the servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::dialect::Dialect;
use super::fault::Fault;
use super::kin::Kin;

/// Options of `tracegate standin`.
#[derive(Args, Clone, Debug)]
pub struct StandinOptions {
    /// Accepted as vLLM has it; the stand-in listens on loopback only
    #[arg(long, default_value = "127.0.0.1", value_parser = ["127.0.0.1", "localhost"])]
    pub host: String,
    /// Port on loopback; 0 lets the system choose
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Write the bound port to this file once it is bound
    #[arg(long)]
    pub port_file: Option<PathBuf>,
    /// Imitated server
    #[arg(long, value_enum, default_value_t)]
    pub dialect: Dialect,
    /// Fault to play
    #[arg(long, value_enum)]
    pub fault: Option<Fault>,
    /// Print every fault with a procedure, the exit code of `tracegate run` and who must notice,
    /// separated by tabs; serve nothing
    #[arg(long)]
    pub list_faults: bool,
    /// Model name, as for vLLM; nothing is loaded
    #[arg(long, default_value = "facebook/opt-125m")]
    pub model: String,
    /// Name under which the model is served; default: the model
    #[arg(long)]
    pub served_model_name: Option<String>,
    /// Ranks; each writes a trace
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub tensor_parallel_size: u32,
    /// Most requests in one step
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_num_seqs: u32,
    /// Most prompt and output tokens of one request
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(2..))]
    pub max_model_len: u32,
    /// Most tokens in one step; longer prompts are chunked
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_num_batched_tokens: u32,
    /// Accepted and ignored, as vLLM has it
    #[arg(long, default_value = "auto")]
    pub dtype: String,
    /// As for vLLM: JSON with `profiler`, `torch_profiler_dir`, `torch_profiler_with_stack`,
    /// `torch_profiler_use_gzip`, `ignore_frontend`
    #[arg(long, value_parser = parse_profiler_config)]
    pub profiler_config: Option<ProfilerConfig>,
    /// For measuring clients: write when each streamed token was handed to its connection, in
    /// nanoseconds on the Unix clock, when the server ends
    #[arg(long, value_name = "FILE")]
    pub token_log: Option<PathBuf>,
    /// Start an awkward child while booting; for tests of supervision
    #[arg(long, value_enum, value_name = "KIND", hide = true)]
    pub child: Vec<Kin>,
    /// Ignore SIGTERM; for tests of supervision
    #[arg(long, hide = true)]
    pub deaf: bool,
    /// Milliseconds before the port is bound; for tests of taken ports
    #[arg(long, value_name = "MS", hide = true)]
    pub bind_after_ms: Option<u64>,
    /// Listen on every address; for tests of what is refused
    #[arg(long, hide = true)]
    pub exposed: bool,
    /// Largest file this process may write, in bytes; for tests of full disks
    #[arg(long, value_name = "BYTES", hide = true)]
    pub file_limit: Option<u64>,
    /// Write traces to the temporary directory first, as Kineto does
    #[arg(long, hide = true)]
    pub through_tmpdir: bool,
    /// Milliseconds between two writes of the plugin's events; the plugin itself takes a second or more
    #[arg(long, value_name = "MS", default_value_t = 50, hide = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub event_poll_ms: u64,
    /// Print the environment while booting; for tests of what a server is told
    #[arg(long, hide = true)]
    pub log_environment: bool,
    /// Other pids, hosts, thread names, line numbers, addresses and graph hashes in the traces, as on
    /// another machine and at another commit; for tests of what must not matter
    #[arg(long, value_name = "SEED", hide = true)]
    pub disguise: Option<u64>,
    /// Accepted and recorded, as vLLM has it
    #[arg(long)]
    pub enforce_eager: bool,
    /// Process a step's output before the next one runs; the fork's engine has then no overrun
    #[arg(long)]
    pub disable_async_output_proc: bool,
    /// Play a script of tracegate instead of serving
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Seed of the latency jitter
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Milliseconds of warm-up during which `/health` answers 503
    #[arg(long, default_value_t = 15, value_name = "MS")]
    pub warmup_ms: u64,
    /// Milliseconds of a decode step before jitter
    #[arg(long, default_value_t = 4.0, value_name = "MS")]
    pub decode_ms: f64,
    /// Milliseconds of a prompt step before jitter, plus 0.02 per token
    #[arg(long, default_value_t = 9.0, value_name = "MS")]
    pub prompt_ms: f64,
    /// Milliseconds between steps before jitter
    #[arg(long, default_value_t = 1.0, value_name = "MS")]
    pub gap_ms: f64,
    /// Jitter of every time, as a fraction
    #[arg(long, default_value_t = 0.05)]
    pub jitter: f64,
}

impl StandinOptions {
    pub(crate) fn model_name(&self) -> &str {
        self.served_model_name.as_deref().unwrap_or(&self.model)
    }

    /// Where the imitated worker writes its traces: versions that read `VLLM_TORCH_PROFILER_DIR` take
    /// it from there and from nowhere else.
    pub(crate) fn worker_dir(&self) -> Option<PathBuf> {
        let reads = self.dialect == Dialect::Vllm011 || self.dialect.is_gaudi();
        std::env::var_os("VLLM_TORCH_PROFILER_DIR").filter(|_| reads).map(PathBuf::from)
    }

    /// The profiler's routes are mounted: by the variable in old versions, by the configuration in
    /// all others.
    pub(crate) fn mounts_profiler(&self) -> bool {
        match self.dialect {
            Dialect::Vllm011 | Dialect::GaudiFork => self.worker_dir().is_some(),
            _ => self.profiler_config.as_ref().is_some_and(|config| config.profiler.is_some()),
        }
    }

    pub(crate) fn warmup(&self) -> Duration {
        Duration::from_millis(self.warmup_ms)
    }
}

/// The part of vLLM's profiler configuration that changes what the stand-in writes.
#[derive(Clone, Debug, Deserialize)]
pub struct ProfilerConfig {
    /// `torch`, or nothing is profiled.
    pub profiler: Option<String>,
    /// Where traces go.
    pub torch_profiler_dir: Option<PathBuf>,
    /// Python frames; vLLM's default is true.
    #[serde(default = "yes")]
    pub torch_profiler_with_stack: bool,
    /// `.gz` or plain.
    #[serde(default = "yes")]
    pub torch_profiler_use_gzip: bool,
    /// No `*.async_llm.*` file.
    #[serde(default)]
    pub ignore_frontend: bool,
}

impl ProfilerConfig {
    /// What `VLLM_TORCH_PROFILER_DIR` alone means.
    pub(crate) fn of_environment(directory: PathBuf) -> Self {
        Self {
            profiler: Some("torch".to_owned()),
            torch_profiler_dir: Some(directory),
            torch_profiler_with_stack: true,
            torch_profiler_use_gzip: true,
            ignore_frontend: false,
        }
    }
}

fn yes() -> bool {
    true
}

pub(super) fn parse_profiler_config(text: &str) -> Result<ProfilerConfig, String> {
    let config: ProfilerConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match config.profiler.as_deref() {
        None => {}
        Some("torch") if config.torch_profiler_dir.is_some() => {}
        Some("torch") => return Err("torch_profiler_dir must be set for the torch profiler".into()),
        Some(other) => return Err(format!("profiler {other:?} is not imitated; \"torch\" is")),
    }
    Ok(config)
}
