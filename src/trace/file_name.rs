//! What a trace file's name tells: front end or worker, rank, part of a run. Content comes first where it speaks.

/// What the name of a trace file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileName {
    /// The `.async_llm.` infix of vLLM's front-end traces (vllm#21794).
    pub(crate) frontend: bool,
    /// `rank0.…`, `…-rank-1.…`, `dp0_pp0_tp1_…_rank1.…`, `rank3_trace.…`, and `…-TP-1-…` of SGLang where no other
    /// parallelism counts.
    pub(crate) rank: Option<u32>,
    /// What tells files of one rank apart that are no duplicates: the engine's replica (`dp1`, `DP-1`) and SGLang's
    /// stage (`DECODE`, `EXTEND`).
    pub(crate) part: String,
}

impl FileName {
    pub(crate) fn parse(name: &str) -> Self {
        let stem = [".pt.trace.json", ".trace.json", ".json"]
            .into_iter()
            .find_map(|end| name.split_once(end))
            .map_or(name, |(stem, _)| stem);
        let replica = numbered(stem, "dp").filter(|number| *number > 0);
        let others = [replica, numbered(stem, "pp")].into_iter().flatten();
        let tensor = || numbered(stem, "tp").filter(|_| others.clone().all(|number| number == 0));
        let mut part = replica.map(|number| format!("dp{number}")).unwrap_or_default();
        let last = stem.rsplit('-').next().unwrap_or_default();
        if last != stem && last.len() > 2 && last.bytes().all(|byte| byte.is_ascii_uppercase()) {
            part += last;
        }
        Self { frontend: name.contains(".async_llm."), rank: numbered(stem, "rank").or_else(tensor), part }
    }
}

/// The number behind the last such word, in letters of any case: `rank0`, `rank-1`, `TP-3`. The word stands by
/// itself, and the number, too.
fn numbered(stem: &str, word: &str) -> Option<u32> {
    let stem = stem.to_ascii_lowercase();
    stem.rmatch_indices(word).find_map(|(at, _)| {
        let before = stem[..at].bytes().next_back();
        let rest = stem[at + word.len()..].trim_start_matches(['-', '_']);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let alone = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let whole = alone(before.as_ref()) && alone(rest.as_bytes().get(digits));
        whole.then(|| rest[..digits].parse().ok())?
    })
}

/// True for names under which vLLM or its Gaudi plugin leave a trace.
pub(crate) fn is_trace_name(name: &str) -> bool {
    name.ends_with(".pt.trace.json.gz")
        || name.ends_with(".pt.trace.json")
        || (name.starts_with("server_events") && name.ends_with(".json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_names_of_every_version() {
        for (name, frontend, rank) in [
            ("rank0.1795489227106256847.pt.trace.json.gz", false, Some(0)),
            ("dp0_pp0_tp3_dcp0_ep3_rank3.179.pt.trace.json.gz", false, Some(3)),
            ("4f1c-rank-12.179.pt.trace.json.gz", false, Some(12)),
            ("vm_7328.async_llm.1795489226561573129.pt.trace.json.gz", true, None),
            ("vm_7328.1795489226561573129.pt.trace.json.gz", false, None),
            ("frank1.pt.trace.json", false, None),
            ("vllm.179.pt.trace.json.gz", false, None),
        ] {
            let read = FileName::parse(name);
            assert_eq!((read.frontend, read.rank), (frontend, rank), "{name}");
            assert!(is_trace_name(name), "{name}");
        }
        assert!(is_trace_name("server_events_vllm-abc.json"));
        assert!(!is_trace_name("rank0.profiler_out.txt"));
    }

    #[test]
    fn knows_the_names_of_other_writers() {
        for (name, rank, part) in [
            ("rank-0.json.gz", Some(0), ""),
            ("rank0_trace.json", Some(0), ""),
            ("trace_rank_11_step_5.json", Some(11), ""),
            ("1741-TP-3-DECODE.trace.json.gz", Some(3), "DECODE"),
            ("1741-TP-3-EXTEND.trace.json.gz", Some(3), "EXTEND"),
            ("1741-TP-1-DP-0-EP-1.trace.json.gz", Some(1), ""),
            ("1741-TP-1-DP-2.trace.json.gz", None, "dp2"),
            ("1741-TP-1-PP-1.trace.json.gz", None, ""),
            ("dp1_pp0_tp0_rank0.17.pt.trace.json.gz", Some(0), "dp1"),
            ("rank7b.json", None, ""),
            ("rank99999999999.json", None, ""),
            ("http-1.json", None, ""),
        ] {
            let read = FileName::parse(name);
            assert_eq!((read.rank, read.part.as_str()), (rank, part), "{name}");
        }
    }
}
