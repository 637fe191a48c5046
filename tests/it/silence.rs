//! Clean runs are silent: other arrivals, machines and commits make no difference to a reviewed snapshot.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{root, text, tracegate};

/// Clean runs that are compared.
const SEEDS: u64 = 50;
/// Runs at a time: most of a run is waiting.
const AT_ONCE: usize = 12;

/// The shipped procedure under another seed: requests that arrive at other times, on a server that is slower
/// or faster by a few percent and writes other pids, hosts, thread names, line numbers, addresses and hashes.
fn procedure(directory: &Path, name: &str, seed: u64) -> String {
    let text = std::fs::read_to_string(root().join(format!("procedures/{name}.toml"))).unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    if let Some(bench) = table["load"].as_table_mut().unwrap().get_mut("bench") {
        let bench = bench.as_table_mut().unwrap();
        // Mean distances of 4 to 20 ms beside steps of 4 and 12 ms: alone, batched, chunked and mixed.
        let rate = 50.0 * (1 + seed % 5) as f64;
        bench.insert("request_rate".to_owned(), rate.into());
        bench.insert("seed".to_owned(), (seed as i64).into());
    }
    let arguments: Vec<String> = ["--seed", "--disguise"]
        .iter()
        .flat_map(|flag| [(*flag).to_owned(), seed.to_string()])
        .chain([
            "--max-num-batched-tokens".to_owned(),
            if seed.is_multiple_of(2) { "2048" } else { "200" }.to_owned(),
        ])
        .collect();
    table["server"].as_table_mut().unwrap().insert("args".to_owned(), arguments.into());
    let path = directory.join(format!("{name}.toml"));
    std::fs::write(&path, table.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The steps of a clean run, as letters; what was said where it was not silent.
fn play(seed: u64) -> Result<String, String> {
    let name = if seed.is_multiple_of(5) { "async_single_request" } else { "async_multiple_requests" };
    let directory = tempfile::tempdir().unwrap();
    let procedure = procedure(directory.path(), name, seed);
    let output = tracegate()
        .args(["run", &procedure, "--format", "json", "--snapshots"])
        .arg(root().join("snapshots"))
        .arg("--out")
        .arg(directory.path().join("runs"))
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() != Some(0) {
        return Err(format!("seed {seed}: {err}{out}"));
    }
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let checks = json["runs"][0]["verdict"]["checks"].as_array().unwrap();
    let detail = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["result"], "pass", "{check}");
        check["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("snapshot").starts_with("equal to "), "compared, and not skipped");
    Ok(detail("order"))
}

#[test]
fn fifty_clean_seeds_make_no_difference() {
    let next = AtomicU64::new(0);
    let work = || {
        let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        seeds.take_while(|seed| *seed < SEEDS).map(play).collect::<Vec<_>>()
    };
    let played: Vec<Result<String, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(played.len() as u64, SEEDS);
    let wrong: Vec<&String> = played.iter().filter_map(|played| played.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{} seeds were not silent:\n{}", wrong.len(), wrong[0]);
    // Silence would be cheap if every seed ran the same.
    let orders: BTreeSet<&String> = played.iter().flatten().collect();
    assert!(orders.len() >= 8, "only {orders:?}");
}
