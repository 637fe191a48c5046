//! The reader against a plain reference reader, on traces made as values and written in every legal shape.

use std::collections::BTreeMap;

use crate::common::gzip;
use proptest::prelude::*;
use serde_json::{Value, json};
use tracegate::trace::{StepKind, Trace};

/// An event as a value: what is written, and what the reference computes from.
#[derive(Clone, Debug)]
struct Event {
    phase: &'static str,
    category: &'static str,
    name: String,
    pid: Value,
    tid: u32,
    ts_ns: i64,
    dur_ns: i64,
    args: Value,
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop_oneof![
        (0u64..5, 0u64..600, 0u64..5, 0u64..9)
            .prop_map(|(a, b, c, d)| format!("execute_context_{a}({b})_generation_{c}({d})")),
        (0u64..3, 0u64..3).prop_map(|(new, cached)| format!("execute_new_{new}_cached_{cached}")),
        "[ -~]{0,40}",
        "\\PC{0,12}",
    ];
    let pid = prop_oneof![any::<u16>().prop_map(|pid| json!(pid)), Just(json!("Spans")), Just(json!(-3))];
    let args = prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        any::<u64>().prop_map(|id| json!({"External id": id, "name": "}{]["})),
        "\\PC{0,8}".prop_map(|text| json!({"a": [{"b": text}], "c": {"d": [1, 2.5e3, true, null]}})),
    ];
    (
        prop_oneof![8 => Just("X"), 1 => Just("i"), 1 => Just("M")],
        prop_oneof![Just("user_annotation"), Just("cpu_op"), Just("python_function"), Just("")],
        name,
        pid,
        0u32..4,
        0i64..5_000_000_000_000_000_000,
        0i64..5_000_000_000,
        args,
    )
        .prop_map(|(phase, category, name, pid, tid, ts_ns, dur_ns, args)| Event {
            phase,
            category,
            name,
            pid,
            tid,
            ts_ns,
            dur_ns,
            args,
        })
}

/// How a writer lays out JSON.
#[derive(Clone, Debug)]
struct Shape {
    colon: &'static str,
    comma: &'static str,
    newline: &'static str,
    ascii: bool,
    rotate: usize,
    bare_array: bool,
    events_first: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        prop::sample::select(vec![":", ": ", " : "]),
        prop::sample::select(vec![",", ", ", "\n    ,\n"]),
        prop::sample::select(vec!["", "\n    ", "\r\n\t"]),
        any::<bool>(),
        0usize..8,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(colon, comma, newline, ascii, rotate, bare_array, events_first)| Shape {
            colon,
            comma,
            newline,
            ascii,
            rotate,
            bare_array,
            events_first,
        })
}

impl Shape {
    fn string(&self, text: &str) -> String {
        let plain = Value::from(text).to_string();
        if !self.ascii {
            return plain;
        }
        let mut out = String::new();
        for c in plain.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    out += &format!("\\u{unit:04x}");
                }
            }
        }
        out
    }

    fn event(&self, event: &Event) -> String {
        let micros = |ns: i64| format!("{}.{:03}", ns / 1000, ns % 1000);
        let mut fields = vec![
            ("ph", self.string(event.phase)),
            ("name", self.string(&event.name)),
            ("pid", event.pid.to_string()),
            ("tid", event.tid.to_string()),
            ("ts", micros(event.ts_ns)),
            ("dur", micros(event.dur_ns)),
            ("args", event.args.to_string()),
        ];
        if !event.category.is_empty() {
            fields.push(("cat", self.string(event.category)));
        }
        let turn = self.rotate % fields.len();
        fields.rotate_left(turn);
        let parts: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("{}\"{key}\"{}{value}", self.newline, self.colon))
            .collect();
        format!("{{{}{}}}", parts.join(self.comma), self.newline)
    }

    fn document(&self, events: &[Event]) -> String {
        let events: Vec<String> = events.iter().map(|event| self.event(event)).collect();
        let array = format!("[{}{}]", self.newline, events.join(self.comma));
        let rest = format!("\"distributedInfo\"{}{{\"rank\": 2, \"world_size\": 4}}", self.colon);
        match (self.bare_array, self.events_first) {
            (true, _) => array,
            (false, true) => format!("{{\"traceEvents\"{}{array}{}{rest}}}", self.colon, self.comma),
            (false, false) => format!("{{{rest}{}\"traceEvents\"{}{array}}}", self.comma, self.colon),
        }
    }
}

