//! The reader: a file through the source and the scanner into a sink. Holds one window of text at a time.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::defect::{DefectKind, excerpt};
use super::scan::{Ending, Item, RawEvent, Scanner};
use super::source::{self, Delivery, HEADROOM, IN_FLIGHT};

/// Receives what stands in a trace file, in file order.
pub(crate) trait Sink {
    /// A key of the top-level object and its raw JSON value.
    fn member(&mut self, key: &[u8], value: &[u8]);
    /// One event and the offset of its end in the inflated text.
    fn event(&mut self, event: &RawEvent<'_>, offset: u64);
    /// Something odd at an offset.
    fn defect(&mut self, kind: DefectKind, offset: u64, detail: &dyn Fn() -> String);
}

/// What the reader learned about the container as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// The file is an array of events without an object around it.
    pub(crate) bare_array: bool,
}

/// Reads the whole file. Everything that goes wrong is a defect given to the sink.
pub(crate) fn read_file(path: &Path, sink: &mut impl Sink) -> Container {
    let (to, from) = sync_channel::<Delivery>(IN_FLIGHT);
    let (give_back, spare) = sync_channel::<Vec<u8>>(IN_FLIGHT + 1);
    thread::scope(|scope| {
        scope.spawn(move || source::pump(path, &to, &spare));
        let mut reading = Reading::new(sink);
        for delivery in from {
            match delivery {
                Delivery::Block(block) => {
                    if let Some(block) = reading.block(block) {
                        // The pump makes a new block when none comes back in time.
                        let _ = give_back.try_send(block);
                    }
                }
                Delivery::Defect { kind, offset, detail } => reading.container_defect(kind, offset, detail),
            }
        }
        reading.finish()
    })
}

/// Reads the beginning of a file, a mebibyte of text at most: enough to see what it is.
pub(crate) fn read_head(path: &Path, sink: &mut impl Sink) {
    let (to, from) = sync_channel::<Delivery>(IN_FLIGHT);
    // Nobody gives blocks back.
    let (_, spare) = sync_channel::<Vec<u8>>(1);
    thread::scope(|scope| {
        scope.spawn(move || source::pump(path, &to, &spare));
        let mut reading = Reading::new(sink);
        // The pump ends where nobody receives any more.
        for delivery in from.into_iter().take(4) {
            if let Delivery::Block(block) = delivery {
                reading.block(block);
            }
        }
        reading.finish();
    });
}

/// Reads text that is in memory, handed over in blocks of at most `block` bytes.
pub(crate) fn read_bytes(text: &[u8], block: usize, sink: &mut impl Sink) -> Container {
    let mut reading = Reading::new(sink);
    for part in text.chunks(block.max(1)) {
        reading.block([&[0; HEADROOM], part].concat());
    }
    reading.finish()
}

struct Reading<'s, S> {
    sink: &'s mut S,
    scanner: Scanner,
    /// What the last window left over: the beginning of an unfinished item.
    tail: Vec<u8>,
    /// Offset of the first byte of the tail in the inflated text.
    offset: u64,
    container_failed: bool,
}

impl<'s, S: Sink> Reading<'s, S> {
    fn new(sink: &'s mut S) -> Self {
        Self { sink, scanner: Scanner::new(), tail: Vec::new(), offset: 0, container_failed: false }
    }

    /// Scans one block and hands it back when it is free for reuse.
    fn block(&mut self, mut block: Vec<u8>) -> Option<Vec<u8>> {
        if self.tail.len() > HEADROOM {
            self.tail.extend_from_slice(&block[HEADROOM..]);
            let window = std::mem::take(&mut self.tail);
            let used = self.scan(&window, false);
            self.keep(&window[used..]);
            return Some(block);
        }
        let start = HEADROOM - self.tail.len();
        block[start..HEADROOM].copy_from_slice(&self.tail);
        let used = self.scan(&block[start..], false);
        self.keep(&block[start + used..]);
        Some(block)
    }

    fn keep(&mut self, rest: &[u8]) {
        self.tail.clear();
        self.tail.extend_from_slice(rest);
    }

