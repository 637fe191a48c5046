//! The schema of procedures in the hands of a validator that is not ours, and the page that teaches writing one.

use std::path::Path;

use crate::common::{root, text, tracegate};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn committed() -> Self {
        let path = root().join("procedures/schema.json");
        let mut schemas = Schemas::new();
        let index = Compiler::new().compile(path.to_str().unwrap(), &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn refuses(&self, procedure: &str) -> Option<String> {
        let table: toml::Table = procedure.parse().unwrap();
        let value: Value = serde_json::to_value(table).unwrap();
        self.0.validate(&value, self.1).err().map(|error| format!("{error:#}"))
    }
}

fn shipped() -> Vec<(String, String)> {
    let files = std::fs::read_dir(root().join("procedures")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_shipped_procedure_is_valid_and_names_its_schema() {
    let schema = Schema::committed();
    let shipped = shipped();
    assert_eq!(shipped.len(), 10);
    for (file, procedure) in shipped {
        assert_eq!(schema.refuses(&procedure), None, "{file}");
        assert!(procedure.starts_with("#:schema ./schema.json\n"), "{file}");
    }
}

#[test]
fn what_the_reader_refuses_by_its_types_the_schema_refuses_too() {
    let schema = Schema::committed();
    let single = std::fs::read_to_string(root().join("procedures/async_single_request.toml")).unwrap();
    for (from, to) in [
        ("max_tokens = 7", "max_token = 7"),
        ("max_tokens = 7", "max_tokens = \"7\""),
        ("hw_trace = \"off\"", "hw_trace = \"maybe\""),
        ("stop = \"10m\"", "stop = 600"),
        ("stop = \"10m\"", "stop = \"10\""),
        ("[gaps.gaudi]", "[gaps.moon]"),
        ("sequence = \"P D{6}\"", ""),
    ] {
        let changed = single.replacen(from, to, 1);
        assert_ne!(changed, single, "{from}");
        assert!(schema.refuses(&changed).is_some(), "{to}");
    }
}

#[test]
fn the_schema_is_printed_by_its_verb() {
    let output = tracegate().arg("schema").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let committed = std::fs::read_to_string(root().join("procedures/schema.json")).unwrap();
    assert_eq!(text(&output.stdout), committed);
}

/// The procedure on the page and the checks that it adds later, as a reader would copy them.
fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/authoring.md")).unwrap();
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_example_of_the_page_runs_as_it_stands() {
    let examples = examples();
    let [procedure, checks] = examples.as_slice() else { panic!("a procedure and its checks") };
    let example = format!("{procedure}\n{checks}");
    assert_eq!(Schema::committed().refuses(procedure), None);
    assert_eq!(Schema::committed().refuses(&example), None);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chat_pair.toml");
    std::fs::write(&file, example).unwrap();
    let plan = tracegate().arg("plan").arg(&file).output().unwrap();
    assert_eq!(plan.status.code(), Some(0), "{}", text(&plan.stderr));
    let ran = run(&file, directory.path());
    assert_eq!(ran.1, Some(0), "{}", ran.0);
    for said in [
        "pass  order        P D{4} P D{2}",
        "pass  ledger",
        "pass  check:no_waits budget sync 0",
        "pass  check:attention op vllm::unified_attention* 12",
        "pass  check:small_batches batch 1",
        "pass  check:steady_host gap decode_to_decode p90 1.",
        "verdict: pass",
    ] {
        assert!(ran.0.contains(said), "{said}\n{}", ran.0);
    }
    // One of them is asked on Gaudi only.
    assert!(!ran.0.contains("check:one_launch"), "{}", ran.0);
}

/// The page says what a mistyped key and a wrong number look like.
#[test]
fn the_page_shows_the_failures_that_happen() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("chat_pair.toml"),
        examples()[0].replacen("max_tokens = 5", "max_token = 5", 1),
    )
    .unwrap();
    let mut plan = tracegate();
    let refused = plan.current_dir(directory.path()).args(["plan", "./chat_pair.toml"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let file = directory.path().join("chat_pair.toml");
    let wrong = examples()[0].replacen("P D{4} P D{2}", "P D{5} P D{3}", 1);
    std::fs::write(&file, wrong).unwrap();
    let (out, code) = run(&file, directory.path());
    assert_eq!(code, Some(1), "{out}");
    let page = std::fs::read_to_string(root().join("docs/authoring.md")).unwrap();
    let line = out.lines().find(|line| line.starts_with("FAIL  order")).unwrap();
    let typo = "\n[[check]]\nname = \"matmuls\"\nquantity = \"op aten::admm\"\nmin = 1\n";
    std::fs::write(&file, examples()[0].clone() + typo).unwrap();
    let (named, _) = run(&file, directory.path());
    let named = named.lines().find(|line| line.starts_with("FAIL  check:matmuls")).unwrap();
    for shown in [line, named, text(&refused.stderr).trim_end()] {
        assert!(page.contains(shown), "{shown}");
    }
}

fn run(file: &Path, out: &Path) -> (String, Option<i32>) {
    let output = tracegate().arg("run").arg(file).arg("--out").arg(out).output().unwrap();
    (text(&output.stdout) + &text(&output.stderr), output.status.code())
}
