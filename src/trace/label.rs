//! Labels of steps as words and numbers in brackets: SGLang's `step[DECODE bs=32]`, ATOM's `prefill[bs=2 tok=14721]`.

use serde::{Deserialize, Serialize};

use super::annotation::LARGEST_COUNT;
use super::step::{Batch, StepKind};

/// Who named the steps of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Writer {
    /// vLLM, with its plugins.
    Vllm,
    /// SGLang.
    Sglang,
    /// ATOM, AMD's server.
    Atom,
}

impl Writer {
    /// Its name as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vLLM",
            Self::Sglang => "SGLang",
            Self::Atom => "ATOM",
        }
    }
}

/// True for a name that begins as a label does.
pub(super) fn is_meant(name: &[u8]) -> bool {
    name.starts_with(b"step[")
}

/// The batch of a label. SGLang: `MODE bs=REQUESTS toks=TOKENS`, in the detailed form with `c=`, `g=` for the requests
/// of each phase and `c_sq=`, `g_sq=` for their tokens. ATOM: `bs=REQUESTS[/PADDED] tok=TOKENS`, in a decode `p=` for
/// prompts among them.
pub(super) fn parse(name: &[u8]) -> Option<(Writer, Batch)> {
    let name = std::str::from_utf8(name).ok()?;
    let (word, fields) = name.strip_suffix(']')?.split_once('[')?;
    match word {
        "step" => {
            let (mode, fields) = fields.split_once(' ').unwrap_or((fields, ""));
            Some((Writer::Sglang, sglang(mode, fields).ok()?))
        }
        "prefill" | "decode" => Some((Writer::Atom, atom(word, fields).ok()?)),
        _ => None,
    }
}

/// A label that counts with something else than numbers.
struct NoCount;

/// Modes that this does not know prove a step and not its kind.
fn sglang(mode: &str, fields: &str) -> Result<Batch, NoCount> {
    if mode.is_empty() || !mode.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        return Err(NoCount);
    }
    let kind = match mode {
        "DECODE" => StepKind::Decode,
        "EXTEND" | "PREFILL" | "SPLIT_PREFILL" => StepKind::Prompt,
        "MIXED" => StepKind::Mixed,
        "IDLE" => StepKind::Idle,
        _ => StepKind::Unclassified,
    };
    let count = |key| number(fields, key);
    let (context, generation) = match kind {
        StepKind::Prompt => (count("bs")?, count("g")?),
        StepKind::Decode => (count("c")?, count("bs")?),
        _ => (count("c")?, count("g")?),
    };
    let mut batch = Batch::of_kind(kind);
    batch.context_requests = context.or(batch.context_requests);
    batch.generation_requests = generation.or(batch.generation_requests);
    let all = count("toks")?;
    let tokens = if kind == StepKind::Prompt { count("c_sq")?.or(all) } else { count("c_sq")? };
    batch.context_tokens = tokens.or(batch.context_tokens);
    // Without a count of its own a request may have several tokens: speculative decoding.
    batch.generation_tokens = count("g_sq")?.or(batch.generation_tokens);
    Ok(batch)
}

fn atom(word: &str, fields: &str) -> Result<Batch, NoCount> {
    let (requests, tokens) = (number(fields, "bs")?.ok_or(NoCount)?, number(fields, "tok")?);
    if word == "prefill" {
        let batch = Batch::of_kind(StepKind::Prompt);
        return Ok(Batch { context_requests: Some(requests), context_tokens: tokens, ..batch });
    }
    let prompts = number(fields, "p")?.unwrap_or_default();
    if prompts == 0 {
        let batch = Batch::of_kind(StepKind::Decode);
        return Ok(Batch { generation_requests: Some(requests), generation_tokens: tokens, ..batch });
    }
    let batch = Batch::of_kind(StepKind::Mixed);
    let generation = requests.checked_sub(prompts).ok_or(NoCount)?;
    Ok(Batch { context_requests: Some(prompts), generation_requests: Some(generation), ..batch })
}

/// The number of a key, without what is behind `/`; nothing where the key is not there.
fn number(fields: &str, key: &str) -> Result<Option<u64>, NoCount> {
    let value = fields.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
    let Some(value) = value else { return Ok(None) };
    let count = value.split('/').next().unwrap_or_default().parse().ok();
    count.filter(|count| *count <= LARGEST_COUNT).map(Some).ok_or(NoCount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Option<(StepKind, [Option<u64>; 4])> {
        let (_, batch) = parse(name.as_bytes())?;
        let context = (batch.context_requests, batch.context_tokens);
        let generation = (batch.generation_requests, batch.generation_tokens);
        Some((batch.kind, [context.0, context.1, generation.0, generation.1]))
    }

    #[test]
    fn labels_tell_kinds_requests_and_tokens() {
        use StepKind::{Decode, Idle, Mixed, Prompt, Unclassified};
        let (n, zero) = (None, Some(0));
        for (name, kind, counts) in [
            ("step[DECODE bs=32]", Decode, [zero, zero, Some(32), n]),
            ("step[EXTEND bs=15 toks=15360]", Prompt, [Some(15), Some(15_360), zero, zero]),
            ("step[DECODE bs=64 g_sq=128 g_sk=131072]", Decode, [zero, zero, Some(64), Some(128)]),
            ("step[MIXED bs=2]", Mixed, [n, n, n, n]),
            ("step[MIXED bs=2 c=1 g=1 c_sq=5 g_sq=1]", Mixed, [Some(1), Some(5), Some(1), Some(1)]),
            ("step[IDLE bs=0]", Idle, [zero; 4]),
            ("step[TARGET_VERIFY bs=4]", Unclassified, [n; 4]),
            ("prefill[bs=2 tok=14721 ctx=[7803, 6918]]", Prompt, [Some(2), Some(14_721), zero, zero]),
            ("decode[bs=117/128 tok=117 d=117]", Decode, [zero, zero, Some(117), Some(117)]),
            ("decode[bs=128 tok=384 p=2 d=126]", Mixed, [Some(2), n, Some(126), n]),
        ] {
            assert_eq!(read(name), Some((kind, counts)), "{name}");
        }
        for name in [
            "step[]",
            "step[decode]",
            "step[DECODE bs=x]",
            "decode[]",
            "decode[bs=1 p=2]",
            "prefill",
            "list[bs=1]",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
