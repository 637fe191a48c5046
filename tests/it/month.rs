//! A simulated month through the real commands: thirty nights of the stand-in, the gap 12 % longer from night 20 on.

use std::path::{Path, PathBuf};

use crate::common::{root, text, tracegate};

/// Normal quantiles at 1/31 … 30/31 in a fixed order that no trend follows: the noise of the nights, without chance.
const NOISE: [f64; 30] = [
    0.12, -0.86, 0.45, 1.30, -0.29, -1.85, 0.62, 0.04, -0.53, 1.00, -1.13, 0.37, -0.04, 0.86, -0.71, 1.52,
    -0.37, 0.20, -1.30, 0.53, 0.29, -0.12, -1.00, 0.71, 1.13, -0.62, -0.20, 1.85, -0.45, -1.52,
];

/// The shipped procedure with the times that the stand-in plays that night.
fn procedure(directory: &Path, night: usize, repetition: usize) -> PathBuf {
    let shipped = std::fs::read_to_string(root().join("procedures/async_single_request.toml")).unwrap();
    let planted = if night >= 20 { 1.12 } else { 1.0 };
    let gap = (1.0 + 0.02 * NOISE[night - 1]) * planted;
    let args = format!(
        "[server]\nargs = [\"--seed\", \"{}\", \"--gap-ms\", \"{gap:.4}\", \"--warmup-ms\", \"0\"]\n",
        night * 100 + repetition
    );
    let played = shipped.replace("[server]\n", &args);
    assert_ne!(played, shipped);
    let path = directory.join(format!("night{night}-{repetition}.toml"));
    std::fs::write(&path, played).unwrap();
    path
}

fn night(number: usize) -> String {
    format!("2026-10-{number:02}")
}

/// Takes three to five minutes: 150 runs. `cargo test --release --test it month -- --ignored`, with
/// `TRACEGATE_MONTH=DIR` to keep its history, page and summary.
#[test]
#[ignore = "150 runs of the stand-in"]
fn thirty_nights_end_in_the_right_verdict_page_and_summary() {
    let scratch = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("TRACEGATE_MONTH").map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    std::fs::create_dir_all(&kept).unwrap();
    let history = kept.join("history.jsonl");
    let _ = std::fs::remove_file(&history);
    let mut said = Vec::new();
    let mut last = Vec::new();
    for number in 1..=30 {
        let out = scratch.path().join(night(number));
        for repetition in 0..5 {
            let ran = tracegate()
                .args(["run", "--quiet", "--out"])
                .arg(&out)
                .arg(procedure(scratch.path(), number, repetition))
                .output()
                .unwrap();
            assert_eq!(ran.status.code(), Some(0), "{}{}", text(&ran.stdout), text(&ran.stderr));
        }
        last = (1..=5).map(|one| out.join(format!("standin/async_single_request-{one}"))).collect::<Vec<_>>();
        let plugin = if number < 20 { "vllm-commit=aaaa111" } else { "vllm-commit=bbbb222" };
        let recorded = tracegate()
            .args(["history", "record", "--night", &night(number), "--sw", plugin, "--history"])
            .arg(&history)
            .args(["--machine-class", "simulated"])
            .args(&last)
            .output()
            .unwrap();
        assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded.stderr));
        let judged = tracegate().args(["history", "verdict", "--history"]).arg(&history).output().unwrap();
        said.push((number, judged.status.code().unwrap(), text(&judged.stdout)));
    }
    for (number, code, out) in &said {
        let expected = match number {
            // Four metrics need fifteen nights.
            1..=14 => 5,
            15..=21 => 0,
            _ => 4,
        };
        assert_eq!(*code, expected, "night {number}: {out}");
    }
    let (_, _, end) = &said[29];
    assert!(end.contains("the decode to decode gap (p50) grew by"), "{end}");
    assert!(end.contains("on 2026-10-20"), "{end}");
    assert!(end.contains("changed that night: vllm-commit aaaa111 -> bbbb222"), "{end}");
    let page = kept.join("report.html");
    let report = |form: &str, path: &Path| {
        let reported = tracegate()
            .args(["report", "--format", form, "--history"])
            .arg(&history)
            .arg("-o")
            .arg(path)
            .arg(&last[0])
            .output()
            .unwrap();
        assert_eq!(reported.status.code(), Some(0), "{}", text(&reported.stderr));
        std::fs::read_to_string(path).unwrap()
    };
    let html = report("html", &page);
    assert!(html.contains("<p class=\"word\">REGRESSED</p>"));
    let summary = report("markdown", &kept.join("summary.md"));
    assert!(summary.starts_with("# REGRESSED\n"), "{summary}");
    std::fs::write(kept.join("verdict.txt"), end).unwrap();
}
