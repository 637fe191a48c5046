//! One gzip member (RFC 1952): header, deflate stream, checksum and length. flate2 inflates; the frame is read
//! here because flate2's own checksum under zlib-rs is a scalar one and took 13 % of the whole reader.

use std::io::{self, BufRead, Read};

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;

/// The first two bytes of every member.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads one member and leaves the input behind its trailer.
pub(crate) struct Member<R> {
    inflate: DeflateDecoder<R>,
    checksum: Hasher,
    length: u32,
    checked: bool,
}

impl<R: BufRead> Member<R> {
    /// Reads the header.
    pub(crate) fn open(mut input: R) -> io::Result<Self> {
        read_header(&mut input)?;
        let inflate = DeflateDecoder::new(input);
        Ok(Self { inflate, checksum: Hasher::new(), length: 0, checked: false })
    }

    pub(crate) fn input(&self) -> &R {
        self.inflate.get_ref()
    }

    pub(crate) fn into_input(self) -> R {
        self.inflate.into_inner()
    }

    fn check_trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0u8; 8];
        self.inflate.get_mut().read_exact(&mut trailer)?;
        let [a, b, c, d, e, f, g, h] = trailer;
        let (checksum, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        self.checked = true;
        if checksum != self.checksum.clone().finalize() {
            return Err(corrupt("the gzip checksum differs from the content"));
        }
        if length != self.length {
            return Err(corrupt("the gzip trailer says another length than was inflated"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Member<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.checked || into.is_empty() {
            return Ok(0);
        }
        let count = self.inflate.read(into)?;
        if count == 0 {
            self.check_trailer()?;
        }
        self.checksum.update(&into[..count]);
        // The trailer holds the length modulo 2^32.
        self.length = self.length.wrapping_add(count as u32);
        Ok(count)
    }
}

fn corrupt(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn read_header(input: &mut impl BufRead) -> io::Result<()> {
    let mut fixed = [0u8; 10];
    input.read_exact(&mut fixed)?;
    if fixed[..2] != MAGIC {
        return Err(corrupt("no gzip member begins here"));
    }
    if fixed[2] != 8 {
        return Err(corrupt("the gzip member is not deflated"));
    }
    let flags = fixed[3];
    let set = |bit: u8| flags & (1 << bit) != 0;
    if set(2) {
        let mut length = [0u8; 2];
        input.read_exact(&mut length)?;
        skip(input, u64::from(u16::from_le_bytes(length)))?;
    }
    // Name and comment end with a NUL byte.
    for bit in [3, 4] {
        if set(bit) && input.skip_until(0)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if set(1) {
        skip(input, 2)?;
    }
    Ok(())
}

fn skip(input: &mut impl Read, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut input.take(count), &mut io::sink())?;
    if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn member() -> Vec<u8> {
        let builder = GzBuilder::new().filename("rank0.json").comment("made here").extra(vec![1, 2, 3]);
        let mut encoder = builder.write(Vec::new(), Compression::default());
        encoder.write_all(b"hello, hello, hello").unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(bytes: &[u8]) -> io::Result<(Vec<u8>, usize)> {
        let mut member = Member::open(bytes)?;
        let mut out = Vec::new();
        member.read_to_end(&mut out)?;
        Ok((out, member.into_input().len()))
    }

    #[test]
    fn reads_every_header_field_and_stops_behind_the_trailer() {
        let mut bytes = member();
        bytes.extend(b"rest");
        let (out, left) = inflate(&bytes).unwrap();
        assert_eq!(out, b"hello, hello, hello");
        assert_eq!(left, 4);
    }

    #[test]
    fn damage_is_told_from_a_cut() {
        let whole = member();
        for end in 0..whole.len() {
            let error = inflate(&whole[..end]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
        }
        let mut damaged = whole.clone();
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        assert_eq!(inflate(&damaged).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut damaged = whole;
        let length = damaged.len() - 1;
        damaged[length] ^= 1;
        assert!(inflate(&damaged).unwrap_err().to_string().contains("another length"));
    }
}
