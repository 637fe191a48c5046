//! However a run ends and whatever its server has started, nothing survives, the evidence stays, and the
//! exit code is right. Each trial is a row of the matrix: one server with every awkward child at once, and
//! each child asserted for itself; `deaf_leader` rows have a server that ignores SIGTERM as well.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::PART;
use crate::common::processes::{code_of, survivors, wait_until};
use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// Names as the kernel shows them.
const CHILDREN: [&str; 5] = ["same-group", "setsid", "daemon", "deaf", "deaf-daemon"];

/// How a run is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Alone,
    /// When requests are being sent.
    Signal(Signal),
    /// As nextest ends a trial that takes too long: SIGTERM to its group, SIGKILL after a grace.
    Nextest,
    Panic,
    /// The guard itself is killed: the second line of defence.
    GuardKilled,
}

struct Row {
    name: &'static str,
    fault: Option<&'static str>,
    end: End,
    /// Exit code; -9 for death by SIGKILL.
    codes: &'static [i32],
    /// `state` in run.json.
    state: &'static str,
    /// `/stop_profile` calls in run.json; none where it cannot say.
    stops: Option<u64>,
}

const ROWS: [Row; 12] = [
    // What the server left fails a run that would have passed.
    Row { name: "pass", fault: None, end: End::Alone, codes: &[1], state: "complete", stops: Some(1) },
    Row {
        name: "failed_check",
        fault: Some("drop-decode"),
        end: End::Alone,
        codes: &[1],
        state: "complete",
        stops: Some(1),
    },
    Row {
        name: "boot_failure",
        fault: Some("exit-during-boot"),
        end: End::Alone,
        codes: &[3],
        state: "error",
        stops: Some(0),
    },
    Row {
        name: "boot_deadline",
        fault: Some("never-healthy"),
        end: End::Alone,
        codes: &[3],
        state: "error",
        stops: Some(0),
    },
    Row {
        name: "stop_deadline",
        fault: Some("stop-hangs"),
        end: End::Alone,
        codes: &[3],
        state: "error",
        stops: Some(1),
    },
    Row {
        name: "sigint",
        fault: Some("request-hangs"),
        end: End::Signal(Signal::SIGINT),
        codes: &[130],
        state: "error",
        stops: Some(1),
    },
    Row {
        name: "sigterm",
        fault: Some("request-hangs"),
        end: End::Signal(Signal::SIGTERM),
        codes: &[143],
        state: "error",
        stops: Some(1),
    },
    Row {
        name: "sighup",
        fault: Some("request-hangs"),
        end: End::Signal(Signal::SIGHUP),
        codes: &[129],
        state: "error",
        stops: Some(1),
    },
    Row {
        name: "sigkill",
        fault: Some("request-hangs"),
        end: End::Signal(Signal::SIGKILL),
        codes: &[-9],
        state: "incomplete",
        stops: None,
    },
    Row {
        name: "guard_killed",
        fault: Some("request-hangs"),
        end: End::GuardKilled,
        codes: &[3],
        state: "error",
        stops: Some(0),
    },
    // Checks run when the server has ended; a panic with the window open is the harder case.
    Row { name: "panic", fault: None, end: End::Panic, codes: &[101], state: "incomplete", stops: None },
    Row {
        name: "nextest_timeout",
        fault: Some("request-hangs"),
        end: End::Nextest,
        // 143 when the whole teardown fits into the grace, on a machine that stood still meanwhile.
        codes: &[-9, 143],
        state: "incomplete",
        stops: None,
    },
];

pub(crate) fn trials() -> Vec<Trial> {
    ROWS.iter()
        .flat_map(|row| {
            [false, true].map(|deaf| {
                let children = if deaf { "deaf_leader" } else { "children" };
                Trial::test(format!("kill::{}::{children}", row.name), move || cell(row, deaf))
            })
        })
        .collect()
}

