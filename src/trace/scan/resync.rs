//! Where reading goes on after damage: at the next place that looks like the start of an event.

use memchr::{memchr2, memmem};

use super::machine::{After, Item, Scanned, Scanner, State, scanned};
use super::value::{is_space, skip_space};

/// Keys an event may start with; decides where reading goes on after damage.
const EVENT_KEYS: [&[u8]; 12] =
    [b"ph", b"cat", b"name", b"pid", b"tid", b"ts", b"dur", b"args", b"id", b"s", b"bp", b"sf"];

impl Scanner {
    /// Looks for a place where an event starts: `{` before a known key, whatever junk is in front.
    /// A `{` after `:` is the value of a key (`"args": {"name": …}`) and starts no event.
    pub(super) fn resync<'w>(&mut self, window: &'w [u8], before: u8, last: bool) -> Scanned<'w> {
        if !self.events_begun {
            return self.find_events(window);
        }
        let mut from = 0;
        while let Some(found) = memchr2(b'{', b']', &window[from..]) {
            let at = from + found;
            let previous = last_solid(&window[..at]).unwrap_or(before);
            let verdict = if window[at] == b'{' {
                if previous == b':' { Some(false) } else { starts_event(&window[at..]) }
            } else if previous == b'}' {
                ends_events(&window[at..], last, self.bare_array)
            } else {
                Some(false)
            };
            match verdict {
                Some(true) => {
                    self.state =
                        State::Events(if window[at] == b'{' { After::Comma } else { After::Element });
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
}

fn last_solid(bytes: &[u8]) -> Option<u8> {
    bytes.iter().rev().find(|b| !is_space(**b)).copied()
}

/// Whether an event starts at the `{` in front; `None` when the window is too short to tell.
pub(super) fn starts_event(window: &[u8]) -> Option<bool> {
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
        Some(b',') => {
            let after = window.get(skip_space(window, next + 1))?;
            Some(*after == b'"' && !bare_array)
        }
        Some(_) => Some(false),
    }
}
