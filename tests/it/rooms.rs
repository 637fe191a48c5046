//! Data flows one way: each room may use the rooms named here and no others. What `ARCHITECTURE.md` says of rooms is
//! held by this table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Room, and what it may use. Earlier rooms never use later ones.
const MAY_USE: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("time", &[]),
    ("panic", &[]),
    ("stats", &[]),
    ("wait", &[]),
    ("lock", &[]),
    ("atomic", &[]),
    ("output", &["text"]),
    // Reads files and knows nothing of servers, lanes or procedures.
    ("trace", &["text", "time"]),
    // The crate `tracegate-standin`. It cannot use any room: the writer and the reader of traces must be able to disagree.
    (STANDIN, &[]),
    ("reexec", &[STANDIN]),
    ("lane", &["lock", "reexec", STANDIN, "text", "trace"]),
    ("procedure", &["lane", STANDIN, "trace"]),
    ("plan", &["lane", "procedure", STANDIN, "trace"]),
    ("server", &["output", "plan", "procedure", "reexec", "text", "wait"]),
    ("client", &["plan", "procedure", "server", "text", "time"]),
    (
        "run",
        &[
            "atomic",
            "client",
            "lane",
            "lock",
            "plan",
            "procedure",
            "server",
            STANDIN,
            "text",
            "time",
            "trace",
            "wait",
        ],
    ),
    ("session", &["lane", "lock", "plan", "run", "server", STANDIN, "text"]),
    ("observe", &["client", "plan", "procedure", "run", "text", "time", "trace"]),
    ("snapshot", &["lane", "observe", "plan", "run", "text", "trace"]),
    ("judge", &["client", "observe", "panic", "plan", "procedure", "run", "snapshot", "time", "trace"]),
    ("history", &["client", "judge", "lane", "plan", "run", "stats", "text", "time"]),
    (
        "report",
        &[
            "client", "history", "judge", "lane", "observe", "plan", "run", "snapshot", STANDIN, "stats",
            "text", "time", "trace",
        ],
    ),
    ("job", &["judge", "lane", "plan", "procedure", "report", "run", STANDIN, "session"]),
    (
        "cli",
        &[
            "history",
            "job",
            "judge",
            "lane",
            "output",
            "plan",
            "procedure",
            "reexec",
            "report",
            "run",
            "server",
            "session",
            "snapshot",
            STANDIN,
            "text",
            "trace",
        ],
    ),
];

/// The stand-in is a crate of its own.
const STANDIN: &str = "tracegate_standin";

/// What other crates call uses everything.
const LAST: &str = "harness";

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}

/// Rooms named by `crate::ROOM`, and the stand-in, in the code of a file, its tests and comments left out.
fn uses(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut rooms = BTreeSet::new();
    for line in lines {
        if line.contains("tracegate_standin::") {
            rooms.insert(STANDIN.to_owned());
        }
        for part in line.split("crate::").skip(1) {
            rooms.insert(part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
        }
    }
    rooms
}

#[test]
fn rooms_use_earlier_rooms_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "bin", LAST].contains(&room.as_str()) {
            continue;
        }
        let Some(may) = allowed.get(room.as_str()) else {
            wrong.push(format!("{room}: a room without a line in MAY_USE"));
            continue;
        };
        for used in uses(&std::fs::read_to_string(&file).unwrap()) {
            if used != room && !may.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let manifest = std::fs::read_to_string(root.parent().unwrap().join("standin/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    assert!(!manifest["dependencies"].as_table().unwrap().contains_key("tracegate"), "the stand-in is alone");
    // The table itself has no way back.
    for (place, (room, may)) in MAY_USE.iter().enumerate() {
        for used in *may {
            let before = MAY_USE[..place].iter().any(|(earlier, _)| earlier == used);
            assert!(before, "{room} may not use {used}, which comes later or is no room");
        }
    }
}
