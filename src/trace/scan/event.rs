//! One event: from its `{` to its `}`, fields as slices of the window. Reads everything in one pass.

use super::layout::{Field, Layout};
use super::value::{nested_end, scalar_end, skip_space, string_end};

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
    /// `id`, quotes removed; joins the ends of a flow.
    pub(crate) id: &'w [u8],
    /// Content of the `bp` string: `e` where a flow ends in the slice around it.
    pub(crate) bp: &'w [u8],
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
pub(super) fn event<'w>(window: &'w [u8], open: usize, layout: &mut Layout) -> Parsed<'w> {
    let mut event = RawEvent::default();
    let mut seen: u16 = 0;
    let mut at = open + 1;
    for place in 0.. {
        let (field, start) = match layout.recall(place, window, at) {
            Some(expected) => expected,
            None => match key(window, at, place == 0) {
                Key::Found { field, value } => {
                    layout.learn(place, &window[at..value], field);
                    (field, value)
                }
                Key::Closed { end, stray_comma } => {
                    if place == 0 {
                        return Parsed::Empty(end);
                    }
                    event.stray_comma = stray_comma;
                    return Parsed::Event(event, end);
                }
                Key::Open => return Parsed::Open,
                Key::Bad(bad) => return Parsed::Bad(bad),
            },
        };
        let Some(first) = window.get(start) else {
            return Parsed::Open;
        };
        let (value, end) = match first {
            b'"' => match string_end(window, start + 1) {
                Some(end) => (&window[start + 1..end], end + 1),
                None => return Parsed::Open,
            },
            b'{' | b'[' => match nested_end(window, start) {
                Some(nested) => {
                    event.non_finite |= nested.non_finite;
                    (&window[start..nested.end], nested.end)
                }
                None => return Parsed::Open,
            },
            _ => match scalar_end(window, start) {
                Some(end) if end > start => (&window[start..end], end),
                Some(_) => return Parsed::Bad(start),
                None => return Parsed::Open,
            },
        };
        event.set(field, value);
        let bit = field.bit();
        event.duplicate_key |= seen & bit != 0;
        seen |= bit;
        at = end;
    }
    Parsed::Bad(at)
}

/// What stands between two values.
enum Key {
    Found { field: Field, value: usize },
    Closed { end: usize, stray_comma: bool },
    Open,
    Bad(usize),
}

/// Reads a comma (unless it is the first), a key and a colon, or the closing brace.
fn key(window: &[u8], from: usize, first: bool) -> Key {
    let mut at = skip_space(window, from);
    let comma = !first && window.get(at) == Some(&b',');
    if comma {
        at = skip_space(window, at + 1);
    }
    match window.get(at) {
        None => return Key::Open,
        Some(b'}') => return Key::Closed { end: at + 1, stray_comma: comma },
        Some(b'"') if comma || first => {}
        Some(_) => return Key::Bad(at),
    }
    let Some(key_end) = string_end(window, at + 1) else {
        return Key::Open;
    };
    let field = Field::of(&window[at + 1..key_end]);
    let colon = skip_space(window, key_end + 1);
    match window.get(colon) {
        None => Key::Open,
        Some(b':') => Key::Found { field, value: skip_space(window, colon + 1) },
        Some(_) => Key::Bad(colon),
    }
}

impl<'w> RawEvent<'w> {
    #[inline]
    fn set(&mut self, field: Field, value: &'w [u8]) {
        match field {
            Field::Ph => self.ph = value,
            Field::Cat => self.cat = value,
            Field::Name => self.name = value,
            Field::Pid => self.pid = value,
            Field::Tid => self.tid = value,
            Field::Ts => self.ts = value,
            Field::Dur => self.dur = value,
            Field::Args => self.args = value,
            Field::Id => self.id = value,
            Field::Bp => self.bp = value,
            Field::Other => {}
        }
    }
}
