//! The states of the scanner and the steps between them.

use memchr::memchr;

use super::event::{Parsed, RawEvent, event};
use super::layout::Layout;
use super::resync::starts_event;
use super::value::{ValueEnd, is_space, skip_space, string_end, value_end};
use crate::trace::defect::DefectKind;
use crate::trace::foreign::is_no_json;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Start,
    /// In the top-level object.
    Members {
        comma_due: bool,
    },
    /// Among the events.
    Events(After),
    /// After damage: looking for the next event, or for `traceEvents` when it has not come yet.
    Resync {
        before: u8,
    },
    /// Passing over a value that is too large to hold.
    Skip {
        depth: u32,
        in_string: bool,
        escaped: bool,
    },
    Closed,
    Refused,
}

/// What stood last among the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Open,
    Comma,
    Element,
}

/// The state machine. See [`Scanner::next`].
#[derive(Debug)]
pub(crate) struct Scanner {
    pub(super) state: State,
    pub(super) bare_array: bool,
    pub(super) events_begun: bool,
    layout: Layout,
    events_closed: bool,
    garbage_reported: bool,
    second_reported: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Start,
            bare_array: false,
            events_begun: false,
            layout: Layout::default(),
            events_closed: false,
            garbage_reported: false,
            second_reported: false,
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
            State::Closed => self.after_end(window, last),
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
            Some(b'{' | b'[') if is_no_json(window, at) => self.refuse(window),
            Some(b'{') => {
                self.state = State::Members { comma_due: false };
                self.member(window, at + 1, false, last)
            }
            Some(b'[') => {
                self.bare_array = true;
                self.begin_events();
                self.element(window, at + 1, After::Open, last)
            }
            Some(_) => self.refuse(window),
        }
    }

    /// Another format is told by its first bytes, blanks among them.
    fn refuse<'w>(&mut self, window: &'w [u8]) -> Scanned<'w> {
        self.state = State::Refused;
        scanned(window.len(), Item::Defect { kind: DefectKind::NotATrace, at: 0 })
    }

    pub(super) fn begin_events(&mut self) {
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
            if self.events_closed {
                // Both arrays count; that there are two is said.
                self.events_closed = false;
                self.begin_events();
                return scanned(value + 1, Item::Defect { kind: DefectKind::DuplicateKey, at: quote });
            }
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
            Some(b'{') => match event(window, at, &mut self.layout) {
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

    pub(super) fn next_from<'w>(&mut self, window: &'w [u8], from: usize) -> Scanned<'w> {
        let mut inner = self.next(&window[from..], false);
        inner.consumed += from;
        if let Item::Defect { at, .. } = &mut inner.item {
            *at += from;
        }
        inner
    }

    /// Bytes behind the end are garbage as long as no event is among them. Events there are another
    /// writer's, or stand behind a stray bracket: half of what the file holds was not read.
    fn after_end<'w>(&mut self, window: &'w [u8], last: bool) -> Scanned<'w> {
        let mut from = skip_space(window, 0);
        if from < window.len() && !self.garbage_reported {
            self.garbage_reported = true;
            return scanned(from, Item::Defect { kind: DefectKind::TrailingGarbage, at: from });
        }
        while let Some(found) = memchr(b'{', &window[from..]).filter(|_| !self.second_reported) {
            let at = from + found;
            match starts_event(&window[at..]) {
                Some(true) => {
                    self.second_reported = true;
                    return scanned(window.len(), Item::Defect { kind: DefectKind::SecondTrace, at });
                }
                None if !last => return scanned(at, Item::NeedMore),
                _ => from = at + 1,
            }
        }
        scanned(window.len(), Item::NeedMore)
    }
}

impl<'w> Scanned<'w> {
    /// Goes on behind what was consumed instead of returning an empty-handed `NeedMore`.
    pub(super) fn again(self, scanner: &mut Scanner, window: &'w [u8]) -> Self {
        scanner.next_from(window, self.consumed)
    }
}

pub(super) fn scanned(consumed: usize, item: Item<'_>) -> Scanned<'_> {
    Scanned { consumed, item }
}
