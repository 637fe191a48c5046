//! Not part of `cargo test`: many runs in a row, and runs with random faults, children and signals.
//!
//! `cargo test --release --test guarded -- --ignored` plays both. `TRACEGATE_ENDURANCE_RUNS` (1000) is the number of
//! runs in a row; `TRACEGATE_CHAOS_MINUTES` (15), `TRACEGATE_CHAOS_SEED` (the clock) and
//! `TRACEGATE_CHAOS_LANES` (2, runs at a time) shape the chaos. Both print their figures.
#![allow(clippy::print_stdout, reason = "figures are what these trials are run for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tracegate::job::Job;
use tracegate::lane::Lane;
use tracegate::procedure::Procedure;

use crate::common::procedure_with;
use crate::common::processes::{code_of, survivors};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("endurance::runs_in_a_row", runs_in_a_row).with_ignored_flag(true),
        Trial::test("endurance::chaos", chaos).with_ignored_flag(true),
    ]
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What a process may leak.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    children: usize,
    threads: usize,
    listening: usize,
}

impl Holdings {
    fn now() -> Self {
        let count = |path: &str| std::fs::read_dir(path).unwrap().count();
        let me = std::process::id();
        let children = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
        Self {
            descriptors: count("/proc/self/fd"),
            children: children.split_whitespace().count(),
            threads: count("/proc/self/task"),
            listening: listening(),
        }
    }
}

