//! `tracegate open`, asked by an HTTP client as the Perfetto UI asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::common::{real_trace, text, tracegate};

struct Open {
    child: Child,
    link: String,
    port: u16,
    trace: PathBuf,
}

fn open(arguments: &[&str]) -> Open {
    let trace = std::fs::read_dir(real_trace())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("rank0"))
        .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracegate"))
        .args(["open", "--port", "0"])
        .args(arguments)
        .arg(&trace)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut link = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut link).unwrap();
    let after = link.split_once("127.0.0.1:").unwrap().1;
    let port = after.split('/').next().unwrap().parse().unwrap();
    Open { child, link: link.trim().to_owned(), port, trace }
}

impl Open {
    /// Status line and headers in lower case, and the body.
    fn ask(&self, method: &str, path: &str, host: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: https://ui.perfetto.dev\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        (text(&answer[..end]).to_lowercase(), answer.split_off(end + 4))
    }

    fn path(&self) -> String {
        let after = self.link.split_once("127.0.0.1:").unwrap().1;
        after[after.find('/').unwrap()..].split('&').next().unwrap().to_owned()
    }
}

/// The body of a chunked answer.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend(&body[line + 2..line + 2 + size]);
        body = &body[line + 4 + size..];
    }
}

#[test]
fn the_trace_is_fetched_once_by_the_one_origin_and_nothing_else_is_served() {
    let mut open = open(&["--raw"]);
    assert!(open.link.starts_with("https://ui.perfetto.dev/#!/?url=http://127.0.0.1:"), "{}", open.link);
    let host = format!("127.0.0.1:{}", open.port);
    assert!(open.ask("GET", "/", &host).0.starts_with("http/1.1 404"));
    assert!(open.ask("GET", "/../Cargo.toml", &host).0.starts_with("http/1.1 404"));
    assert!(open.ask("GET", &open.path(), "evil.example").0.starts_with("http/1.1 403"));
    assert!(open.ask("POST", &open.path(), &host).0.starts_with("http/1.1 405"));
    let (preflight, _) = open.ask("OPTIONS", &open.path(), &host);
    assert!(preflight.starts_with("http/1.1 204"), "{preflight}");
    assert!(preflight.contains("access-control-allow-origin: https://ui.perfetto.dev"), "{preflight}");
    assert!(preflight.contains("access-control-allow-private-network: true"), "{preflight}");
    // It said a length of 0.
    let (head, _) = open.ask("HEAD", &open.path(), &host);
    let length = std::fs::metadata(&open.trace).unwrap().len();
    assert!(
        head.starts_with("http/1.1 200") && head.contains(&format!("content-length: {length}")),
        "{head}"
    );
    assert!(open.child.try_wait().unwrap().is_none(), "none of these was the trace");
    let (headers, body) = open.ask("GET", &open.path(), &host);
    assert!(headers.starts_with("http/1.1 200"), "{headers}");
    assert!(headers.contains("access-control-allow-origin: https://ui.perfetto.dev"), "{headers}");
    assert_eq!(unchunked(&body), std::fs::read(&open.trace).unwrap());
    assert_eq!(open.child.wait().unwrap().code(), Some(0), "it ends when the trace was fetched");
}

/// The link shows the largest gap that `inspect` reports, on the trace's own clock.
#[test]
fn the_link_leads_to_the_largest_gap() {
    let mut open = open(&["--keep", "--origin", "https://perfetto.habana.ai/"]);
    assert!(open.link.starts_with("https://perfetto.habana.ai/#!/?url="), "{}", open.link);
    let output = tracegate().args(["inspect", "--format", "json"]).arg(&open.trace).output().unwrap();
    let inspected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = inspected["traces"][0]["steps"].as_array().unwrap();
    let largest = steps.iter().filter_map(|step| step["gap_ns"].as_i64()).max().unwrap();
    let number = |name: &str| -> i64 {
        open.link.split_once(name).unwrap().1.split('&').next().unwrap().parse().unwrap()
    };
    assert_eq!(number("visEnd=") - number("visStart="), 3 * largest);
    open.ask("GET", &open.path(), &format!("localhost:{}", open.port));
    assert!(open.child.try_wait().unwrap().is_none(), "--keep goes on");
    open.child.kill().unwrap();
    open.child.wait().unwrap();
}

/// What is served by default is Perfetto's own form, whole.
#[test]
fn the_trace_is_served_in_the_form_that_drops_nothing() {
    let mut open = open(&[]);
    assert!(open.path().ends_with(".pftrace"), "{}", open.link);
    let (_, body) = open.ask("GET", &open.path(), &format!("127.0.0.1:{}", open.port));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.pftrace");
    let output = tracegate().arg("export").arg(&open.trace).arg("-o").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(unchunked(&body), std::fs::read(file).unwrap());
    assert_eq!(open.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_said() {
    let output = tracegate().args(["open", "/no/such/trace.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("/no/such/trace.json is no file"));
    let output = tracegate().args(["open", "--origin", "perfetto", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
