//! JUnit: a suite for each lane, and in it a case for each procedure and one for each of its checks. Names are those of
//! the trials and stay from run to run. An infrastructure error is an `error`, never a `failure`.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::page::Reported;
use crate::judge::Answer;
use crate::text::markup;
use crate::time::Nanos;

/// Characters of one message.
const MESSAGE: usize = 4_000;

/// The document, with names, times and attributes as nextest writes them.
pub(crate) fn junit(runs: &[Reported]) -> String {
    let mut procedures: BTreeMap<(&str, &str), Vec<&Reported>> = BTreeMap::new();
    for run in runs {
        let name = (run.plan.lane.trial_prefix(), run.plan.procedure.as_str());
        procedures.entry(name).or_default().push(run);
    }
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for ((lane, procedure), runs) in procedures {
        suites.entry(lane).or_default().extend(cases(lane, procedure, &runs));
    }
    let all: Vec<&Case> = suites.values().flatten().collect();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tracegate\" {}>\n",
        totals(&all)
    );
    for (lane, cases) in &suites {
        let totals = totals(&cases.iter().collect::<Vec<_>>());
        text += &format!("  <testsuite name=\"{}\" {totals}>\n", markup(lane));
        text.extend(cases.iter().map(Case::text));
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

fn totals(cases: &[&Case]) -> String {
    let count = |ended: Ended| cases.iter().filter(|case| case.ended == ended).count();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" timestamp=\"{}\" time=\"{}\"",
        cases.len(),
        count(Ended::Failure),
        count(Ended::Error),
        count(Ended::Skipped),
        timestamp(cases.iter().map(|case| case.begun).min().unwrap_or_default()),
        seconds(cases.iter().map(|case| case.took).sum())
    )
}

/// How a case ended; over repetitions the last of these counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Skipped,
    Passed,
    Failure,
    Error,
}

struct Case {
    class: String,
    name: String,
    ended: Ended,
    /// What was seen, of the repetitions that ended so.
    message: String,
    begun: Nanos,
    took: Nanos,
    properties: Vec<(String, String)>,
}

impl Case {
    fn text(&self) -> String {
        let shown = |text: &str| markup(&crate::text::inert(text, MESSAGE));
        let mut text = format!(
            "    <testcase name=\"{}\" classname=\"{}\" timestamp=\"{}\" time=\"{}\"",
            shown(&self.name),
            shown(&self.class),
            timestamp(self.begun),
            seconds(self.took)
        );
        if self.ended == Ended::Passed && self.properties.is_empty() {
            return text + "/>\n";
        }
        text += ">\n";
        if !self.properties.is_empty() {
            text += "      <properties>\n";
            for (name, value) in &self.properties {
                text += &format!("        <property name=\"{}\" value=\"{}\"/>\n", shown(name), shown(value));
            }
            text += "      </properties>\n";
        }
        let message = shown(&self.message);
        text += &match self.ended {
            Ended::Passed => String::new(),
            Ended::Skipped => format!("      <skipped message=\"{message}\"/>\n"),
            Ended::Failure => format!("      <failure message=\"{message}\" type=\"check failure\"/>\n"),
            Ended::Error => format!("      <error message=\"{message}\" type=\"infrastructure error\"/>\n"),
        };
        text + "    </testcase>\n"
    }
}

