//! What changed between versions, as one table: package, range, fact, source.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

use crate::trace::Evidence;

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
    /// Workers leave this evidence of their steps, in this form.
    Evidence(Evidence, &'static str),
    /// Worker traces have this name.
    WorkerFiles(&'static str),
    /// `--random-range-ratio r` spreads lengths over `[len(1-r), len(1+r)]` and refuses 1.
    RangeRatioSpreads,
    /// `vllm bench serve --profile` says whether the profiler started and stopped.
    BenchReportsProfiler,
    /// `python3 -m vllm.entrypoints.openai.api_server` works and is deprecated.
    DeprecatedEntryPoint,
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
    Rule {
        package: "vllm-gaudi",
        range: ">=0.10",
        fact: Fact::Evidence(Evidence::Frames, ""),
        reason: "HPUWorker.execute_model overrides vLLM's without annotating its steps",
        source: "vllm-gaudi hpu_worker.py:569-592 at 091bbadd; not run on hardware",
    },
    Rule {
        package: "vllm-gaudi",
        range: ">=0.10",
        fact: Fact::WorkerFiles("{hostname}_{pid}.{ns}.pt.trace.json.gz"),
        reason: "the plugin's profiler takes torch's default worker name",
        source: "torch/profiler/profiler.py:752-768; not run on hardware",
    },
    Rule {
        package: "vllm",
        range: "<0.13",
        fact: Fact::Evidence(Evidence::Frames, ""),
        reason: "these versions do not annotate their steps",
        source: "an 0.11.0 trace holds no user_annotation: measured",
    },
    Rule {
        package: "vllm",
        range: ">=0.13,<0.16",
        fact: Fact::Evidence(Evidence::Annotation, "execute_new_{N}_cached_{M}"),
        reason: "counts requests, not tokens: the ledger cannot be reconciled",
        source: "vLLM 0.13 gpu_worker.py:553-566, vllm#22496",
    },
    Rule {
        package: "vllm",
        range: ">=0.16",
        fact: Fact::Evidence(Evidence::Annotation, "execute_context_{R}({T})_generation_{R}({T})"),
        reason: "counts requests and tokens",
        source: "vllm#31193; measured on 0.32.0",
    },
    Rule {
        package: "vllm",
        range: "<0.13",
        fact: Fact::WorkerFiles("{hostname}_{pid}.{ns}.pt.trace.json.gz"),
        reason: "torch's default worker name",
        source: "measured on 0.11.0",
    },
    Rule {
        package: "vllm",
        range: ">=0.13,<0.30",
        fact: Fact::WorkerFiles("{instance_id}-rank-{rank}.{ns}.pt.trace.json.gz"),
        reason: "the worker's name has the instance and the rank; from 0.20 on a GPU dp0_pp0_tp0_…_rank0",
        source: "vLLM 0.13 and 0.20 sources",
    },
    Rule {
        package: "vllm",
        range: ">=0.30",
        fact: Fact::WorkerFiles("…rank{rank}.{ns}.pt.trace.json.gz"),
        reason: "rank0 on a CPU, dp0_pp0_tp0_…_rank0 on a GPU",
        source: "measured on 0.32.0 CPU; the first minor is a bound",
    },
    Rule {
        package: "vllm",
        range: ">=0.10",
        fact: Fact::RangeRatioSpreads,
        reason: "since vllm#16126 the ratio r spreads lengths over [len(1-r), len(1+r)] with r below 1; the manual's 1.0 meant a fixed length and now raises ValueError before any request; 0 is the fixed length of today",
        source: "vllm#16126; ValueError measured on 0.32.0, read in 0.10.2 to 0.29.0",
    },
    Rule {
        package: "vllm",
        range: ">=0.30",
        fact: Fact::BenchReportsProfiler,
        reason: "older clients parse the profiler's answer as a completion and never say that it started",
        source: "vLLM 0.32 benchmarks/serve.py:938-947, measured; 0.10.2 to 0.29 read",
    },
    Rule {
        package: "vllm",
        range: ">=0.30",
        fact: Fact::DeprecatedEntryPoint,
        reason: "vllm serve is its name now; the module still works and prints a DeprecationWarning",
        source: "measured on 0.32.0",
    },
];

/// Versions of vLLM whose behaviour was read or measured. Others are treated as the nearest of these.
const KNOWN_VLLM: [&str; 8] =
    ["0.10.2", "0.11.0", "0.13.0", "0.16.0", "0.20.0", "0.25.0", "0.29.0", "0.32.0"];

/// The known version nearest to an unknown one: the newest that is not newer, else the oldest.
/// `None` for a version within a known minor.
pub(crate) fn nearest_known(version: &Version) -> Option<Version> {
    let known: Vec<Version> = KNOWN_VLLM.iter().filter_map(|text| Version::from_str(text).ok()).collect();
    let minor = |version: &Version| version.release().iter().copied().take(2).collect::<Vec<u64>>();
    if known.iter().any(|other| minor(other) == minor(version)) {
        return None;
    }
    let release = version.only_release();
    known.iter().rev().find(|other| **other <= release).or(known.first()).cloned()
}

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

    /// The fact of one kind that holds for a version of vLLM.
    fn fact(text: &str, kind: fn(Fact) -> bool) -> Option<Fact> {
        find("vllm", Some(&version(text)), kind).map(|rule| rule.fact)
    }

    #[test]
    fn evidence_and_file_names_follow_the_version() {
        let evidence = |text| match fact(text, |fact| matches!(fact, Fact::Evidence(..))) {
            Some(Fact::Evidence(evidence, form)) => (evidence, form),
            _ => (Evidence::None, ""),
        };
        assert_eq!(evidence("0.11.0"), (Evidence::Frames, ""));
        assert_eq!(evidence("0.13.0"), (Evidence::Annotation, "execute_new_{N}_cached_{M}"));
        assert!(evidence("0.16.0").1.contains("execute_context"));
        let files = |text| match fact(text, |fact| matches!(fact, Fact::WorkerFiles(_))) {
            Some(Fact::WorkerFiles(name)) => name,
            _ => "",
        };
        assert!(files("0.11.0").starts_with("{hostname}_{pid}"));
        assert!(files("0.20.0").starts_with("{instance_id}-rank-"));
        assert!(files("0.32.0+cpu").starts_with("…rank"));
    }

    #[test]
    fn the_range_ratio_changed_before_every_known_version() {
        for text in KNOWN_VLLM {
            assert_eq!(
                fact(text, |fact| fact == Fact::RangeRatioSpreads),
                Some(Fact::RangeRatioSpreads),
                "{text}"
            );
        }
    }

    #[test]
    fn only_new_clients_report_the_profiler() {
        let reports = |text| fact(text, |fact| fact == Fact::BenchReportsProfiler).is_some();
        assert!(reports("0.32.0") && !reports("0.29.0"));
        let deprecated = |text| fact(text, |fact| fact == Fact::DeprecatedEntryPoint).is_some();
        assert!(deprecated("0.32.0+cpu") && !deprecated("0.29.0"));
    }

    #[test]
    fn gaudi_facts_follow_the_plugin() {
        let gaudi =
            |text, wanted: fn(Fact) -> bool| find("vllm-gaudi", Some(&version(text)), wanted).is_some();
        assert!(gaudi("0.21.0", |fact| fact == Fact::WorkerReadsEnvironment));
        assert!(!gaudi("0.11.0", |fact| fact == Fact::WorkerReadsEnvironment));
        assert!(gaudi("0.21.0", |fact| fact == Fact::QueryBuckets));
        assert!(!gaudi("0.16.0", |fact| fact == Fact::QueryBuckets));
        assert!(gaudi("0.21.0", |fact| matches!(fact, Fact::Evidence(Evidence::Frames, _))));
        assert!(gaudi("0.21.0", |fact| matches!(fact, Fact::WorkerFiles(_))));
    }

    #[test]
    fn unknown_versions_are_treated_as_the_nearest_known() {
        let nearest = |text| nearest_known(&version(text)).map(|version| version.to_string());
        assert_eq!(nearest("0.32.1"), None);
        assert_eq!(nearest("0.33.0"), Some("0.32.0".to_owned()));
        assert_eq!(nearest("0.34.1.dev12+gabcdef"), Some("0.32.0".to_owned()));
        assert_eq!(nearest("0.18.0"), Some("0.16.0".to_owned()));
        assert_eq!(nearest("0.9.1"), Some("0.10.2".to_owned()));
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
