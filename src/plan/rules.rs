//! What changed between versions, as one table: package, range, fact, source.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Distribution the range speaks of.
    pub(crate) package: &'static str,
    /// PEP 440 specifiers.
    pub(crate) range: &'static str,
    /// What holds in that range.
    pub(crate) fact: Fact,
    /// Why, for people.
    pub(crate) reason: &'static str,
    /// Where it is known from.
    pub(crate) source: &'static str,
}

/// Something that holds for a range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// `VLLM_TORCH_PROFILER_DIR` enables the profiler.
    EnabledByEnvironment,
    /// `--profiler-config` enables the profiler.
    EnabledByConfig,
    /// The plugin's worker reads `VLLM_TORCH_PROFILER_DIR` although vLLM does not.
    WorkerReadsEnvironment,
    /// The buckets' variables are called `…_QUERY_BUCKET_…`.
    QueryBuckets,
    /// Profiling cannot work; the version that mends it.
    Broken { fixed_in: &'static str },
}

/// The table. First match of a kind wins.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        package: "vllm",
        range: "<0.13",
        fact: Fact::EnabledByEnvironment,
        reason: "this version reads VLLM_TORCH_PROFILER_DIR and has no --profiler-config",
        source: "vLLM 0.10.2 api_server.py:1264-1280; measured on 0.11.0",
    },
    Rule {
        package: "vllm",
        range: ">=0.13",
        fact: Fact::EnabledByConfig,
        reason: "the profiler routes are mounted only with --profiler-config; the variable is deprecated from 0.13 and gone from 0.16 (both routes then answer 404)",
        source: "vllm#29912, vllm#33536; 404 measured on 0.32.0",
    },
    Rule {
        package: "vllm-gaudi",
        range: ">=0.16",
        fact: Fact::WorkerReadsEnvironment,
        reason: "vLLM mounts the routes only with --profiler-config and the Gaudi worker reads only VLLM_TORCH_PROFILER_DIR: one without the other gives 404 or 500",
        source: "vllm-gaudi hpu_worker.py:118-139 at 091bbadd, vllm-gaudi#1268; not run on hardware",
    },
    Rule {
        package: "vllm-gaudi",
        range: ">=0.17.1,<0.21.0",
        fact: Fact::Broken { fixed_in: "0.21.0" },
        reason: "HPUWorker.profile takes one argument where vLLM passes two: /start_profile raises TypeError",
        source: "vllm-gaudi 3e32d047 (2026-04-30); not run on hardware",
    },
    Rule {
        package: "vllm-gaudi",
        range: ">=0.21.0",
        fact: Fact::QueryBuckets,
        reason: "VLLM_PROMPT_SEQ_BUCKET_* is the deprecated name",
        source: "vllm-gaudi env_variables.md:130 at 091bbadd; docs until about April 2026 had the old name",
    },
];

/// The rule of a kind that holds for a version.
pub(crate) fn find(
    package: &str,
    version: Option<&Version>,
    kind: impl Fn(Fact) -> bool,
) -> Option<&'static Rule> {
    let version = version?.only_release();
    RULES.iter().find(|rule| rule.package == package && kind(rule.fact) && rule.covers(&version))
}

impl Rule {
    fn covers(&self, version: &Version) -> bool {
        VersionSpecifiers::from_str(self.range).is_ok_and(|range| range.contains(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::from_str(text).unwrap()
    }

    fn broken(text: &str) -> bool {
        find("vllm-gaudi", Some(&version(text)), |fact| matches!(fact, Fact::Broken { .. })).is_some()
    }

    #[test]
    fn every_row_has_a_readable_range() {
        for rule in RULES {
            assert!(VersionSpecifiers::from_str(rule.range).is_ok(), "{}", rule.range);
            assert!(!rule.source.is_empty() && !rule.reason.is_empty());
        }
    }

    #[test]
    fn the_profiler_is_enabled_in_exactly_one_way_per_vllm() {
        for (text, by_environment) in [
            ("0.10.2", true),
            ("0.11.0+cpu", true),
            ("0.13.0", false),
            ("0.16.0", false),
            ("0.32.0+cpu", false),
        ] {
            let enabling = |fact| matches!(fact, Fact::EnabledByEnvironment | Fact::EnabledByConfig);
            let rule = find("vllm", Some(&version(text)), enabling).unwrap();
            assert_eq!(rule.fact == Fact::EnabledByEnvironment, by_environment, "{text}");
        }
    }

    #[test]
    fn the_broken_gaudi_releases_are_exactly_these() {
        for (text, expected) in [
            ("0.16.0", false),
            ("0.17.0", false),
            ("0.17.1", true),
            ("0.19.1", true),
            ("0.19.1.post1", true),
            ("0.21.0", false),
        ] {
            assert_eq!(broken(text), expected, "{text}");
        }
    }
}
