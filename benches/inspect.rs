//! Reads a generated trace from file to gaps: the whole of `inspect` but the printing.
#![allow(clippy::expect_used, reason = "a bench that cannot make its input has nothing to measure")]

use std::path::PathBuf;
use std::sync::LazyLock;

use divan::counter::BytesCount;
use tempfile::TempDir;
use tracegate::standin::{SynthOptions, synthesise};
use tracegate::trace::Trace;

const EVENTS: u64 = 200_000;

struct Input {
    path: PathBuf,
    inflated: u64,
    _directory: TempDir,
}

static INPUT: LazyLock<Input> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("rank0.1.pt.trace.json.gz");
    let options = SynthOptions { events: EVENTS, ranks: 1, seed: 0, out: path.clone() };
    synthesise(&options).expect("a synthetic trace");
    let gzip = std::fs::File::open(&path).expect("the trace");
    let mut inflate = flate2::read::GzDecoder::new(gzip);
    let inflated = std::io::copy(&mut inflate, &mut std::io::sink()).expect("a whole gzip stream");
    Input { path, inflated, _directory: directory }
});

#[divan::bench(sample_count = 20)]
fn inspect(bencher: divan::Bencher<'_, '_>) {
    let input = &*INPUT;
    bencher.counter(BytesCount::new(input.inflated)).bench(|| Trace::read(&input.path).steps.len());
}

#[divan::bench(sample_count = 20)]
fn inflate_only(bencher: divan::Bencher<'_, '_>) {
    let input = &*INPUT;
    bencher.counter(BytesCount::new(input.inflated)).bench(|| {
        let gzip = std::io::BufReader::new(std::fs::File::open(&input.path).expect("the trace"));
        let mut inflate = flate2::bufread::GzDecoder::new(gzip);
        std::io::copy(&mut inflate, &mut std::io::sink()).expect("a whole gzip stream")
    });
}

fn main() {
    divan::main();
}
