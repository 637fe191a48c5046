//! The random dataset of `vllm bench serve`: lengths and token ids, bit for bit.

use super::numpy::Generator;
use crate::procedure::Bench;

/// One request of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Token ids.
    pub(crate) ids: Vec<u32>,
    /// The text to send instead of the ids.
    pub(crate) text: Option<String>,
    /// Output tokens to ask for.
    pub(crate) output_len: u32,
}

/// The prompts of a workload, in the order of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RandomDataset {
    pub(crate) prompts: Vec<Prompt>,
}

impl RandomDataset {
    /// Draws as vLLM does: all input lengths, all output lengths, all offsets, in this order; the ids
    /// of request `i` then count up from its offset plus `i`, special ids left out.
    ///
    /// `special` is how many tokens the server's tokenizer adds to a text prompt; 0 for ids.
    pub(crate) fn draw(bench: &Bench, special: u32) -> Self {
        let mut generator = Generator::new(bench.seed);
        let count = bench.num_prompts as usize;
        let ratio = bench.random_range_ratio;
        let input = spread(bench.random_input_len.saturating_sub(special), ratio);
        let output = spread(bench.random_output_len, ratio);
        let input_lens = generator.integers(input.0, input.1 + 1, count);
        let output_lens = generator.integers(output.0.max(1), output.1.max(1) + 1, count);
        let offsets = generator.integers(0, bench.vocab_size, count);
        let allowed: Vec<u32> =
            (0..bench.vocab_size).filter(|id| !bench.special_token_ids.contains(id)).collect();
        let ids = |index: usize| {
            let start = offsets[index] as usize + index;
            let id = |place: usize| {
                allowed.get((start + place) % allowed.len().max(1)).copied().unwrap_or_default()
            };
            (0..input_lens[index] as usize).map(id).collect()
        };
        let prompts = (0..count)
            .map(|index| Prompt { ids: ids(index), text: None, output_len: output_lens[index] })
            .collect();
        Self { prompts }
    }
}

/// `[floor(len (1 - r)), ceil(len (1 + r))]`, the meaning since vllm#16126.
fn spread(length: u32, ratio: f64) -> (u32, u32) {
    let length = f64::from(length);
    // Both are small and not below zero: ratios are validated to lie in [0, 1].
    ((length * (1.0 - ratio)).floor() as u32, (length * (1.0 + ratio)).ceil() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procedure::{Procedure, builtin, find};

    fn bench(ratio: f64) -> Bench {
        let known = builtin().unwrap();
        let procedure: Procedure = find("async_multiple_requests", &known).unwrap();
        Bench { random_range_ratio: ratio, special_token_ids: Vec::new(), ..procedure.load.bench.unwrap() }
    }

    #[test]
    fn fixed_lengths_draw_the_offsets_first() {
        // numpy, seed 0, four prompts: offsets 42756, 32016, 25692, 13560.
        let dataset = RandomDataset::draw(&bench(0.0), 0);
        let first: Vec<u32> = dataset.prompts.iter().map(|prompt| prompt.ids[0]).collect();
        assert_eq!(first, [42_756, 32_017, 25_694, 13_563]);
        assert!(dataset.prompts.iter().all(|prompt| prompt.ids.len() == 128 && prompt.output_len == 4));
        assert_eq!(dataset.prompts[0].ids[1], 42_757);
    }

    #[test]
    fn spread_lengths_equal_vllms() {
        // vLLM 0.32 with opt-125m's one special token: L = 127, r = 0.5.
        let dataset = RandomDataset::draw(&bench(0.5), 1);
        let lengths: Vec<usize> = dataset.prompts.iter().map(|prompt| prompt.ids.len()).collect();
        assert_eq!(lengths, [172, 145, 128, 97]);
        let outputs: Vec<u32> = dataset.prompts.iter().map(|prompt| prompt.output_len).collect();
        assert_eq!(outputs, [3, 2, 2, 2]);
        assert_eq!(dataset.prompts[0].ids[0], 8_809);
    }

    #[test]
    fn special_ids_are_never_drawn() {
        let mut bench = bench(0.0);
        bench.vocab_size = 10;
        bench.special_token_ids = vec![1, 2];
        let dataset = RandomDataset::draw(&bench, 0);
        assert!(dataset.prompts.iter().flat_map(|prompt| &prompt.ids).all(|id| *id != 1 && *id != 2));
    }
}
