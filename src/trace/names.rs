//! Interned event names: each distinct name is decoded and given its role once, not once per event.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::annotation::Annotation;
use super::defect::DefectKind;
use super::forward_name::Forward;
use super::frame_marks::{Frame, frame_mark, is_refresh, without_line};
use super::step::StepKind;

/// What a name means to the reader. Most names mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Step(Annotation),
    /// A name that begins as an annotation does and is none that can be read.
    UnreadStep,
    /// The recording window of the profiler, `PyTorch Profiler (0)`.
    Window,
    /// One compilation: `compile_id=0/0` by `torch.compile`, `GRAPH COMPILE: …` by Gaudi's graph compiler.
    Compile,
    /// A `prefill`, `prompt` or `decode` slice of Gaudi's high-level profiler.
    Phase(StepKind),
    /// Its `prepare_input_tensors`.
    Preparation,
    /// Its `model_…_bs…_seq…`.
    Forward(Forward),
    /// What a step does behind its forward: logits, or the sampler, with which it ends.
    Closing {
        samples: bool,
    },
    /// Warm-up as a whole, or one scenario of it.
    WarmUp,
    /// `capture_32_DECODE`: a graph is recorded, which is no step.
    Capture,
    /// `ProfilerStep#N`, of a profiler with a schedule.
    ProfilerStep,
    /// A Python frame under which the sampler's parameters are copied into the batch.
    Refresh,
    /// A Python frame that tells something.
    Frame(Frame),
    Other,
}

/// Handle of a name in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NameId(u32);

impl NameId {
    /// Its place among the names, from 0.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    raw: Box<[u8]>,
    role: Role,
    count: u64,
    flaw: Option<(DefectKind, u64, u64)>,
}

/// The table of distinct names. Grows with distinct names, not with events.
#[derive(Debug, Default)]
pub(crate) struct Names {
    table: HashTable<u32>,
    names: Vec<Name>,
    serving: bool,
    hasher: FixedState,
}

impl Names {
    /// The handle of `raw` (JSON string content), counting one use. `place` is the byte offset and
    /// the event index of this use, kept when the name turns out to be flawed.
    pub(crate) fn intern(&mut self, raw: &[u8], place: (u64, u64)) -> NameId {
        let Self { table, names, serving, hasher } = self;
        let hash = hasher.hash_one(raw);
        let entry = table.entry(
            hash,
            |id| *names[*id as usize].raw == *raw,
            |id| hasher.hash_one(&*names[*id as usize].raw),
        );
        let id = match entry {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let id = names.len() as u32;
                let name = Name::new(raw, place);
                *serving |= is_of_server(&name.text);
                names.push(name);
                free.insert(id);
                id
            }
        };
        names[id as usize].count += 1;
        NameId(id)
    }

    pub(crate) fn role(&self, id: NameId) -> Role {
        self.names[id.0 as usize].role
    }

    /// A name was met that only a server of models writes: a frame of its code, an operator of its own.
    pub(crate) fn serving(&self) -> bool {
        self.serving
    }

    pub(crate) fn text(&self, id: NameId) -> &str {
        &self.names[id.0 as usize].text
    }

    /// The Python frames used most, with their uses; those of workers and model runners first.
    pub(crate) fn most_frames(&self, most: usize) -> Vec<String> {
        let mut uses: BTreeMap<String, u64> = BTreeMap::new();
        for name in &self.names {
            if let Some(frame) = without_line(&name.text) {
                *uses.entry(frame).or_default() += name.count;
            }
        }
        let mut frames: Vec<(String, u64)> = uses.into_iter().collect();
        let works = |frame: &str| frame.contains("worker") || frame.contains("runner");
        frames.sort_by_key(|(frame, uses)| (!works(frame), Reverse(*uses)));
        frames.iter().take(most).map(|(frame, uses)| format!("{frame} x{uses}")).collect()
    }

    /// Flawed names: kind, uses, offset and event index of the first, the name.
    pub(crate) fn flaws(&self) -> impl Iterator<Item = (DefectKind, u64, u64, u64, &str)> {
        self.names.iter().filter_map(|name| {
            let (kind, offset, index) = name.flaw?;
            Some((kind, name.count, offset, index, &*name.text))
        })
    }
}

