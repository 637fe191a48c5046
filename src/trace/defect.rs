//! What was odd in a trace: every leniency of the reader is counted here and shown, never silent.

use serde::{Deserialize, Serialize};

/// A kind of damage or oddity that the reader tolerated or that ended the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DefectKind {
    /// The file has no bytes.
    EmptyFile,
    /// Neither a Kineto object, nor an array of events: another format, which is named, or other JSON.
    NotATrace,
    /// The gzip stream ends before its trailer.
    TruncatedGzip,
    /// The gzip stream is damaged: what follows cannot be inflated, or the checksum differs.
    CorruptGzip,
    /// The zstd stream ends inside a frame.
    TruncatedZstd,
    /// The zstd stream is damaged.
    CorruptZstd,
    /// The JSON ends inside the events or inside a value.
    TruncatedJson,
    /// The file inflates beyond the stated limits.
    TooLarge,
    /// The file could not be read on.
    Unreadable,
    /// The file changed while it was read.
    GrowingFile,
    /// Events behind the end of the trace, which were not read: several ranks wrote into one file
    /// (sglang#15326), or a bracket too many stands among the events.
    SecondTrace,
    /// Something that is no event stood among the events; reading went on at the next event.
    BrokenEvent,
    /// A comma too many or too few among the events or their keys.
    StrayComma,
    /// `{}` or `null` among the events.
    EmptyEvent,
    /// An event larger than the reader holds was passed over.
    OversizedEvent,
    /// A metadata value at the top level could not be read.
    BrokenMetadata,
    /// A key stood twice in one event; the last value counts.
    DuplicateKey,
    /// A raw control character in a name (pytorch#130622).
    ControlCharacter,
    /// A backslash sequence that JSON does not know (pytorch#98432).
    BadEscape,
    /// A name that is not UTF-8 (pytorch#136180).
    InvalidUtf8,
    /// `NaN` or `Infinity`, which JSON does not have.
    NonFinite,
    /// `ts` or `dur` missing, null, no number, or beyond 64 bits of nanoseconds.
    BadTimestamp,
    /// A duration below zero; kept as zero.
    NegativeDuration,
    /// A begin event without an end.
    DanglingBegin,
    /// An end event without a begin.
    DanglingEnd,
    /// Slices of one lane that overlap without nesting. All are kept (perfetto#4280 drops some).
    OverlappingSlices,
    /// More than one gzip member (sglang#15326: several ranks appended to one file).
    GzipMembers,
    /// Bytes after the end of the trace.
    TrailingGarbage,
    /// The array of events is never closed; normal for `server_events` only.
    UnclosedArray,
    /// The events are complete, but the object around them is never closed.
    UnclosedObject,
    /// The file starts with a byte-order mark.
    ByteOrderMark,
    /// There are no events in the file.
    NoEvents,
    /// A name that begins as a step annotation or a forward slice and cannot be read: other evidence tells the steps,
    /// or the step counts as of unknown kind.
    UnreadableAnnotation,
    /// Phases outside the profiler's window: the Gaudi plugin writes what it recorded since boot.
    OutsideWindow,
    /// The steps were annotated on the device alone: their times are those of the device, not of the host.
    DeviceAnnotations,
    /// An annotation that cannot tell a decode from a later chunk of a prompt.
    AmbiguousAnnotation,
    /// A worker's trace in which no step is found, or none of known kind, though it has Python frames:
    /// which of them tell steps is not known of this code.
    UnknownCodeLine,
}

