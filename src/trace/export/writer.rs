//! Packets written one by one, with the names that they need in front.

use std::collections::HashMap;
use std::io::{self, Write};

use prost::Message;

use super::message::{
    Annotation, CLEARED, Event, File, Interned, NEEDS_INTERNED, NEVER_MERGED, Name, Packet, Track,
};
use crate::time::Nanos;

/// All packets are of one sequence.
const SEQUENCE: u32 = 1;

pub(super) struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
    begun: bool,
    tracks: u64,
    names: HashMap<String, u64>,
    categories: HashMap<String, u64>,
    keys: HashMap<String, u64>,
    /// What the next packet has to bring.
    fresh: Interned,
    /// Added to every time: Perfetto knows none below zero.
    shift: i64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, earliest: Nanos) -> Self {
        Self {
            out,
            buffer: Vec::new(),
            begun: false,
            tracks: 0,
            names: HashMap::new(),
            categories: HashMap::new(),
            keys: HashMap::new(),
            fresh: Interned::default(),
            shift: earliest.as_ns().min(0).saturating_neg(),
        }
    }

    /// Writes a track and returns its number.
    pub(super) fn track(&mut self, track: Track) -> io::Result<u64> {
        self.tracks += 1;
        let uuid = self.tracks;
        self.packet(Packet {
            track: Some(Track { uuid, merge: NEVER_MERGED, ..track }),
            ..Packet::default()
        })?;
        Ok(uuid)
    }

    pub(super) fn event(&mut self, at: Nanos, event: Event) -> io::Result<()> {
        let timestamp = at.as_ns().saturating_add(self.shift).max(0).cast_unsigned();
        let interned = std::mem::take(&mut self.fresh);
        self.packet(Packet {
            timestamp: Some(timestamp),
            event: Some(event),
            interned: (interned != Interned::default()).then_some(interned),
            ..Packet::default()
        })
    }

    fn packet(&mut self, packet: Packet) -> io::Result<()> {
        let flags = if self.begun { NEEDS_INTERNED } else { CLEARED | NEEDS_INTERNED };
        self.begun = true;
        let file = File { packet: vec![Packet { sequence: SEQUENCE, sequence_flags: flags, ..packet }] };
        self.buffer.clear();
        file.encode(&mut self.buffer).map_err(io::Error::other)?;
        self.out.write_all(&self.buffer)
    }

    pub(super) fn name(&mut self, text: &str) -> u64 {
        interned(&mut self.names, &mut self.fresh.names, text)
    }

    pub(super) fn category(&mut self, text: &str) -> Vec<u64> {
        if text.is_empty() {
            return Vec::new();
        }
        vec![interned(&mut self.categories, &mut self.fresh.categories, text)]
    }

    /// Arguments, one by one; those that are no JSON are kept as text.
    pub(super) fn annotations(&mut self, args: &[u8]) -> Vec<Annotation> {
        if args.is_empty() {
            return Vec::new();
        }
        match serde_json::from_slice::<serde_json::Value>(args) {
            Ok(serde_json::Value::Object(values)) => {
                values.iter().map(|(key, value)| self.annotation(key, value)).collect()
            }
            Ok(value) => vec![self.annotation("args", &value)],
            Err(_) => {
                let text = serde_json::Value::String(String::from_utf8_lossy(args).into_owned());
                vec![self.annotation("args", &text)]
            }
        }
    }

    fn annotation(&mut self, key: &str, value: &serde_json::Value) -> Annotation {
        use serde_json::Value;
        let key = interned(&mut self.keys, &mut self.fresh.keys, key);
        let empty = Annotation { key, ..Annotation::default() };
        match value {
            Value::Bool(value) => Annotation { bool: Some(*value), ..empty },
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Annotation { int: Some(int), ..empty },
                (_, Some(uint)) => Annotation { uint: Some(uint), ..empty },
                _ => Annotation { double: number.as_f64(), ..empty },
            },
            Value::String(text) => Annotation { string: Some(text.clone()), ..empty },
            // As text: Perfetto v52 aborts on some values in its own field for JSON.
            nested => Annotation { string: Some(nested.to_string()), ..empty },
        }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The number of a text, new ones from 1 on.
fn interned(known: &mut HashMap<String, u64>, fresh: &mut Vec<Name>, text: &str) -> u64 {
    if let Some(id) = known.get(text) {
        return *id;
    }
    let id = known.len() as u64 + 1;
    known.insert(text.to_owned(), id);
    fresh.push(Name { id, text: text.to_owned() });
    id
}
