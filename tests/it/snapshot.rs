//! Snapshots through the public API: a text reads as it is written, and differences are found by what they mean.

use std::path::Path;

use crate::common::{root, text, tracegate};
use proptest::prelude::*;
use tracegate::snapshot::{Group, Snapshot};

fn reviewed(lane: &str, procedure: &str) -> String {
    std::fs::read_to_string(root().join(format!("snapshots/{lane}/{procedure}.snap"))).unwrap()
}

/// The reviewed text of a real run, with a count that clean runs disagree on.
fn with_interval() -> String {
    let text = reviewed("vllm-cpu", "async_multiple_requests");
    let wider =
        text.replace("\naten::slice: 156\n", "\naten::slice: prompt 159, mixed 159, decode 156..159\n");
    assert_ne!(wider, text);
    wider
}

/// The groups and sentences of what differs once `change` is made to the reviewed text.
fn changed(text: &str, change: impl Fn(&str) -> String) -> Vec<(Group, String)> {
    let before = Snapshot::parse(text).unwrap();
    let after = change(text);
    assert_ne!(after, text, "the change must change something");
    let differences = before.differences(&Snapshot::parse(&after).unwrap());
    let sentence = |d: &tracegate::snapshot::Difference| {
        let phase = d.phase.as_ref().map_or_else(String::new, |phase| format!("{phase} "));
        (d.group, format!("{phase}{} {} {}", d.what, d.before, d.after))
    };
    differences.iter().map(sentence).collect()
}

#[test]
fn each_change_is_named_by_what_it_means() {
    let real = with_interval();
    let single = reviewed("standin", "async_single_request");
    let replaced = |from: &'static str, to: &'static str| move |text: &str| text.replace(from, to);
    for (text, from, to, expected) in [
        (
            &real,
            "\naten::relu: 12\n",
            "\naten::gelu: 12\naten::relu: 12\n",
            vec![
                (Group::OpAdded, "prompt aten::gelu 0 12"),
                (Group::OpAdded, "mixed aten::gelu 0 12"),
                (Group::OpAdded, "decode aten::gelu 0 12"),
            ],
        ),
        (
            &real,
            "\naten::relu: 12\n",
            "\naten::relu: prompt 12, mixed 12\n",
            vec![(Group::OpRemoved, "decode aten::relu 12 0")],
        ),
        (
            &real,
            "decode 156..159",
            "decode 156..160",
            vec![(Group::OpMore, "decode aten::slice 156..159 156..160")],
        ),
        (&real, "decode 156..159", "decode 150", vec![(Group::OpFewer, "decode aten::slice 156..159 150")]),
        (&real, "aten::argmax: one 1", "aten::argmax: one 2", vec![(Group::Sampler, "one aten::argmax 1 2")]),
        (&real, "\nd2h: 0", "\nd2h: decode 1", vec![(Group::Budget, "decode d2h 0 1")]),
        (
            &real,
            "recompiles 0",
            "recompiles 2",
            vec![(Group::ExtraRecompile, "recompiles in the window 0 2")],
        ),
        (&real, "idle 0..4", "idle 5", vec![(Group::Steps, "idle steps 0..4 5")]),
        (
            &real,
            "evidence annotation",
            "evidence frames",
            vec![(Group::Evidence, "evidence annotation frames")],
        ),
        (
            &real,
            "generation_tokens 12",
            "generation_tokens 11",
            vec![(Group::Ledger, "generation tokens of the trace 12 11")],
        ),
        (
            &single,
            "step decode context 0(0) generation 1(1) x6\n",
            "",
            vec![(Group::MissingPhase, "decode steps 6 0")],
        ),
        (&single, "x6", "x7", vec![(Group::Steps, "decode steps 6 7")]),
        (
            &single,
            "decode_to_decode: 0.2",
            "decode_to_decode: 1",
            vec![(Group::Ratio, "decode to decode gap/step 0.2 1")],
        ),
    ] {
        let expected: Vec<(Group, String)> =
            expected.into_iter().map(|(group, sentence)| (group, sentence.to_owned())).collect();
        assert_eq!(changed(text, replaced(from, to)), expected, "{from:?} to {to:?}");
    }
}

