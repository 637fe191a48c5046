//! What the crate depends on: licences and second versions as `deny.toml` allows them, each dependency with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::common::root;
use serde_json::Value;

/// Every package of the lock file that is built here, tests' own included.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--all-features"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn deny() -> toml::Table {
    std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap()
}

/// Takes `A OR B AND C` for `(A OR B) AND C`: an expression read too strictly is looked at by a person.
fn allowed(expression: &str, allow: &BTreeSet<&str>) -> bool {
    let expression = expression.replace(['(', ')'], "").replace('/', " OR ");
    expression.split(" AND ").all(|part| part.split(" OR ").any(|one| allow.contains(one.trim())))
}

#[test]
fn every_licence_is_allowed_and_every_allowance_is_used() {
    let deny = deny();
    let allow: BTreeSet<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let packages = packages();
    let licence = |package: &Value| package["license"].as_str().unwrap_or("none").to_owned();
    for package in &packages {
        assert!(allowed(&licence(package), &allow), "{}: {}", package["name"], licence(package));
    }
    for name in &allow {
        let others: BTreeSet<&str> = allow.iter().copied().filter(|other| other != name).collect();
        let needed = packages.iter().any(|package| !allowed(&licence(package), &others));
        assert!(needed, "{name} is allowed and no package needs it");
    }
}

/// The part of a version that semantic versioning lets break: `1`, `0.22`.
fn series(version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    if parts[0] == "0" { format!("0.{}", parts[1]) } else { parts[0].to_owned() }
}

#[test]
fn every_second_version_has_its_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap().to_owned();
        versions.entry(name).or_default().insert(series(package["version"].as_str().unwrap()));
    }
    versions.retain(|_, versions| versions.len() > 1);
    let deny = deny();
    let skipped = deny["bans"]["skip"].as_array().unwrap();
    for skip in skipped {
        assert!(!skip["reason"].as_str().unwrap().is_empty());
        let (name, version) = skip["crate"].as_str().unwrap().split_once('@').unwrap();
        let known = versions.get_mut(name).is_some_and(|versions| versions.remove(version));
        assert!(known, "{name}@{version} is skipped and is no second version any more");
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "second versions without a reason in deny.toml: {versions:?}");
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let manifest = manifest("Cargo.toml") + &manifest("standin/Cargo.toml");
    let (mut inside, mut before, mut seen) = (false, "", 0);
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once(" = ")
        {
            assert!(before.starts_with('#'), "{name} stands without a reason above it");
            seen += 1;
        }
        before = line;
    }
    assert!(seen > 40, "{seen}");
}
