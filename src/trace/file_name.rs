//! What a trace file's name tells: front end or worker, rank. Content comes first where it speaks.

/// What the name of a trace file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    /// The `.async_llm.` infix of vLLM's front-end traces (vllm#21794).
    pub(crate) frontend: bool,
    /// `rank0.…`, `…-rank-1.…`, `dp0_pp0_tp1_…_rank1.…`.
    pub(crate) rank: Option<u32>,
}

impl FileName {
    pub(crate) fn parse(name: &str) -> Self {
        let stem = name.split(".pt.trace.json").next().unwrap_or(name);
        Self { frontend: name.contains(".async_llm."), rank: stem.split('.').find_map(rank_of) }
    }
}

fn rank_of(part: &str) -> Option<u32> {
    let at = part.rfind("rank")?;
    let before = part[..at].bytes().next_back();
    if before.is_some_and(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    part[at + 4..].trim_start_matches(['-', '_']).parse().ok()
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
            assert_eq!(FileName::parse(name), FileName { frontend, rank }, "{name}");
            assert!(is_trace_name(name), "{name}");
        }
        assert!(is_trace_name("server_events_vllm-abc.json"));
        assert!(!is_trace_name("rank0.profiler_out.txt"));
    }
}