/// Counts and exact sums by category, read with serde_json alone.
fn reference(text: &str) -> (u64, BTreeMap<String, (u64, i128)>) {
    let document: Value = serde_json::from_str(text).unwrap();
    let events = document.as_array().or_else(|| document["traceEvents"].as_array()).unwrap();
    let mut totals: BTreeMap<String, (u64, i128)> = BTreeMap::new();
    for event in events {
        let entry = totals.entry(event["cat"].as_str().unwrap_or("none").to_owned()).or_default();
        entry.0 += 1;
        if event["ph"] == "X" {
            // Small enough for an f64 to hold every nanosecond.
            entry.1 += (event["dur"].as_f64().unwrap() * 1000.0).round() as i128;
        }
    }
    (events.len() as u64, totals)
}

fn read(bytes: &[u8]) -> Trace {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rank0.1.pt.trace.json");
    std::fs::write(&path, bytes).unwrap();
    Trace::read(&path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_legal_shape_reads_as_the_reference(events in prop::collection::vec(event(), 1..30), shape in shape(), zip in any::<bool>()) {
        let text = shape.document(&events);
        let (count, totals) = reference(&text);
        let trace = if zip { read(&gzip(text.as_bytes())) } else { read(text.as_bytes()) };
        prop_assert_eq!(trace.events, count);
        let seen: BTreeMap<String, (u64, i128)> =
            trace.categories.iter().map(|(name, total)| (name.clone(), (total.events, total.duration_ns))).collect();
        prop_assert_eq!(seen, totals);
        prop_assert!(trace.fatal().is_none(), "{:?}", trace.problems);
        prop_assert_eq!(trace.rank, Some(if shape.bare_array { 0 } else { 2 }));
        // Steps: order and times, from the values themselves.
        let mut expected: Vec<(i64, i64)> = events
            .iter()
            .filter(|event| event.phase == "X" && event.category == "user_annotation" && event.name.starts_with("execute_"))
            .map(|event| (event.ts_ns, event.dur_ns))
            .collect();
        expected.sort_unstable();
        let first = expected.first().map_or(0, |step| step.0);
        let steps: Vec<(i64, i64)> = trace.steps.iter().map(|step| (step.start_ns.as_ns() + first, step.duration_ns.as_ns())).collect();
        prop_assert_eq!(steps, expected);
        prop_assert!(trace.steps.iter().all(|step| step.gap_ns.is_none() || step.kind != StepKind::Idle));
    }

    /// Damage in one place costs at most the event it hits, and never a panic.
    #[test]
    fn one_damaged_byte_costs_little(at in 0usize..4000, byte in any::<u8>()) {
        let text = sample();
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        let before = read(&bytes);
        bytes[at] = byte;
        let after = read(&bytes);
        prop_assert!(after.events <= before.events + 1);
        if after.fatal().is_none() {
            prop_assert!(after.events + 2 >= before.events, "{} of {} events left: {:?}", after.events, before.events, after.problems);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let _ = read(&gzip(&bytes));
    }

    #[test]
    fn arbitrary_json_like_text_never_panics(text in "[\\[\\]{}:,\"a-z0-9 .\\\\N]{0,200}") {
        let _ = read(text.as_bytes());
        let _ = read(format!("{{\"traceEvents\":[{text}").as_bytes());
    }
}

fn sample() -> String {
    let shape = Shape {
        colon: ": ",
        comma: ",",
        newline: "\n  ",
        ascii: false,
        rotate: 0,
        bare_array: false,
        events_first: false,
    };
    let events: Vec<Event> = (0..12)
        .map(|index| Event {
            phase: "X",
            category: if index % 3 == 0 { "user_annotation" } else { "cpu_op" },
            name: if index % 3 == 0 {
                "execute_context_0(0)_generation_1(1)".into()
            } else {
                "aten::mm".into()
            },
            pid: json!(7),
            tid: 7,
            ts_ns: 1_000_000 * index,
            dur_ns: 500_000,
            args: json!({"External id": index, "name": "x"}),
        })
        .collect();
    shape.document(&events)
}

/// Cut anywhere: no panic, a fatal problem unless nothing is missing, and no complete step changed.
#[test]
fn truncation_at_every_byte() {
    let text = sample();
    let whole = read(text.as_bytes());
    assert_eq!(whole.steps.len(), 4);
    for end in 0..text.len() {
        let cut = read(&text.as_bytes()[..end]);
        assert!(cut.steps.len() <= whole.steps.len());
        for (left, right) in cut.steps.iter().zip(&whole.steps) {
            assert_eq!(left, right, "cut at {end}");
        }
        let events_closed = text[..end].contains("}]");
        assert_eq!(cut.fatal().is_none(), events_closed, "cut at {end}: {:?}", cut.problems);
    }
    let zipped = gzip(text.as_bytes());
    for end in 0..zipped.len() {
        let cut = read(&zipped[..end]);
        assert!(cut.fatal().is_some(), "cut at {end}");
        for (left, right) in cut.steps.iter().zip(&whole.steps) {
            assert_eq!(left, right, "gzip cut at {end}");
        }
    }
}
