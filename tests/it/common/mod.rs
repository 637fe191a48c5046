//! What the integration tests share: the real binary, procedures with short deadlines, small traces.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a helper that fails has found a broken test")]

pub(crate) mod processes;

use std::io::Write;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The binary under test.
pub(crate) fn tracegate() -> Command {
    let mut command = Command::cargo_bin("tracegate").unwrap();
    command.env_remove("TRACEGATE_REEXEC");
    command
}

/// The single-request procedure with deadlines of seconds: enough for the stand-in, quick to fail.
pub(crate) fn quick_procedure(directory: &Path) -> PathBuf {
    procedure_with(directory, &[], &[("boot = \"30s\"", "boot = \"4s\"")])
}

/// The same with further server flags and with texts changed; boots may take 30 s.
pub(crate) fn procedure_with(directory: &Path, args: &[&str], changes: &[(&str, &str)]) -> PathBuf {
    let mut quick = std::fs::read_to_string(root().join("procedures/async_single_request.toml")).unwrap();
    let flags = format!("max_model_len = 256\nargs = {args:?}\n");
    let shorter = [
        ("boot = \"15m\"", "boot = \"30s\"\nquiet = \"1m\""),
        ("trace = \"5m\"", "trace = \"2s\""),
        ("stop = \"10m\"", "stop = \"20s\""),
        ("max_model_len = 256\n", &flags),
    ];
    for (old, new) in shorter.iter().chain(changes) {
        assert!(quick.contains(old), "{old}");
        quick = quick.replace(old, new);
    }
    let path = directory.join("quick.toml");
    std::fs::write(&path, quick).unwrap();
    path
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The recorded real trace.
pub(crate) fn real_trace() -> PathBuf {
    root().join("tests/traces/vllm-0.32-cpu-single-request")
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Standard output or error as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
