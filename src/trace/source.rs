//! Bytes of a trace file, inflated when they are gzip or zstd (told by magic, not by name), in blocks and on a
//! thread of their own so that inflating and scanning overlap. Knows no JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};

use super::defect::DefectKind;
use super::gzip::{MAGIC, Member};
use super::zstd::{Frames, is_zstd};

/// Free space in front of each block's bytes: the unfinished event of the block before goes there,
/// so that the scanner always sees one contiguous window without copying whole blocks.
pub(crate) const HEADROOM: usize = 64 << 10;
/// Inflated bytes in one block.
const BLOCK: usize = 256 << 10;
/// Blocks in flight; with one at each end of the channel, memory stays below 2 MiB.
pub(crate) const IN_FLIGHT: usize = 3;
/// Most inflated bytes read from one file. A day of tracing stays below it; a gzip bomb does not.
const LARGEST_INFLATED: u64 = 256 << 30;
/// Highest inflated-to-file ratio, looked at after 256 MiB. Real traces reach 11 to 20.
const HIGHEST_RATIO: u64 = 300;

/// A message of the pump.
pub(crate) enum Delivery {
    /// `HEADROOM` bytes of free space, then inflated bytes.
    Block(Vec<u8>),
    /// Something odd about the container, at an offset in the file.
    Defect { kind: DefectKind, offset: u64, detail: String },
}

/// Reads `path` to its end and sends what it holds. Returns when the receiver is gone, too.
pub(crate) fn pump(path: &Path, to: &SyncSender<Delivery>, spare: &Receiver<Vec<u8>>) {
    let fail = |kind, offset, detail: String| {
        // A receiver that has hung up wants no more, which is no error here.
        let _ = to.send(Delivery::Defect { kind, offset, detail });
    };
    let (file, length) = match open(path) {
        Ok(opened) => opened,
        Err(error) => return fail(DefectKind::Unreadable, 0, error.to_string()),
    };
    let mut input = BufReader::with_capacity(256 << 10, Counted { file, read: 0 });
    let read = match input.fill_buf() {
        Ok([]) => return fail(DefectKind::EmptyFile, 0, "the file has no bytes".into()),
        Ok(bytes) if bytes.starts_with(&MAGIC) => inflate_members,
        Ok(bytes) if is_zstd(bytes) => inflate_frames,
        Ok(_) => copy,
        Err(error) => return fail(DefectKind::Unreadable, 0, error.to_string()),
    };
    let mut blocks = Blocks { to, spare, sent: 0 };
    match read(input, &mut blocks) {
        Ok(()) => {}
        Err(Stop::HungUp) => return,
        Err(Stop::Defect { kind, offset, detail }) => fail(kind, offset, detail),
    }
    if let Ok(now) = std::fs::metadata(path)
        && now.len() != length
    {
        let detail = format!("{length} bytes when opened, {} when read", now.len());
        fail(DefectKind::GrowingFile, length, detail);
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a directory, not a trace file"));
    }
    Ok((file, metadata.len()))
}

enum Stop {
    HungUp,
    Defect { kind: DefectKind, offset: u64, detail: String },
}

struct Counted {
    file: File,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.read += count as u64;
        Ok(count)
    }
}

/// Where in the file the next unread byte stands.
fn position(input: &BufReader<Counted>) -> u64 {
    input.get_ref().read - input.buffer().len() as u64
}

struct Blocks<'a> {
    to: &'a SyncSender<Delivery>,
    spare: &'a Receiver<Vec<u8>>,
    sent: u64,
}

impl Blocks<'_> {
    /// Fills one block from `input` and sends it. `Ok(false)` at the end of the input. What was
    /// inflated before an error is sent, too.
    fn send_from(&mut self, input: &mut impl Read) -> Result<bool, BlockError> {
        let mut block = self.spare.try_recv().unwrap_or_default();
        block.resize(HEADROOM + BLOCK, 0);
        let mut filled = HEADROOM;
        let mut error = None;
        while filled < block.len() {
            match input.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(again) if again.kind() == io::ErrorKind::Interrupted => {}
                Err(other) => {
                    error = Some(other);
                    break;
                }
            }
        }
        let more = filled == block.len();
        block.truncate(filled);
        self.sent += (filled - HEADROOM) as u64;
        if filled > HEADROOM && self.to.send(Delivery::Block(block)).is_err() {
            return Err(BlockError::HungUp);
        }
        error.map_or(Ok(more), |error| Err(BlockError::Io(error)))
    }
}

enum BlockError {
    HungUp,
    Io(io::Error),
}

