//! `tracegate synth`.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::form::{Form, print_json};
use tracegate_standin::{SynthOptions, synthesise};

#[derive(Args)]
pub(super) struct Synth {
    /// Events in each rank's trace, at least
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Ranks; each gets a file
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    ranks: u32,
    /// Seed of the durations
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File to write (.gz compresses); with several ranks, a directory
    #[arg(short = 'o', long = "out", value_name = "PATH")]
    out: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

impl Synth {
    pub(super) fn run(self) -> Exit {
        let options = SynthOptions { events: self.events, ranks: self.ranks, seed: self.seed, out: self.out };
        match synthesise(&options) {
            Ok(files) if self.format == Form::Json => {
                print_json(&serde_json::json!({ "files": files }));
                Exit::Pass
            }
            Ok(files) => {
                for file in files {
                    crate::output::line(file.display());
                }
                Exit::Pass
            }
            Err(error) => Exit::infrastructure(&error),
        }
    }
}
