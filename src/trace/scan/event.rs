//! One event: from its `{` to its `}`, fields as slices of the window. Reads everything in one pass.

use super::value::{nested_end, scalar_end, short_string_end, skip_space};

/// One event, as raw JSON text inside the window. Absent fields are empty slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawEvent<'w> {
    /// Content of the `ph` string.
    pub(crate) ph: &'w [u8],
    /// Content of the `cat` string, escapes not decoded.
    pub(crate) cat: &'w [u8],
    /// Content of the `name` string, escapes not decoded.
    pub(crate) name: &'w [u8],
    /// `pid`, quotes removed.
    pub(crate) pid: &'w [u8],
    /// `tid`, quotes removed.
    pub(crate) tid: &'w [u8],
    /// `ts`, quotes removed.
    pub(crate) ts: &'w [u8],
    /// `dur`, quotes removed.
    pub(crate) dur: &'w [u8],
    /// `args`, whole value.
    pub(crate) args: &'w [u8],
    /// A key stood twice.
    pub(crate) duplicate_key: bool,
    /// `NaN` or `Infinity` stands in `args`.
    pub(crate) non_finite: bool,
    /// A comma before the closing brace.
    pub(crate) stray_comma: bool,
}

pub(super) enum Parsed<'w> {
    Event(RawEvent<'w>, usize),
    Empty(usize),
    Open,
    Bad(usize),
}

/// Reads the event whose `{` stands at `open`.
pub(super) fn event(window: &[u8], open: usize) -> Parsed<'_> {
    let mut event = RawEvent::default();
    let mut seen: u16 = 0;
    let mut at = skip_space(window, open + 1);
    if window.get(at) == Some(&b'}') {
        return Parsed::Empty(at + 1);
    }
    loop {
        match window.get(at) {
            None => return Parsed::Open,
            Some(b'"') => {}
            Some(b'}') => {
                event.stray_comma = true;
                return Parsed::Event(event, at + 1);
            }
            Some(_) => return Parsed::Bad(at),
        }
        let Some(key_end) = short_string_end(window, at + 1) else {
            return Parsed::Open;
        };
        let key = &window[at + 1..key_end];
        at = skip_space(window, key_end + 1);
        match window.get(at) {
            None => return Parsed::Open,
            Some(b':') => at = skip_space(window, at + 1),
            Some(_) => return Parsed::Bad(at),
        }
        let Some(first) = window.get(at) else {
            return Parsed::Open;
        };
        let (value, end) = match first {
            b'"' => match short_string_end(window, at + 1) {
                Some(end) => (&window[at + 1..end], end + 1),
                None => return Parsed::Open,
            },
            b'{' | b'[' => match nested_end(window, at) {
                Some(nested) => {
                    event.non_finite |= nested.non_finite;
                    (&window[at..nested.end], nested.end)
                }
                None => return Parsed::Open,
            },
            _ => match scalar_end(window, at) {
                Some(end) if end > at => (&window[at..end], end),
                Some(_) => return Parsed::Bad(at),
                None => return Parsed::Open,
            },
        };
        if let Some((slot, bit)) = event.slot(key) {
            *slot = value;
            event.duplicate_key |= seen & bit != 0;
            seen |= bit;
        }
        at = skip_space(window, end);
        match window.get(at) {
            None => return Parsed::Open,
            Some(b',') => at = skip_space(window, at + 1),
            Some(b'}') => return Parsed::Event(event, at + 1),
            Some(_) => return Parsed::Bad(at),
        }
    }
}

impl<'w> RawEvent<'w> {
    fn slot(&mut self, key: &[u8]) -> Option<(&mut &'w [u8], u16)> {
        Some(match key {
            b"ph" => (&mut self.ph, 1),
            b"cat" => (&mut self.cat, 2),
            b"name" => (&mut self.name, 4),
            b"pid" => (&mut self.pid, 8),
            b"tid" => (&mut self.tid, 16),
            b"ts" => (&mut self.ts, 32),
            b"dur" => (&mut self.dur, 64),
            b"args" => (&mut self.args, 128),
            _ => return None,
        })
    }
}
