//! Ends of JSON values inside a window. `None` means that the window is too short to tell.

use memchr::memchr2;

pub(super) enum ValueEnd {
    At(usize),
    Open,
    Bad(usize),
}

/// The end of the JSON value that starts at `at`.
pub(super) fn value_end(window: &[u8], at: usize, last: bool) -> ValueEnd {
    let found = match window.get(at) {
        None => None,
        Some(b'"') => string_end(window, at + 1).map(|end| end + 1),
        Some(b'{' | b'[') => nested_end(window, at).map(|nested| nested.end),
        Some(_) => match scalar_end(window, at) {
            Some(end) if end == at => return ValueEnd::Bad(at),
            None if last => None,
            other => other,
        },
    };
    found.map_or(ValueEnd::Open, ValueEnd::At)
}

/// The closing quote of the string whose content starts at `at`.
#[inline]
pub(super) fn string_end(window: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let found = at + memchr2(b'"', b'\\', window.get(at..)?)?;
        if window[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

/// An object or array inside the window.
#[derive(Clone, Copy)]
pub(super) struct Nested {
    /// One past its closing bracket.
    pub(super) end: usize,
    /// `NaN` or `Infinity` stands in it.
    pub(super) non_finite: bool,
}

/// Finds the bracket that closes the object or array opened at `at`. Depth is a counter, so
/// nesting of any depth costs no stack.
pub(super) fn nested_end(window: &[u8], mut at: usize) -> Option<Nested> {
    let mut depth = 0usize;
    let mut non_finite = false;
    while let Some(byte) = window.get(at) {
        match byte {
            b'"' => at = string_end(window, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(Nested { end: at + 1, non_finite });
                }
            }
            // Outside strings JSON has no capital letter but the E of an exponent.
            b'N' | b'I' => non_finite = true,
            _ => {}
        }
        at += 1;
    }
    None
}

/// As [`string_end`], for strings that are mostly short, where setting up a vector search costs more
/// than looking at a few bytes.
#[inline]
pub(super) fn short_string_end(window: &[u8], at: usize) -> Option<usize> {
    const SHORT: usize = 16;
    for (length, byte) in window.get(at..)?.iter().take(SHORT).enumerate() {
        match byte {
            b'"' => return Some(at + length),
            b'\\' => break,
            _ => {}
        }
    }
    string_end(window, at)
}

/// One past a number or word. `None` when the window ends first: it may go on.
#[inline]
pub(super) fn scalar_end(window: &[u8], at: usize) -> Option<usize> {
    window[at..].iter().position(|byte| ENDS_SCALAR[*byte as usize]).map(|length| at + length)
}

static ENDS_SCALAR: [bool; 256] = {
    let mut ends = [false; 256];
    let enders = b",}]\":{[ \n\r\t";
    let mut place = 0;
    while place < enders.len() {
        ends[enders[place] as usize] = true;
        place += 1;
    }
    ends
};

#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[inline]
pub(super) fn skip_space(window: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < window.len() && is_space(window[at]) {
        at += 1;
    }
    at
}
