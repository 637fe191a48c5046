//! This repository's own use of `tracegate::harness`.

fn main() -> std::process::ExitCode {
    tracegate::harness::run("procedures", "snapshots")
}