#[test]
fn a_call_that_moves_is_shown_with_what_it_stands_under() {
    let single = reviewed("standin", "async_single_request");
    let moved = changed(&single, |text| {
        text.replace("    vllm::unified_attention_with_output\n      _C", "    vllm::attention\n      _C")
    });
    let sentences: Vec<&str> = moved.iter().map(|(_, sentence)| sentence.as_str()).collect();
    let layer = "## Call CompiledFxGraph <H> ## > x12 >";
    assert_eq!(
        sentences,
        [
            format!("prompt calls {layer} vllm::unified_attention_with_output {layer} vllm::attention"),
            format!("decode calls {layer} vllm::unified_attention_with_output {layer} vllm::attention"),
        ]
    );
    assert!(moved.iter().all(|(group, _)| *group == Group::Tree));
}

#[test]
fn what_a_reviewed_snapshot_allows_is_no_difference() {
    let text = with_interval();
    let before = Snapshot::parse(&text).unwrap();
    for (from, to) in [
        // One value of an interval, no mixed step at all, other versions.
        ("decode 156..159", "decode 157"),
        ("idle 0..4", "idle 2"),
        ("seen vllm 0.32.0+cpu", "seen vllm 0.32.1+cpu, torch 2.14.0"),
    ] {
        let after = text.replace(from, to);
        assert_ne!(after, text, "{from}");
        assert_eq!(before.differences(&Snapshot::parse(&after).unwrap()), [], "{from} to {to}");
    }
}

#[test]
fn damage_is_named_with_its_line_and_never_passed_over() {
    let text = reviewed("standin", "async_single_request");
    // insta's header has a line of its own with the lane.
    let (_, text) = text.split_once("\n---\n").unwrap();
    for (from, to, reason) in [
        ("tracegate-snapshot 2", "tracegate-snapshot 1", "\"tracegate-snapshot 2\" is expected"),
        ("aten::addmm: 48", "aten::addmm 48", "is no fact of this section"),
        ("aten::addmm: 48", "aten::addmm: 48..12", "is no fact of this section"),
        ("[budgets prompt decode]", "[budget prompt decode]", "is no section"),
        ("[ops prompt decode]", "[ops prefill decode]", "is no section"),
        ("requests 1", "requests one", "is no fact of this section"),
        ("lane standin", "place standin", "is no fact of this section"),
        ("aten::addmm: 48", "<<<<<<< HEAD", "a merge conflict"),
        ("aten::add: 3", "aten::addmm: 48", "or stands twice"),
        ("[calls prompt decode]", "[calls]", "is no section"),
    ] {
        let damaged = text.replacen(from, to, 1);
        let error = Snapshot::parse(&damaged).unwrap_err();
        // Of a line that stands twice, the second is one too many.
        let lines: Vec<&str> = damaged.lines().collect();
        let line = 1 + lines.iter().rposition(|line| line.starts_with(to)).unwrap();
        assert_eq!(error.line, line, "{to}");
        assert!(error.reason.contains(reason), "{to}: {error}");
    }
    assert!(Snapshot::parse("").is_err());
    // What is not there would allow anything.
    for (gone, reason) in [
        ("[ledger]\nrequests 1\nprompt_tokens 4\noutput_tokens 7\n", "[ledger] is missing"),
        ("prompt_tokens 4\n", "prompt_tokens is missing"),
        ("recompiles 0\n", "recompiles is missing"),
        ("idle 1\n", "idle is missing"),
        ("procedure async_single_request\n", "the procedure or the lane is missing"),
    ] {
        let damaged = text.replacen(gone, "", 1);
        assert_ne!(damaged, text, "{gone}");
        let error = Snapshot::parse(&damaged).unwrap_err();
        assert!(error.reason.contains(reason), "{gone}: {error}");
    }
    let windows = text.replace('\n', "\r\n");
    assert_eq!(Snapshot::parse(&windows), Snapshot::parse(text));
}

/// Found by a second reader: whole sections could vanish from a run, or from the reviewed file, unseen.
#[test]
fn a_section_that_vanishes_is_a_difference_on_either_side() {
    let text = reviewed("standin", "async_single_request");
    let whole = Snapshot::parse(&text).unwrap();
    for (section, group) in [
        ("ops", Group::OpAdded),
        ("refresh", Group::Sampler),
        ("sampler", Group::Sampler),
        ("budgets", Group::Budget),
        ("calls", Group::Tree),
        ("gap/step", Group::Ratio),
    ] {
        let at = text.find(&format!("[{section}")).unwrap();
        let end = text[at..].find("\n\n").map_or(text.len(), |end| at + end + 2);
        let less = Snapshot::parse(&format!("{}{}", &text[..at], &text[end..])).unwrap();
        let groups = |differences: Vec<tracegate::snapshot::Difference>| {
            differences.into_iter().map(|difference| difference.group).collect::<Vec<_>>()
        };
        assert!(groups(less.differences(&whole)).contains(&group), "reviewed without {section}");
        // A lane that measures no ratios is no difference, and a call tree needs operators.
        if !["gap/step", "calls"].contains(&section) {
            let gone = if group == Group::OpAdded { Group::OpRemoved } else { group };
            assert!(groups(whole.differences(&less)).contains(&gone), "seen without {section}");
        }
    }
}

