//! The frames of a zstd file (RFC 8878), with their checksums where they have one. `ruzstd` decodes. It keeps back one
//! window of text (8 MiB at most levels) until a frame ends, and of a frame that is cut these bytes are not read.

use std::error::Error;
use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The first four bytes of a frame with data.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// True for the beginning of a zstd file, which may be a frame without data.
pub(crate) fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(&MAGIC) || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Reads one frame after another, and leaves the input behind the last.
pub(crate) struct Frames<R> {
    input: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Frames<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, decoder: FrameDecoder::new(), in_frame: false }
    }

    pub(crate) fn input(&mut self) -> &mut R {
        &mut self.input
    }

    /// Reads the header of the next frame with data; `false` where no frame begins.
    fn open(&mut self) -> io::Result<bool> {
        while let [0x28 | 0x50..=0x5f, ..] = self.input.fill_buf()? {
            match self.decoder.init(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.input).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(false)
    }

    fn check(&self) -> io::Result<()> {
        let written = self.decoder.get_checksum_from_data();
        if written.is_some() && written != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the zstd checksum differs from the content",
            ));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                self.in_frame = self.open()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.input, one).map_err(broken)?;
            }
            let count = self.decoder.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            self.in_frame = false;
            self.check()?;
        }
    }
}

/// Tells a file that ends too early from one that is damaged.
fn broken(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(one) = cause {
        if one.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
            return io::ErrorKind::UnexpectedEof.into();
        }
        cause = one.source();
    }
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn read(bytes: &[u8]) -> (Vec<u8>, io::Result<usize>, usize) {
        let mut frames = Frames::new(bytes);
        let mut out = Vec::new();
        let result = frames.read_to_end(&mut out);
        (out, result, frames.input.len())
    }

    fn frame(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    #[test]
    fn frames_are_read_one_after_another_and_those_without_data_passed_over() {
        let skipped = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        let bytes = [skipped.as_slice(), &frame(b"hello, "), &skipped, &frame(b"hello"), b"rest"].concat();
        let (out, result, left) = read(&bytes);
        assert_eq!((out.as_slice(), result.unwrap(), left), (b"hello, hello".as_slice(), 12, 4));
        assert!(is_zstd(&bytes) && !is_zstd(b"P*"));
    }

    #[test]
    fn a_cut_is_told_from_damage() {
        let whole = frame(&b"a trace of a few lines\n".repeat(40));
        for end in 1..whole.len() {
            let error = read(&whole[..end]).1.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}: {error}");
        }
        let mut damaged = whole;
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        assert_eq!(read(&damaged).1.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
