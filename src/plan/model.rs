//! The plan: a procedure resolved for one lane and the versions found there. Written to `plan.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::reviews::Reviews;
use crate::lane::{Lane, Versions};
use crate::procedure::{
    Bench, BootPolicy, Bound, CustomCheck, Deadlines, LoadClient, Procedure, ProfilerKind, Request, Span,
};
use crate::trace::{Evidence, StepPair};

/// Stands for the run directory in arguments and variables until the run begins.
pub(crate) const RUN: &str = "{run}";
/// Stands for the server's port.
pub(crate) const PORT: &str = "{port}";

/// Everything a run needs, and everything a verdict needs later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// Version of this file's shape.
    pub schema: u32,
    /// Name of the procedure.
    pub procedure: String,
    /// The procedure in one line.
    pub title: String,
    /// Where it runs.
    pub lane: Lane,
    /// Options of this run that depart from the procedure, such as `tensor_parallel_size 2`: what it
    /// shows was not reviewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Where the reviewed snapshot is.
    #[serde(default, skip_serializing_if = "is_nowhere")]
    pub reviews: Reviews,
    /// How the run proceeds.
    #[serde(default)]
    pub course: Course,
    /// Whether it may share the server's boot with other plans.
    #[serde(default)]
    pub boot: BootPolicy,
    /// How the port is chosen.
    pub port: PortSource,
    /// The model name in requests, which `/v1/models` must list.
    pub served_model: String,
    /// The longest each part may take.
    pub deadlines: Deadlines,
    /// What the trace must show.
    pub expected: Expected,
    /// Versions the plan was made for.
    pub versions: Versions,
    /// Commands before the server, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<Command>,
    /// The server.
    pub server: Command,
    /// What is sent inside the window, in order; empty where `bench` is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Request>,
    /// The workload of `vllm bench serve`, translated for the version found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<Bench>,
    /// `vllm bench serve` itself, where it sends the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench_command: Option<BenchCommand>,
    /// The script that `server` runs, where one takes the server's place; written to `script.py`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Where and why the plan departs from the manual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adaptations: Vec<Adaptation>,
}

fn is_nowhere(reviews: &Reviews) -> bool {
    *reviews == Reviews::None
}

impl Plan {
    /// Requests inside the window.
    #[must_use]
    pub fn planned_requests(&self) -> usize {
        self.bench.as_ref().map_or(self.requests.len(), |bench| bench.num_prompts as usize)
    }
}

/// How a run proceeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Course {
    /// Boot, open the window, load, close the window.
    #[default]
    Window,
    /// Boot, load, end: the profiler records from boot, and its file is whole when the server has ended.
    FromBoot,
    /// A script opens and closes the window itself and ends.
    Script,
    /// The server profiles one step of its warm-up and ends by an intended assertion.
    WarmUpStep,
}

impl Course {
    /// How a procedure comes to its trace.
    pub(crate) fn of(procedure: &Procedure) -> Self {
        match (procedure.profiler.kind, procedure.load.client) {
            (ProfilerKind::HighLevel, _) => Self::FromBoot,
            (ProfilerKind::SpecificStep, _) => Self::WarmUpStep,
            (ProfilerKind::Torch, LoadClient::Script) => Self::Script,
            (ProfilerKind::Torch, _) => Self::Window,
        }
    }

    /// The process profiles by itself and ends; nothing is sent to it.
    pub(crate) fn ends_by_itself(self) -> bool {
        matches!(self, Self::Script | Self::WarmUpStep)
    }
}

/// How the server's port comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PortSource {
    /// The server takes a free one and writes it to `port` in the run directory.
    Reported,
    /// A free one is chosen just before the server starts.
    Chosen,
}

/// The real client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BenchCommand {
    /// The command; it writes `bench.json` into the run directory.
    pub command: Command,
    /// This version says `Profiler started` and `Profiler stopped` when it was.
    pub reports_profiler: bool,
}

