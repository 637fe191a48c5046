//! Which ranks of the world are there, and which files are none of theirs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::model::{Trace, TraceRole};
use crate::time::Nanos;

/// Larger worlds are no worlds but damage.
const LARGEST_WORLD: u32 = 1 << 16;
/// Clocks of hosts that agree within this agree.
const SLACK: Nanos = Nanos::from_micros(1_000_000);

/// The ranks of one run among the files that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Census {
    /// Number of ranks, where the content says.
    pub world_size: Option<u32>,
    /// Ranks with a file of this run.
    pub present: Vec<u32>,
    /// Ranks of the world without one.
    pub missing: Vec<u32>,
    /// Ranks with several.
    pub duplicated: Vec<Duplicate>,
    /// Files of another run.
    pub foreign: Vec<Foreign>,
}

/// A rank with several files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Duplicate {
    /// The rank.
    pub rank: u32,
    /// Its files.
    pub files: Vec<String>,
    /// What the files say of themselves: one recording twice, or several hosts.
    pub because: String,
}

/// A file of another run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Foreign {
    /// The file.
    pub file: String,
    /// The rank that it says it is of.
    pub rank: Option<u32>,
    /// What tells.
    pub because: String,
}

impl Census {
    /// Counts the ranks; `None` where no trace of a worker says its rank.
    #[must_use]
    pub fn of(traces: &[Trace]) -> Option<Self> {
        let worker = |trace: &&Trace| trace.role == TraceRole::Worker && trace.rank.is_some();
        // Replicas of an engine and stages of a recording have the same ranks, each its own.
        let mut parts: BTreeMap<&str, Vec<&Trace>> = BTreeMap::new();
        traces.iter().filter(worker).for_each(|trace| parts.entry(&trace.part).or_default().push(trace));
        let mut census = Self::default();
        for files in parts.values() {
            census.part(files);
        }
        (!parts.is_empty()).then_some(census)
    }

    /// True when every rank has its file, and only that one.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.duplicated.is_empty() && self.foreign.is_empty()
    }

    fn part(&mut self, files: &[&Trace]) {
        let world = world(files);
        let main = main_run(files);
        let mut present: BTreeMap<u32, Vec<&Trace>> = BTreeMap::new();
        for (trace, recorded) in files.iter().zip(main) {
            let because = match (world, trace.world_size) {
                (Some(world), Some(own)) if own != world => {
                    format!("its world has {own} ranks, the others' {world}")
                }
                _ if !recorded => {
                    "it was recorded at another time than the others, or its host's clock is off".to_owned()
                }
                _ => {
                    trace.rank.into_iter().for_each(|rank| present.entry(rank).or_default().push(trace));
                    continue;
                }
            };
            self.foreign.push(Foreign { file: trace.file.clone(), rank: trace.rank, because });
        }
        for (rank, files) in present.iter().filter(|(_, files)| files.len() > 1) {
            let because = same_or_not(files);
            let files = files.iter().map(|trace| trace.file.clone()).collect();
            self.duplicated.push(Duplicate { rank: *rank, files, because });
        }
        let expected = 0..world.unwrap_or_default();
        self.missing.extend(expected.filter(|rank| !present.contains_key(rank)));
        self.missing.sort_unstable();
        self.missing.dedup();
        self.present.extend(present.keys());
        self.present.sort_unstable();
        self.present.dedup();
        self.world_size = self.world_size.max(world);
    }
}

/// The size that most files say; of equally many the larger, which hides no rank.
fn world(files: &[&Trace]) -> Option<u32> {
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    for size in files.iter().filter_map(|trace| trace.world_size).filter(|size| *size <= LARGEST_WORLD) {
        *sizes.entry(size).or_default() += 1;
    }
    sizes.into_iter().max_by_key(|(size, files)| (*files, *size)).map(|(size, _)| size)
}

/// Which files were recorded at the time at which most were. A profiler's `trace_id` cannot tell: each process
/// makes its own. Files that do not say when count as of the run.
fn main_run(files: &[&Trace]) -> Vec<bool> {
    let mut spans: Vec<(Nanos, Nanos, usize)> = files
        .iter()
        .enumerate()
        .filter_map(|(file, trace)| Some((trace.began?, trace.ended?.max(trace.began?) + SLACK, file)))
        .collect();
    spans.sort_unstable();
    let mut runs: Vec<(Nanos, Vec<usize>)> = Vec::new();
    for (began, ended, file) in spans {
        match runs.last_mut().filter(|(until, _)| began <= *until) {
            Some((until, files)) => {
                *until = ended.max(*until);
                files.push(file);
            }
            None => runs.push((ended, vec![file])),
        }
    }
    let most = runs.iter().map(|(_, files)| files.len()).max();
    let main = runs.iter().position(|(_, files)| Some(files.len()) == most);
    let mut of_run = vec![true; files.len()];
    for (_, others) in runs.iter().enumerate().filter(|(run, _)| Some(*run) != main).map(|(_, run)| run) {
        others.iter().for_each(|file| of_run[*file] = false);
    }
    of_run
}

fn same_or_not(files: &[&Trace]) -> String {
    let distinct =
        |of: fn(&Trace) -> Option<&str>| files.iter().filter_map(|trace| of(trace)).collect::<BTreeSet<_>>();
    let ids = distinct(|trace| trace.trace_id.as_deref());
    let hosts = distinct(|trace| trace.host.as_deref());
    let said = |trace: &&Trace| trace.trace_id.is_some();
    match (ids.len(), hosts.len()) {
        (1, _) if files.iter().all(said) => {
            "one recording several times: their trace_id is the same".to_owned()
        }
        (_, 2..) => format!("hosts {}", hosts.into_iter().collect::<Vec<_>>().join(", ")),
        (2.., _) => "recordings of their own: their trace_id differs".to_owned(),
        _ => "nothing in them tells them apart".to_owned(),
    }
}
