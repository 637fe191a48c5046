//! The names of Gaudi's forward slices: `model_forward_bs{B}_seq{S}_ctx{C}_graphs{T|F}` of the plugin,
//! `model_prompt_…` and `model_decode_…` of the fork.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::step::StepKind;

/// The padded shape that Gaudi's graphs are compiled for.
///
/// Source: genuine files of the plugin and of the fork, written on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bucket {
    /// Padded batch size.
    pub batch: u64,
    /// Padded tokens per request: 1 for a decode without speculation.
    pub seq: u64,
    /// Padded context blocks.
    pub ctx: u64,
    /// The step ran as a captured HPU graph.
    pub graphs: bool,
}

impl fmt::Display for Bucket {
    /// `4 x 128`, batch by tokens per request; a shape outside HPU graphs is marked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graphs = if self.graphs { "" } else { " eager" };
        write!(f, "{} x {}{graphs}", self.batch, self.seq)
    }
}

/// One execution of the model, as the name of its slice and its arguments tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    /// Where the name says it; the plugin's does not.
    pub(crate) kind: Option<StepKind>,
    pub(crate) bucket: Bucket,
    pub(crate) real: Option<Real>,
}

/// What was in the padded shape, of the fork's `real_batch_size` and `real_seq_len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Real {
    pub(crate) requests: u64,
    /// Tokens of the requests; unknown in a decode, whose list is empty.
    pub(crate) tokens: Option<u64>,
}

impl Forward {
    /// Reads a slice's name; `None` for any other name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("model_")?;
        let (word, rest) = rest.split_once("_bs")?;
        let kind = match word {
            "forward" => None,
            "prompt" => Some(StepKind::Prompt),
            "decode" => Some(StepKind::Decode),
            _ => return None,
        };
        Some(Self { kind, bucket: Bucket::parse(rest)?, real: None })
    }

    /// True for a name that was meant to be one.
    pub(crate) fn is_meant(raw: &[u8]) -> bool {
        ["model_forward_bs", "model_prompt_bs", "model_decode_bs"]
            .iter()
            .any(|start| raw.starts_with(start.as_bytes()))
    }

    /// The kind: by the name, or by the shape, where one token per request is a decode.
    pub(crate) fn kind(&self) -> StepKind {
        self.kind.unwrap_or(if self.bucket.seq == 1 { StepKind::Decode } else { StepKind::Prompt })
    }
}

impl Real {
    /// Reads the slice's arguments. The list of lengths holds entries of the padding behind the real ones.
    pub(crate) fn parse(args: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Args {
            real_batch_size: u64,
            #[serde(default)]
            real_seq_len: Vec<u64>,
        }
        let args: Args = serde_json::from_slice(args).ok()?;
        let real = usize::try_from(args.real_batch_size).ok()?;
        let lengths = args.real_seq_len.get(..real).filter(|lengths| !lengths.is_empty());
        let tokens = lengths.and_then(|all| all.iter().try_fold(0u64, |sum, more| sum.checked_add(*more)));
        Some(Self { requests: args.real_batch_size, tokens })
    }
}

impl Bucket {
    /// `{B}_seq{S}_ctx{C}_graphs{T|F}`, with `_multimodal{T|F}` in front of the graphs in some releases.
    fn parse(shape: &str) -> Option<Self> {
        let (batch, rest) = shape.split_once("_seq")?;
        let (seq, rest) = rest.split_once("_ctx")?;
        let (ctx, graphs) = rest.split_once("_graphs")?;
        let ctx = ctx.strip_suffix("_multimodalT").or(ctx.strip_suffix("_multimodalF")).unwrap_or(ctx);
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let graphs = match graphs {
            "T" => true,
            "F" => false,
            _ => return None,
        };
        Some(Self { batch: number(batch)?, seq: number(seq)?, ctx: number(ctx)?, graphs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_whole_names() {
        let bucket = Bucket { batch: 4, seq: 128, ctx: 0, graphs: true };
        for (name, kind) in [
            ("model_forward_bs4_seq128_ctx0_graphsT", None),
            ("model_prompt_bs4_seq128_ctx0_graphsT", Some(StepKind::Prompt)),
            ("model_decode_bs4_seq128_ctx0_multimodalF_graphsT", Some(StepKind::Decode)),
        ] {
            assert_eq!(Forward::parse(name), Some(Forward { kind, bucket, real: None }), "{name}");
        }
        for name in [
            "model_forward_bs4_seq128_ctx0_graphsX",
            "model_forward_bs4_seq_ctx0_graphsT",
            "model_forward_bs+4_seq1_ctx0_graphsT",
            "model_forward_bs4",
            "model_warmup_bs4_seq128_ctx0_graphsT",
            "model_executable",
        ] {
            assert_eq!(Forward::parse(name), None, "{name}");
        }
    }

    /// Genuine: three requests in a batch padded to four.
    #[test]
    fn padding_is_left_out_of_the_tokens() {
        let real = |args: &[u8]| Real::parse(args);
        let three = br#"{"real_seq_len": [17, 101, 75, 1], "real_batch_size": 3}"#;
        assert_eq!(real(three), Some(Real { requests: 3, tokens: Some(193) }));
        let decode = br#"{"real_seq_len": [], "real_batch_size": 4}"#;
        assert_eq!(real(decode), Some(Real { requests: 4, tokens: None }));
        assert_eq!(
            real(br#"{"real_seq_len": [1], "real_batch_size": 18446744073709551615}"#).unwrap().tokens,
            None
        );
        assert_eq!(real(b"null"), None);
    }
}
