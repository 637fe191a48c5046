//! The files of one window: a trace for each rank and one of the front end, and the tables beside them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::dialect::Dialect;
use super::disguise::Disguise;
use super::engine::Executed;
use super::event_file::merged;
use super::event_writer::{base_time, create};
use super::fault::Fault;
use super::frontend_trace;
use super::gaudi_trace::GaudiTrace;
use super::high_level::compilation;
use super::ops::VLLM_032_CPU;
use super::options::ProfilerConfig;
use super::trace_file::{PAUSE, leave};
use super::worker_trace::WorkerTrace;

/// Everything needed to write the files of one window.
#[derive(Clone)]
pub(super) struct Export {
    /// Of the front end.
    pub(super) directory: PathBuf,
    pub(super) worker_dir: PathBuf,
    pub(super) dialect: Dialect,
    /// The Gaudi plugin's own events.
    pub(super) events: Vec<Value>,
    pub(super) epoch: i64,
    pub(super) window: (i64, i64),
    pub(super) steps: Vec<Executed>,
    pub(super) world_size: u32,
    pub(super) vllm_version: &'static str,
    pub(super) fault: Option<Fault>,
    pub(super) through_tmpdir: bool,
    pub(super) disguise: Disguise,
    pub(super) config: ProfilerConfig,
}

impl Export {
    pub(super) fn write(&self) -> io::Result<()> {
        if !self.config.ignore_frontend {
            self.write_frontend()?;
        }
        let missing = match self.fault {
            Some(Fault::FrontendOnly) => 0,
            Some(Fault::MissingRank) => self.world_size - 1,
            _ => self.world_size,
        };
        (0..missing).try_for_each(|rank| self.write_rank(rank, 0))?;
        if self.fault == Some(Fault::TwoTraces) { self.write_rank(0, 1_000) } else { Ok(()) }
    }

    fn file(&self, directory: &Path, stem: &str, serial: i64) -> PathBuf {
        let end = if self.config.torch_profiler_use_gzip { ".gz" } else { "" };
        directory.join(format!("{stem}.{serial}.pt.trace.json{end}"))
    }

    fn write_frontend(&self) -> io::Result<()> {
        let stem = format!("{}_{}.async_llm", self.disguise.host(), self.disguise.pid(std::process::id()));
        let path = self.file(&self.directory, &stem, self.window.1);
        let out = create(&path, self.config.torch_profiler_use_gzip)?;
        frontend_trace::write(
            out,
            base_time(self.epoch),
            self.window,
            self.vllm_version,
            self.disguise,
            "tmpfrontend.json",
        )?
        .finish()?;
        self.write_table(&stem)
    }

    /// `later` is added to the serial number in the file's name.
    fn write_rank(&self, rank: u32, later: i64) -> io::Result<()> {
        let stem = self.stem(rank);
        let path = self.file(&self.worker_dir, &stem, self.window.1 + i64::from(rank) + later);
        if self.fault == Some(Fault::LateRank) && rank + 1 == self.world_size {
            std::thread::sleep(PAUSE);
        }
        let pid = self.pid(rank);
        let steps = self.steps_of(rank);
        let trace = WorkerTrace {
            rank,
            world_size: self.world_size,
            pid,
            dialect: self.dialect,
            vllm_version: self.vllm_version,
            window: self.window,
            base: base_time(self.epoch),
            steps: &steps,
            template: &VLLM_032_CPU,
            with_stack: self.config.torch_profiler_with_stack,
            fault: self.fault,
            disguise: self.disguise,
            trace_name: "tmpworker.json",
        };
        if self.through_tmpdir {
            through_tmpdir(&trace)?;
        }
        let json = if self.dialect.plugin_version().is_some() {
            self.gaudi_document(rank, pid, &steps)?
        } else {
            trace.write(Vec::new())?
        };
        leave(&path, &json, self.config.torch_profiler_use_gzip, self.fault)?;
        self.write_worker_table(rank, &stem)
    }

    fn steps_of(&self, rank: u32) -> Vec<Executed> {
        let behind = self.fault == Some(Fault::SkewedRank) && rank > 0 && rank + 1 == self.world_size;
        let late = if behind { 500_000_000 } else { 0 };
        self.steps
            .iter()
            .map(|step| Executed { start: step.start + late, end: step.end + late, ..*step })
            .collect()
    }

    fn pid(&self, rank: u32) -> u32 {
        self.disguise.pid(std::process::id()) + 1 + rank
    }

    /// The worker's file name up to its serial number, as each version has it.
    fn stem(&self, rank: u32) -> String {
        match self.dialect {
            Dialect::Vllm032Cpu => format!("rank{rank}"),
            Dialect::Vllm013 => format!("standin-instance-rank-{rank}"),
            Dialect::GaudiFull => "vllm".to_owned(),
            _ => format!("standin_{}", self.pid(rank)),
        }
    }

    fn write_worker_table(&self, rank: u32, stem: &str) -> io::Result<()> {
        match self.dialect {
            Dialect::Vllm032Cpu => self.write_table(stem),
            Dialect::Vllm013 => self.write_table_as(&format!("profiler_out_{rank}.txt")),
            _ => Ok(()),
        }
    }

    fn gaudi_document(&self, rank: u32, pid: u32, steps: &[Executed]) -> io::Result<Vec<u8>> {
        let full = self.dialect == Dialect::GaudiFull;
        let trace = GaudiTrace {
            rank,
            world_size: self.world_size,
            pid,
            window: self.window,
            base: base_time(self.epoch),
            steps,
            with_stack: !full,
        };
        let whole = trace.write(Vec::new())?;
        // Only the driver records phases; the other ranks record the rest.
        let mut events = if rank == 0 { self.events.clone() } else { Vec::new() };
        if let (Some(Fault::Recompile), Some(step)) = (self.fault, steps.get(1)) {
            events.push(compilation(step.start + 1_000, pid));
        }
        if full { merged(&whole, events) } else { Ok(whole) }
    }

    /// The table that vLLM writes behind the export. Overwritten by the next window.
    fn write_table(&self, stem: &str) -> io::Result<()> {
        self.write_table_as(&format!("{stem}.profiler_out.txt"))
    }

    fn write_table_as(&self, name: &str) -> io::Result<()> {
        let mut table = String::from("Name                                  # of Calls\n");
        for (kind, count) in [
            ("steps", self.steps.len()),
            ("idle steps", self.steps.iter().filter(|step| step.is_idle()).count()),
        ] {
            table.push_str(&format!("{kind:<37} {count}\n"));
        }
        std::fs::write(self.directory.join(name), table)
    }
}

/// Kineto writes its JSON to the temporary directory before it is compressed into its place.
fn through_tmpdir(trace: &WorkerTrace<'_>) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::with_suffix(".json")?;
    trace.write(io::BufWriter::new(&mut file))?.flush()
}
