//! Eight bytes at a time in a plain integer: most strings of a trace are shorter, and asking every byte
//! stalls at every end, which no processor can predict. Safe, and the same on every platform.

/// A one in every byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Flags, one a byte, of which only the lowest set one is exact: arithmetic may carry a false flag into
/// bytes above a true one.
#[derive(Clone, Copy)]
pub(super) struct Flags(u64);

/// Eight bytes of a window.
#[derive(Clone, Copy)]
pub(super) struct Word(u64);

impl Word {
    /// The eight bytes from `at` on, unless the window ends before.
    #[inline]
    pub(super) fn load(window: &[u8], at: usize) -> Option<Self> {
        let bytes = window.get(at..)?.first_chunk::<8>()?;
        Some(Self(u64::from_le_bytes(*bytes)))
    }

    /// Bytes equal to one.
    #[inline]
    pub(super) fn equal(self, byte: u8) -> Flags {
        let differing = self.0 ^ (ONES * byte as u64);
        Flags(differing.wrapping_sub(ONES) & !differing & HIGHS)
    }
}

impl Flags {
    #[inline]
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(super) fn any(self) -> bool {
        self.0 != 0
    }

    /// Place of the first flagged byte; 8 when none is.
    #[inline]
    pub(super) fn first(self) -> usize {
        (self.0.trailing_zeros() / 8) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_flag_is_the_first_byte(bytes: [u8; 8], byte in any::<u8>()) {
            let word = Word::load(&bytes, 0).unwrap();
            let first = |wanted: &dyn Fn(u8) -> bool| bytes.iter().position(|b| wanted(*b)).unwrap_or(8);
            prop_assert_eq!(word.equal(byte).first(), first(&|b| b == byte));
        }
    }
}
