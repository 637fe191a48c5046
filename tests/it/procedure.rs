//! Procedure files: what is accepted, and where errors point.

use std::path::Path;

use tracegate::procedure::{Procedure, ProcedureError, builtin};

const SHIPPED: &str = include_str!("../../procedures/async_single_request.toml");

fn error_of(text: &str) -> String {
    match Procedure::parse(Path::new("p.toml"), text) {
        Err(ProcedureError::Invalid(located)) => located.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted:\n{text}"),
    }
}

/// Line of the shipped file that contains a text, from 1.
fn line_of(part: &str) -> usize {
    SHIPPED.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn the_shipped_procedure_says_what_the_manual_says() {
    let procedure = &builtin().unwrap()[0];
    assert_eq!(procedure.server.model, "facebook/opt-125m");
    assert_eq!(procedure.server.max_num_seqs, Some(128));
    assert_eq!(procedure.server.max_model_len, Some(256));
    assert_eq!(procedure.server.dtype.as_deref(), Some("bfloat16"));
    assert_eq!(procedure.server.env["VLLM_PROMPT_SEQ_BUCKET_MAX"], "128");
    let request = &procedure.load.request[0];
    assert_eq!((request.prompt.as_str(), request.max_tokens), ("San Francisco is a", 7));
    assert!(request.temperature.abs() < f64::EPSILON);
}

#[test]
fn errors_point_at_file_line_and_key() {
    for (from, to, place, said) in [
        ("max_tokens = 7", "max_token = 7", line_of("max_tokens = 7"), "unknown field `max_token`"),
        ("max_tokens = 7", "max_tokens = \"7\"", line_of("max_tokens = 7"), "invalid type: string \"7\""),
        ("max_tokens = 7", "max_tokens = 0", line_of("max_tokens = 7"), "must be at least 1"),
        ("max_tokens = 7", "max_tokens = 256", line_of("max_tokens = 7"), "leaves no room for the prompt"),
        ("temperature = 0.0", "temperature = 9.0", line_of("temperature"), "must be between 0 and 2"),
        (
            "hw_trace = \"off\"",
            "hw_trace = \"maybe\"",
            line_of("hw_trace = \"off\""),
            "unknown variant `maybe`",
        ),
        ("stop = \"10m\"", "stop = 600", line_of("stop = \"10m\""), "a time with its unit"),
        ("stop = \"10m\"", "stop = \"0s\"", line_of("stop = \"10m\""), "longer than nothing"),
        ("sequence = \"P D{6}\"", "sequence = \"P X\"", line_of("sequence ="), "'X' is no kind of step"),
        ("sequence = \"P D{6}\"", "sequence = \"P D{\"", line_of("sequence ="), "is no pattern"),
        ("[gaps.gaudi]", "[gaps.moon]", line_of("[gaps.gaudi]"), "unknown variant `moon`"),
    ] {
        let text = SHIPPED.replacen(from, to, 1);
        assert_ne!(text, SHIPPED, "{from}");
        let error = error_of(&text);
        assert!(error.starts_with(&format!("p.toml:{place}:")), "{to}: {error}");
        assert!(error.contains(said), "{to}: {error}");
    }
}

#[test]
fn errors_name_the_key() {
    let error = error_of(&SHIPPED.replacen("max_tokens = 7", "max_tokens = 0", 1));
    assert!(error.contains("`load.request[0].max_tokens`: "), "{error}");
    let error = error_of(&SHIPPED.replacen("stop = \"10m\"", "stop = 600", 1));
    assert!(error.contains("`deadlines.stop`: "), "{error}");
    let error = error_of(&SHIPPED.replacen("name = \"async_single_request\"", "name = \"Async\"", 1));
    assert!(error.contains("`name`: "), "{error}");
}

#[test]
fn a_window_without_load_is_refused() {
    let start = SHIPPED.find("[[load.request]]").unwrap();
    let end = SHIPPED.find("[deadlines]").unwrap();
    let text = format!("{}[load]\n\n{}", &SHIPPED[..start], &SHIPPED[end..]);
    assert!(error_of(&text).contains("needs [[load.request]] or [load.bench]"));
}

#[test]
fn broken_toml_is_located_too() {
    assert!(error_of("name = \n").starts_with("p.toml:1:"));
}
