//! The grammars in which servers name their steps, as read from the trace. Nothing here knows lanes or files.

use super::label::{self, Writer};
use super::step::Batch;

/// What a step annotation says about the scheduled batch.
///
/// Sources: vLLM 0.32 `vllm/v1/utils.py` (`execute_context_…`, from 0.16; vllm#31193),
/// vLLM 0.13 `gpu_worker.py` (`execute_new_…`; vllm#22496), and the detailed form of 0.29
/// (`detailed_trace_annotation`; vllm#37524).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Annotation {
    /// `execute_context_{R}({T})_generation_{R}({T})` or the detailed form, which also counts tokens.
    ContextGeneration {
        context_requests: u64,
        context_tokens: u64,
        generation_requests: u64,
        generation_tokens: u64,
    },
    /// `execute_new_{N}_cached_{M}`: requests only. A cached request is decoding, or is a later
    /// chunk of a long prompt: the annotation cannot tell.
    NewCached { new: u64, cached: u64 },
    /// A label of another server.
    Label(Writer, Batch),
}

impl Annotation {
    /// True for a name that begins as an annotation does.
    pub(crate) fn is_meant(name: &[u8]) -> bool {
        name.starts_with(b"execute_context_") || name.starts_with(b"execute_new_") || label::is_meant(name)
    }

    /// Reads an event name; `None` when it is not a step (most `user_annotation`s are not).
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        let Some(rest) = Cursor(name).literal(b"execute_") else {
            return label::parse(name).map(|(writer, batch)| Self::Label(writer, batch));
        };
        rest.clone().context_generation().or_else(|| rest.clone().detailed()).or_else(|| rest.new_cached())
    }
}

impl Annotation {
    pub(crate) fn writer(&self) -> Writer {
        if let Self::Label(writer, _) = self { *writer } else { Writer::Vllm }
    }
}

/// Largest count that is believed. Real batches stay below a million tokens; sums over any file of
/// such counts fit 64 bits.
pub(super) const LARGEST_COUNT: u64 = 1_000_000_000;

#[derive(Clone)]
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn literal(self, text: &[u8]) -> Option<Self> {
        self.0.strip_prefix(text).map(Cursor)
    }

    fn number(self) -> Option<(u64, Self)> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.0[..digits]).ok()?;
        let count = text.parse().ok().filter(|count| *count <= LARGEST_COUNT)?;
        Some((count, Cursor(&self.0[digits..])))
    }

    fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn context_generation(self) -> Option<Annotation> {
        let (context_requests, rest) = self.literal(b"context_")?.number()?;
        let (context_tokens, rest) = rest.tokens()?;
        let (generation_requests, rest) = rest.literal(b"_generation_")?.number()?;
        let (generation_tokens, rest) = rest.tokens()?;
        rest.end()?;
        Some(Annotation::ContextGeneration {
            context_requests,
            context_tokens,
            generation_requests,
            generation_tokens,
        })
    }

    /// `(888)`, or `(888_788544)` with the sum of the squares of the requests' tokens, as builds for MI300 write it.
    fn tokens(self) -> Option<(u64, Self)> {
        let (tokens, rest) = self.literal(b"(")?.number()?;
        let rest = match rest.clone().literal(b"_") {
            Some(squares) => squares.digits()?,
            None => rest,
        };
        Some((tokens, rest.literal(b")")?))
    }

    /// A number that is not kept: a sum of squares may be beyond any count.
    fn digits(self) -> Option<Self> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        (digits > 0).then(|| Cursor(&self.0[digits..]))
    }

    fn detailed(self) -> Option<Annotation> {
        let (_total, rest) = self.number()?;
        let (context_requests, rest) = rest.literal(b"_context_")?.number()?;
        let (context_tokens, rest) = rest.token_sums()?;
        let (generation_requests, rest) = rest.literal(b"_generation_")?.number()?;
        let (generation_tokens, rest) = rest.token_sums()?;
        rest.end()?;
        Some(Annotation::ContextGeneration {
            context_requests,
            context_tokens,
            generation_requests,
            generation_tokens,
        })
    }

    /// `(sq..sk..sqsq..sqsk..)`: sums over the requests of query tokens, key tokens and products.
    /// The query tokens are the ones scheduled in this step.
    fn token_sums(self) -> Option<(u64, Self)> {
        let (query_tokens, rest) = self.literal(b"(sq")?.number()?;
        let rest = rest.literal(b"sk")?.digits()?;
        let rest = rest.literal(b"sqsq")?.digits()?.literal(b"sqsk")?.digits()?;
        Some((query_tokens, rest.literal(b")")?))
    }

    fn new_cached(self) -> Option<Annotation> {
        let (new, rest) = self.literal(b"new_")?.number()?;
        let (cached, rest) = rest.literal(b"_cached_")?.number()?;
        rest.end()?;
        Some(Annotation::NewCached { new, cached })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_grammars() {
        assert_eq!(
            Annotation::parse(b"execute_context_3(384)_generation_1(2)"),
            Some(Annotation::ContextGeneration {
                context_requests: 3,
                context_tokens: 384,
                generation_requests: 1,
                generation_tokens: 2
            })
        );
        // From AMD-AGI/TraceLens' public vLLM traces.
        assert_eq!(
            Annotation::parse(
                b"execute_32_context_0(sq0sk0sqsq0sqsk0)_generation_32(sq32sk35000sqsq32sqsk35000)"
            ),
            Some(Annotation::ContextGeneration {
                context_requests: 0,
                context_tokens: 0,
                generation_requests: 32,
                generation_tokens: 32
            })
        );
        // With the squares of 888, which is no grammar of any release (a vLLM of an MI300).
        assert_eq!(
            Annotation::parse(b"execute_context_1(888_788544)_generation_0(0)"),
            Annotation::parse(b"execute_context_1(888)_generation_0(0)")
        );
        assert!(
            Annotation::parse(
                b"execute_9_context_1(sq9sk9sqsq99999999999sqsk99999999999)_generation_0(sq0sk0sqsq0sqsk0)"
            )
            .is_some()
        );
        assert_eq!(
            Annotation::parse(b"execute_new_1_cached_0"),
            Some(Annotation::NewCached { new: 1, cached: 0 })
        );
    }

    #[test]
    fn leaves_other_annotations_alone() {
        for name in [
            "gloo:all_reduce",
            "execute_context_1(4)_generation_0(0) ",
            "execute_context_1(4)_generation_0",
            "execute_context_(4)_generation_0(0)",
            "execute_context_99999999999999999999(4)_generation_0(0)",
            "execute_new_1_cached_",
            "execute_context_1(4_)_generation_0(0)",
            "preprocess execute_new_1_cached_0",
            "",
        ] {
            assert_eq!(Annotation::parse(name.as_bytes()), None, "{name:?}");
        }
    }
}
