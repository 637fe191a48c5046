//! The report page: one HTML file that needs no network. Strings from outside reach it as data or escaped, never as
//! markup.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::counts::{OperatorsData, operators};
use super::grid::Grid;
use super::headline::headline;
use super::nights;
use super::page_data::{PageData, PhaseData, PlanData, RunData, SnapshotData};
use super::summary;
use crate::client::Ledger;
use crate::history::{SeriesView, Verdicts};
use crate::judge::{Decided, Differing, decide, file_of};
use crate::lane::Lane;
use crate::plan::Plan;
use crate::plan::Reviews;
use crate::run::{RunDirectory, RunError, RunRecord};
use crate::text::{inert, markup};
use crate::trace::inspect;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// In the order in which they need each other.
const SCRIPTS: [&str; 4] = [
    include_str!("page/dom.js"),
    include_str!("page/timeline.js"),
    include_str!("page/charts.js"),
    include_str!("page/page.js"),
];

/// Characters of one line under the verdict; the checks below have the rest.
const HEADLINE: usize = 300;
/// Characters of the title, which names every run.
const TITLE: usize = 2_000;

/// One run as far as it can be read. A run without a verdict has a report, too.
pub(crate) struct Reported {
    pub(crate) directory: RunDirectory,
    pub(crate) plan: Plan,
    pub(crate) record: RunRecord,
    pub(crate) decided: Result<Box<Decided>, RunError>,
    /// Where its reviewed snapshot is.
    reviews: Reviews,
}

impl Reported {
    /// A run that was decided just now.
    pub(crate) fn of(directory: RunDirectory, decided: Decided) -> Self {
        let (plan, record) = (decided.observed.plan.clone(), decided.observed.record.clone());
        let reviews = plan.reviews.clone();
        Self { directory, plan, record, decided: Ok(Box::new(decided)), reviews }
    }

    /// Reads and decides a run directory.
    ///
    /// # Errors
    /// It is no run directory, or its plan or record cannot be read.
    pub(crate) fn read(path: &Path, reviews: Option<&Reviews>) -> Result<Self, RunError> {
        let directory = RunDirectory::open(path)?;
        let (plan, record) = (directory.plan()?, directory.record()?);
        let decided = decide(&directory, reviews).map(Box::new);
        let reviews = reviews.unwrap_or(&plan.reviews).clone();
        Ok(Self { directory, plan, record, decided, reviews })
    }

