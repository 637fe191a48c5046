//! `[[check]]`: what can be bounded, what a broken bound says, and what is refused when the file is read.

use std::path::Path;

use crate::common::{root, text, tracegate};
use tracegate::procedure::{Procedure, ProcedureError};

fn with_checks(checks: &str) -> String {
    let shipped = std::fs::read_to_string(root().join("procedures/async_single_request.toml")).unwrap();
    format!("{shipped}\n{checks}")
}

fn check(name: &str, body: &str) -> String {
    format!("[[check]]\nname = \"{name}\"\n{body}\n\n")
}

#[test]
fn each_quantity_is_bounded_and_says_what_it_saw() {
    let directory = tempfile::tempdir().unwrap();
    let rows: &[(&str, &str, &str)] = &[
        // Name, body, and what the verdict says of it.
        (
            "matmuls",
            "quantity = \"op aten::addmm\"\nphase = \"decode\"\nmin = 48\nmax = 48",
            "pass op aten::addmm 48",
        ),
        (
            "views",
            "quantity = \"op aten::slice\"\nmax = 119",
            "fail op aten::slice is 123 in step 0 (prompt), at most 119 is allowed",
        ),
        ("family", "quantity = \"op vllm::*\"\nmax = 24", "pass op vllm::* 24"),
        (
            "typo",
            "quantity = \"op aten::admm\"\nmin = 1",
            "fail op aten::admm is 0 in step 0 (prompt), at least 1 is expected (no operator of this name ran; there are aten::addmm",
        ),
        ("never", "quantity = \"op aten::nonzero\"\nmax = 0", "pass op aten::nonzero 0"),
        (
            "greedy",
            "quantity = \"sampler _C::greedy_argmax\"\nmin = 1\nmax = 1",
            "pass sampler _C::greedy_argmax 1",
        ),
        ("waits", "quantity = \"budget sync\"\nphase = \"decode\"\nmax = 0", "pass budget sync 0"),
        (
            "launches",
            "quantity = \"budget graph_calls\"\nmin = 2",
            "fail budget graph_calls is 1 in step 0 (prompt), at least 2 is expected",
        ),
        ("batch", "quantity = \"batch\"\nmax = 1", "pass batch 1"),
        (
            "prompt",
            "quantity = \"context_tokens\"\nphase = \"prompt\"\nmin = 4\nmax = 4",
            "pass context_tokens 4",
        ),
        (
            "tokens",
            "quantity = \"generation_tokens\"\nphase = \"decode\"\nmax = 0",
            "fail generation_tokens is 1 in step 1 (decode), at most 0 is allowed",
        ),
        ("decodes", "quantity = \"steps\"\nphase = \"decode\"\nmin = 6\nmax = 6", "pass steps 6"),
        ("mixed", "quantity = \"steps\"\nphase = \"mixed\"\nmax = 0", "pass steps 0"),
        ("compiles", "quantity = \"recompiles\"\nmax = 0", "pass recompiles 0"),
        (
            "gap",
            "quantity = \"gap decode_to_decode p90\"\nmin = \"100us\"\nmax = \"2ms\"",
            "pass gap decode_to_decode p90 1.00",
        ),
        (
            "short",
            "quantity = \"gap decode_to_decode max\"\nmax = \"100us\"",
            "fail gap decode_to_decode max is 1.00",
        ),
        (
            "none",
            "quantity = \"gap mixed_to_decode p50\"\nmax = \"2ms\"",
            "not_applicable no gap mixed_to_decode in the trace",
        ),
        (
            "nothing",
            "quantity = \"op aten::mm\"\nphase = \"mixed\"\nmax = 1",
            "not_applicable no mixed step in the trace",
        ),
    ];
    let checks: String = rows.iter().map(|(name, body, _)| check(name, body)).collect();
    let elsewhere = check("elsewhere", "quantity = \"steps\"\nmax = 0\nlanes = [\"gaudi\"]");
    let procedure = directory.path().join("async_single_request.toml");
    std::fs::write(&procedure, with_checks(&(checks + &elsewhere))).unwrap();
    let output = tracegate()
        .args(["run", procedure.to_str().unwrap(), "--format", "json", "--out"])
        .arg(directory.path().join("runs"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let verdict = &json["runs"][0]["verdict"];
    for (name, _, expected) in rows {
        let found =
            verdict["checks"].as_array().unwrap().iter().find(|c| c["name"] == format!("check:{name}"));
        let said =
            found.map(|c| format!("{} {}", c["result"].as_str().unwrap(), c["detail"].as_str().unwrap()));
        assert!(said.as_ref().is_some_and(|said| said.starts_with(expected)), "{name}: {said:?}");
    }
    assert!(!text(&output.stdout).contains("check:elsewhere"), "it is of another lane");
    // Decided again from the directory alone.
    let directory = json["runs"][0]["directory"].as_str().unwrap();
    let again = tracegate().args(["check", directory, "--format", "json"]).output().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text(&again.stdout)).unwrap(), *verdict);
}

#[test]
fn what_could_not_fail_or_is_not_meant_is_refused_with_its_line() {
    for (body, key, said) in [
        ("quantity = \"ops aten::mm\"\nmax = 1", "quantity", "is no quantity; there are \"op NAME\""),
        ("quantity = \"budget D2H\"\nmax = 1", "quantity", "is no budget; there are d2h"),
        ("quantity = \"gap decode p50\"\nmax = \"1ms\"", "quantity", "is no pair of prompt, decode"),
        ("quantity = \"batch\"", "quantity", "needs min or max, or it could not fail"),
        ("quantity = \"batch\"\nmin = 0", "min", "could not fail"),
        ("quantity = \"batch\"\nmin = 3\nmax = 2", "min", "3 is above max = 2"),
        ("quantity = \"batch\"\nmax = \"2ms\"", "max", "a count needs a number"),
        ("quantity = \"gap decode_to_decode max\"\nmax = 2", "max", "a gap needs a time"),
        ("quantity = \"recompiles\"\nphase = \"decode\"\nmax = 0", "phase", "is not per phase"),
        ("quantity = \"batch\"\nmax = -1", "max", "expected a number, or a time"),
        ("quantity = \"batch\"\nmaximum = 1", "maximum", "unknown field `maximum`"),
        ("quantity = \"batch\"\nphase = \"prefill\"\nmax = 1", "phase", "unknown variant `prefill`"),
    ] {
        let text = with_checks(&check("mine", body));
        let Err(ProcedureError::Invalid(error)) = Procedure::parse(Path::new("p.toml"), &text) else {
            unreachable!("{body} was accepted")
        };
        let line =
            1 + text.lines().collect::<Vec<_>>().iter().rposition(|line| line.starts_with(key)).unwrap();
        let error = error.to_string();
        assert!(error.starts_with(&format!("p.toml:{line}:")), "{body}: {error}");
        assert!(error.contains(said), "{body}: {error}");
    }
    let twice = check("mine", "quantity = \"batch\"\nmax = 1").repeat(2);
    assert!(
        Procedure::parse(Path::new("p.toml"), &with_checks(&twice))
            .unwrap_err()
            .to_string()
            .contains("two checks")
    );
}
