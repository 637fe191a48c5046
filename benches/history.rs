//! From the bytes of a history to verdicts: three years of nights of eight procedures on three lanes.
#![allow(clippy::expect_used, reason = "a bench that cannot make its input has nothing to measure")]

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use divan::counter::BytesCount;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tracegate::history::{History, verdicts};

const NIGHTS: u64 = 3 * 365;

struct Input {
    path: PathBuf,
    _directory: TempDir,
}

static INPUT: LazyLock<Input> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("history.jsonl");
    let mut random = StdRng::seed_from_u64(0);
    let mut text = String::new();
    for night in 0..NIGHTS {
        let time = UNIX_EPOCH + Duration::from_secs((20_000 + night) * 86_400);
        let utc = humantime::format_rfc3339_seconds(time).to_string();
        for lane in ["standin", "vllm-cpu", "gaudi"] {
            for procedure in 0..8 {
                line(&mut text, &utc, lane, procedure, &mut random);
            }
        }
    }
    std::fs::write(&path, text).expect("a history");
    Input { path, _directory: directory }
});

fn line(text: &mut String, utc: &str, lane: &str, procedure: usize, random: &mut StdRng) {
    let mut values = |centre: f64| {
        let one = |random: &mut StdRng| format!("{:.0}", centre * (0.97 + 0.06 * random.random::<f64>()));
        (0..5).map(|_| one(random)).collect::<Vec<_>>().join(",")
    };
    let metrics: Vec<String> = [
        ("gap.decode_to_decode.p50", 1e6),
        ("gap.prompt_to_decode.p50", 1.1e6),
        ("gap.decode_to_mixed.p50", 1.2e6),
        ("step.decode.p50", 4e6),
        ("step.prompt.p50", 9e6),
        ("client.ttft.p50", 12e6),
        ("client.itl.p50", 5e6),
        ("client.e2el.p50", 90e6),
    ]
    .into_iter()
    .map(|(name, centre)| {
        format!("\"{name}\":{{\"unit\":\"ns\",\"dir\":\"lower\",\"values\":[{}]}}", values(centre))
    })
    .collect();
    let night = &utc[..10];
    writeln!(
        text,
        "{{\"schema_version\":1,\"record\":\"night\",\"run_id\":\"{night}-{lane}-{procedure}\",\"runs\":[\"1795496725060315600\",\"1795496726060315600\",\"1795496727060315600\",\"1795496728060315600\",\"1795496729060315600\"],\"night\":\"{night}\",\"utc\":\"{utc}\",\"lane\":\"{lane}\",\"procedure\":\"procedure_{procedure}\",\"epoch\":0,\"machine_class\":\"machine x8\",\"machine\":{{\"cpu\":\"a processor\",\"count\":8,\"kernel\":\"6.8.0\"}},\"model\":\"facebook/opt-125m\",\"sw\":{{\"vllm\":\"0.32.0\",\"torch\":\"2.9.0\",\"tracegate\":\"0.1.0\"}},\"cfg_hash\":\"0123456789abcdef\",\"n_reps\":5,\"metrics\":{{{}}},\"structural\":{{\"passed\":true,\"checks\":{{\"ranks\":\"pass\",\"frontend\":\"pass\",\"presence\":\"pass\",\"order\":\"pass\",\"ledger\":\"pass\",\"batches\":\"n/a\",\"client_times\":\"pass\",\"gaps\":\"pass\",\"recompiles\":\"pass\",\"leftovers\":\"pass\"}}}},\"snapshot_hash\":\"fedcba9876543210\",\"verdict\":\"pass\"}}",
        metrics.join(",")
    )
    .expect("a String");
}

/// Read, fold, judge every night of every series, date changes.
#[divan::bench(sample_count = 10)]
fn verdict_of_26_280_records(bencher: divan::Bencher<'_, '_>) {
    let size = std::fs::metadata(&INPUT.path).expect("the history").len();
    bencher.counter(BytesCount::new(size)).bench(|| {
        let history = History::read(&INPUT.path).expect("the history");
        assert!(history.damage.is_empty(), "{:?}", history.damage.first());
        assert_eq!(history.nights.len(), 26_280);
        let judged = verdicts(&history, None);
        assert_eq!(judged.series.len(), 24);
        judged
    });
}

fn main() {
    divan::main();
}
