//! Text from outside made safe to print: logs, answers and traces may hold anything.

use std::borrow::Cow;

/// At most `limit` characters, those that a terminal obeys replaced.
pub(crate) fn inert(text: &str, limit: usize) -> String {
    let mut out: String = text.chars().take(limit).map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        out.push('…');
    }
    out
}

/// The same for a whole text of any length.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(obeyed) { Cow::Owned(text.replace(obeyed, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Text that is no markup, as content or inside a quoted attribute of HTML or XML. XML 1.0 has no control characters,
/// not even escaped.
pub(crate) fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Characters that a terminal or a browser obeys instead of showing: controls, escape sequences'
/// first bytes, and the marks that turn the direction of text, by which one text looks like another.
fn obeyed(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_replaced() {
        let hostile = "a\x1b[2J\u{9b}31m\r\u{202e}txt.exe\u{2066}\x07\nb\tc";
        let shown = "a\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}txt.exe\u{fffd}\u{fffd}\nb\tc";
        assert_eq!(inert(hostile, 100), shown);
        assert_eq!(printable(hostile), shown);
        assert_eq!(inert("abcdef", 3), "abc…");
    }

    #[test]
    fn text_from_outside_is_no_markup() {
        assert_eq!(markup("<b title=\"x\">&'"), "&lt;b title=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(markup("a\n\tb\u{1}\u{ffff}"), "a&#10;&#9;b\u{fffd}\u{fffd}");
    }
}
