//! `tracegate setup`.

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::form::{Form, print_json};

#[derive(Args)]
pub(super) struct Setup {
    #[command(subcommand)]
    lane: SetupLane,
    /// Form of the output
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Form,
}

#[derive(Subcommand)]
enum SetupLane {
    /// Build a real vLLM for CPUs under the user's cache directory, with a tiny random-weight model
    VllmCpu {
        /// Version of vLLM
        #[arg(long, default_value = crate::lane::vllm_cpu::DEFAULT_VLLM)]
        vllm: String,
    },
}

impl Setup {
    pub(super) fn run(self) -> Exit {
        let SetupLane::VllmCpu { vllm } = self.lane;
        match crate::lane::setup::vllm_cpu(&vllm, &|line| crate::output::error_line(format_args!("{line}"))) {
            Ok(directory) if self.format == Form::Json => {
                print_json(&serde_json::json!({ "vllm": vllm, "directory": directory }));
                Exit::Pass
            }
            Ok(directory) => {
                crate::output::line(format_args!("vLLM {vllm} is ready in {}", directory.display()));
                Exit::Pass
            }
            Err(error) => Exit::infrastructure(&error),
        }
    }
}
