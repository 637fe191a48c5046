//! Full disks, real ones: listed as ignored where mounting a small file system is not permitted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};

use crate::common::{procedure_with, text};

pub(crate) fn trials() -> Vec<Trial> {
    let mounts = may_mount();
    vec![
        Trial::test("full::a_full_disk_is_no_verdict", full_disk).with_ignored_flag(!mounts),
        Trial::test("full::a_full_tmpdir_is_no_verdict", full_tmpdir).with_ignored_flag(!mounts),
    ]
}

/// A mount namespace of one's own needs a right that containers and ordinary users lack.
fn may_mount() -> bool {
    let mut unshare = Command::new("unshare");
    let status = unshare.args(["-m", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs tracegate with a file system of a few blocks mounted at `small`, which only it sees; returns
/// what it said, its exit code, and run.json as it was then.
fn run_on_small(
    directory: &Path,
    small: &Path,
    kib: u32,
    out: &Path,
    args: &[&str],
) -> (String, i32, String) {
    let procedure = procedure_with(directory, args, &[]);
    std::fs::create_dir_all(small).unwrap();
    // A shell for the test's own set-up; tracegate itself runs none.
    let script = r#"mount -t tmpfs -o size="$1"k none "$2" && shift 2 || exit 99
        out="$1"; shift; "$@"; code=$?; cat "$out"/standin/*/run.json; exit $code"#;
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh", &kib.to_string()])
        .arg(small)
        .arg(out)
        .args([env!("CARGO_BIN_EXE_tracegate"), "run"])
        .arg(procedure)
        .arg("--out")
        .arg(out)
        .env("TMPDIR", if out.starts_with(small) { directory } else { small })
        .output()
        .unwrap();
    (text(&output.stderr), output.status.code().unwrap(), text(&output.stdout))
}

fn full_disk() -> Result<(), Failed> {
    let directory = tempfile::tempdir().unwrap();
    let small: PathBuf = directory.path().join("small");
    let (said, code, out) = run_on_small(directory.path(), &small, 120, &small, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    // What could not be written is not claimed.
    assert!(out.contains("\"state\": \"incomplete\""), "{out}");
    Ok(())
}

fn full_tmpdir() -> Result<(), Failed> {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("tmp");
    let out = directory.path().join("runs");
    let (said, code, record) = run_on_small(directory.path(), &small, 120, &out, &["--through-tmpdir"]);
    assert_eq!(code, 3, "{said}");
    for part in [
        "0 of 1 worker traces are there",
        "the server's log says: ERROR Failed to stop profiler: No space left on device",
        "space in TMPDIR",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(record.contains("\"state\": \"error\""), "{record}");
    Ok(())
}
