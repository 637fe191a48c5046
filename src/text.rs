//! Text from outside made safe to print: logs, answers and traces may hold anything.

/// At most `limit` characters, control characters replaced.
pub(crate) fn inert(text: &str, limit: usize) -> String {
    let mut out: String = text
        .chars()
        .take(limit)
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(limit).is_some() {
        out.push('…');
    }
    out
}
