//! Files that end too early or too late, and files that are none: nothing may be decided from them.

use std::path::PathBuf;

use tracegate::trace::{DefectKind, Trace};

use super::{OP, expect, fatal, object, read, with};
use crate::common::gzip;

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
