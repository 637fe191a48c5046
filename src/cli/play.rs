//! Plays jobs window by window, says what comes of each, and what all of them cost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::exit::Exit;
use super::form::{Form, print_json};
use super::progress::Progress;
use crate::job::{Finished, Job, Planned, Unfinished};
use crate::judge::Verdict;
use crate::lane::Lane;
use crate::plan::{BootGroup, Plan, boot_groups};
use crate::report::spread::Spread;
use crate::report::table;
use crate::run::{RunDirectory, RunError, prune};
use crate::session::Session;

/// How many windows of each procedure, over how many boots, and how many passed runs stay.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    pub(super) repeat: u32,
    pub(super) boots: u32,
    pub(super) keep: usize,
}

impl Windows {
    /// Windows in each boot: as equal as can be, the first ones one more.
    fn of_boot(self, boot: u32) -> u32 {
        self.repeat / self.boots + u32::from(boot < self.repeat % self.boots)
    }
}

/// One run for programs.
#[derive(Serialize)]
struct RunOutput {
    procedure: String,
    lane: Lane,
    directory: Option<PathBuf>,
    /// The boot group.
    group: Option<String>,
    /// Absent where an infrastructure error left none.
    verdict: Option<Verdict>,
    error: Option<String>,
    /// Who noticed the error, in one word.
    detector: Option<&'static str>,
}

/// Plays every window of every job; those of one boot group follow one another.
pub(super) fn play(jobs: &[Job], only: Option<&str>, windows: Windows, form: Form) -> Exit {
    let session = match Session::new() {
        Ok(session) => session,
        Err(error) => return Exit::infrastructure(&error),
    };
    let mut playing = Playing {
        session,
        windows,
        form,
        exit: Exit::Pass,
        runs: Vec::new(),
        spreads: BTreeMap::new(),
        wanted: 0,
    };
    let mut planned = Vec::new();
    for job in jobs {
        match job.prepare() {
            Ok(plan) => planned.push((job, plan)),
            Err(unfinished) => playing.unfinished(job, None, *unfinished),
        }
    }
    let plans: Vec<Plan> = planned.iter().map(|(_, planned)| planned.plan.clone()).collect();
    let mut groups = boot_groups(&plans);
    if let Some(id) = only {
        let known: Vec<String> = groups.iter().map(|group| group.id.clone()).collect();
        groups.retain(|group| group.id == id);
        if groups.is_empty() {
            return Exit::usage(&format!("there is no boot group {id:?}; there are {}", known.join(", ")));
        }
    }
    let chosen: usize = groups.iter().map(|group| group.procedures.len()).sum();
    playing.wanted = chosen * windows.repeat as usize;
    for group in &groups {
        let members = group.procedures.iter().filter_map(|name| {
            planned
                .iter()
                .find(|(_, planned)| planned.plan.procedure == *name)
                .map(|(job, plan)| (*job, plan))
        });
        playing.group(group, &members.collect::<Vec<_>>());
        if crate::server::interrupt::heard().is_some() {
            break;
        }
    }
    playing.end()
}

struct Playing {
    session: Session,
    windows: Windows,
    form: Form,
    exit: Exit,
    runs: Vec<RunOutput>,
    /// By procedure, where there are several windows.
    spreads: BTreeMap<String, Spread>,
    /// Windows in all.
    wanted: usize,
}

impl Playing {
    fn is_text(&self) -> bool {
        self.form == Form::Text
    }

    fn group(&mut self, group: &BootGroup, members: &[(&Job, &Planned)]) {
        if self.is_text() && group.procedures.len() > 1 {
            crate::output::detail(format_args!("one boot for {}\n", group.procedures.join(", ")));
        }
        for boot in 0..self.windows.boots {
            for _ in 0..self.windows.of_boot(boot) {
                // A window that shares nothing keeps its server's files in its run directory.
                let alone = members.len() == 1 && self.windows.of_boot(boot) == 1;
                for (job, planned) in members {
                    self.window(job, planned, group, alone);
                    if crate::server::interrupt::heard().is_some() {
                        return;
                    }
                }
            }
            // The server of the next group or boot is another one.
            self.session.renew();
        }
    }