/// The case of a procedure, and behind it those of its checks. Repetitions are one case: readers of
/// JUnit take one of several that have the same name, and drop the others.
fn cases(lane: &str, procedure: &str, runs: &[&Reported]) -> Vec<Case> {
    let mut whole = Gathered::new(runs.len());
    let mut checks: Vec<(&str, Gathered)> = Vec::new();
    for run in runs {
        let number = number(run);
        let decided = match &run.decided {
            Err(error) => {
                whole.add(&number, Ended::Error, &error.to_string());
                continue;
            }
            Ok(decided) => decided,
        };
        let failed: Vec<&str> = decided.verdict.failed().map(|check| check.name.as_str()).collect();
        let ended = if decided.verdict.passed { Ended::Passed } else { Ended::Failure };
        whole.add(&number, ended, &format!("failed checks: {}", failed.join(", ")));
        for check in &decided.verdict.checks {
            let ended = match &check.answer {
                Answer::Holds(_) => Ended::Passed,
                Answer::Fails(_) => Ended::Failure,
                Answer::CannotSay(_) => Ended::Skipped,
            };
            let at = checks.iter().position(|(name, _)| *name == check.name).unwrap_or_else(|| {
                checks.push((&check.name, Gathered::new(runs.len())));
                checks.len() - 1
            });
            checks[at].1.add(&number, ended, check.answer.detail());
        }
    }
    let begun = runs.iter().map(|run| span(run).0).min().unwrap_or_default();
    let whole = Case {
        class: lane.to_owned(),
        name: procedure.to_owned(),
        ended: whole.ended,
        message: whole.message(),
        begun,
        took: runs.iter().map(|run| span(run).1).sum(),
        properties: runs.iter().flat_map(|run| properties(run)).collect(),
    };
    let checks = checks.into_iter().map(|(name, gathered)| Case {
        class: format!("{lane}::{procedure}"),
        name: name.to_owned(),
        ended: gathered.ended,
        message: gathered.message(),
        begun,
        // Checks read what the run left; the procedure's case has the time.
        took: Nanos::default(),
        properties: Vec::new(),
    });
    std::iter::once(whole).chain(checks).collect()
}

/// The repetitions of a case.
struct Gathered {
    runs: usize,
    ended: Ended,
    messages: Vec<String>,
}

impl Gathered {
    fn new(runs: usize) -> Self {
        Self { runs, ended: Ended::Skipped, messages: Vec::new() }
    }

    fn add(&mut self, run: &str, ended: Ended, message: &str) {
        if ended > self.ended {
            self.messages.clear();
            self.ended = ended;
        }
        if ended == self.ended {
            let run = if self.runs > 1 { format!("run {run}: ") } else { String::new() };
            self.messages.push(run + message);
        }
    }

    fn message(&self) -> String {
        self.messages.join("; ")
    }
}

/// `3` of the run directory `async_single_request-3`.
fn number(run: &Reported) -> String {
    let name = run.name();
    let number = name.strip_prefix(&run.plan.procedure).and_then(|rest| rest.strip_prefix('-'));
    number.map_or_else(|| name.clone(), str::to_owned)
}

/// When a run began, and how long it took as far as it came.
fn span(run: &Reported) -> (Nanos, Nanos) {
    let phases = &run.record.phases;
    let begun = phases.first().map(|phase| phase.start_ns).unwrap_or_default();
    let ended = phases.iter().map(|phase| phase.end_ns.unwrap_or(phase.start_ns)).max();
    (begun, ended.map_or(Nanos::default(), |ended| ended - begun))
}

fn properties(run: &Reported) -> Vec<(String, String)> {
    let mut all = vec![
        ("run".to_owned(), number(run)),
        ("run_directory".to_owned(), run.directory.path().display().to_string()),
    ];
    let traces = run.decided.iter().flat_map(|decided| &decided.observed.traces);
    for trace in traces {
        all.push(("trace".to_owned(), trace.file.clone()));
        let rank = trace.rank.map_or_else(String::new, |rank| format!(".rank{rank}"));
        all.extend(
            trace
                .gaps
                .iter()
                .map(|(pair, gap)| (format!("gap.{pair}.p50_ns{rank}"), gap.p50_ns.as_ns().to_string())),
        );
    }
    all
}

/// Seconds with three places.
fn seconds(time: Nanos) -> String {
    format!("{:.3}", time.as_ns() as f64 / 1e9)
}

/// RFC 3339 with an offset.
fn timestamp(at: Nanos) -> String {
    let since = Duration::from_nanos(u64::try_from(at.as_ns()).unwrap_or_default());
    let utc = humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string();
    utc.replace('Z', "+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_repetitions_the_worst_counts_and_only_its_messages_are_shown() {
        let mut gathered = Gathered::new(4);
        gathered.add("1", Ended::Skipped, "one rank");
        assert!(gathered.ended == Ended::Skipped);
        gathered.add("2", Ended::Passed, "equal");
        assert!(gathered.ended == Ended::Passed, "what was checked once was not skipped");
        gathered.add("3", Ended::Failure, "a");
        gathered.add("4", Ended::Failure, "b");
        gathered.add("5", Ended::Passed, "equal");
        assert!(gathered.ended == Ended::Failure);
        assert_eq!(gathered.message(), "run 3: a; run 4: b");
    }
}
