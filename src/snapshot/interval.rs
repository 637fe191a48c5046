//! A count that may lie between two bounds.

use std::fmt;

/// From `low` to `high`, both allowed. Written `12` or `11..12`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Interval {
    pub(crate) const NONE: Self = Self { low: 0, high: 0 };

    pub(crate) fn of(count: u64) -> Self {
        Self { low: count, high: count }
    }

    /// Every value of `other` is allowed here.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.low <= other.low && other.high <= self.high
    }

    /// The smallest interval with both inside.
    pub(crate) fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let read = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let interval = Self { low: read(low)?, high: read(high)? };
        (interval.low <= interval.high).then_some(interval)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{}..{}", self.low, self.high)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_reads_as_it_is_written() {
        for text in ["0", "12", "11..12", "0..18446744073709551615"] {
            assert_eq!(Interval::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "..", "1..", "..2", "2..1", "-1", "+1", "1...2", "1.5", "18446744073709551616"] {
            assert_eq!(Interval::parse(text), None, "{text}");
        }
        let (narrow, wide) = (Interval { low: 3, high: 4 }, Interval { low: 3, high: 9 });
        assert!(wide.covers(narrow) && !narrow.covers(wide) && narrow.covers(narrow));
        assert_eq!(narrow.hull(Interval::of(9)), wide);
    }
}