/// One command: an argument vector, never a shell line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables set for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl Command {
    /// The command with the run directory and the port filled in.
    #[must_use]
    pub fn filled(&self, run: &Path, port: Option<u16>) -> Self {
        let port = port.unwrap_or(0).to_string();
        let run = run.display().to_string();
        // Inside JSON the path is part of a string.
        let escaped = serde_json::Value::from(run.as_str()).to_string();
        let escaped = escaped.get(1..escaped.len() - 1).unwrap_or_default();
        let fill = |text: &String| {
            let text = text.replace(PORT, &port);
            let path = if is_json(value_of(&text)) { escaped } else { &run };
            text.replace(RUN, path)
        };
        Self {
            argv: self.argv.iter().map(fill).collect(),
            env: self.env.iter().map(|(key, value)| (key.clone(), fill(value))).collect(),
        }
    }
}

/// The value of a word, behind `--flag=` where that is in the same word.
fn value_of(word: &str) -> &str {
    match word.split_once('=') {
        Some((flag, value)) if flag.starts_with('-') => value,
        _ => word,
    }
}

/// In JSON a placeholder is part of a string, which tells it from any other text: by itself it is no JSON.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::shell::line(self))
    }
}

/// What a run must leave and show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expected {
    /// Worker traces: one for each rank.
    pub ranks: u32,
    /// A front-end trace.
    pub frontend: bool,
    /// Pattern of the step sequence, idle steps left out.
    pub sequence: String,
    /// The engine decodes once more for each request than its tokens need.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrun: bool,
    /// Requests decoded in one step at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_decode_batch: Option<u64>,
    /// What workers of this version leave of their steps.
    pub evidence: ExpectedEvidence,
    /// Names of worker traces of this version, for people.
    pub worker_files: String,
    /// Compilations allowed in the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recompiles: Option<u64>,
    /// Largest distance between the same step's starts on two ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rank_skew: Option<Span>,
    /// Ends of the names of further files in the server's working directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Bounds on anything that a trace counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CustomCheck>,
    /// Bounds of the step gaps by pair.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gaps: BTreeMap<StepPair, Bound>,
}

/// Evidence that a version leaves, and in which form. Written `annotation execute_context_{R}({T})_…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub struct ExpectedEvidence {
    /// `None` where nothing is known of the version.
    pub evidence: Option<Evidence>,
    /// The name's form, for people; may be empty.
    pub form: String,
}

impl ExpectedEvidence {
    pub(super) fn new(evidence: Option<Evidence>, form: &str) -> Self {
        Self { evidence, form: form.to_owned() }
    }
}

impl From<String> for ExpectedEvidence {
    fn from(text: String) -> Self {
        let (word, form) = text.split_once(' ').unwrap_or((&text, ""));
        Self::new(Evidence::named(word), form)
    }
}

impl From<ExpectedEvidence> for String {
    fn from(expected: ExpectedEvidence) -> Self {
        expected.to_string()
    }
}

impl fmt::Display for ExpectedEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.evidence.map_or("unknown", Evidence::name);
        if self.form.is_empty() { f.pad(word) } else { f.pad(&format!("{word} {}", self.form)) }
    }
}

/// One departure from the manual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Adaptation {
    /// What the manual has.
    pub manual: String,
    /// What the plan has instead.
    pub planned: String,
    /// Why.
    pub reason: String,
    /// Where that is known from.
    pub source: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `--x={…}` the path of the run stood in the JSON as it is, quotes and all.
    #[test]
    fn a_path_inside_json_is_part_of_a_string_however_the_flag_is_written() {
        let words = [
            "--x",
            "{\"d\":\"{run}\",\"p\":{port}}",
            "--x={\"d\":\"{run}/traces\"}",
            "--x=[\"{run}\"]",
            "--out={run}/a=b",
            "{run}/port",
        ];
        let command = Command {
            argv: words.map(str::to_owned).to_vec(),
            env: [("X".to_owned(), "{\"d\":\"{run}\"}".to_owned())].into(),
        };
        let filled = command.filled(Path::new("/a \"b\"\\c"), Some(80));
        let escaped = r#"/a \"b\"\\c"#;
        assert_eq!(
            filled.argv,
            [
                "--x".to_owned(),
                format!("{{\"d\":\"{escaped}\",\"p\":80}}"),
                format!("--x={{\"d\":\"{escaped}/traces\"}}"),
                format!("--x=[\"{escaped}\"]"),
                "--out=/a \"b\"\\c/a=b".to_owned(),
                "/a \"b\"\\c/port".to_owned(),
            ]
        );
        assert_eq!(filled.env["X"], format!("{{\"d\":\"{escaped}\"}}"));
    }
}