    fn window(&mut self, job: &Job, planned: &Planned, group: &BootGroup, alone: bool) {
        if self.is_text() {
            let name = &job.procedure.name;
            crate::output::line(format_args!("{name}: {} (lane {})", job.procedure.title, job.lane));
        }
        let place = (self.wanted > 1).then(|| format!("window {} of {}", self.runs.len() + 1, self.wanted));
        let progress = Progress::of(place);
        let tell = |phase, status: &str| progress.tell(phase, status);
        let finished = job.run_in(&mut self.session, planned, alone, &tell);
        progress.end();
        match finished {
            Ok(finished) => self.finished(job, &group.id, finished),
            Err(unfinished) => self.unfinished(job, Some(&group.id), *unfinished),
        }
    }

    fn finished(&mut self, job: &Job, group: &str, Finished { directory, decided }: Finished) {
        if self.is_text() {
            if crate::output::is_quiet() {
                crate::output::line(table::failures(&decided.verdict));
            } else {
                crate::output::line(table::decided(&decided));
            }
            show_place(&directory);
        }
        if decided.verdict.passed {
            // Windows of one run are compared with one another, however many there are.
            prune(&directory, &job.procedure.name, self.windows.keep.max(self.windows.repeat as usize));
        } else {
            self.exit = self.exit.and(Exit::Failed);
        }
        if self.windows.repeat > 1 {
            self.spreads.entry(job.procedure.name.clone()).or_default().add(&directory, &decided);
        }
        self.runs.push(RunOutput {
            procedure: job.procedure.name.clone(),
            lane: job.lane,
            directory: Some(directory.path().to_owned()),
            group: Some(group.to_owned()),
            verdict: Some(decided.verdict),
            error: None,
            detector: None,
        });
    }

    fn unfinished(&mut self, job: &Job, group: Option<&str>, Unfinished { directory, error }: Unfinished) {
        self.exit = self.exit.and(Exit::infrastructure(&error));
        if self.is_text() {
            crate::output::line(format_args!("verdict: none (infrastructure error)"));
            crate::output::detail(format_args!("found by: {}", error.detector()));
            if let Some(directory) = &directory {
                show_place(directory);
            }
        }
        self.runs.push(RunOutput {
            procedure: job.procedure.name.clone(),
            lane: job.lane,
            directory: directory.map(|directory| directory.path().to_owned()),
            group: group.map(str::to_owned),
            verdict: None,
            detector: Some(RunError::detector(&error)),
            error: Some(error.to_string()),
        });
    }

    /// What all windows show together, and what they cost.
    fn end(mut self) -> Exit {
        let (cost, replaced) = (self.session.cost(), self.session.replaced().to_vec());
        let leftovers = self.session.end();
        if !leftovers.is_empty() {
            self.exit = self.exit.and(Exit::Failed);
        }
        if self.form == Form::Json {
            print_json(&serde_json::json!({
                "runs": self.runs, "cost": cost, "replaced": replaced, "leftovers": leftovers,
                "spread": self.spreads,
            }));
            return self.exit;
        }
        for (procedure, spread) in &self.spreads {
            crate::output::line(format_args!("{procedure}: {spread}"));
        }
        for line in &replaced {
            crate::output::line(format_args!("a second boot was made: {line}"));
        }
        for line in &leftovers {
            crate::output::line(format_args!("FAIL  leftovers    {line}"));
        }
        if cost.windows > 1 {
            crate::output::detail(cost);
        }
        self.exit
    }
}

/// Says where everything is.
fn show_place(directory: &RunDirectory) {
    crate::output::detail(format_args!("run directory: {}", directory.path().display()));
    let page = directory.path().join("report.html");
    if page.is_file() {
        crate::output::detail(format_args!("report: {}", page.display()));
    }
    crate::output::detail("");
}
