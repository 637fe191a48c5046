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
        Some(b'{' | b'[') => nested_end(window, at),
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

/// One past the bracket that closes the object or array opened at `at`. Depth is a counter, so
/// nesting of any depth costs no stack.
pub(super) fn nested_end(window: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    while let Some(byte) = window.get(at) {
        match byte {
            b'"' => at = string_end(window, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// One past a number or word. `None` when the window ends first: it may go on.
#[inline]
pub(super) fn scalar_end(window: &[u8], at: usize) -> Option<usize> {
    window[at..]
        .iter()
        .position(|b| matches!(b, b',' | b'}' | b']' | b'"' | b':' | b'{' | b'[') || is_space(*b))
        .map(|length| at + length)
}

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
