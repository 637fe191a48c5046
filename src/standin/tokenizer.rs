//! A tokenizer that needs no vocabulary: words become ids, and ids become words that become the same ids.

/// Size of the vocabulary, as of OPT.
pub(crate) const VOCABULARY: u32 = 50_272;

/// One id per word, a word being a run of non-spaces with the spaces in front of it.
pub(crate) fn encode(text: &str) -> Vec<u32> {
    text.split_whitespace().map(id_of).collect()
}

/// Words that [`encode`] turns into the same ids.
pub(crate) fn decode(ids: &[u32]) -> String {
    let words: Vec<String> = ids.iter().map(|id| format!("t{id}")).collect();
    words.join(" ")
}

fn id_of(word: &str) -> u32 {
    let named = word.strip_prefix('t').and_then(|digits| digits.parse().ok());
    named.filter(|id| *id < VOCABULARY).unwrap_or_else(|| {
        // FNV-1a; any hash that stays the same between builds would do.
        let hash = word
            .bytes()
            .fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        // The first ids are special tokens.
        10 + hash % (VOCABULARY - 10)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manuals_prompt_has_four_tokens() {
        assert_eq!(encode("San Francisco is a").len(), 4);
    }

    #[test]
    fn ids_survive_text() {
        let ids = [3, 42_756, 50_271, 0];
        assert_eq!(decode(&ids), "t3 t42756 t50271 t0");
        assert_eq!(encode(&decode(&ids)), ids);
    }
}
