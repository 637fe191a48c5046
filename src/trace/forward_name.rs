//! The name of the Gaudi plugin's forward slices, `model_forward_bs{B}_seq{S}_ctx{C}_graphs{T|F}`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The padded shape that Gaudi's graphs are compiled for.
///
/// Source: vllm-gaudi `hpu_model_runner.py`; never seen in a real trace.
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

impl Bucket {
    /// Reads a slice's name; `None` for any other name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("model_forward_bs")?;
        let (batch, rest) = rest.split_once("_seq")?;
        let (seq, rest) = rest.split_once("_ctx")?;
        let (ctx, graphs) = rest.split_once("_graphs")?;
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
        assert_eq!(
            Bucket::parse("model_forward_bs4_seq128_ctx0_graphsT"),
            Some(Bucket { batch: 4, seq: 128, ctx: 0, graphs: true })
        );
        for name in [
            "model_forward_bs4_seq128_ctx0_graphsX",
            "model_forward_bs4_seq_ctx0_graphsT",
            "model_forward_bs+4_seq1_ctx0_graphsT",
            "model_forward_bs4",
            "model_executable",
        ] {
            assert_eq!(Bucket::parse(name), None, "{name}");
        }
    }
}
