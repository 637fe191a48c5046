//! The stages of reading a generated trace, and all of them together: `inspect` without the printing.
#![allow(clippy::expect_used, reason = "a bench that cannot make its input has nothing to measure")]

use std::io::Read;
use std::path::PathBuf;
use std::sync::LazyLock;

use divan::counter::BytesCount;
use tempfile::TempDir;
use tracegate::trace::{Trace, doors};
use tracegate_standin::{SynthOptions, synthesise};

const EVENTS: u64 = 200_000;

struct Input {
    path: PathBuf,
    inflated: u64,
    _directory: TempDir,
}

static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let gzip = std::fs::File::open(&INPUT.path).expect("the trace");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(gzip).read_to_end(&mut text).expect("a whole gzip stream");
    text
});

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
fn stage_inflate(bencher: divan::Bencher<'_, '_>) {
    let input = &*INPUT;
    bencher.counter(BytesCount::new(input.inflated)).bench(|| doors::inflate(&input.path));
}

#[divan::bench(sample_count = 20)]
fn stage_scan(bencher: divan::Bencher<'_, '_>) {
    let text = &*TEXT;
    bencher.counter(BytesCount::new(text.len())).bench(|| doors::scan(text));
}

#[divan::bench(sample_count = 20)]
fn stage_scan_and_parse(bencher: divan::Bencher<'_, '_>) {
    let text = &*TEXT;
    bencher.counter(BytesCount::new(text.len())).bench(|| doors::read(text, 256 << 10).events);
}

#[divan::bench(sample_count = 20)]
fn stage_steps_and_gaps_of_40_000() -> usize {
    doors::steps(40_000)
}

fn main() {
    divan::main();
}
