//! Ends of JSON values inside a window. `None` means that the window is too short to tell.

use memchr::{memchr, memchr2};

use super::word::Word;

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
        let found = quote_or_backslash(window, at)?;
        if window[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

/// One word for the short strings, a vector search for the others.
#[inline]
fn quote_or_backslash(window: &[u8], at: usize) -> Option<usize> {
    if let Some(word) = Word::load(window, at) {
        let flags = word.equal(b'"').or(word.equal(b'\\'));
        if flags.any() {
            return Some(at + flags.first());
        }
        return memchr2(b'"', b'\\', window.get(at + 8..)?).map(|length| at + 8 + length);
    }
    memchr2(b'"', b'\\', window.get(at..)?).map(|length| at + length)
}

/// An object or array inside the window.
#[derive(Clone, Copy)]
pub(super) struct Nested {
    /// One past its closing bracket.
    pub(super) end: usize,
    /// `NaN` or `Infinity` stands in it.
    pub(super) non_finite: bool,
}

/// Finds the bracket that closes the object or array opened at `at`.
#[inline]
pub(super) fn nested_end(window: &[u8], at: usize) -> Option<Nested> {
    flat_end(window, at).or_else(|| deep_end(window, at))
}

/// The end of an object without objects, arrays and escapes inside, which nearly all `args` are: its
/// first `}`, unless something in front of it needs a closer look.
#[inline]
fn flat_end(window: &[u8], open: usize) -> Option<Nested> {
    if window.get(open) != Some(&b'{') {
        return None;
    }
    let end = open + memchr(b'}', window.get(open..)?)?;
    // The brace itself is looked at, too, as the successor of the last byte inside.
    let signs = signs(&window[open + 1..end], &window[open + 2..=end]);
    (signs == 0).then_some(Nested { end: end + 1, non_finite: false })
}

/// Zero when nothing in `bytes` needs a closer look: no bracket, no backslash, an even number of
/// quotes, and no number that is none (NaN has an N; Infinity ends with a y in front of a comma, a
/// brace or a line end). `next` holds the successor of each byte.
///
/// Arithmetic on bytes without branches: the compiler makes vector code of the inner loop.
#[inline]
fn signs(bytes: &[u8], next: &[u8]) -> u8 {
    const LANES: usize = 16;
    let is = |left: u8, right: u8| u8::from(left == right);
    let sign = |byte: u8, next: u8| {
        let ends = is(next, b',') | is(next, b'}') | is(next, b'\n');
        is(byte, b'{')
            | is(byte, b'[')
            | is(byte, b']')
            | is(byte, b'\\')
            | is(byte, b'N')
            | (is(byte, b'y') & ends)
    };
    let (mut seen, mut quotes) = ([0u8; LANES], [0u8; LANES]);
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    let (next_chunks, next_rest) = next.as_chunks::<LANES>();
    for (bytes, next) in chunks.iter().zip(next_chunks) {
        for lane in 0..LANES {
            seen[lane] |= sign(bytes[lane], next[lane]);
            quotes[lane] ^= is(bytes[lane], b'"');
        }
    }
    let mut all = 0;
    let mut odd = 0;
    for lane in 0..LANES {
        all |= seen[lane];
        odd ^= quotes[lane];
    }
    for (byte, next) in rest.iter().zip(next_rest) {
        all |= sign(*byte, *next);
        odd ^= is(*byte, b'"');
    }
    all | odd
}

/// Any object or array. Depth is a counter, so nesting of any depth costs no stack.
fn deep_end(window: &[u8], mut at: usize) -> Option<Nested> {
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