fn cell(row: &Row, deaf: bool) -> Result<(), Failed> {
    let directory = tempfile::tempdir().unwrap();
    write_procedure(row, deaf, directory.path());
    // Of the same session and user, and none of tracegate's business.
    let mut bystander = Bystander::begin();
    let mut run = start(row, directory.path());
    match row.end {
        End::Alone | End::Panic => {}
        End::Signal(signal) => {
            wait_for_load(directory.path());
            kill(Pid::from_raw(run.id() as i32), signal).unwrap();
        }
        End::GuardKilled => {
            wait_for_load(directory.path());
            kill(Pid::from_raw(guard_of(directory.path())), Signal::SIGKILL).unwrap();
        }
        End::Nextest => {
            wait_for_load(directory.path());
            let group = Pid::from_raw(run.id() as i32);
            killpg(group, Signal::SIGTERM).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            // No such group when it has ended already.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
    let code = code_of(run.wait().unwrap());
    check(row.codes.contains(&code), || format!("exit code {code}, expected {:?}", row.codes))?;
    let killed = code == -9;
    if killed {
        // Within seconds; the limit only keeps a broken guard from hanging the test.
        wait_until("the end of everything", || survivors(directory.path()).is_empty());
    }
    let left = survivors(directory.path());
    check(left.is_empty(), || format!("survivors: {left:?}"))?;
    evidence(row, deaf, killed, directory.path())?;
    check(bystander.lives(), || "a process that tracegate did not start was ended".to_owned())
}

/// A process that nobody may touch.
struct Bystander(Child);

impl Bystander {
    fn begin() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn evidence(row: &Row, deaf: bool, killed: bool, directory: &Path) -> Result<(), Failed> {
    let run = directory.join("runs/standin/async_single_request-1");
    let record = read_json(&run.join("run.json"));
    let state = if row.end == End::Nextest && !killed { "error" } else { row.state };
    check(record["state"] == state, || format!("state {}, expected {state}", record["state"]))?;
    for file in ["plan.toml", "server.log"] {
        check(run.join(file).is_file(), || format!("{file} is not there"))?;
    }
    if state == "error" {
        let said = record["error"].to_string();
        check(said.contains("besides, the server left processes"), || format!("not said: {said}"))?;
    }
    if let Some(stops) = row.stops {
        check(record["window"]["stops"] == stops, || format!("stops: {}", record["window"]))?;
    }
    let shutdown = if killed || row.end == End::Panic {
        read_json(&run.join("abandoned.json"))
    } else {
        record["shutdown"].clone()
    };
    if row.name == "sigkill" {
        let output = crate::common::tracegate().arg("check").arg(&run).output().unwrap();
        let said = crate::common::text(&output.stderr);
        check(output.status.code() == Some(3), || format!("check: {:?}: {said}", output.status))?;
        for part in
            ["is not complete: it was cut off while sending requests", "its guard then ended the server"]
        {
            check(said.contains(part), || format!("check does not say {part:?}: {said}"))?;
        }
    }
    let named = shutdown["killed"].to_string();
    // The group is asked together with a leader that does not end; who ends then is no leftover.
    for child in &CHILDREN[1..] {
        check(named.contains(&format!("kin-{child} (pid ")), || format!("{child} is not named: {shutdown}"))?;
    }
    if deaf && !["boot_failure", "guard_killed"].contains(&row.name) {
        check(named.contains("the server itself, killed"), || format!("the server is not named: {named}"))?;
    }
    Ok(())
}

fn write_procedure(row: &Row, deaf: bool, directory: &Path) {
    let mut args: Vec<String> =
        CHILDREN.iter().flat_map(|child| ["--child", child]).map(str::to_owned).collect();
    if deaf {
        args.push("--deaf".to_owned());
    }
    args.extend(row.fault.iter().flat_map(|fault| ["--fault", fault]).map(str::to_owned));
    let boot = if row.name == "boot_deadline" { "1s" } else { "60s" };
    let stop = if row.name == "stop_deadline" { "500ms" } else { "60s" };
    let shipped =
        std::fs::read_to_string(crate::common::root().join("procedures/async_single_request.toml")).unwrap();
    let text = shipped
        .replace("boot = \"15m\"", &format!("boot = \"{boot}\""))
        .replace("stop = \"10m\"", &format!("stop = \"{stop}\""))
        .replace("shutdown = \"60s\"", "shutdown = \"2s\"")
        .replace("max_model_len = 256\n", &format!("max_model_len = 256\nargs = {args:?}\n"));
    std::fs::create_dir_all(directory.join("procedures")).unwrap();
    std::fs::write(directory.join("procedures/quick.toml"), text).unwrap();
    if row.end == End::Panic {
        std::fs::write(directory.join("panic"), "").unwrap();
    }
}

fn start(row: &Row, directory: &Path) -> Child {
    let mut command = match row.end {
        End::Panic | End::Nextest => {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.env(PART, directory).args(["standin::async_single_request", "--exact", "--nocapture"]);
            command
        }
        End::Alone | End::Signal(_) | End::GuardKilled => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tracegate"));
            command.arg("run").arg(directory.join("procedures/quick.toml"));
            command.arg("--out").arg(directory.join("runs"));
            command
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

fn wait_for_load(directory: &Path) {
    let path = directory.join("runs/standin/async_single_request-1/run.json");
    wait_until("the load", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let record: Value = serde_json::from_str(&text).unwrap_or_default();
        record["phases"]
            .as_array()
            .and_then(|phases| phases.last())
            .is_some_and(|last| last["phase"] == "load")
    });
}

fn guard_of(directory: &Path) -> i32 {
    let guard = survivors(directory).into_iter().find(|who| who.starts_with("tracegate-guard "));
    let pid = guard.unwrap().split_once("(pid ").unwrap().1.trim_end_matches(')').parse();
    pid.unwrap()
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn check(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(complaint().into()) }
}
