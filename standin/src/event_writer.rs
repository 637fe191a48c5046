//! Writes trace files in the layout of Kineto's exporter (one key a line, a stray newline before the comma
//! in front of `args`): libkineto `output_json.cpp`, as measured on vLLM 0.32.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// A trace file being written. Times are nanoseconds on the Unix clock.
pub(crate) struct EventWriter<W: Write> {
    out: W,
    base: i64,
    first: bool,
    index: u64,
}

/// A complete event (`ph` X) with its arguments as written text.
#[derive(Clone, Copy)]
pub(crate) struct Slice<'a> {
    pub(crate) cat: &'a str,
    pub(crate) name: &'a str,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) start: i64,
    pub(crate) duration: i64,
}

/// Kineto's `baseTimeNanoseconds` is the clock rounded down to quarters of a year.
const BASE_INTERVAL_S: i64 = 7_889_238;

/// `baseTimeNanoseconds` for a time on the Unix clock.
pub(crate) fn base_time(epoch_ns: i64) -> i64 {
    let interval = BASE_INTERVAL_S * 1_000_000_000;
    epoch_ns - epoch_ns.rem_euclid(interval)
}

/// Opens a trace file, compressed or plain. A compressed one is streamed in place, as Kineto does,
/// so a reader can see it half written.
pub(crate) fn create(path: &Path, gzip: bool) -> io::Result<Box<dyn FinishWrite>> {
    let file = BufWriter::new(File::create(path)?);
    Ok(if gzip { Box::new(GzEncoder::new(file, Compression::default())) } else { Box::new(file) })
}

/// A writer that must be told when it is done.
pub(crate) trait FinishWrite: Write {
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl FinishWrite for GzEncoder<BufWriter<File>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        GzEncoder::finish(*self)?.flush()
    }
}

impl FinishWrite for BufWriter<File> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

impl<W: Write> EventWriter<W> {
    /// Writes everything up to the events. `metadata` holds further top-level keys with raw values.
    pub(crate) fn begin(mut out: W, base: i64, metadata: &[(&str, String)]) -> io::Result<Self> {
        write!(out, "\n {{\n    \"schemaVersion\": 1,\n    \"deviceProperties\": [],\n    \n")?;
        for (key, value) in metadata {
            writeln!(out, "      \"{key}\": {value},")?;
        }
        write!(
            out,
            "    \"displayTimeUnit\": \"ms\",\n    \"baseTimeNanoseconds\": {base},\n    \"traceEvents\": [\n    "
        )?;
        Ok(Self { out, base, first: true, index: 0 })
    }

    fn separate(&mut self) -> io::Result<()> {
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        write!(self.out, "{comma}\n  {{")
    }

    fn micros(&self, epoch_ns: i64) -> Micros {
        Micros(epoch_ns - self.base)
    }

    /// One slice; `args` is the inside of the object without `Ev Idx`, which is numbered here.
    pub(crate) fn slice(&mut self, slice: Slice<'_>, args: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.separate()?;
        let (ts, dur) = (self.micros(slice.start), Micros(slice.duration));
        let Slice { cat, name, pid, tid, .. } = slice;
        let index = self.index;
        self.index += 1;
        write!(
            self.out,
            "\n    \"ph\": \"X\",\n    \"cat\": \"{cat}\",\n    \"name\": {},\n    \"pid\": {pid},\n    \"tid\": {tid},\n    \"ts\": {ts},\n    \"dur\": {dur}\n    ,\n    \"args\": {{\n      {args}, \"Ev Idx\": {index}\n    }}\n  }}",
            Value::from(name),
        )
    }

    /// The beginning of a slice in two events.
    pub(crate) fn begin_slice(&mut self, name: &str, pid: u32, tid: u32, at: i64) -> io::Result<()> {
        self.separate()?;
        let ts = self.micros(at);
        write!(
            self.out,
            "\n    \"ph\": \"B\", \"cat\": \"Runtime\", \"name\": \"{name}\", \"pid\": {pid}, \"tid\": {tid},\n    \"ts\": {ts}\n  }}"
        )
    }

    /// Its end.
    pub(crate) fn end_slice(&mut self, pid: u32, tid: u32, at: i64) -> io::Result<()> {
        self.separate()?;
        let ts = self.micros(at);
        write!(self.out, "\n    \"ph\": \"E\", \"pid\": {pid}, \"tid\": {tid},\n    \"ts\": {ts}\n  }}")
    }

    /// A metadata event, such as `process_name`.
    pub(crate) fn metadata(
        &mut self,
        name: &str,
        pid: u32,
        tid: u32,
        at: i64,
        key: &str,
        value: &Value,
    ) -> io::Result<()> {
        self.separate()?;
        let ts = self.micros(at);
        write!(
            self.out,
            "\n    \"ph\": \"M\",\n    \"name\": \"{name}\",\n    \"ts\": {ts},\n    \"pid\": {pid},\n    \"tid\": {tid},\n    \"args\": {{\n      \"{key}\": {value}\n    }}\n  }}"
        )
    }

    /// Both ends of an arrow from one (pid, tid, time) to another.
    pub(crate) fn flow(&mut self, id: u64, from: (u32, u32, i64), to: (u32, u32, i64)) -> io::Result<()> {
        for (phase, extra, (pid, tid, at)) in [("s", "", from), ("f", ", \"bp\": \"e\"", to)] {
            self.separate()?;
            let ts = self.micros(at);
            write!(
                self.out,
                "\n    \"ph\": \"{phase}\", \"id\": {id}, \"pid\": {pid}, \"tid\": {tid}, \"ts\": {ts},\n    \"cat\": \"ac2g\", \"name\": \"ac2g\"{extra}\n  }}"
            )?;
        }
        Ok(())
    }

    /// The recording window, the two instants around it, and everything behind the events.
    pub(crate) fn end(mut self, window: (i64, i64), trace_name: &str) -> io::Result<W> {
        let (start, end) = (self.micros(window.0), self.micros(window.1));
        let length = Micros(window.1 - window.0);
        self.separate()?;
        write!(
            self.out,
            "\n    \"ph\": \"X\",\n    \"cat\": \"Trace\",\n    \"name\": \"PyTorch Profiler (0)\",\n    \"pid\": \"Spans\",\n    \"tid\": \"PyTorch Profiler\",\n    \"ts\": {start},\n    \"dur\": {length}\n    ,\n    \"args\": {{\n      \"Op count\": 0\n    }}\n  }}"
        )?;
        for (name, pid, tid, at) in [
            ("Iteration Start: PyTorch Profiler", "Traces", "Trace PyTorch Profiler", start),
            ("Record Window End", "", "", end),
        ] {
            self.separate()?;
            write!(
                self.out,
                "\n    \"ph\": \"i\",\n    \n    \"s\": \"g\",\n    \"name\": \"{name}\",\n    \"pid\": \"{pid}\",\n    \"tid\": \"{tid}\",\n    \"ts\": {at}\n    \n  }}"
            )?;
        }
        write!(self.out, "\n  ],\n    \"traceName\": \"{trace_name}\" }}")?;
        Ok(self.out)
    }
}

/// Nanoseconds, written as microseconds with three decimals.
struct Micros(i64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0.rem_euclid(1_000))
    }
}