#[test]
fn diff_says_what_a_fault_changed_and_leaves_with_the_contracts_codes() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = tracegate()
            .args(["run", "async_single_request", "--format", "json", "--out"])
            .arg(directory.path())
            .args(arguments)
            .output()
            .unwrap();
        let json: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        json["runs"][0]["directory"].as_str().unwrap().to_owned()
    };
    let diff = |arguments: &[&str]| {
        let output = tracegate().arg("diff").args(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (clean, extra) = (run(&[]), run(&["--fault", "extra-item"]));
    let file = root().join("snapshots/standin/async_single_request.snap");
    let file = file.to_str().unwrap();
    let traces = format!("{clean}/traces");
    for (before, after) in [(file, clean.as_str()), (clean.as_str(), traces.as_str()), (&traces, file)] {
        assert_eq!(diff(&[before, after]).0, 0, "{before} {after}: {}", diff(&[before, after]).1);
    }
    let (code, out, _) = diff(&[&clean, &extra]);
    assert_eq!(code, 1);
    assert!(out.starts_with("BUDGET\n  decode: item 0 → 1\n\n"), "{out}");
    assert!(out.contains("-item: 0\n+item: decode 1\n"), "{out}");
    assert!(out.contains("normalised: ") && out.contains("raw: traces/rank0."), "{out}");
    let (code, out, _) = diff(&[&extra, file, "--format", "json"]);
    assert_eq!(code, 1);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["differences"][0]["group"], "budget");
    assert_eq!(json["differences"][0]["before"], "1");
    let (code, out, _) = diff(&[&clean, &extra, "--format", "markdown"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("    BUDGET\n      decode: item 0 → 1\n"), "{out}");
    // What cannot be read is no difference.
    let cut = directory.path().join("rank0.1.pt.trace.json.gz");
    let whole = std::fs::read_dir(&traces).unwrap().flatten().map(|entry| entry.path());
    let whole = whole.filter(|path| path.extension().is_some_and(|end| end == "gz")).max().unwrap();
    let bytes = std::fs::read(whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let cut = cut.to_str().unwrap().to_owned();
    for damaged in [cut.as_str(), "/nonexistent", "/nonexistent.snap"] {
        let (code, out, err) = diff(&[&clean, damaged]);
        assert_eq!((code, out.as_str()), (3, ""), "{damaged}: {err}");
        assert!(err.starts_with("error: "), "{err}");
    }
}

/// Found by a second reader: moved away from its snapshots, a failed run was decided as passed.
#[test]
fn a_moved_run_is_compared_with_what_it_was_compared_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let shipped = root().join("snapshots/standin/async_single_request.snap");
    std::fs::create_dir_all(path("snapshots/standin")).unwrap();
    std::fs::copy(&shipped, path("snapshots/standin/async_single_request.snap")).unwrap();
    let output = tracegate()
        .args(["run", "async_single_request", "--fault", "extra-d2h", "--snapshots"])
        .arg(path("snapshots"))
        .arg("--out")
        .arg(path("runs"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    std::fs::rename(path("runs/standin/async_single_request-1"), path("moved")).unwrap();
    std::fs::rename(path("snapshots"), path("gone")).unwrap();
    let check = |arguments: &[&str]| {
        let output = tracegate().arg("check").arg(path("moved")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = check(&[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("BUDGET decode: d2h 0 → 1 (reviewed: the run's own reviewed.snap)"), "{said}");
    // A directory that is named and not there is a mistake, and a file that cannot be read is not nothing.
    assert_eq!(check(&["--snapshots", "/nonexistent"]).0, 2);
    std::fs::write(path("gone/standin/async_single_request.snap"), b"\xff\xfe").unwrap();
    let (code, said) = check(&["--snapshots", path("gone").to_str().unwrap()]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cannot be read"), "{said}");
}

/// A worker trace of one prompt step and of decode steps that run these operators in this order.
fn trace(directory: &Path, decodes: &[&[&str]]) -> String {
    let slice = |cat: &str, name: &str, ts: usize, dur: usize| serde_json::json!({"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur});
    let mut events = vec![slice("user_annotation", "execute_context_1(4)_generation_0(0)", 0, 900)];
    for (number, operators) in decodes.iter().enumerate() {
        let start = 1_000 * (number + 1);
        events.push(slice("user_annotation", "execute_context_0(0)_generation_1(1)", start, 900));
        let place = |(at, name): (usize, &&str)| slice("cpu_op", name, start + 1 + 10 * at, 5);
        events.extend(operators.iter().enumerate().map(place));
    }
    std::fs::create_dir_all(directory).unwrap();
    let file = directory.join("rank0.1.pt.trace.json");
    std::fs::write(&file, serde_json::json!({"traceEvents": events}).to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Found by a second reader: shapes of call trees beyond the fourth were not looked at.
#[test]
fn more_shapes_than_are_kept_are_a_difference() {
    let orders: [&[&str]; 10] = [
        &["a::x", "a::y", "a::z", "a::w"],
        &["a::x", "a::z", "a::y", "a::w"],
        &["a::y", "a::x", "a::z", "a::w"],
        &["a::y", "a::z", "a::x", "a::w"],
        &["a::z", "a::x", "a::y", "a::w"],
        &["a::z", "a::y", "a::x", "a::w"],
        &["a::w", "a::x", "a::y", "a::z"],
        &["a::w", "a::x", "a::z", "a::y"],
        &["a::w", "a::y", "a::x", "a::z"],
        &["a::w", "a::y", "a::z", "a::x"],
    ];
    let directory = tempfile::tempdir().unwrap();
    let few = trace(&directory.path().join("few"), &[orders[0]; 10]);
    let eight: Vec<&[&str]> = orders.iter().take(8).chain(&orders[..2]).copied().collect();
    let eight = trace(&directory.path().join("eight"), &eight);
    let ten = trace(&directory.path().join("ten"), &orders);
    for (before, after) in [(&few, &eight), (&few, &ten), (&eight, &ten)] {
        let output = tracegate().args(["diff", before, after]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{before} {after}");
        assert!(text(&output.stdout).starts_with("TREE\n"), "{}", text(&output.stdout));
    }
}

/// Found by a second reader: names of a hostile trace became lines and sections of the snapshot.
#[test]
fn hostile_names_fit_one_line_each() {
    let directory = tempfile::tempdir().unwrap();
    let names =
        ["[rank 0]", "[x]: 5]", "a\nb", "tail ", "\u{a0}", "", "x3", "a: decode 3", "\u{1b}[2J", "- x"];
    let file = trace(directory.path(), &[&names, &names]);
    let run = tempfile::tempdir().unwrap();
    let other = trace(run.path(), &[&names[1..], &names[1..]]);
    let output = tracegate().args(["diff", &file, &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let output = tracegate().args(["diff", &file, &other]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("OP REMOVED\n  decode: (rank 0] 1 → 0\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

proptest! {
    /// Whatever stands in the lines: no panic, and what is read is written and read back as itself.
    #[test]
    fn any_text_is_read_or_refused(lines in prop::collection::vec(line(), 0..40)) {
        let head = "procedure p\nlane standin\n[ledger]\nrequests 1\nprompt_tokens 4\noutput_tokens 7";
        let rank = "[rank 0]\nevidence annotation\nidle 1\ncontext_tokens 4\ngeneration_tokens 6\nrecompiles 0";
        let text = format!("tracegate-snapshot 2\n{head}\n{rank}\n{}", lines.join("\n"));
        if let Ok(snapshot) = Snapshot::parse(&text) {
            let written = snapshot.to_string();
            let again = Snapshot::parse(&written);
            prop_assert_eq!(again.map(|snapshot| snapshot.to_string()), Ok(written));
            prop_assert_eq!(snapshot.differences(&snapshot), []);
        }
    }
}

/// Lines of snapshots, whole and damaged.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(
            "[rank 1]\nevidence frames\nidle 0..2\ncontext_tokens unknown\ngeneration_tokens 1\nrecompiles 2"
                .to_owned()
        ),
        "(step|problem) [a-z0-9(). ]{1,12}",
        Just("[ops prompt decode]".to_owned()),
        Just("[sampler one several]".to_owned()),
        Just("[budgets prompt]".to_owned()),
        Just("[calls prompt decode]".to_owned()),
        Just("[calls prompt decode or]".to_owned()),
        Just("[gap/step]".to_owned()),
        "[a-z:]{1,6}: [0-9]{1,3}(\\.\\.[0-9]{1,3})?",
        "[a-z: ]{1,6}: (prompt|decode|one) [0-9]{1,3}, (decode|several) [0-9]{1,2}",
        "(  ){0,3}[a-z:]{1,5}( x[0-9])?",
        ".{0,20}",
    ]
}