impl DefectKind {
    /// True when the file cannot be decided from: it is cut short, empty or not a trace.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        matches!(
            self,
            Self::EmptyFile
                | Self::NotATrace
                | Self::TruncatedGzip
                | Self::CorruptGzip
                | Self::TruncatedZstd
                | Self::CorruptZstd
                | Self::TruncatedJson
                | Self::TooLarge
                | Self::Unreadable
                | Self::GrowingFile
                | Self::NoEvents
                | Self::SecondTrace
        )
    }

    /// What the offset of such a problem counts in: the bytes of the file, or of the inflated text.
    #[must_use]
    pub fn offset_in(self) -> &'static str {
        match self {
            Self::TruncatedGzip
            | Self::CorruptGzip
            | Self::TruncatedZstd
            | Self::CorruptZstd
            | Self::GzipMembers
            | Self::TooLarge
            | Self::Unreadable
            | Self::GrowingFile => "of the file",
            _ => "of the text",
        }
    }

    /// What is said of damage that stands in front of `rest`.
    pub(crate) fn detail(self, rest: &[u8]) -> String {
        match self {
            Self::SecondTrace => format!(
                "events behind the end were not read: a second trace in the same file, or a bracket too many: {}",
                excerpt(rest)
            ),
            Self::NotATrace => super::foreign::describe(rest),
            _ => excerpt(rest),
        }
    }

    /// True for what is seen only when all steps are known: it has no place in the file.
    fn has_no_place(self) -> bool {
        matches!(
            self,
            Self::AmbiguousAnnotation
                | Self::DeviceAnnotations
                | Self::OutsideWindow
                | Self::OverlappingSlices
                | Self::UnknownCodeLine
        )
    }

    /// The code in machine-readable output, such as `truncated_gzip`.
    #[must_use]
    pub fn code(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Problem {
    /// `, first at byte 9 of the text`, or nothing for what has no place.
    pub(crate) fn place(&self) -> String {
        if self.code.has_no_place() {
            return String::new();
        }
        format!(", first at byte {} {}", self.offset, self.code.offset_in())
    }
}

/// All defects of one kind in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The kind.
    pub code: DefectKind,
    /// How often it was met.
    pub count: u64,
    /// Byte offset of the first, in the inflated text; for gzip damage, in the file.
    pub offset: u64,
    /// The number of events read before the first.
    pub event_index: u64,
    /// What was there, for people.
    pub detail: String,
}

/// The counted defects of one file, at most one entry a kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defects {
    problems: Vec<Problem>,
}

impl Defects {
    pub(crate) fn record(
        &mut self,
        code: DefectKind,
        count: u64,
        offset: u64,
        event_index: u64,
        detail: impl FnOnce() -> String,
    ) {
        if let Some(known) = self.problems.iter_mut().find(|p| p.code == code) {
            known.count += count;
            if offset < known.offset {
                (known.offset, known.event_index, known.detail) = (offset, event_index, detail());
            }
            return;
        }
        self.problems.push(Problem { code, count, offset, event_index, detail: detail() });
    }

    /// Says something else of a kind of defect that was met.
    pub(crate) fn restate(&mut self, code: DefectKind, detail: impl FnOnce(&str) -> Option<String>) {
        if let Some(known) = self.problems.iter_mut().find(|problem| problem.code == code)
            && let Some(detail) = detail(&known.detail)
        {
            known.detail = detail;
        }
    }

    pub(crate) fn forget(&mut self, code: DefectKind) {
        self.problems.retain(|problem| problem.code != code);
    }

    pub(crate) fn has_fatal(&self) -> bool {
        self.problems.iter().any(|problem| problem.code.is_fatal())
    }

    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (!p.code.is_fatal(), p.offset, p.code));
        self.problems
    }
}

/// At most 60 characters of raw bytes, safe to print: control characters are escaped.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(60)];
    let mut text: String = String::from_utf8_lossy(cut).escape_debug().collect();
    if bytes.len() > 60 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_keeps_the_first_place() {
        let mut defects = Defects::default();
        defects.record(DefectKind::EmptyEvent, 1, 90, 7, || "later".into());
        defects.record(DefectKind::EmptyEvent, 2, 40, 3, || "first".into());
        defects.record(DefectKind::TruncatedJson, 1, 200, 9, String::new);
        let problems = defects.into_problems();
        assert_eq!(problems[0].code, DefectKind::TruncatedJson, "what ends the reading comes first");
        assert_eq!((problems[1].count, problems[1].offset), (3, 40));
        assert_eq!(problems[1].detail, "first");
        assert_eq!(problems[1].code.code(), "empty_event");
    }

    #[test]
    fn excerpts_are_inert() {
        assert_eq!(excerpt(b"a\x1b[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(excerpt(&[b'x'; 80]).chars().count(), 61);
    }
}