impl Name {
    fn new(raw: &[u8], (offset, index): (u64, u64)) -> Self {
        let (text, flaw) = decode(raw);
        let role = Role::of(&text);
        let meant = role == Role::Other && Forward::is_meant(raw);
        let flaw =
            if role == Role::UnreadStep || meant { Some(DefectKind::UnreadableAnnotation) } else { flaw };
        Self {
            text: text.into(),
            raw: raw.into(),
            role,
            count: 0,
            flaw: flaw.map(|kind| (kind, offset, index)),
        }
    }
}

impl Role {
    fn of(name: &str) -> Self {
        match name {
            "PyTorch Profiler (0)" => Self::Window,
            "prefill" | "prompt" => Self::Phase(StepKind::Prompt),
            "decode" => Self::Phase(StepKind::Decode),
            "prepare_input_tensors" => Self::Preparation,
            "sampler" | "sampler_postprocessing" => Self::Closing { samples: true },
            _ if name == "warmup" || name.starts_with("warmup_") => Self::WarmUp,
            _ if name.starts_with("compute_logits") => Self::Closing { samples: false },
            _ if name.starts_with("sample_prompt_") || name.starts_with("sample_decode_") => {
                Self::Closing { samples: true }
            }
            _ if name.starts_with("compile_id=") || name.starts_with("GRAPH COMPILE:") => Self::Compile,
            _ if name.starts_with("ProfilerStep#") => Self::ProfilerStep,
            _ if is_capture(name) => Self::Capture,
            _ if is_refresh(name) => Self::Refresh,
            _ => None
                .or_else(|| Annotation::parse(name.as_bytes()).map(Self::Step))
                .or_else(|| Forward::parse(name).map(Self::Forward))
                .or_else(|| frame_mark(name).map(Self::Frame))
                .or_else(|| Annotation::is_meant(name.as_bytes()).then_some(Self::UnreadStep))
                .unwrap_or(Self::Other),
        }
    }
}

fn is_capture(name: &str) -> bool {
    let rest = name.strip_prefix("capture_").unwrap_or_default();
    rest.split_once('_').is_some_and(|(size, mode)| size.parse::<u32>().is_ok() && !mode.is_empty())
}

fn is_of_server(name: &str) -> bool {
    let frame =
        name.contains(".py(") && ["vllm/", "vllm_gaudi/", "sglang/"].iter().any(|code| name.contains(code));
    frame || name.starts_with("vllm::")
}

/// Decodes the content of a JSON string; damage is repaired and named.
pub(crate) fn decode(raw: &[u8]) -> (String, Option<DefectKind>) {
    let text = String::from_utf8_lossy(raw);
    let mut flaw = matches!(text, std::borrow::Cow::Owned(_)).then_some(DefectKind::InvalidUtf8);
    if raw.iter().any(|byte| *byte < 0x20) {
        flaw = flaw.or(Some(DefectKind::ControlCharacter));
    }
    if !raw.contains(&b'\\') {
        return (text.into_owned(), flaw);
    }
    match serde_json::from_str::<String>(&format!("\"{text}\"")) {
        Ok(decoded) => (decoded, flaw),
        Err(_) => (text.into_owned(), flaw.or(Some(DefectKind::BadEscape))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_share_a_handle_and_a_role() {
        let mut names = Names::default();
        let first = names.intern(b"execute_context_1(4)_generation_0(0)", (10, 0));
        let second = names.intern(b"execute_context_1(4)_generation_0(0)", (90, 1));
        let other = names.intern(b"aten::addmm", (170, 2));
        assert_eq!(first, second);
        assert_ne!(first, other);
        assert!(matches!(names.role(first), Role::Step(_)));
        assert_eq!(names.role(other), Role::Other);
        assert_eq!(names.text(other), "aten::addmm");
    }

    #[test]
    fn flawed_names_are_kept_and_counted() {
        let mut names = Names::default();
        for place in [(5, 1), (50, 2)] {
            names.intern(b"torch\\cuda", place);
        }
        names.intern(b"bad\xffbyte", (70, 3));
        names.intern(b"new\nline", (80, 4));
        names.intern(br"fine \u00e9\n", (90, 5));
        let flaws: Vec<_> = names.flaws().collect();
        assert_eq!(
            flaws,
            [
                (DefectKind::BadEscape, 2, 5, 1, "torch\\cuda"),
                (DefectKind::InvalidUtf8, 1, 70, 3, "bad\u{fffd}byte"),
                (DefectKind::ControlCharacter, 1, 80, 4, "new\nline"),
            ]
        );
    }
}
