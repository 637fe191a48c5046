//! `tracegate run`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Exit;
use super::form::Form;
use super::play::{Windows, play};
use crate::job::Job;
use crate::lane::Lane;
use crate::plan::Reviews;
use crate::procedure::{LoadClient, Procedure, ProcedureError, builtin, find, load_directory};
use crate::run::default_parent;
use tracegate_standin::Fault;

#[derive(Args)]
pub(super) struct Run {
    /// Names of procedures, or paths of .toml files; all when none is named
    #[arg(value_name = "PROCEDURE")]
    names: Vec<String>,
    /// Where to run
    #[arg(long, value_enum, default_value_t = Lane::Standin)]
    lane: Lane,
    /// Directory under which run directories are made
    #[arg(long, value_name = "DIR", default_value_os = default_parent().as_os_str())]
    out: PathBuf,
    /// Read procedures from this directory instead of those that ship with tracegate
    #[arg(long, value_name = "DIR")]
    procedures: Option<PathBuf>,
    /// Passed runs of each procedure to keep under DIR/LANE, this one included; older ones are removed.
    /// Runs that failed, were cut off or had no verdict always stay
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Directory of reviewed snapshots, as LANE/PROCEDURE.snap, for the check `snapshot`; default:
    /// `snapshots` beside the directory of the procedures, or those that ship with tracegate
    #[arg(long, value_name = "DIR", value_parser = super::snapshots::directory)]
    snapshots: Option<PathBuf>,
    /// Fault for the stand-in to play
    #[arg(long, value_enum, value_name = "NAME")]
    fault: Option<Fault>,
    /// Who sends the workload of `vllm bench serve`, instead of whom the procedure names
    #[arg(long, value_enum)]
    client: Option<LoadClient>,
    /// Python stacks in the trace, instead of what the procedure says. With stacks two ranks of the CPU
    /// build took 11 GB of memory each
    #[arg(long, value_name = "BOOL")]
    with_stack: Option<bool>,
    /// Ranks, instead of those of the procedure; each leaves a trace
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    tensor_parallel_size: Option<u32>,
    /// Factor on every deadline, for slow machines; trials take it from TRACEGATE_DEADLINE_SCALE
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = crate::job::deadline_scale)]
    deadline_scale: f64,
    /// Windows of each procedure; those of procedures whose server is the same share its boot
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Boots over which the windows of a procedure are spread
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    boots: u32,
    /// Boot a server for each window, whatever the procedures say
    #[arg(long)]
    own_boot: bool,
    /// Run only this boot group, named by `tracegate plan --groups`
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

impl Run {
    pub(super) fn run(self) -> Exit {
        if self.fault.is_some() && self.lane != Lane::Standin {
            return Exit::usage(&"--fault needs --lane standin: only the stand-in plays faults");
        }
        let jobs = match self.jobs() {
            Ok(jobs) => jobs,
            Err(error) => return Exit::usage(&error),
        };
        if self.boots > self.repeat {
            return Exit::usage(&format!(
                "--boots {} needs as many windows: --repeat {} or more",
                self.boots, self.boots
            ));
        }
        if self.lane == Lane::Standin && self.format == Form::Text {
            crate::output::detail(format_args!(
                "lane standin: an imitation; its results prove the harness, never vLLM\n"
            ));
        }
        let group = self.group.as_deref();
        let windows = Windows { repeat: self.repeat, boots: self.boots, keep: usize::from(self.keep) };
        play(&jobs, group, windows, self.format)
    }
}

impl Run {
    /// What is asked for. Asked for all, those of other lanes and those that the fault cannot be played in are no
    /// failures; asked for by name, they are refused.
    fn jobs(&self) -> Result<Vec<Job>, String> {
        let directory = self.procedures.as_deref();
        let procedures = select(directory, &self.names).map_err(|error| error.to_string())?;
        let mut jobs: Vec<Job> = procedures.into_iter().map(|procedure| self.job(procedure)).collect();
        let refused = jobs.iter().find_map(|job| job.playable().err());
        if self.names.is_empty() {
            jobs.retain(|job| job.procedure.lanes.contains(&self.lane) && job.playable().is_ok());
        }
        match refused {
            Some(error) if jobs.is_empty() || !self.names.is_empty() => {
                let known = select(directory, &[]).unwrap_or_default();
                let places = known.into_iter().map(|procedure| self.job(procedure));
                let places: Vec<String> =
                    places.filter(|job| job.playable().is_ok()).map(|job| job.procedure.name).collect();
                let place =
                    if places.is_empty() { "no procedure here".to_owned() } else { places.join(", ") };
                Err(format!("{error}\n  what to do: it can be played in {place}"))
            }
            _ => Ok(jobs),
        }
    }

    fn job(&self, procedure: Procedure) -> Job {
        Job {
            reviews: self.reviews(&procedure),
            fault: self.fault,
            client: self.client,
            tensor_parallel_size: self.tensor_parallel_size,
            with_stack: self.with_stack,
            deadline_scale: self.deadline_scale,
            own_boot: self.own_boot,
            windows: self.repeat.div_ceil(self.boots),
            ..Job::new(procedure, self.lane, self.out.clone())
        }
    }

    fn reviews(&self, procedure: &Procedure) -> Reviews {
        let file = self.names.iter().map(Path::new).find(|path| {
            path.extension().is_some_and(|end| end == "toml")
                && path.file_stem().is_some_and(|stem| *stem == *procedure.name)
        });
        let absolute = file.and_then(|file| std::path::absolute(file).ok());
        let directory = absolute.as_deref().and_then(Path::parent).or(self.procedures.as_deref());
        self.snapshots.as_deref().map_or_else(|| Reviews::of(procedure, directory), super::snapshots::reviews)
    }
}

/// The named procedures, or all of them.
pub(super) fn select(
    directory: Option<&std::path::Path>,
    names: &[String],
) -> Result<Vec<Procedure>, ProcedureError> {
    let known = match directory {
        Some(directory) => load_directory(directory)?,
        None => builtin()?,
    };
    if names.is_empty() {
        if known.is_empty() {
            return Err(ProcedureError::None {
                directory: directory.unwrap_or(std::path::Path::new(".")).to_owned(),
            });
        }
        return Ok(known);
    }
    names.iter().map(|name| find(name, &known)).collect()
}
