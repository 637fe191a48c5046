//! The differences shown in `docs/review.md` are made by real faults: each block is what `tracegate diff` prints.

use std::path::Path;

use crate::common::{root, text, tracegate};

/// Block of the page, and what the second run is given. The first run is clean.
const BLOCKS: [(&str, &[&str]); 8] = [
    ("missing-prompt", &["--fault", "missing-prompt"]),
    ("drop-decode", &["--fault", "drop-decode"]),
    ("recompile", &["--fault", "recompile"]),
    ("swapped-ops", &["--fault", "swapped-ops"]),
    ("changed-ops", &["--fault", "changed-ops"]),
    ("extra-d2h", &["--fault", "extra-d2h"]),
    ("sampler-swap", &["--fault", "sampler-swap"]),
    ("slow-host", &[]),
];

/// Leaves the run as `DIRECTORY/NAME`.
fn run(directory: &Path, name: &str, arguments: &[&str]) {
    let shipped = std::fs::read_to_string(root().join("procedures/async_single_request.toml")).unwrap();
    let procedure = directory.join(name).join("async_single_request.toml");
    std::fs::create_dir_all(procedure.parent().unwrap()).unwrap();
    // Gaps of 5 ms in place of 1 ms.
    let slow = "max_model_len = 256\nargs = [\"--gap-ms\", \"5\"]";
    let text = if name == "slow-host" { shipped.replace("max_model_len = 256", slow) } else { shipped };
    std::fs::write(&procedure, text).unwrap();
    let output = tracegate()
        .args(["run", procedure.to_str().unwrap(), "--quiet", "--out"])
        .arg(directory.join("runs").join(name))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{name}: {output:?}");
    std::fs::remove_dir_all(procedure.parent().unwrap()).unwrap();
    std::fs::rename(
        directory.join("runs").join(name).join("standin/async_single_request-1"),
        directory.join(name),
    )
    .unwrap();
}

/// The page with each block as it is printed now.
fn page(shown: &[(String, String)], text: &str) -> String {
    let mut page = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("<!-- diff ") {
        let (before, after) = rest.split_at(at);
        let (name, behind) = after["<!-- diff ".len()..].split_once(" -->\n").unwrap();
        let (_, behind) = behind.split_once("<!-- end -->").unwrap();
        let block = &shown.iter().find(|(known, _)| known == name).unwrap().1;
        page += &format!("{before}<!-- diff {name} -->\n```diff\n{block}```\n<!-- end -->");
        rest = behind;
    }
    page + rest
}

#[test]
fn every_difference_on_the_page_is_what_diff_prints() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| run(directory.path(), "clean", &[]));
        for (name, arguments) in BLOCKS {
            let path = directory.path();
            scope.spawn(move || run(path, name, arguments));
        }
    });
    let diff = |name: &str| {
        let output =
            tracegate().current_dir(directory.path()).args(["diff", "clean", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        // Where the raw trace is changes from run to run.
        let lines = text(&output.stdout);
        let lines = lines.lines().filter(|line| !line.starts_with("normalised: "));
        let shown = lines.collect::<Vec<_>>().join("\n");
        format!("{}\n", shown.trim_end())
    };
    let shown: Vec<(String, String)> =
        BLOCKS.iter().map(|(name, _)| ((*name).to_owned(), diff(name))).collect();
    let path = root().join("docs/review.md");
    let text = std::fs::read_to_string(&path).unwrap();
    for (name, _) in BLOCKS {
        assert!(text.contains(&format!("<!-- diff {name} -->")), "{name} is not on the page");
    }
    let expected = page(&shown, &text);
    if std::env::var_os("TRACEGATE_WRITE_PAGE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "TRACEGATE_WRITE_PAGE=1 cargo test --test it review_page");
}
