//! The scanner: bytes in, events out. A pure state machine that knows no I/O, no gzip and no meaning;
//! `read` feeds it, `collect` gives its events a meaning.

use memchr::{memchr2, memmem};

use super::defect::DefectKind;

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
    /// A comma before the closing brace.
    pub(crate) stray_comma: bool,
}

/// What the scanner found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'w> {
    /// The window ends inside something: call again with more bytes behind the unconsumed ones.
    NeedMore,
    /// A key of the top-level object with its raw value; not `traceEvents`.
    Member { key: &'w [u8], value: &'w [u8] },
    /// One event.
    Event(RawEvent<'w>),
    /// Something odd, at this distance from the start of the window.
    Defect { kind: DefectKind, at: usize },
    /// The top-level value is closed.
    End,
}

/// An item and how much of the window is done with. Slices in the item may lie in the consumed part.
#[derive(Debug)]
pub(crate) struct Scanned<'w> {
    pub(crate) consumed: usize,
    pub(crate) item: Item<'w>,
}

/// How a file ended, seen from its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Closed,
    UnclosedArray,
    UnclosedObject,
    Cut,
    Nothing,
    /// Not a trace at all; reported when it was found.
    Refused,
}

/// An event or a top-level value larger than this is passed over instead of held.
pub(crate) const LARGEST_VALUE: usize = 32 << 20;

/// Keys an event may start with; decides where reading goes on after damage.
const EVENT_KEYS: [&[u8]; 12] = [
    b"ph", b"cat", b"name", b"pid", b"tid", b"ts", b"dur", b"args", b"id", b"s", b"bp", b"sf",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// In the top-level object.
    Members { comma_due: bool },
    /// Among the events.
    Events(After),
    /// After damage: looking for the next event, or for `traceEvents` when it has not come yet.
    Resync { before: u8 },
    /// Passing over a value that is too large to hold.
    Skip { depth: u32, in_string: bool, escaped: bool },
    Closed,
    Refused,
}

/// What stood last among the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Open,
    Comma,
    Element,
}

