//! Names of operators without what changes from run to run: addresses, hashes of compiled graphs, numbers of
//! generated kernels and recipes. What is left fits one line of a text and begins none of its sections.

use super::frame_name::without_addresses;

/// Digits of a decimal number that is an id rather than part of a name; recipe ids have more.
const ID_DIGITS: usize = 6;
/// Letters and digits of a hash: `torch.compile` writes 53 of base 32 into `## Call CompiledFxGraph … ##`.
const HASH_LENGTH: usize = 24;

/// Characters kept of a name; a C++ kernel with its template arguments has some hundred.
const LONGEST: usize = 300;

/// `## Call CompiledFxGraph ffcm… ##` as `## Call CompiledFxGraph <H> ##`, `triton_poi_fused_add_12` as
/// `triton_poi_fused_add_#`, `Torch-Compiled Region: 0/1` as `Torch-Compiled Region: #/#`.
pub(crate) fn stable(name: &str) -> String {
    // Without a cache entry there is `None` where the hash would stand.
    if name.starts_with("## Call CompiledFxGraph ") {
        return "## Call CompiledFxGraph <H> ##".to_owned();
    }
    let name = without_addresses(name);
    let generated = name.starts_with("triton_") || name.starts_with("cpp_fused_");
    let numbered = generated || name.starts_with("Torch-Compiled Region");
    let mut out = String::with_capacity(name.len());
    let mut rest = name.as_str();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(if word == 0 { first.len_utf8() } else { word });
        out.push_str(word_of(part, numbered));
        rest = behind;
    }
    one_line(&out)
}

/// A trace may name an event anything. Names stand in lines, and a line in brackets begins a section.
pub(super) fn one_line(name: &str) -> String {
    let name = crate::text::inert(name.trim(), LONGEST).replace(['\n', '\t'], "\u{fffd}");
    match name.strip_prefix('[') {
        Some(rest) => format!("({rest}"),
        None if name.is_empty() => "(no name)".to_owned(),
        None => name,
    }
}

fn word_of(word: &str, numbered: bool) -> &str {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_number = digits == word.len();
    if is_number && (digits >= ID_DIGITS || numbered && digits > 0) {
        "#"
    } else if is_hash(word) {
        "<H>"
    } else {
        word
    }
}

/// Long, without capitals, letters and digits in turns: a name of an operator ends in its digits
/// (`fusedsdparecomputeforwardbf16`) or has capitals.
fn is_hash(word: &str) -> bool {
    let turns =
        word.as_bytes().windows(2).filter(|two| two[0].is_ascii_digit() && two[1].is_ascii_alphabetic());
    word.len() >= HASH_LENGTH && !word.bytes().any(|byte| byte.is_ascii_uppercase()) && turns.count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_goes_and_what_is_named_stays() {
        for (name, expected) in [
            (
                "## Call CompiledFxGraph ffcmuu3qn3sunrbfuniq67pjcw4vcaho7dwbcfd7n6grbml62okt ##",
                "## Call CompiledFxGraph <H> ##",
            ),
            ("## Call CompiledFxGraph None ##", "## Call CompiledFxGraph <H> ##"),
            ("triton_poi_fused_add_12", "triton_poi_fused_add_#"),
            ("cpp_fused_embedding_7", "cpp_fused_embedding_#"),
            ("Torch-Compiled Region: 0/1", "Torch-Compiled Region: #/#"),
            ("recipe_140234", "recipe_#"),
            ("replay of HPUGraph at 0x7f19aa", "replay of HPUGraph at @"),
            ("aten::_log_softmax", "aten::_log_softmax"),
            ("vllm::unified_attention_with_output", "vllm::unified_attention_with_output"),
            ("hpu::FusedSDPARecomputeForwardBf16", "hpu::FusedSDPARecomputeForwardBf16"),
            ("hpu::fusedsdparecomputeforwardfp8e4m3", "hpu::fusedsdparecomputeforwardfp8e4m3"),
            ("graph_ffcmuu3qn3sunrbfuniq67pjcw4v", "graph_<H>"),
            ("aten::conv2d", "aten::conv2d"),
            ("_C::gemm_int8_1024", "_C::gemm_int8_1024"),
            ("größe", "größe"),
            ("", "(no name)"),
            (" \t", "(no name)"),
            ("[rank 0]", "(rank 0]"),
            ("a\nb\u{1b}[2J ", "a\u{fffd}b\u{fffd}[2J"),
        ] {
            assert_eq!(stable(name), expected);
        }
    }
}