fn copy(mut input: BufReader<Counted>, blocks: &mut Blocks<'_>) -> Result<(), Stop> {
    loop {
        match blocks.send_from(&mut input) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(BlockError::HungUp) => return Err(Stop::HungUp),
            Err(BlockError::Io(error)) => {
                return Err(Stop::Defect {
                    kind: DefectKind::Unreadable,
                    offset: position(&input),
                    detail: error.to_string(),
                });
            }
        }
    }
}

/// Reads one gzip member after another, and bears bytes behind the last one: NUL padding is seen in
/// the wild and costs nothing.
fn inflate_members(mut input: BufReader<Counted>, blocks: &mut Blocks<'_>) -> Result<(), Stop> {
    let mut members = 0u64;
    loop {
        let start = position(&input);
        members += 1;
        if members == 2 {
            let detail = "a second gzip member begins: several writers may share this file".into();
            defect(blocks.to, DefectKind::GzipMembers, start, detail)?;
        }
        input = inflate_member(input, blocks)?;
        match input.fill_buf() {
            Ok([]) => return Ok(()),
            Ok([0x1f, 0x8b, ..]) => {}
            Ok(_) => return behind(&mut input, blocks, "gzip member"),
            Err(error) => return Err(broken(&error, position(&input), GZIP)),
        }
    }
}

/// Reads the frames of zstd, of which a file may have several.
fn inflate_frames(input: BufReader<Counted>, blocks: &mut Blocks<'_>) -> Result<(), Stop> {
    let mut frames = Frames::new(input);
    loop {
        match blocks.send_from(&mut frames) {
            Ok(true) => check_size(blocks.sent, position(frames.input()))?,
            Ok(false) => return behind(frames.input(), blocks, "zstd frame"),
            Err(BlockError::HungUp) => return Err(Stop::HungUp),
            Err(BlockError::Io(error)) => return Err(broken(&error, position(frames.input()), ZSTD)),
        }
    }
}

/// Says what stands behind the last compressed part, if anything does.
fn behind(input: &mut BufReader<Counted>, blocks: &Blocks<'_>, last: &str) -> Result<(), Stop> {
    let detail = match input.fill_buf() {
        Ok([0, ..]) => "NUL bytes",
        Ok([_, ..]) => "other bytes",
        _ => return Ok(()),
    };
    let detail = format!("{detail} behind the last {last}");
    defect(blocks.to, DefectKind::TrailingGarbage, position(input), detail)
}

fn inflate_member(input: BufReader<Counted>, blocks: &mut Blocks<'_>) -> Result<BufReader<Counted>, Stop> {
    let start = position(&input);
    let mut member = Member::open(input).map_err(|error| broken(&error, start, GZIP))?;
    loop {
        match blocks.send_from(&mut member) {
            Ok(true) => check_size(blocks.sent, position(member.input()))?,
            Ok(false) => return Ok(member.into_input()),
            Err(BlockError::HungUp) => return Err(Stop::HungUp),
            Err(BlockError::Io(error)) => return Err(broken(&error, position(member.input()), GZIP)),
        }
    }
}

/// A form of compression: its name, and what a cut and damage are called.
type Form = (&'static str, DefectKind, DefectKind);
const GZIP: Form = ("gzip", DefectKind::TruncatedGzip, DefectKind::CorruptGzip);
const ZSTD: Form = ("zstd", DefectKind::TruncatedZstd, DefectKind::CorruptZstd);

/// What an error of the compressed stream means.
fn broken(error: &io::Error, offset: u64, (form, cut, corrupt): Form) -> Stop {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Stop::Defect { kind: cut, offset, detail: format!("the file ends inside the {form} stream") }
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Stop::Defect { kind: corrupt, offset, detail: error.to_string() }
        }
        _ => Stop::Defect { kind: DefectKind::Unreadable, offset, detail: error.to_string() },
    }
}

fn defect(to: &SyncSender<Delivery>, kind: DefectKind, offset: u64, detail: String) -> Result<(), Stop> {
    to.send(Delivery::Defect { kind, offset, detail }).map_err(|_| Stop::HungUp)
}

fn check_size(inflated: u64, read: u64) -> Result<(), Stop> {
    let ratio = inflated / read.max(1);
    if inflated > LARGEST_INFLATED || (inflated > 256 << 20 && ratio > HIGHEST_RATIO) {
        return Err(Stop::Defect {
            kind: DefectKind::TooLarge,
            offset: read,
            detail: format!(
                "{inflated} bytes inflated from {read} ({ratio}:1); the limits are {HIGHEST_RATIO}:1 and {LARGEST_INFLATED} bytes"
            ),
        });
    }
    Ok(())
}