/// The state machine. See [`Scanner::next`].
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    bare_array: bool,
    events_begun: bool,
    events_closed: bool,
    garbage_reported: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Start,
            bare_array: false,
            events_begun: false,
            events_closed: false,
            garbage_reported: false,
        }
    }

    /// True when the file is an array of events and not an object around one.
    pub(crate) fn is_bare_array(&self) -> bool {
        self.bare_array
    }

    /// Finds the next item in `window`, whose first byte is the first one not consumed so far.
    /// `last` says that no bytes follow the window.
    pub(crate) fn next<'w>(&mut self, window: &'w [u8], last: bool) -> Scanned<'w> {
        match self.state {
            State::Start => self.start(window, last),
            State::Members { comma_due } => self.member(window, 0, comma_due, last),
            State::Events(after) => self.element(window, 0, after, last),
            State::Resync { before } => self.resync(window, before, last),
            State::Skip { .. } => self.skip(window),
            State::Closed => self.after_end(window),
            State::Refused => scanned(window.len(), Item::NeedMore),
        }
    }

    /// How the file ended, given what is left in the window after the last [`Item::NeedMore`].
    pub(crate) fn ending(&self, rest: &[u8]) -> Ending {
        let blank = rest.iter().all(|b| is_space(*b) || *b == b',');
        match self.state {
            State::Start if blank => Ending::Nothing,
            State::Closed => Ending::Closed,
            State::Refused => Ending::Refused,
            State::Members { .. } if self.events_closed && blank => Ending::UnclosedObject,
            State::Events(_) if self.bare_array && blank => Ending::UnclosedArray,
            // Damage reached to the end of the file, but the file does end as a closed one does.
            State::Resync { before } => {
                let end = rest.iter().rev().find(|b| !is_space(**b)).unwrap_or(&before);
                let closing = if self.bare_array { b']' } else { b'}' };
                if self.events_begun && *end == closing { Ending::Closed } else { Ending::Cut }
            }
            _ => Ending::Cut,
        }
    }

    fn start<'w>(&mut self, window: &'w [u8], last: bool) -> Scanned<'w> {
        if window.len() < 3 && !last {
            return scanned(0, Item::NeedMore);
        }
        if window.starts_with(b"\xef\xbb\xbf") {
            return scanned(3, Item::Defect { kind: DefectKind::ByteOrderMark, at: 0 });
        }
        let at = skip_space(window, 0);
        match window.get(at) {
            None => scanned(at, Item::NeedMore),
            Some(b'{') => {
                self.state = State::Members { comma_due: false };
                self.member(window, at + 1, false, last)
            }
            Some(b'[') => {
                self.bare_array = true;
                self.begin_events();
                self.element(window, at + 1, After::Open, last)
            }
            Some(_) => {
                self.state = State::Refused;
                scanned(window.len(), Item::Defect { kind: DefectKind::NotATrace, at })
            }
        }
    }

    fn begin_events(&mut self) {
        self.events_begun = true;
        self.state = State::Events(After::Open);
    }

    // ---- the top-level object ----

    fn member<'w>(&mut self, window: &'w [u8], from: usize, comma_due: bool, last: bool) -> Scanned<'w> {
        let mut at = skip_space(window, from);
        if comma_due && window.get(at) == Some(&b',') {
            at = skip_space(window, at + 1);
        }
        match window.get(at) {
            None => scanned(from, Item::NeedMore),
            Some(b'}') => {
                self.state = State::Closed;
                scanned(at + 1, Item::End)
            }
            Some(b'"') => self.key_value(window, from, at, last),
            Some(_) => self.lost(at, DefectKind::BrokenMetadata),
        }
    }

    fn key_value<'w>(&mut self, window: &'w [u8], from: usize, quote: usize, last: bool) -> Scanned<'w> {
        let Some(key_end) = string_end(window, quote + 1) else {
            return self.need_more(window, from, quote, last);
        };
        let colon = skip_space(window, key_end + 1);
        match window.get(colon) {
            None => return scanned(from, Item::NeedMore),
            Some(b':') => {}
            Some(_) => return self.lost(colon, DefectKind::BrokenMetadata),
        }
        let value = skip_space(window, colon + 1);
        let key = &window[quote + 1..key_end];
        if key == b"traceEvents" && window.get(value) == Some(&b'[') {
            self.begin_events();
            return self.element(window, value + 1, After::Open, last);
        }
        match value_end(window, value, last) {
            ValueEnd::At(end) => {
                self.state = State::Members { comma_due: true };
                scanned(end, Item::Member { key, value: &window[value..end] })
            }
            ValueEnd::Open => self.need_more(window, from, value, last),
            ValueEnd::Bad(at) => self.lost(at, DefectKind::BrokenMetadata),
        }
    }

    // ---- the events ----

    fn element<'w>(&mut self, window: &'w [u8], from: usize, after: After, last: bool) -> Scanned<'w> {
        let at = skip_space(window, from);
        self.state = State::Events(after);
        match window.get(at) {
            None => scanned(at, Item::NeedMore),
            Some(b',') if after == After::Element => self.element(window, at + 1, After::Comma, last),
            Some(b',') => scanned(at + 1, Item::Defect { kind: DefectKind::StrayComma, at }),
            Some(b'{') if after == After::Element => self.comma_defect(at, After::Comma),
            Some(b'{') => match event(window, at) {
                Parsed::Event(event, end) => {
                    self.state = State::Events(After::Element);
                    scanned(end, Item::Event(event))
                }
                Parsed::Open => self.need_more(window, at, at, last),
                Parsed::Empty(end) => self.empty_event(at, end),
                Parsed::Bad(bad) => self.lost(bad, DefectKind::BrokenEvent),
            },
            Some(b']') if after == After::Comma => self.comma_defect(at, After::Element),
            Some(b']') => {
                self.events_closed = true;
                if self.bare_array {
                    self.state = State::Closed;
                    return scanned(at + 1, Item::End);
                }
                self.state = State::Members { comma_due: true };
                self.member(window, at + 1, true, last)
            }
            Some(b'n') => {
                let have = &window[at..window.len().min(at + 4)];
                if have == b"null" {
                    self.empty_event(at, at + 4)
                } else if b"null".starts_with(have) && !last {
                    scanned(at, Item::NeedMore)
                } else {
                    self.lost(at, DefectKind::BrokenEvent)
                }
            }
            Some(_) => self.lost(at, DefectKind::BrokenEvent),
        }
    }

    /// A comma too many or too few in front of what stands at `at`.
    fn comma_defect<'w>(&mut self, at: usize, read_as: After) -> Scanned<'w> {
        self.state = State::Events(read_as);
        scanned(at, Item::Defect { kind: DefectKind::StrayComma, at })
    }

    fn empty_event<'w>(&mut self, at: usize, end: usize) -> Scanned<'w> {
        self.state = State::Events(After::Element);
        scanned(end, Item::Defect { kind: DefectKind::EmptyEvent, at })
    }

    // ---- damage ----

    /// Reports damage at `at` and goes on looking for the next event from there.
    fn lost<'w>(&mut self, at: usize, kind: DefectKind) -> Scanned<'w> {
        self.state = State::Resync { before: b' ' };
        scanned(at, Item::Defect { kind, at })
    }

    /// Asks for more bytes, unless what is held is already beyond the limit.
    fn need_more<'w>(&mut self, window: &'w [u8], from: usize, value: usize, last: bool) -> Scanned<'w> {
        if window.len() - from <= LARGEST_VALUE || last {
            return scanned(from, Item::NeedMore);
        }
        self.state = State::Skip { depth: 0, in_string: false, escaped: false };
        scanned(value, Item::Defect { kind: DefectKind::OversizedEvent, at: value })
    }

    /// Passes over one value of any size without holding it.
    fn skip<'w>(&mut self, window: &'w [u8]) -> Scanned<'w> {
        let State::Skip { mut depth, mut in_string, mut escaped } = self.state else {
            return scanned(0, Item::NeedMore);
        };
        for (at, byte) in window.iter().enumerate() {
            if in_string {
                if escaped {
                    escaped = false;
                } else if *byte == b'\\' {
                    escaped = true;
                } else if *byte == b'"' {
                    in_string = false;
                }
            } else {
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            if depth == 0 && !in_string && matches!(byte, b'}' | b']' | b'"') {
                self.state = if self.events_begun && !self.events_closed {
                    State::Events(After::Element)
                } else {
                    State::Members { comma_due: true }
                };
                return self.next_from(window, at + 1);
            }
        }
        self.state = State::Skip { depth, in_string, escaped };
        scanned(window.len(), Item::NeedMore)
    }

    fn next_from<'w>(&mut self, window: &'w [u8], from: usize) -> Scanned<'w> {
        let mut inner = self.next(&window[from..], false);
        inner.consumed += from;
        if let Item::Defect { at, .. } = &mut inner.item {
            *at += from;
        }
        inner
    }

    /// Looks for a place where an event starts: `{`, after `,` or `[` or `}`, before a known key.
    /// A `{` after `:` is the value of a key (`"args": {"name": …}`) and starts no event.
    fn resync<'w>(&mut self, window: &'w [u8], before: u8, last: bool) -> Scanned<'w> {
        if !self.events_begun {
            return self.find_events(window);
        }
        let mut from = 0;
        while let Some(found) = memchr2(b'{', b']', &window[from..]) {
            let at = from + found;
            let previous = last_solid(&window[..at]).unwrap_or(before);
            let verdict = if window[at] == b'{' {
                if matches!(previous, b',' | b'[' | b'}') { starts_event(&window[at..]) } else { Some(false) }
            } else if previous == b'}' {
                ends_events(&window[at..], last, self.bare_array)
            } else {
                Some(false)
            };
            match verdict {
                Some(true) => {
                    self.state = State::Events(if window[at] == b'{' { After::Comma } else { After::Element });
                    return self.next_from(window, at);
                }
                Some(false) => from = at + 1,
                None if last => from = at + 1,
                None => {
                    self.state = State::Resync { before: previous };
                    return scanned(at, Item::NeedMore);
                }
            }
        }
        self.state = State::Resync { before: last_solid(window).unwrap_or(before) };
        scanned(window.len(), Item::NeedMore)
    }

    /// Damaged metadata before the events: the events are what matters, so they are sought by name.
    fn find_events<'w>(&mut self, window: &'w [u8]) -> Scanned<'w> {
        const KEY: &[u8] = b"\"traceEvents\"";
        match memmem::find(window, KEY) {
            Some(at) => {
                let colon = skip_space(window, at + KEY.len());
                let bracket = skip_space(window, colon + 1);
                match (window.get(colon), window.get(bracket)) {
                    (Some(b':'), Some(b'[')) => {
                        self.begin_events();
                        scanned(bracket + 1, Item::NeedMore).again(self, window)
                    }
                    (Some(b':'), None) | (None, _) => scanned(at, Item::NeedMore),
                    _ => scanned(at + 1, Item::NeedMore).again(self, window),
                }
            }
            None => scanned(window.len().saturating_sub(KEY.len()), Item::NeedMore),
        }
    }

    fn after_end<'w>(&mut self, window: &'w [u8]) -> Scanned<'w> {
        let at = skip_space(window, 0);
        if at < window.len() && !self.garbage_reported {
            self.garbage_reported = true;
            return scanned(window.len(), Item::Defect { kind: DefectKind::TrailingGarbage, at });
        }
        scanned(window.len(), Item::NeedMore)
    }
}

