//! Damage between the ends of a file: one event is lost at most, and what is lost is counted.

use tracegate::trace::DefectKind;

use super::{OP, STEP, expect, object, read, with};
use crate::common::{text, tracegate};

#[test]
fn a_whole_object_has_no_problems() {
    let trace = expect(&with(OP), 3, 1, &[]);
    assert_eq!(trace.steps[0].duration_ns.as_ns(), 2_250);
    assert_eq!(trace.categories["cpu_op"].duration_ns, 2_000);
}

#[test]
fn invalid_utf8_in_a_name() {
    // pytorch#136180, HTA#324.
    let mut bytes = with(r#"{"ph":"X","cat":"cpu_op","name":"bad?byte","ts":1,"dur":1}"#);
    let place = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[place] = 0xff;
    expect(&bytes, 3, 1, &["invalid_utf8 x1"]);
}

#[test]
fn control_characters_in_a_name() {
    // perfetto#598, pytorch#130622.
    expect(
        &with("{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"a\x01b\",\"ts\":1,\"dur\":1}"),
        3,
        1,
        &["control_character x1"],
    );
}

#[test]
fn bad_escapes_in_a_name() {
    // pytorch#98432: a Windows path.
    expect(
        &with(r#"{"ph":"X","cat":"cpu_op","name":"torch\cuda","ts":1,"dur":1}"#),
        3,
        1,
        &["bad_escape x1"],
    );
}

#[test]
fn unescaped_quotes_and_newlines_in_a_name_lose_one_event() {
    // pytorch#113001, kineto#1508. No other reader goes on after this.
    let broken = "{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"f(\"x\",\n\"y\")\",\"ts\":1,\"dur\":1,\"args\":{\"name\":\"z\"}}";
    let trace = expect(&with(broken), 2, 1, &["broken_event x1"]);
    let problem = &trace.problems[0];
    let bytes = with(broken);
    let before = String::from_utf8(bytes[..problem.offset as usize].to_vec()).unwrap();
    assert!(before.ends_with("\"name\":\"f(\""), "{before}");
    assert!(problem.detail.starts_with('x'), "{}", problem.detail);
    assert_eq!(problem.event_index, 1);
}

#[test]
fn a_damaged_last_event_does_not_hide_the_end() {
    let events = format!("{STEP},{{\"ph\":\"X\",\"name\":\"a\"b\",\"ts\":1}}");
    expect(&object(&events), 1, 1, &["broken_event x1"]);
}

#[test]
fn trailing_commas() {
    // perfetto#1822.
    expect(&object(&format!("{STEP},{OP},")), 2, 1, &["stray_comma x1"]);
    expect(&object(&format!("{STEP},,{OP}")), 2, 1, &["stray_comma x1"]);
    expect(&with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":1,"dur":1,}"#), 3, 1, &["stray_comma x1"]);
}

#[test]
fn a_missing_comma() {
    expect(&object(&format!("{STEP} {OP}")), 2, 1, &["stray_comma x1"]);
}

#[test]
fn null_and_empty_events_are_counted_apart() {
    expect(&object(&format!("{STEP},null,{{}},{OP}")), 2, 1, &["empty_event x2"]);
}

#[test]
fn ts_as_a_string() {
    // Ascend/pytorch#133.
    let trace = expect(&object(&STEP.replace("10.5", "\"10.5\"")), 1, 1, &[]);
    assert_eq!(trace.steps[0].duration_ns.as_ns(), 2_250);
}

#[test]
fn ts_null_or_missing() {
    expect(&with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":null,"dur":1}"#), 3, 1, &["bad_timestamp x1"]);
    expect(&with(r#"{"ph":"X","cat":"cpu_op","name":"a","dur":1}"#), 3, 1, &["bad_timestamp x1"]);
}

#[test]
fn dur_null_and_args_null() {
    // vllm-gaudi writes "args": null.
    expect(
        &with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":1,"dur":null,"args":null}"#),
        3,
        1,
        &["bad_timestamp x1"],
    );
    expect(&with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":1,"dur":1,"args":null}"#), 3, 1, &[]);
}

#[test]
fn duplicate_keys_last_wins() {
    let trace =
        expect(&object(&STEP.replace("\"dur\":2.25", "\"dur\":9,\"dur\":3")), 1, 1, &["duplicate_key x1"]);
    assert_eq!(trace.steps[0].duration_ns.as_ns(), 3_000);
}

#[test]
fn a_byte_order_mark() {
    let bytes = [b"\xef\xbb\xbf".as_slice(), &with(OP)].concat();
    expect(&bytes, 3, 1, &["byte_order_mark x1"]);
}

#[test]
fn nan_infinity_and_1e400() {
    expect(
        &with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":1,"dur":1,"args":{"x":NaN,"y":-Infinity}}"#),
        3,
        1,
        &["non_finite x1"],
    );
    expect(&with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":NaN,"dur":1}"#), 3, 1, &["bad_timestamp x1"]);
    expect(&with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":1e400,"dur":1}"#), 3, 1, &["bad_timestamp x1"]);
    expect(&with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":1,"dur":1,"args":{"x":1e400}}"#), 3, 1, &[]);
}

#[test]
fn integers_beyond_64_bits() {
    // HTA#324: communicator ids.
    expect(
        &with(
            r#"{"ph":"X","cat":"cpu_op","name":"a","ts":1,"dur":1,"args":{"Comms Id":340282366920938463463374607431768211456}}"#,
        ),
        3,
        1,
        &[],
    );
    expect(
        &with(r#"{"ph":"X","cat":"cpu_op","name":"a","ts":99999999999999999999,"dur":1}"#),
        3,
        1,
        &["bad_timestamp x1"],
    );
}

#[test]
fn brackets_inside_names_and_trace_name() {
    // kineto#888.
    let bytes = format!(
        "{{\"traceName\":\"a]}}{{[\",\"traceEvents\":[{STEP},{{\"ph\":\"X\",\"cat\":\"c\",\"name\":\"]}},{{\",\"ts\":1,\"dur\":1}}],\"x\":\"]\"}}"
    );
    expect(bytes.as_bytes(), 2, 1, &[]);
}

#[test]
fn overlapping_steps_are_kept() {
    // perfetto#4280 drops overlapping slices; every one counts here.
    let second = STEP.replace("10.5", "11.5");
    let trace = expect(&object(&format!("{STEP},{second}")), 2, 2, &["overlapping_slices x1"]);
    assert_eq!(trace.steps[1].gap_ns.unwrap().as_ns(), -1_250);
}

#[test]
fn overlapping_operators_are_kept() {
    let other = OP.replace("\"ts\":11", "\"ts\":11.5");
    let trace = expect(&object(&format!("{OP},{other}")), 2, 0, &[]);
    assert_eq!(trace.categories["cpu_op"].duration_ns, 2_000);
}

#[test]
fn begin_and_end_pairs_nest_per_lane() {
    let event = |ph: &str, name: &str, tid: u32, ts: u32| {
        format!(
            "{{\"ph\":\"{ph}\",\"cat\":\"Bridge\",\"name\":\"{name}\",\"pid\":\"Spans\",\"tid\":{tid},\"ts\":{ts}}}"
        )
    };
    let events = [
        event("B", "outer", 1, 0),
        event("B", "other", 2, 1),
        event("B", "inner", 1, 2),
        event("E", "", 1, 3),
        event("E", "", 2, 4),
        event("E", "", 1, 9),
    ];
    let trace = expect(&object(&events.join(",")), 6, 0, &[]);
    assert_eq!(trace.categories["Bridge"].duration_ns, 9_000 + 1_000 + 3_000);
}

#[test]
fn an_end_in_front_of_its_begin_is_paired() {
    let event = |ph: &str, ts: u32| {
        format!("{{\"ph\":\"{ph}\",\"cat\":\"Bridge\",\"name\":\"a\",\"pid\":1,\"tid\":1,\"ts\":{ts}}}")
    };
    let events = [event("E", 9), event("B", 4), event("B", 1), event("E", 2)];
    let trace = expect(&object(&events.join(",")), 4, 0, &[]);
    assert_eq!(trace.categories["Bridge"].duration_ns, 5_000 + 1_000);
}

#[test]
fn times_that_end_beyond_64_bits_are_named() {
    let late = OP.replace("\"ts\":1", "\"ts\":9223372036854775.807");
    assert_ne!(late, OP);
    expect(&object(&late), 1, 0, &["bad_timestamp x1"]);
}

#[test]
fn dangling_begins_and_ends() {
    let begin = r#"{"ph":"B","name":"a","pid":1,"tid":1,"ts":1}"#;
    let end = r#"{"ph":"E","pid":1,"tid":2,"ts":1}"#;
    expect(&object(&format!("{begin},{end}")), 2, 0, &["dangling_begin x1", "dangling_end x1"]);
}

#[test]
fn negative_and_zero_durations() {
    expect(&object(&STEP.replace("2.25", "-1")), 1, 1, &["negative_duration x1"]);
    let trace = expect(&object(&STEP.replace("2.25", "0")), 1, 1, &[]);
    assert_eq!(trace.steps[0].duration_ns.as_ns(), 0);
}

#[test]
fn flows_counters_and_metadata_are_counted_only() {
    let others = r#"{"ph":"s","id":1,"pid":1,"tid":1,"ts":1,"cat":"ac2g","name":"ac2g"},{"ph":"C","name":"c","ts":1,"args":{"":1}},{"ph":"M","name":"process_name","pid":1,"args":{"name":"VLLM::Worker"}},{"ph":"i","s":"g","name":"i","ts":1}"#;
    expect(&object(others), 4, 0, &[]);
}

#[test]
fn a_ten_megabyte_name() {
    let long = format!(
        "{{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"{}\",\"ts\":1,\"dur\":1}}",
        "n".repeat(10 << 20)
    );
    expect(&with(&long), 3, 1, &[]);
}

#[test]
fn an_event_too_large_to_hold_is_passed_over() {
    let huge = format!("{{\"ph\":\"X\",\"name\":\"{}\",\"ts\":1}}", "n".repeat(40 << 20));
    expect(&with(&huge), 2, 1, &["oversized_event x1"]);
}

#[test]
fn nesting_ten_thousand_deep() {
    let deep = format!(
        "{{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"a\",\"ts\":1,\"dur\":1,\"args\":{}{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    expect(&with(&deep), 3, 1, &[]);
}

#[test]
fn metadata_around_the_events_in_any_order() {
    let info = r#""distributedInfo":{"backend":"hccl","rank":3,"world_size":8},"vllm_version":"0.32.0""#;
    for bytes in
        [format!("{{{info},\"traceEvents\":[{STEP}]}}"), format!("{{\"traceEvents\":[{STEP}],{info}}}")]
    {
        let trace = expect(bytes.as_bytes(), 1, 1, &[]);
        assert_eq!((trace.rank, trace.world_size), (Some(3), Some(8)));
        assert_eq!(trace.vllm_version.as_deref(), Some("0.32.0"));
    }
}

#[test]
fn damaged_metadata_loses_no_event() {
    let bytes = format!("{{\"a\":\"b\" \"c\",\"traceEvents\":[{STEP},{OP}],\"z\":1}}");
    expect(bytes.as_bytes(), 2, 1, &["broken_metadata x1"]);
    let bytes = format!("{{\"traceEvents\":[{STEP},{OP}],\"z\":oops oops}}");
    expect(bytes.as_bytes(), 2, 1, &["broken_metadata x1"]);
}

#[test]
fn a_bare_array_may_stay_open() {
    // The Gaudi plugin's server_events are never closed and end with a comma.
    expect(format!("[{STEP},{OP}]").as_bytes(), 2, 1, &[]);
    expect(format!("[{STEP},\n{OP},\n").as_bytes(), 2, 1, &["unclosed_array x1"]);
}

#[test]
fn events_complete_and_the_object_open() {
    let bytes = object(OP);
    let end = String::from_utf8(bytes.clone()).unwrap().find("],").unwrap();
    expect(&bytes[..=end], 1, 0, &["unclosed_object x1"]);
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rank0.1.pt.trace.json");
    let name = "{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"\x1b[31m<script>|`\",\"ts\":1,\"dur\":1}";
    std::fs::write(&path, with(name)).unwrap();
    for form in ["text", "markdown", "json"] {
        let output = tracegate().args(["inspect", "--format", form]).arg(&path).output().unwrap();
        let out = text(&output.stdout);
        assert!(out.contains("control_character"), "{form}: {out}");
        assert!(!out.contains('\x1b'), "{form}: {out}");
    }
}

#[test]
fn a_step_with_an_impossible_count_is_a_step_of_unknown_kind_and_said() {
    let name = STEP.replace("context_1(4)", "context_1(99999999999999999999999)");
    expect(&object(&format!("{STEP},{name}")), 2, 2, &["unreadable_annotation x1"]);
}

#[test]
fn two_arrays_of_events_both_count() {
    let bytes = format!("{{\"traceEvents\":[{STEP}],\"traceEvents\":[{OP}],\"z\":1}}");
    expect(bytes.as_bytes(), 2, 1, &["duplicate_key x1"]);
}

/// The event behind the damage is whole, and must be read: only the damaged one is lost.
#[test]
fn the_event_behind_the_damage_is_read() {
    let open = OP.strip_suffix('}').unwrap();
    for damage in [format!("{open},"), "garbage ".to_owned(), "/* x */".to_owned()] {
        let trace = read(&object(&format!("{OP},{damage}{STEP},{OP}")));
        assert_eq!(trace.steps.len(), 1, "{damage}");
        assert_eq!(trace.problems[0].code, DefectKind::BrokenEvent, "{damage}");
    }
}

/// Found by a reader: a forward slice in a form that is not known was passed over without a word.
#[test]
fn a_forward_slice_that_cannot_be_read_is_said() {
    let slice = r#"{"ph":"X","name":"model_forward_bs4_seq1_ctx2","pid":1,"tid":3,"ts":10,"dur":2}"#;
    expect(&object(slice), 1, 0, &["unreadable_annotation x1"]);
}
