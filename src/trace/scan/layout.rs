//! What stands between the values of an event. Writers put the same bytes there again and again, so the bytes of
//! the last event are tried first: one comparison instead of reading a comma, blanks, a key and a colon. Bytes
//! that are equal read the same, so no layout is assumed and none is required.

use super::value::is_space;

/// The keys that decide; all others are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Field {
    Ph,
    Cat,
    Name,
    Pid,
    Tid,
    Ts,
    Dur,
    Args,
    Id,
    Bp,
    #[default]
    Other,
}

impl Field {
    pub(super) fn of(key: &[u8]) -> Self {
        match key {
            b"ph" => Self::Ph,
            b"cat" => Self::Cat,
            b"name" => Self::Name,
            b"pid" => Self::Pid,
            b"tid" => Self::Tid,
            b"ts" => Self::Ts,
            b"dur" => Self::Dur,
            b"args" => Self::Args,
            b"id" => Self::Id,
            b"bp" => Self::Bp,
            _ => Self::Other,
        }
    }

    /// One bit per field; none for the others, which may stand as often as they like.
    #[inline]
    pub(super) fn bit(self) -> u16 {
        if self == Self::Other { 0 } else { 1 << self as u16 }
    }
}

/// Fields of one event that are remembered, and bytes in front of each.
const FIELDS: usize = 12;
const BYTES: usize = 32;
const WORDS: usize = BYTES / 8;

/// The bytes in front of each value of the last event that was read in full.
#[derive(Debug, Default)]
pub(super) struct Layout {
    gaps: [Gap; FIELDS],
}

/// Compared as words under a mask: a call to `memcmp` for a dozen bytes takes longer than that.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    words: [u64; WORDS],
    masks: [u64; WORDS],
    length: usize,
    field: Field,
}

impl Layout {
    /// The field and the start of its value, when the same bytes stand at `at` as last time.
    #[inline]
    pub(super) fn recall(&self, place: usize, window: &[u8], at: usize) -> Option<(Field, usize)> {
        let gap = self.gaps.get(place)?;
        let found = words(window.get(at..)?.first_chunk::<BYTES>()?);
        let expected = gap.words.iter().zip(&gap.masks);
        let differing =
            found.iter().zip(expected).fold(0, |all, (found, (word, mask))| all | ((found ^ word) & mask));
        let start = at + gap.length;
        // Blanks belong to the gap as far as they go: one more and it is another gap.
        let same = differing == 0 && gap.length > 0 && !is_space(*window.get(start)?);
        same.then_some((gap.field, start))
    }

    pub(super) fn learn(&mut self, place: usize, bytes: &[u8], field: Field) {
        let (mut padded, mut mask) = ([0; BYTES], [0; BYTES]);
        if let Some(gap) = self.gaps.get_mut(place)
            && let (Some(room), Some(marks)) = (padded.get_mut(..bytes.len()), mask.get_mut(..bytes.len()))
        {
            room.copy_from_slice(bytes);
            marks.fill(0xff);
            *gap = Gap { words: words(&padded), masks: words(&mask), length: bytes.len(), field };
        }
    }
}

#[inline]
fn words(bytes: &[u8; BYTES]) -> [u64; WORDS] {
    let (chunks, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|word| chunks.get(word).map_or(0, |chunk| u64::from_le_bytes(*chunk)))
}