impl<'w> Scanned<'w> {
    /// Goes on behind what was consumed instead of returning an empty-handed `NeedMore`.
    fn again(self, scanner: &mut Scanner, window: &'w [u8]) -> Self {
        scanner.next_from(window, self.consumed)
    }
}

fn scanned(consumed: usize, item: Item<'_>) -> Scanned<'_> {
    Scanned { consumed, item }
}

enum Parsed<'w> {
    Event(RawEvent<'w>, usize),
    Empty(usize),
    Open,
    Bad(usize),
}

/// Reads the event whose `{` stands at `open`.
fn event(window: &[u8], open: usize) -> Parsed<'_> {
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
        let Some(key_end) = string_end(window, at + 1) else {
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
            b'"' => match string_end(window, at + 1) {
                Some(end) => (&window[at + 1..end], end + 1),
                None => return Parsed::Open,
            },
            b'{' | b'[' => match nested_end(window, at) {
                Some(end) => (&window[at..end], end),
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

enum ValueEnd {
    At(usize),
    Open,
    Bad(usize),
}

/// The end of the JSON value that starts at `at`.
fn value_end(window: &[u8], at: usize, last: bool) -> ValueEnd {
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
fn string_end(window: &[u8], mut at: usize) -> Option<usize> {
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
fn nested_end(window: &[u8], mut at: usize) -> Option<usize> {
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
fn scalar_end(window: &[u8], at: usize) -> Option<usize> {
    window[at..]
        .iter()
        .position(|b| matches!(b, b',' | b'}' | b']' | b'"' | b':' | b'{' | b'[') || is_space(*b))
        .map(|length| at + length)
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[inline]
fn skip_space(window: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < window.len() && is_space(window[at]) {
        at += 1;
    }
    at
}

fn last_solid(bytes: &[u8]) -> Option<u8> {
    bytes.iter().rev().find(|b| !is_space(**b)).copied()
}

/// Whether an event starts at the `{` in front; `None` when the window is too short to tell.
fn starts_event(window: &[u8]) -> Option<bool> {
    let quote = skip_space(window, 1);
    match window.get(quote) {
        None => return None,
        Some(b'"') => {}
        Some(_) => return Some(false),
    }
    let rest = &window[quote + 1..];
    let Some(end) = rest.iter().take(6).position(|b| *b == b'"') else {
        return if rest.len() < 6 { None } else { Some(false) };
    };
    let colon = skip_space(rest, end + 1);
    Some(EVENT_KEYS.contains(&&rest[..end]) && *rest.get(colon)? == b':')
}

/// Whether the `]` in front closes the events; `None` when the window is too short to tell.
fn ends_events(window: &[u8], last: bool, bare_array: bool) -> Option<bool> {
    let next = skip_space(window, 1);
    match window.get(next) {
        None if last => Some(bare_array),
        None => None,
        Some(b'}') => Some(!bare_array),
        Some(b',') => match window.get(skip_space(window, next + 1)) {
            None => None,
            Some(byte) => Some(*byte == b'"' && !bare_array),
        },
        Some(_) => Some(false),
    }
}
