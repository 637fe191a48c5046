//! What `inspect` does with whatever file a user holds: read it, or refuse it by name. The files are made here, in the
//! shape that other tools write.

mod device;
mod exported;
mod writers;

use std::path::{Path, PathBuf};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{gzip, text, tracegate};

/// A directory with files of given names and bytes.
fn files(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    directory
}

fn slice(cat: &str, name: &str, ts: u32, dur: u32) -> String {
    format!(r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":7,"tid":7,"ts":{ts},"dur":{dur},"args":{{}}}}"#)
}

fn step(name: &str, ts: u32, dur: u32) -> String {
    slice("user_annotation", name, ts, dur)
}

/// Kineto's object around events, with keys of its own in front.
fn object(keys: &str, events: &[String]) -> Vec<u8> {
    format!("{{{keys}\"traceEvents\":[{}]}}", events.join(",")).into_bytes()
}

fn prompt_and_decode() -> [String; 2] {
    [
        step("execute_context_1(4)_generation_0(0)", 100, 50),
        step("execute_context_0(0)_generation_1(1)", 200, 50),
    ]
}

fn inspect(arguments: &[&str], path: &Path) -> (Option<i32>, Value, String) {
    let output =
        tracegate().args(["inspect", "--format", "json"]).args(arguments).arg(path).output().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, text(&output.stderr))
}

