//! `tracegate export`, read back by a decoder of protobuf that knows nothing of the writer's types.

use std::collections::BTreeMap;

use super::{files, object, slice, step};
use crate::common::{real_trace, text, tracegate};

/// A field of a message: its number and value.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => {
                let (eight, rest) = bytes.split_first_chunk::<8>().unwrap();
                bytes = rest;
                Value::Number(u64::from_le_bytes(*eight))
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inside, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(inside)
            }
            wire => panic!("wire type {wire}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn number(fields: &[(u64, Value<'_>)], wanted: u64) -> Option<u64> {
    fields.iter().find_map(|(field, value)| match value {
        Value::Number(number) if *field == wanted => Some(*number),
        _ => None,
    })
}

fn parts<'a>(fields: &[(u64, Value<'a>)], wanted: u64) -> Vec<&'a [u8]> {
    let part = |(field, value): &(u64, Value<'a>)| match value {
        Value::Bytes(bytes) if *field == wanted => Some(*bytes),
        _ => None,
    };
    fields.iter().filter_map(part).collect()
}

#[derive(Default)]
struct Read {
    /// Track: its name and its parent.
    tracks: BTreeMap<u64, (String, Option<u64>)>,
    /// Track, name, start, end.
    slices: Vec<(String, String, u64, u64)>,
    instants: usize,
    /// Flow: names of the slices that it begins at or ends at.
    flows: BTreeMap<u64, Vec<String>>,
}

/// Reads a file as Perfetto does: begins and ends make a stack on each track, times never go back there.
fn read(file: &[u8]) -> Read {
    let mut read = Read::default();
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let mut open: BTreeMap<u64, Vec<(String, u64)>> = BTreeMap::new();
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    for packet in parts(&fields(file), 1) {
        let packet = fields(packet);
        for interned in parts(&packet, 12) {
            for name in parts(&fields(interned), 2) {
                let name = fields(name);
                names.insert(number(&name, 1).unwrap(), text(parts(&name, 2)[0]));
            }
        }
        for track in parts(&packet, 60) {
            let track = fields(track);
            let name = text(parts(&track, 2)[0]);
            read.tracks.insert(number(&track, 1).unwrap(), (name, number(&track, 5)));
        }
        for event in parts(&packet, 11) {
            let (event, at) = (fields(event), number(&packet, 8).unwrap_or(0));
            let track = number(&event, 11).unwrap();
            let before = times.insert(track, at).unwrap_or(0);
            let name = number(&event, 10).map(|name| names[&name].clone());
            match number(&event, 9).unwrap() {
                1 => {
                    assert!(before <= at, "times of {:?} go back", read.tracks[&track]);
                    let name = name.unwrap();
                    for (field, value) in &event {
                        if let (47 | 48, Value::Number(flow)) = (field, value) {
                            read.flows.entry(*flow).or_default().push(name.clone());
                        }
                        // Perfetto reads single numbers only, and passes over packed ones without a word.
                        assert!(!matches!((field, value), (3 | 47 | 48, Value::Bytes(_))));
                    }
                    open.entry(track).or_default().push((name, at));
                }
                2 => {
                    assert!(before <= at, "times of {:?} go back", read.tracks[&track]);
                    let (name, start) = open.get_mut(&track).unwrap().pop().unwrap();
                    read.slices.push((read.tracks[&track].0.clone(), name, start, at));
                }
                3 => read.instants += 1,
                _ => {}
            }
        }
    }
    assert!(open.values().all(Vec::is_empty), "every slice ends");
    read
}

fn export(trace: &std::path::Path) -> (Read, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.pftrace");
    let output = tracegate().arg("export").arg(trace).arg("-o").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    (read(&std::fs::read(file).unwrap()), text(&output.stdout))
}