    /// The last part of the directory's path.
    pub(crate) fn name(&self) -> String {
        let path = self.directory.path();
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The reviewed file, where it is one of the working directory: what a pull request can show.
    pub(crate) fn committed(&self) -> Option<PathBuf> {
        let root = match &self.reviews {
            Reviews::Directory(root) => root.clone(),
            // In tracegate's own repository, what ships is what is reviewed.
            Reviews::Shipped => PathBuf::from("snapshots"),
            Reviews::None => return None,
        };
        let path = file_of(&root, &self.plan);
        let here = std::env::current_dir().unwrap_or_default();
        path.is_file().then(|| path.strip_prefix(here).map_or(path.clone(), Path::to_owned))
    }

    fn data(&self) -> RunData {
        let data = RunData {
            name: self.name(),
            lane: self.plan.lane.to_string(),
            procedure: self.plan.procedure.clone(),
            title: self.plan.title.clone(),
            imitation: self.plan.lane == Lane::Standin,
            fault: self.record.fault.map(tracegate_standin::Fault::name),
            error: self.decided.as_ref().err().map(ToString::to_string),
            plan: plan_data(&self.plan, &self.record),
            phases: self.phases(),
            ..RunData::default()
        };
        match &self.decided {
            Ok(decided) => {
                let (snapshot, operators) = structure(decided);
                let checks = decided.verdict.checks.clone();
                RunData { checks, snapshot: Some(snapshot), operators, ..data }
                    .with_measurements(&decided.observed.traces, &decided.observed.ledger)
            }
            // What is there is evidence, even where nothing can be decided from it.
            Err(_) => {
                let traces = inspect(&[self.directory.traces()]).unwrap_or_default();
                let ledger = self.directory.ledger().unwrap_or_else(|_| Ledger::default());
                data.with_measurements(&traces, &ledger)
            }
        }
    }

    fn phases(&self) -> Vec<PhaseData> {
        let phases = self.record.phases.iter();
        phases
            .map(|phase| PhaseData {
                name: phase.phase,
                ns: phase.end_ns.map(|end| (end - phase.start_ns).as_ns()),
            })
            .collect()
    }

    /// How the run differs from the reviewed snapshot; nothing where it does not, and where there is none
    /// to compare with.
    pub(crate) fn snapshot_difference(&self) -> Option<&Differing> {
        self.decided.as_ref().ok()?.review.differing()
    }
}

/// The structure of the run beside what was reviewed.
fn structure(decided: &Decided) -> (SnapshotData, Vec<OperatorsData>) {
    let differing = decided.review.differing();
    let differences = differing.map(|differing| differing.differences.as_slice());
    let data = SnapshotData {
        diff: differing.map(Differing::text),
        committed: decided.review.compared_with().map(str::to_owned),
        observed: decided.snapshot.to_string(),
    };
    (data, operators(&decided.snapshot, differences.unwrap_or_default()))
}

fn plan_data(plan: &Plan, record: &RunRecord) -> PlanData {
    let server = record.server.as_ref().unwrap_or(&plan.server);
    let client = plan.bench_command.iter().map(|bench| &bench.command);
    let mut installed: Vec<(String, String)> =
        plan.versions.iter().map(|(name, version)| (name.clone(), version.clone())).collect();
    installed.push(("tracegate".to_owned(), record.tracegate.clone()));
    if let Some(machine) = &record.machine {
        installed.push(("machine class".to_owned(), machine.class()));
        let parts =
            [("driver", &machine.driver), ("kernel", &machine.kernel), ("governor", &machine.governor)];
        installed
            .extend(parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
    }
    PlanData {
        adaptations: plan.adaptations.clone(),
        commands: plan.prepare.iter().chain([server]).chain(client).map(ToString::to_string).collect(),
        installed,
    }
}

/// The page.
///
/// # Errors
/// The data cannot be written as JSON.
pub(crate) fn page(
    runs: &[Reported],
    history: Vec<SeriesView>,
    night: Option<&Verdicts>,
) -> Result<String, serde_json::Error> {
    let headline = headline(runs, night);
    let data = PageData { schema: 1, runs: runs.iter().map(Reported::data).collect(), history };
    // Inside a script element only `<` can end it or begin a comment.
    let json = serde_json::to_string(&data)?.replace('<', "\\u003c");
    let lines: String =
        headline.lines.iter().map(|line| format!("<li>{}</li>", markup(&inert(line, HEADLINE)))).collect();
    let lines = if lines.is_empty() { lines } else { format!("<ul class=\"lines\">{lines}</ul>") };
    let made = format!(
        "tracegate {}, {}",
        env!("CARGO_PKG_VERSION"),
        humantime::format_rfc3339_seconds(SystemTime::now())
    );
    let parts = [
        ("{{TITLE}}", markup(&inert(&title(runs, night), TITLE))),
        ("{{STYLE}}", STYLE.to_owned()),
        ("{{STATE}}", headline.state.to_owned()),
        ("{{WORD}}", markup(headline.word)),
        ("{{HEADLINES}}", lines),
        ("{{TABLES}}", tables(runs, night)),
        ("{{MADE}}", markup(&made)),
        ("{{DATA}}", json),
        ("{{SCRIPT}}", SCRIPTS.join("\n")),
    ];
    Ok(fill(HTML, &parts))
}

/// What a reader without scripts has beside the headline: the runs, and the night with its numbers.
fn tables(runs: &[Reported], night: Option<&Verdicts>) -> String {
    let section = |title: &str, grid: Grid| {
        if grid.is_empty() {
            return String::new();
        }
        format!("<section><h2>{}</h2>{}</section>", markup(title), grid.html())
    };
    let night = night.map(|night| section(&format!("Night {}", night.night), nights::grid(night)));
    let runs = if runs.len() > 1 { section("Runs", summary::grid(runs)) } else { String::new() };
    night.unwrap_or_default() + &runs
}

fn title(runs: &[Reported], night: Option<&Verdicts>) -> String {
    let mut names: Vec<String> =
        runs.iter().map(|run| format!("{} on lane {}", run.plan.procedure, run.plan.lane)).collect();
    names.dedup();
    let names = match names.as_slice() {
        [] => "nights".to_owned(),
        [one] if runs.len() > 1 => format!("{one}, {} runs", runs.len()),
        some => some.join(", "),
    };
    night.map_or_else(|| names.clone(), |night| format!("{names}, night {}", night.night))
}

/// Fills the template in one pass: what is filled in may hold a placeholder's text and stays as it is.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        match parts.iter().find(|(name, _)| after.starts_with(name)) {
            Some((name, value)) => {
                out.push_str(value);
                rest = &after[name.len()..];
            }
            None => {
                out.push_str("{{");
                rest = &after[2..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_no_placeholder() {
        let filled =
            fill("a {{ONE}} b {{TWO}} {{", &[("{{ONE}}", "{{TWO}}".into()), ("{{TWO}}", "2".into())]);
        assert_eq!(filled, "a {{TWO}} b 2 {{");
    }

    #[test]
    fn the_page_asks_for_nothing_from_a_network() {
        for part in SCRIPTS.iter().chain([&HTML, &STYLE]) {
            let bare = part.replace("http://www.w3.org/2000/svg", "");
            for word in
                ["http:", "https:", "fetch(", "XMLHttpRequest", "innerHTML", "@import", "url(", "eval("]
            {
                assert!(!bare.contains(word), "{word}");
            }
        }
    }
}