/// Ports that this process listens on. Those of a server that stayed are found with it.
fn listening() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mine: Vec<String> = links
        .filter_map(|link| std::fs::read_link(link.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    let tcp = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets = tcp.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    sockets
        .filter(|fields| fields.get(3) == Some(&"0A"))
        .filter(|fields| fields.get(9).is_some_and(|inode| mine.contains(&format!("socket:[{inode}]"))))
        .count()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn runs_in_a_row() -> Result<(), Failed> {
    let runs = number("TRACEGATE_ENDURANCE_RUNS", 1000);
    let directory = tempfile::tempdir().unwrap();
    let procedure = Procedure::load(&procedure_with(directory.path(), &[], &[])).unwrap();
    let out = directory.path().join("runs");
    let job = Job::new(procedure, Lane::Standin, &out);
    let begun = Instant::now();
    let mut first = None;
    let mut times = Vec::new();
    for run in 0..runs {
        let started = Instant::now();
        let finished = job.run(&|_, _| {}).map_err(|error| format!("run {run}: {error}"))?;
        if !finished.decided.verdict.passed {
            return Err(format!("run {run} failed: {:?}", finished.decided.verdict).into());
        }
        tracegate::run::prune(&finished.directory, &job.procedure.name, 3);
        times.push(started.elapsed());
        // The first runs start threads and pools that stay.
        if run == 4 {
            first = Some((Holdings::now(), resident_kib()));
        }
    }
    let (before, resident) = first.ok_or("at least 5 runs are needed")?;
    let after = Holdings::now();
    let left = survivors(directory.path());
    let kept = std::fs::read_dir(out.join("standin")).unwrap().count();
    times.sort();
    println!(
        "{runs} runs in {:.0} s: median {:?}, slowest {:?}\n  after 5 runs {before:?}, {resident} KiB resident\n  at the end   {after:?}, {} KiB resident\n  survivors {left:?}, run directories {kept}",
        begun.elapsed().as_secs_f64(),
        times[times.len() / 2],
        times[times.len() - 1],
        resident_kib(),
    );
    if !left.is_empty() || kept != 3 {
        return Err("something was left".into());
    }
    if after == before { Ok(()) } else { Err("something leaked".into()) }
}

/// Every fault with the exit code of a run that plays it alone.
const FAULTS: [(&str, i32); 32] = [
    ("", 0),
    ("slow-stop", 0),
    ("async-export", 0),
    ("late-rank", 0),
    ("slow-export", 0),
    ("drop-decode", 1),
    ("duplicate-step", 1),
    ("missing-prompt", 1),
    ("reorder-steps", 1),
    ("long-gaps", 1),
    ("truncated-trace", 3),
    ("invalid-json", 3),
    ("empty-trace", 3),
    ("frontend-only", 3),
    ("missing-rank", 1),
    ("never-healthy", 3),
    ("exit-during-boot", 3),
    ("no-profile-routes", 3),
    ("already-active", 3),
    ("stop-fails", 3),
    ("no-trace", 3),
    ("crash-on-stop", 3),
    ("wrong-model", 3),
    ("wrong-version", 3),
    ("start-fails", 3),
    ("profiler-not-enabled", 3),
    ("old-signature", 3),
    ("request-fails", 3),
    ("request-hangs", 3),
    ("crash-in-load", 3),
    ("stop-hangs", 3),
    ("unhealthy-after-stop", 3),
];
const CHILDREN: [&str; 5] = ["same-group", "setsid", "daemon", "deaf", "deaf-daemon"];
/// All deadlines of a run together, the guard's rounds, and a machine with other work.
const LIMIT: Duration = Duration::from_secs(90);

/// One run of the chaos.
#[derive(Debug)]
struct Chance {
    fault: &'static str,
    code: i32,
    children: Vec<&'static str>,
    deaf: bool,
    full: bool,
    signal: Option<(Signal, Duration)>,
}

impl Chance {
    fn draw(random: &mut StdRng) -> Self {
        let (fault, mut code) = *FAULTS.choose(random).unwrap();
        let children: Vec<&str> = CHILDREN.iter().copied().filter(|_| random.random_bool(0.15)).collect();
        let (deaf, full) = (random.random_bool(0.1), random.random_bool(0.1));
        if full {
            code = 3;
        } else if code == 0 && (deaf || !children.is_empty()) {
            code = 1;
        }
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL];
        let signal = random
            .random_bool(0.3)
            .then(|| (*signals.choose(random).unwrap(), Duration::from_millis(random.random_range(0..2500))));
        Self { fault, code, children, deaf, full, signal }
    }

    fn start(&self, directory: &Path) -> Child {
        let mut args: Vec<&str> = self.children.iter().flat_map(|child| ["--child", child]).collect();
        if self.deaf {
            args.push("--deaf");
        }
        if self.full {
            args.extend(["--file-limit", "40000"]);
        }
        if !self.fault.is_empty() {
            args.extend(["--fault", self.fault]);
        }
        let boot = if self.fault == "never-healthy" { "boot = \"2s\"" } else { "boot = \"30s\"" };
        let changes = [
            ("boot = \"30s\"", boot),
            ("request = \"5m\"", "request = \"3s\""),
            ("stop = \"20s\"", "stop = \"8s\""),
            ("trace = \"2s\"", "trace = \"8s\""),
            ("shutdown = \"60s\"", "shutdown = \"3s\""),
        ];
        let procedure = procedure_with(directory, &args, &changes);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracegate"));
        command.arg("run").arg(procedure).arg("--out").arg(directory.join("runs"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Exit codes that are right: what the fault makes of the run, or what the signal does, if it came
    /// before the end. A signal may come before it is listened to.
    fn allows(&self, code: i32) -> bool {
        let by_signal = self.signal.is_some_and(|(signal, _)| {
            let number = signal as i32;
            code == -number || (signal != Signal::SIGKILL && code == 128 + number)
        });
        code == self.code || by_signal
    }
}

fn chaos() -> Result<(), Failed> {
    let minutes = number("TRACEGATE_CHAOS_MINUTES", 15);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number("TRACEGATE_CHAOS_SEED", clock.as_secs());
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let seen = Mutex::new((BTreeMap::<i32, u32>::new(), Vec::<String>::new(), Duration::ZERO));
    std::thread::scope(|scope| {
        for lane in 0..number("TRACEGATE_CHAOS_LANES", 2) {
            let seen = &seen;
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed + lane);
                while Instant::now() < end {
                    let chance = Chance::draw(&mut random);
                    let (code, took, complaint) = play(&chance);
                    let mut seen = seen.lock().unwrap();
                    *seen.0.entry(code).or_default() += 1;
                    seen.2 = seen.2.max(took);
                    seen.1.extend(complaint.map(|complaint| format!("{complaint}: {chance:?}")));
                }
            });
        }
    });
    let (codes, complaints, slowest) = seen.into_inner().unwrap();
    let total: u32 = codes.values().sum();
    println!("chaos of {minutes} min, seed {seed}: {total} runs, slowest {slowest:?}, exit codes {codes:?}");
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

/// Exit code, time, and what was wrong.
fn play(chance: &Chance) -> (i32, Duration, Option<String>) {
    let directory = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut run = chance.start(directory.path());
    let mut signal = chance.signal;
    let code = loop {
        if let Some(status) = run.try_wait().unwrap() {
            break code_of(status);
        }
        if let Some((number, _)) = signal.take_if(|(_, after)| begun.elapsed() >= *after) {
            kill(Pid::from_raw(run.id() as i32), number).unwrap();
        }
        if begun.elapsed() > LIMIT {
            run.kill().unwrap();
            run.wait().unwrap();
            return (-9, begun.elapsed(), Some(format!("hung past {LIMIT:?}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = begun.elapsed();
    if code < 0 {
        // The guard ends everything within seconds.
        while !survivors(directory.path()).is_empty() && begun.elapsed() < took + Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let left = survivors(directory.path());
    let complaint = if !left.is_empty() {
        Some(format!("survivors {left:?}"))
    } else if !chance.allows(code) {
        Some(format!("exit code {code}, expected {}", chance.code))
    } else {
        dishonest(code, &directory.path().join("runs/standin/async_single_request-1"))
    };
    if complaint.is_some() {
        println!("kept for inspection: {}", directory.keep().display());
    }
    (code, took, complaint)
}

/// A directory must say what it is: complete only after a verdict, an error with its text.
fn dishonest(code: i32, run: &Path) -> Option<String> {
    let Ok(text) = std::fs::read_to_string(run.join("run.json")) else {
        // Ended before there was one.
        return (0..128).contains(&code).then(|| "no run.json".to_owned());
    };
    let record: Value = match serde_json::from_str(&text) {
        Ok(record) => record,
        Err(error) => return Some(format!("run.json: {error}")),
    };
    let decided = run.join("verdict.json").is_file();
    let state = record["state"].as_str().unwrap_or_default();
    let honest = match code {
        0 | 1 => state == "complete" && decided,
        3 => (state == "error" && record["error"].is_string()) || (state == "complete" && !decided),
        _ => state != "error" || record["error"].is_string(),
    };
    (!honest).then(|| format!("state {state}, decided {decided}, exit code {code}"))
}