#[test]
fn slices_that_overlap_are_kept_on_further_tracks_and_flows_find_their_slices() {
    let arrow = |ph: &str, tid: u32, ts: u32, more: &str| {
        format!(r#"{{"ph":"{ph}","cat":"ac2g","name":"ac2g","id":5,"pid":7,"tid":{tid},"ts":{ts}{more}}}"#)
    };
    let on_device = |name: &str, ts: u32, dur: u32| {
        format!(r#"{{"ph":"X","cat":"kernel","name":"{name}","pid":7,"tid":20,"ts":{ts},"dur":{dur}}}"#)
    };
    let events = [
        step("execute_context_1(4)_generation_0(0)", 100, 50),
        step("execute_context_0(0)_generation_1(1)", 200, 50),
        // Three that overlap, of which two nest.
        slice("cpu_op", "first", 110, 20),
        slice("cpu_op", "second", 120, 20),
        slice("cpu_op", "inside \\\"second\\\"", 125, 5),
        arrow("s", 7, 126, ""),
        r#"{"ph":"X","name":"shapes","pid":7,"tid":9,"ts":20,"dur":1,"args":{"Input Dims":[[1,2],null],"x":null}}"#.to_owned(),
        on_device("kernel_a", 150, 20),
        on_device("kernel_b", 160, 20),
        arrow("f", 20, 150, r#","bp":"e""#),
        r#"{"ph":"B","cat":"x","name":"begun","pid":7,"tid":9,"ts":5,"args":{"a":1}}"#.to_owned(),
        r#"{"ph":"E","pid":7,"tid":9,"ts":9}"#.to_owned(),
        r#"{"ph":"i","name":"mark","pid":7,"tid":9,"ts":6}"#.to_owned(),
        r#"{"ph":"M","name":"thread_name","pid":7,"tid":20,"args":{"name":"stream 20"}}"#.to_owned(),
        r#"{"ph":"M","name":"process_name","pid":7,"tid":0,"args":{"name":"VLLM::Worker"}}"#.to_owned(),
    ];
    let directory = files(&[("a.json", &object("", &events))]);
    let (read, said) = export(&directory.path().join("a.json"));
    assert!(said.contains("9 slices (2 of them overlap others"), "{said}");
    let mut slices: Vec<(&str, &str, u64, u64)> = read
        .slices
        .iter()
        .map(|(track, name, start, end)| (track.as_str(), name.as_str(), *start, *end))
        .collect();
    slices.sort_unstable_by_key(|(_, name, start, _)| (*start, *name));
    assert_eq!(
        slices,
        [
            ("thread 9", "begun", 5_000, 9_000),
            ("thread 9", "shapes", 20_000, 21_000),
            ("thread 7", "execute_context_1(4)_generation_0(0)", 100_000, 150_000),
            ("steps", "prompt 0, context 1 (4)", 100_000, 150_000),
            ("thread 7", "first", 110_000, 130_000),
            ("thread 7 (overlapping 1)", "second", 120_000, 140_000),
            ("thread 7", "inside \"second\"", 125_000, 130_000),
            ("step gaps", "gap prompt to decode", 150_000, 200_000),
            ("stream 20 20", "kernel_a", 150_000, 170_000),
            ("stream 20 20 (overlapping 1)", "kernel_b", 160_000, 180_000),
            ("steps", "decode 1, generation 1 (1)", 200_000, 250_000),
            ("thread 7", "execute_context_0(0)_generation_1(1)", 200_000, 250_000),
        ]
    );
    assert_eq!(read.flows.values().collect::<Vec<_>>(), [&["inside \"second\"", "kernel_a"]]);
    assert_eq!(read.instants, 1);
    let parents: Vec<&str> =
        read.tracks.values().filter(|(_, parent)| parent.is_none()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(parents, ["tracegate", "VLLM::Worker 7"]);
}

/// Of this file Perfetto's reader of JSON drops slices.
#[test]
fn every_slice_of_a_real_trace_is_there_with_its_name() {
    let trace = std::fs::read_dir(real_trace()).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    let bytes = std::fs::read(&trace).unwrap();
    let json: serde_json::Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(bytes.as_slice())).unwrap();
    let mut expected: Vec<String> = json["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["ph"] == "X")
        .map(|event| event["name"].as_str().unwrap().to_owned())
        .collect();
    let (read, _) = export(&trace);
    let ours = ["steps", "step gaps"];
    let mut names: Vec<String> = read
        .slices
        .into_iter()
        .filter(|(track, ..)| !ours.contains(&track.as_str()))
        .map(|(_, name, ..)| name)
        .collect();
    expected.sort();
    names.sort();
    assert!(names == expected, "{} slices of {}", names.len(), expected.len());
}

#[test]
fn what_is_no_trace_is_not_exported() {
    let directory = files(&[("a.json", br#"[{"a":1}]"#)]);
    for trace in ["a.json", "missing.json"] {
        let out = directory.path().join("a.pftrace");
        let output =
            tracegate().arg("export").arg(directory.path().join(trace)).arg("-o").arg(&out).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(!out.exists());
    }
}
