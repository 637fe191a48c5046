//! Whose server answers on a port: told by the kernel, so that not even the same program with the same
//! model and version is taken for the one that was started.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::procedure_with;
use crate::common::processes::survivors;
use libtest_mimic::{Failed, Trial};
use tracegate::judge::decide;
use tracegate::lane::{Lane, probe};
use tracegate::plan::{Plan, PortSource, resolve};
use tracegate::procedure::Procedure;
use tracegate::run::{RunDirectory, RunRecord, execute};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("identity::a_port_lost_before_it_was_bound_is_replaced", lost_port),
        Trial::test("identity::a_server_of_the_same_kind_on_the_port_is_never_profiled", same_kind),
        Trial::test("identity::ports_are_tried_three_times", three_times),
        Trial::test("identity::a_server_that_listens_outside_is_refused", exposed),
    ]
}

/// The single-request plan for a stand-in that is given its port, as real servers are.
fn plan(directory: &Path, args: &[&str]) -> (Plan, RunDirectory) {
    let procedure = Procedure::load(&procedure_with(directory, &[], &[])).unwrap();
    let mut plan = resolve(&procedure, &probe(Lane::Standin).unwrap()).unwrap();
    plan.port = PortSource::Chosen;
    let flag = plan.server.argv.iter().position(|word| word == "--port").unwrap();
    plan.server.argv[flag + 1] = "{port}".to_owned();
    plan.server.argv.extend(args.iter().map(|arg| (*arg).to_owned()));
    let run = RunDirectory::create(&directory.join("runs"), &plan).unwrap();
    (plan, run)
}

/// Ports that were chosen for servers of a run and are not bound yet, found as an intruder could.
fn chosen_port(run: &Path, after: &[u16]) -> Option<u16> {
    let wanted = format!("{}/port", run.display());
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<String> =
            line.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let ours = words.contains(&wanted) && words.iter().any(|word| word == "standin");
        let port = words.iter().position(|word| word == "--port")? + 1;
        let port: u16 = words.get(port).filter(|_| ours)?.parse().ok()?;
        (!after.contains(&port)).then_some(port)
    })
}

/// Runs a plan while a thief takes the first `thefts` ports between their release and the bind.
fn run_with_thief<T: Send>(
    plan: &Plan,
    run: &RunDirectory,
    thefts: usize,
    take: impl Fn(u16) -> T + Send + Sync,
) -> (Result<RunRecord, String>, Vec<(u16, T)>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let thief = scope.spawn(|| {
            let mut taken: Vec<(u16, T)> = Vec::new();
            while taken.len() < thefts && !over.load(Ordering::Relaxed) {
                let known: Vec<u16> = taken.iter().map(|(port, _)| *port).collect();
                if let Some(port) = chosen_port(run.path(), &known) {
                    taken.push((port, take(port)));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            taken
        });
        let record = execute(plan, run, None, &|_, _| {}).map_err(|error| error.to_string());
        over.store(true, Ordering::Relaxed);
        (record, thief.join().unwrap())
    })
}

/// By the kernel, or, when the bind came between two looks, by the server itself.
fn is_told(said: &str) -> bool {
    let by_kernel = format!("(pid {})", std::process::id());
    said.contains("is answered by another server") && said.contains(&by_kernel)
        || said.contains("the port is in use")
        || said.contains("Address already in use")
}

fn lost_port() -> Result<(), Failed> {
    let directory = tempfile::tempdir().unwrap();
    let (plan, run) = plan(directory.path(), &["--bind-after-ms", "500"]);
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (record, taken) = run_with_thief(&plan, &run, 1, bind);
    let record = record?;
    // The record says which port was lost, to whom, and which one served.
    assert_eq!(record.boots.len(), 2, "{:?}", record.boots);
    assert_eq!(record.boots[0].port, Some(taken[0].0));
    let reason = record.boots[0].given_up.clone().unwrap();
    assert!(is_told(&reason), "{reason}");
    assert!(
        record.boots[1].port.is_some_and(|port| port != taken[0].0) && record.boots[1].given_up.is_none()
    );
    assert!(run.path().join("server.1.log").is_file(), "the first boot's log is kept");
    assert!(decide(&run, None)?.verdict.passed);
    Ok(())
}

/// The hardest stranger: the same program, model and version, healthy at once.
fn same_kind() -> Result<(), Failed> {
    let directory = tempfile::tempdir().unwrap();
    let (plan, run) = plan(directory.path(), &["--bind-after-ms", "1500"]);
    let log = directory.path().join("stranger.log");
    let serve = |port: u16| {
        let out = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracegate"));
        command.args(["standin", "--warmup-ms", "0", "--port", &port.to_string(), "--profiler-config"]);
        command.arg(
            r#"{"profiler":"torch","torch_profiler_dir":"/nonexistent"}"#
                .replace("/nonexistent", directory.path().join("stranger").to_str().unwrap()),
        );
        command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(out).spawn().unwrap()
    };
    let (record, mut taken) = run_with_thief(&plan, &run, 1, serve);
    let stranger = &mut taken[0].1;
    let untouched = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(untouched, "a server that tracegate did not start was ended");
    assert_eq!(record?.boots.len(), 2);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("Application startup complete.") && !said.contains("\"POST /"), "{said}");
    Ok(())
}

fn three_times() -> Result<(), Failed> {
    let directory = tempfile::tempdir().unwrap();
    let (plan, run) = plan(directory.path(), &["--bind-after-ms", "500"]);
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (record, taken) = run_with_thief(&plan, &run, 5, bind);
    let error = record.unwrap_err();
    assert!(is_told(&error) && error.contains("server.log"), "{error}");
    let boots = run.record()?.boots;
    assert_eq!(
        boots.iter().map(|boot| boot.port).collect::<Vec<_>>(),
        taken.iter().map(|(port, _)| Some(*port)).collect::<Vec<_>>()
    );
    assert_eq!(boots.len(), 3);
    assert_eq!(survivors(run.path()), [""; 0]);
    Ok(())
}

fn exposed() -> Result<(), Failed> {
    let directory = tempfile::tempdir().unwrap();
    let (plan, run) = plan(directory.path(), &["--exposed"]);
    let error = execute(&plan, &run, None, &|_, _| {}).unwrap_err().to_string();
    assert!(error.contains("the server listens on 0.0.0.0:"), "{error}");
    assert_eq!(survivors(run.path()), [""; 0]);
    Ok(())
}