    fn scan(&mut self, window: &[u8], last: bool) -> usize {
        let mut at = 0;
        loop {
            let scanned = self.scanner.next(&window[at..], last);
            let end = self.offset + scanned.consumed as u64;
            match scanned.item {
                Item::Event(event) => self.sink.event(&event, end),
                Item::Member { key, value } => self.sink.member(key, value),
                Item::Defect { kind, at: place } => {
                    let rest = &window[at + place..];
                    self.sink.defect(kind, self.offset + place as u64, &|| kind.detail(rest));
                }
                Item::End => {}
                Item::NeedMore if last && scanned.consumed > 0 => {}
                Item::NeedMore => {
                    self.offset = end;
                    return at + scanned.consumed;
                }
            }
            self.offset = end;
            at += scanned.consumed;
        }
    }

    fn container_defect(&mut self, kind: DefectKind, offset: u64, detail: String) {
        self.container_failed |= kind.is_fatal();
        self.sink.defect(kind, offset, &|| detail.clone());
    }

    fn finish(mut self) -> Container {
        let window = std::mem::take(&mut self.tail);
        let used = self.scan(&window, true);
        let ending = self.scanner.ending(&window[used..]);
        let offset = self.offset + (window.len() - used) as u64;
        let last = excerpt(&window[used..]);
        let (kind, detail) = match ending {
            Ending::UnclosedArray => {
                (DefectKind::UnclosedArray, "the array of events is never closed".to_owned())
            }
            Ending::UnclosedObject => {
                (DefectKind::UnclosedObject, "the outer object is never closed".to_owned())
            }
            Ending::Cut => (DefectKind::TruncatedJson, format!("the text ends after: {last}")),
            Ending::Nothing => (DefectKind::EmptyFile, "nothing but white space".to_owned()),
            Ending::Closed | Ending::Refused => return self.container(),
        };
        // A damaged container explains the missing end; one cause is reported, not two.
        if !self.container_failed {
            self.sink.defect(kind, offset, &|| detail.clone());
        }
        self.container()
    }

    fn container(&self) -> Container {
        Container { bare_array: self.scanner.is_bare_array() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::collect::Collector;

    /// Each division into blocks reads the same, whatever the text: wherever a block ends, the
    /// scanner must ask for more and not decide.
    #[test]
    fn blocks_change_nothing() {
        let texts = [
            r#"{"a":1,"traceEvents":[{"ph":"X","cat":"c","name":"n\"m","ts":1.5,"dur":2,"args":{"x":[1,{"y":"]"}]}},null,{}, {"ph":"E","ts":1}],"traceName":"t"}"#,
            r#"{"traceEvents":[{"ph":"X","name":"a"b","ts":1},{"ph":"X","cat":"c","name":"k","ts":1,"dur":1}],"z":{"q":1}} tail"#,
            r#"{"a":"b" "c","traceEvents": [ {"ph":"X","cat":"c","name":"k","ts":1,"dur":1} ] }"#,
            "[{\"ph\":\"X\",\"name\":\"k\",\"ts\":1,\"dur\":1},\n",
            "\u{feff}{\"traceEvents\":[nul,{\"ph\":\"i\"}]}",
            // Found by fuzzing: `args` closed by the wrong bracket read differently when it came in parts.
            "[{\"ph\":\"M\",\"name\":\"pJame\",\"args\":{\"am\"e:\"VLLMer\"]====}}]",
        ];
        for text in texts {
            let facts = |block| {
                let mut collector = Collector::default();
                read_bytes(text.as_bytes(), block, &mut collector);
                (collector.events, collector.into_problems())
            };
            let whole = facts(usize::MAX);
            for block in 1..text.len() {
                let parts = facts(block);
                let plain = |facts: &(u64, Vec<crate::trace::Problem>)| {
                    let problems = facts.1.iter().map(|p| (p.code, p.count, p.offset)).collect::<Vec<_>>();
                    (facts.0, problems)
                };
                assert_eq!(plain(&parts), plain(&whole), "blocks of {block} of {text}");
            }
        }
    }
}
