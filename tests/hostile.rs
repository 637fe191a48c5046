//! Every odd input the reader must bear: the facts and the problems it must yield. Cases come from
//! the wild; the issue is named where there is one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::path::PathBuf;

use common::{gzip, text, tracegate};
use tracegate::trace::{DefectKind, Trace};

const STEP: &str = r#"{"ph":"X","cat":"user_annotation","name":"execute_context_1(4)_generation_0(0)","pid":1,"tid":1,"ts":10.5,"dur":2.25}"#;
const OP: &str =
    r#"{"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":11,"dur":1,"args":{"External id":3}}"#;

/// An object with three events, the middle one given.
fn with(middle: &str) -> Vec<u8> {
    object(&format!("{STEP},{middle},{OP}"))
}

fn object(events: &str) -> Vec<u8> {
    format!("{{\"schemaVersion\":1,\"traceEvents\":[{events}],\"traceName\":\"t\"}}").into_bytes()
}

fn read(bytes: &[u8]) -> Trace {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rank0.1.pt.trace.json");
    std::fs::write(&path, bytes).unwrap();
    Trace::read(&path)
}

/// Reads and compares events, steps, and problems as `code x count`.
#[track_caller]
fn expect(bytes: &[u8], events: u64, steps: usize, problems: &[&str]) -> Trace {
    let trace = read(bytes);
    let seen: Vec<String> =
        trace.problems.iter().map(|problem| format!("{} x{}", problem.code.code(), problem.count)).collect();
    assert_eq!(
        (trace.events, trace.steps.len(), seen),
        (events, steps, problems.iter().map(|p| (*p).to_owned()).collect())
    );
    // The same bytes inside gzip say the same.
    let zipped = read(&gzip(bytes));
    assert_eq!((zipped.events, zipped.steps.len()), (events, steps), "as gzip");
    trace
}

#[track_caller]
fn fatal(bytes: &[u8], code: DefectKind, offset: u64, events: u64) {
    let trace = read(bytes);
    let problem = trace.fatal().unwrap_or_else(|| panic!("not fatal: {:?}", trace.problems));
    assert_eq!((problem.code, problem.offset, trace.events), (code, offset, events), "{problem:?}");
}

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
fn concatenated_members() {
    // sglang#15326: several ranks append to one file.
    let whole = with(OP);
    let (left, right) = whole.split_at(whole.len() / 2);
    let trace = read(&[gzip(left), gzip(right)].concat());
    assert_eq!((trace.events, trace.problems[0].code, trace.problems.len()), (3, DefectKind::GzipMembers, 1));
    let two = read(&[gzip(&whole), gzip(&whole)].concat());
    let codes: Vec<DefectKind> = two.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [DefectKind::SecondTrace, DefectKind::GzipMembers, DefectKind::TrailingGarbage]);
    assert_eq!(two.events, 3, "the second document is another writer's");
}

/// Found by hand: what stood behind a bracket too many was called garbage, and half a trace decided.
#[test]
fn events_behind_the_end_forbid_a_verdict() {
    let array = format!("[{OP},{OP}],{OP},{OP}]");
    fatal(array.as_bytes(), DefectKind::SecondTrace, 2 * OP.len() as u64 + 4, 2);
    let whole = object(OP);
    let two = [whole.as_slice(), b"\n", &whole].concat();
    let at = whole.len() + 1 + whole.windows(2).position(|pair| pair == b"[{").unwrap() + 1;
    fatal(&two, DefectKind::SecondTrace, at as u64, 1);
    // Inside the object the bracket is seen to be one too many, and nothing is lost.
    let inside = format!("{{\"traceEvents\":[{OP},{OP}],{OP},{OP}],\"traceName\":\"t\"}}");
    expect(inside.as_bytes(), 4, 0, &["broken_metadata x1"]);
}

#[test]
fn trailing_garbage_and_nul_bytes() {
    for rest in [b"garbage".as_slice(), b"\0\0\0\0"] {
        let zipped = [gzip(&with(OP)).as_slice(), rest].concat();
        let trace = read(&zipped);
        assert_eq!((trace.events, trace.problems[0].code), (3, DefectKind::TrailingGarbage));
        expect(&[&with(OP), rest].concat(), 3, 1, &["trailing_garbage x1"]);
    }
}

#[test]
fn truncated_gzip_says_where_in_the_file() {
    let whole = gzip(&with(&vec![OP; 5_000].join(",")));
    let half = &whole[..whole.len() / 2];
    let trace = read(half);
    let problem = trace.fatal().unwrap();
    assert_eq!((problem.code, problem.offset), (DefectKind::TruncatedGzip, half.len() as u64));
    assert!(trace.events > 100 && trace.steps.len() == 1, "{}", trace.events);
}

#[test]
fn truncated_json_says_where_in_the_text() {
    let bytes = with(OP);
    let cut = bytes.len() - 40;
    fatal(&bytes[..cut], DefectKind::TruncatedJson, cut as u64, 2);
}

#[test]
fn damaged_gzip() {
    let mut bytes = gzip(&with(OP));
    let checksum = bytes.len() - 6;
    bytes[checksum] ^= 0xff;
    let trace = read(&bytes);
    assert_eq!(trace.fatal().unwrap().code, DefectKind::CorruptGzip);
    assert_eq!(trace.events, 3, "what was inflated is still shown");
}

#[test]
fn no_trace_at_all() {
    fatal(b"", DefectKind::EmptyFile, 0, 0);
    fatal(&gzip(b""), DefectKind::EmptyFile, 0, 0);
    fatal(b"  \n ", DefectKind::EmptyFile, 4, 0);
    fatal(b"Dear diary", DefectKind::NotATrace, 0, 0);
    fatal(b"\x7fELF\x02\x01", DefectKind::NotATrace, 0, 0);
    fatal(b"\"traceEvents\"", DefectKind::NotATrace, 0, 0);
    expect(b"{}", 0, 0, &["no_events x1"]);
    expect(b"{\"traceEvents\":{}}", 0, 0, &["no_events x1"]);
}

#[test]
fn directories_and_missing_files() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.json");
    for (path, said) in [(directory.path().to_owned(), "directory"), (missing, "No such file")] {
        let trace = Trace::read(&path);
        let problem = trace.fatal().unwrap();
        assert_eq!(problem.code, DefectKind::Unreadable);
        assert!(problem.detail.contains(said), "{}", problem.detail);
    }
}

#[test]
fn a_gzip_bomb_is_left_at_the_stated_ratio() {
    let bytes = gzip(&[b"{\"traceEvents\":[".as_slice(), &vec![b' '; 300 << 20]].concat());
    let trace = read(&bytes);
    let problem = trace.fatal().unwrap();
    assert_eq!(problem.code, DefectKind::TooLarge);
    assert!(problem.detail.contains("the limits are 300:1"), "{}", problem.detail);
}

#[test]
fn a_file_that_grows_while_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("rank0.1.pt.trace.json");
    std::fs::write(&path, object(&vec![OP; 200_000].join(","))).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let trace = std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                file.write_all(b" ").unwrap();
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(5));
        let trace = Trace::read(&path);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        trace
    });
    assert_eq!(trace.fatal().unwrap().code, DefectKind::GrowingFile);
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
fn a_step_with_an_impossible_count_is_missed_loudly() {
    let name = STEP.replace("context_1(4)", "context_1(99999999999999999999999)");
    expect(&object(&format!("{STEP},{name}")), 2, 1, &["unreadable_annotation x1"]);
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
