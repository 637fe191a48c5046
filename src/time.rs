//! Time as integer nanoseconds. Trace files write decimal microseconds; this is the only place that converts them.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A point in time or a span of time, in integer nanoseconds.
///
/// Kineto writes `ts` as microseconds with three decimals at magnitudes of 10^15, where an `f64`
/// keeps only quarter microseconds; nanoseconds in an `i64` keep every digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(i64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Nanos = Nanos(0);
    /// The latest representable time; nothing ends after it.
    pub const MAX: Nanos = Nanos(i64::MAX);

    /// Wraps a count of nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Wraps a count of microseconds, saturating at the ends of the range.
    #[must_use]
    pub const fn from_micros(us: i64) -> Self {
        Self(us.saturating_mul(1_000))
    }

    /// Now, on the Unix clock, to which traces are rebased as well.
    pub(crate) fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self::from(since.unwrap_or_default())
    }

    /// The count of nanoseconds.
    #[must_use]
    pub const fn as_ns(self) -> i64 {
        self.0
    }

    /// Milliseconds, for display only.
    #[must_use]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Reads decimal microseconds exactly, as Kineto and Python's `json` write them
    /// (`4632199155307.355`, `12`, `1.5e3`). Digits below a nanosecond round to the nearest.
    ///
    /// `None` when the text is not a finite decimal number or does not fit 64 bits of nanoseconds.
    #[must_use]
    pub fn parse_micros(text: &[u8]) -> Option<Self> {
        parse_plain(text).or_else(|| parse_general(text)).map(Self)
    }
}

/// The form every profiler writes: digits, optionally a point and at most three digits.
fn parse_plain(text: &[u8]) -> Option<i64> {
    let mut whole: i64 = 0;
    let mut rest = text.iter();
    if text.is_empty() {
        return None;
    }
    let mut digits = 0;
    for &byte in rest.by_ref() {
        match byte {
            // 15 digits cannot overflow, neither here nor after the multiplication by 1,000.
            b'0'..=b'9' if digits < 15 => {
                whole = whole * 10 + i64::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 => {
                let fraction = rest.as_slice();
                if fraction.is_empty() || fraction.len() > 3 {
                    return None;
                }
                let mut ns: i64 = 0;
                for &byte in fraction {
                    if !byte.is_ascii_digit() {
                        return None;
                    }
                    ns = ns * 10 + i64::from(byte - b'0');
                }
                for _ in fraction.len()..3 {
                    ns *= 10;
                }
                return Some(whole * 1_000 + ns);
            }
            _ => return None,
        }
    }
    Some(whole * 1_000)
}

/// Signs, exponents, long fractions: rare, so written for exactness and not for speed.
fn parse_general(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut value: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()).take(36) {
        value = value * 10 + i128::from(byte - b'0');
    }
    let kept = (whole.len() + fraction.len()).min(36);
    // Power of ten that turns the collected digits into nanoseconds.
    let shift = i64::from(exponent) + 3 + whole.len() as i64 - kept as i64;
    if value == 0 {
        return Some(0);
    }
    let value = if shift >= 0 {
        value.checked_mul(10i128.checked_pow(u32::try_from(shift).ok()?)?)?
    } else {
        match 10i128.checked_pow(u32::try_from(-shift).ok()?) {
            Some(divisor) => (value + divisor / 2) / divisor,
            None => 0,
        }
    };
    i64::try_from(if negative { -value } else { value }).ok()
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(span: std::time::Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Nanos {
    /// Three significant places in the unit a person would choose: `641.7 us`, `2.914 ms`, `1.020 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0 as f64;
        let text = match self.0.unsigned_abs() {
            0 => "0 ns".to_owned(),
            1..1_000 => format!("{} ns", self.0),
            1_000..1_000_000 => format!("{:.1} us", ns / 1e3),
            1_000_000..1_000_000_000 => format!("{:.3} ms", ns / 1e6),
            _ => format!("{:.3} s", ns / 1e9),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ns(text: &str) -> Option<i64> {
        Nanos::parse_micros(text.as_bytes()).map(Nanos::as_ns)
    }

    #[test]
    fn keeps_every_digit_of_an_absolute_timestamp() {
        assert_eq!(ns("4632199155307.355"), Some(4_632_199_155_307_355));
        // Absolute epoch microseconds, as before torch 2.4 (trace-formats: 19 digits of ns).
        assert_eq!(ns("1790857026000123.457"), Some(1_790_857_026_000_123_457));
    }

    /// 19 digits overflowed in debug builds, and the reader panicked.
    #[test]
    fn times_beyond_64_bits_of_nanoseconds_are_none() {
        for text in ["9999999999999999999", "9223372036854775808", "9223372036854776", "99999999999999999.5"]
        {
            assert_eq!(ns(text), None, "{text}");
        }
        assert_eq!(ns("9223372036854775"), Some(9_223_372_036_854_775_000));
    }

    #[test]
    fn reads_what_a_json_rewrite_leaves() {
        assert_eq!(ns("12"), Some(12_000));
        assert_eq!(ns("0.5"), Some(500));
        assert_eq!(ns("1.5e3"), Some(1_500_000));
        assert_eq!(ns("-2.25"), Some(-2_250));
        assert_eq!(ns("2.5E-3"), Some(3), "half a nanosecond rounds up");
        assert_eq!(ns("0.30000000000000004"), Some(300));
        assert_eq!(ns("0e999999"), Some(0));
        assert_eq!(ns("1e-400"), Some(0));
    }

    #[test]
    fn refuses_what_is_no_finite_number() {
        for text in ["", "-", ".", "1.", ".5", "NaN", "Infinity", "1e400", "1e", "0x10", "12a"] {
            let expected = if text == "1." { Some(1_000) } else { None };
            assert_eq!(ns(text), expected, "{text:?}");
        }
        assert_eq!(ns("99999999999999999999"), None, "beyond 64 bits");
        // Found by fuzzing: 17 digits, within 64 bits before the multiplication and not after.
        assert_eq!(ns("04000000130072710"), Some(4_000_000_130_072_710_000));
        assert_eq!(ns("40000001300727109"), None);
    }

    proptest! {
        #[test]
        fn plain_and_general_forms_agree(whole in 0i64..9_000_000_000_000_000, frac in 0i64..1000) {
            let text = format!("{whole}.{frac:03}");
            prop_assert_eq!(ns(&text), Some(whole * 1000 + frac));
            prop_assert_eq!(parse_general(text.as_bytes()), Some(whole * 1000 + frac));
        }

        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Nanos::parse_micros(&text);
        }
    }
}