fn names(json: &Value) -> Vec<String> {
    let name = |trace: &Value| {
        PathBuf::from(trace["file"].as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned()
    };
    json["traces"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn what_is_not_read_is_named_and_never_printed_raw() {
    let mut tar = vec![0; 1024];
    tar[..10].copy_from_slice(b"rank0.json");
    tar[257..262].copy_from_slice(b"ustar");
    let utf16: Vec<u8> = "{\"traceEvents\":[]}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xff\xfe".as_slice(), &utf16].concat();
    let perfetto = b"\x0a\x07\x50\x07\xe2\x03\x02\x08\x01\x0a\x02\x50\x07";
    for (name, bytes, said) in [
        ("a.pftrace", perfetto.as_slice(), "Perfetto"),
        ("renamed.json", perfetto, "Perfetto"),
        ("a.zip", b"PK\x03\x04\x14\0\x08\0", "a zip archive"),
        ("a.tar", &tar, "a tar archive"),
        ("a.json.bz2", b"BZh91AY&SY\xd8\xaa", "bunzip2 -c"),
        ("a.json.xz", b"\xfd7zXZ\0\0\x04", "xz -dc"),
        ("a.sqlite", b"SQLite format 3\0\x10\0", "SQLite"),
        ("a.nsys-rep", b"\x13\x9c\x02\xff\x00", "Nsight Systems"),
        ("a.hltv", b"\x07\x00\xfe\x01\x1b[31m", "perfetto.habana.ai"),
        ("a.xplane.pb", b"\x0a\x0d\x08\x01\x12\x09/host:CPU", "XPlane"),
        ("snapshot.pickle", b"\x80\x04\x95\x10\0\0", "snapshot of memory"),
        ("utf16.json", &marked, "iconv -f UTF-16"),
        ("unmarked.json", &utf16, "iconv -f UTF-16"),
        ("page.json", b"<!DOCTYPE html><html>", "markup"),
        ("lfs.json.gz", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("noise", b"\x1b[2J\x01\x02\xff\xfe", "bytes of no known form: 1b 5b 32 4a 01"),
    ] {
        for packed in [bytes.to_vec(), gzip(bytes)] {
            let directory = files(&[(name, &packed)]);
            let output = tracegate().arg("inspect").arg(directory.path().join(name)).output().unwrap();
            assert_eq!(output.status.code(), Some(3), "{name}");
            let (out, error) = (text(&output.stdout), text(&output.stderr));
            assert!(error.contains(said) && error.contains("what to do"), "{name}: {error}");
            assert!(out.contains("no trace") && !out.contains("worker"), "{name}: {out}");
            let shown = |c: char| c == '\n' || !c.is_control() && c != '\u{fffd}';
            assert!(error.chars().chain(out.chars()).all(shown), "{name}: {error}{out}");
        }
    }
}

#[test]
fn zstd_is_read_and_half_of_it_decides_nothing() {
    let many: Vec<String> = (0..4_000).map(|at| slice("cpu_op", &format!("op{}", at % 7), at, 1)).collect();
    let events = [&prompt_and_decode()[..], &many].concat();
    let packed = compress_to_vec(object("", &events).as_slice(), CompressionLevel::Fastest);
    let directory = files(&[("rank0.json.zst", &packed), ("cut.json.zst", &packed[..packed.len() / 2])]);
    let (code, json, _) = inspect(&[], &directory.path().join("rank0.json.zst"));
    assert_eq!((code, &json["traces"][0]["events"]), (Some(0), &4_002.into()));
    assert_eq!(json["traces"][0]["problems"], serde_json::json!([]));
    let (code, _, error) = inspect(&[], &directory.path().join("cut.json.zst"));
    assert_eq!(code, Some(3));
    assert!(error.contains("truncated_zstd at byte"), "{error}");
}

/// It was "worker, 2 events".
#[test]
fn a_list_of_other_objects_is_no_trace() {
    for json in [r#"[{"a":1},{"b":2}]"#, r#"{"traceEvents":[{"name":"x","duration":5}]}"#] {
        let directory = files(&[("execution_details.json", json.as_bytes())]);
        let (code, json, error) = inspect(&[], &directory.path().join("execution_details.json"));
        assert_eq!((code, &json["traces"][0]["problems"][0]["code"]), (Some(3), &"not_a_trace".into()));
        assert!(error.contains("none has a phase"), "{error}");
    }
    // One event with a time suffices.
    let directory = files(&[("a.json", br#"[{"a":1},{"name":"x","ts":1}]"#)]);
    assert_eq!(inspect(&[], &directory.path().join("a.json")).0, Some(0));
}

#[test]
fn files_are_recognised_by_what_stands_in_them() {
    let trace = object("", &prompt_and_decode());
    let directory = files(&[
        ("rank-0.json.gz", &gzip(&trace)),
        ("1741-TP-1-DECODE.trace.json.gz", &gzip(&trace)),
        ("rank2_trace.json", &trace),
        ("noname", &trace),
        ("rank0.json.gz.truth.json", br#"{"events":2,"steps":[{"index":0}]}"#),
        ("notes.txt", b"traceEvents"),
        ("deeper/rank9.json", &trace),
    ]);
    let (code, json, _) = inspect(&[], directory.path());
    assert_eq!(code, Some(0));
    assert_eq!(
        names(&json),
        ["1741-TP-1-DECODE.trace.json.gz", "noname", "rank-0.json.gz", "rank2_trace.json"]
    );
    let ranks: Vec<&Value> = json["traces"].as_array().unwrap().iter().map(|trace| &trace["rank"]).collect();
    assert_eq!(ranks, [&1.into(), &Value::Null, &0.into(), &2.into()]);
    let (code, json, _) = inspect(&["--recursive"], directory.path());
    assert_eq!((code, names(&json).len()), (Some(0), 5));
    // The content outweighs the name.
    let says = object(r#""distributedInfo":{"rank":5,"world_size":8},"#, &prompt_and_decode());
    let directory = files(&[("rank0.json", &says)]);
    assert_eq!(inspect(&[], &directory.path().join("rank0.json")).1["traces"][0]["rank"], 5);
}

#[test]
fn directories_are_gone_into_where_nothing_lies_at_the_top() {
    let trace = object("", &prompt_and_decode());
    let directory =
        files(&[("x/rank0.json", &trace), ("y/z/rank1.json", &trace), ("y/a.pftrace", b"\x0a\x02\x50\x07")]);
    let (code, json, _) = inspect(&[], directory.path());
    assert_eq!((code, names(&json)), (Some(0), vec!["rank0.json".to_owned(), "rank1.json".to_owned()]));
    let (code, _, error) = inspect(&[], &directory.path().join("y/z/.."));
    assert_eq!(code, Some(0), "{error}");
    let directory = files(&[("y/a.pftrace", b"\x0a\x02\x50\x07")]);
    let (code, _, error) = inspect(&[], directory.path());
    assert_eq!(code, Some(3));
    assert!(
        error.contains("no trace here or below, in 1 file") && error.contains("a.pftrace: by its name"),
        "{error}"
    );
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let trace = gzip(&object("", &prompt_and_decode()));
    for form in [["--format", "json"], ["--explain-gaps", "1"]] {
        let mut command = tracegate();
        let output = command.args(["inspect", "-"]).args(form).write_stdin(trace.clone()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let out = text(&output.stdout);
        assert!(out.starts_with("-\n") || out.contains(r#""file": "-""#), "{out}");
    }
}

/// The worker of a rank, recorded at a second of the day.
fn of_rank(rank: u32, world: u32, second: u32, id: &str) -> Vec<u8> {
    let keys = format!(
        r#""distributedInfo":{{"rank":{rank},"world_size":{world}}},"trace_id":"{id}","host_name":"h{id}","baseTimeNanoseconds":1790857026000000000,"#
    );
    let at = second * 1_000_000;
    object(
        &keys,
        &[
            slice("Trace", "PyTorch Profiler (0)", at, 900),
            step("execute_context_1(4)_generation_0(0)", at + 100, 50),
            step("execute_context_0(0)_generation_1(1)", at + 200, 50),
        ],
    )
}

#[test]
fn ranks_that_are_missing_doubled_or_of_another_run_are_said() {
    let directory = files(&[
        ("a.json", &of_rank(0, 4, 10, "A")),
        ("b.json", &of_rank(1, 4, 10, "B")),
        ("b2.json", &of_rank(1, 4, 10, "B")),
        ("c.json", &of_rank(2, 4, 3_000, "C")),
        ("d.json", &of_rank(0, 2, 10, "D")),
    ]);
    let (code, json, error) = inspect(&[], directory.path());
    assert_eq!(code, Some(3));
    assert!(error.contains("ranks  2 of 4, missing 2 3"), "{error}");
    let ranks = &json["ranks"];
    assert_eq!((&ranks["world_size"], &ranks["present"]), (&4.into(), &serde_json::json!([0, 1])));
    assert_eq!(ranks["missing"], serde_json::json!([2, 3]));
    assert_eq!(
        (&ranks["duplicated"][0]["rank"], ranks["duplicated"].as_array().unwrap().len()),
        (&1.into(), 1)
    );
    assert!(ranks["duplicated"][0]["because"].as_str().unwrap().starts_with("one recording several times"));
    let because: Vec<&str> =
        ranks["foreign"].as_array().unwrap().iter().map(|file| file["because"].as_str().unwrap()).collect();
    assert!(
        because[0].contains("another time") && because[1].contains("its world has 2 ranks"),
        "{because:?}"
    );
    assert_eq!(inspect(&["--partial"], directory.path()).0, Some(0));
    // Of a file that was named nobody expects the others.
    assert_eq!(inspect(&[], &directory.path().join("a.json")).0, Some(0));
    let output = tracegate().arg("inspect").arg(directory.path()).output().unwrap();
    let out = text(&output.stdout);
    assert!(out.contains("rank 1 has 2 files") && out.contains("of another run: "), "{out}");
}

/// Stages of one recording and replicas of one engine have the same ranks.
#[test]
fn stages_and_replicas_are_no_duplicates() {
    let mut of_stages = Vec::new();
    for rank in 0..2 {
        for stage in ["EXTEND", "DECODE"] {
            of_stages.push((format!("17-TP-{rank}-{stage}.trace.json"), of_rank(rank, 2, 5, "A")));
        }
        of_stages.push((format!("dp1_tp{rank}_rank{rank}.1.pt.trace.json"), of_rank(rank, 2, 5, "B")));
    }
    let of_stages: Vec<(&str, &[u8])> = of_stages.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let directory = files(&of_stages);
    let (code, json, error) = inspect(&[], directory.path());
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(json["ranks"]["duplicated"], serde_json::json!([]));
    assert_eq!(json["ranks"]["present"], serde_json::json!([0, 1]));
}

/// A pipe that ends early, a device, a link in a circle: none of them hangs or fails a listing.
#[test]
fn what_is_no_plain_file_is_passed_over() {
    let trace = object("", &prompt_and_decode());
    let directory = files(&[("x/rank0.json", &trace)]);
    std::os::unix::fs::symlink(directory.path(), directory.path().join("x/again")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.path().join("zero")).unwrap();
    let (code, json, _) = inspect(&[], directory.path());
    assert_eq!((code, names(&json).len()), (Some(0), 1));
}
