//! One procedure on one lane, from probe to verdict: what the command line and the trials share.

use std::path::PathBuf;

use crate::judge::{COPY, Decided, Rule, decide_with};
use crate::lane::{self, Lane, Site};
use crate::plan::{Plan, PlanError, Reviews, resolve};
use crate::procedure::{BootPolicy, LoadClient, Procedure, Span};
use crate::report::page::{Reported, page};
use crate::run::{Phase, RunDirectory, RunError, execute};
use crate::session::{Kept, Session};
use tracegate_standin::Fault;

/// A procedure to run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// What to do.
    pub procedure: Procedure,
    /// Where.
    pub lane: Lane,
    /// Directory under which the run directory is made.
    pub out: PathBuf,
    /// Where the reviewed snapshot is, for the check `snapshot`.
    pub reviews: Reviews,
    /// Fault for the stand-in to play.
    pub fault: Option<Fault>,
    /// Who sends the workload of `vllm bench serve`, instead of whom the procedure names.
    pub client: Option<LoadClient>,
    /// Ranks, instead of those of the procedure.
    pub tensor_parallel_size: Option<u32>,
    /// Python stacks in the trace, instead of what the procedure says.
    pub with_stack: Option<bool>,
    /// Factor on every deadline, for slow machines.
    pub deadline_scale: f64,
    /// Windows on one boot, for faults that need several.
    pub(crate) windows: u32,
    /// A boot of its own, whatever the procedure says.
    pub own_boot: bool,
    /// Rules that are asked beside the built-in ones and the procedure's.
    pub(crate) rules: Vec<Rule>,
}

/// A job whose lane was probed.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// What is to be run.
    pub(crate) plan: Plan,
    site: Site,
}

/// A decided run and where it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// The run directory.
    pub directory: RunDirectory,
    /// Verdict and evidence.
    pub decided: Decided,
}

/// An infrastructure error and, if it got that far, the run directory with the evidence.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
#[non_exhaustive]
pub struct Unfinished {
    /// Where the evidence is.
    pub directory: Option<RunDirectory>,
    /// What happened.
    #[source]
    pub error: RunError,
}

/// Reads a factor that keeps deadlines finite and longer than nothing.
pub(crate) fn deadline_scale(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if (0.001..=1000.0).contains(&factor) {
        Ok(factor)
    } else {
        Err("must be between 0.001 and 1000".to_owned())
    }
}

impl Job {
    /// Runs a procedure as it is written: no fault, nothing instead of what it says.
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    /// use tracegate::{harness, job::Job, lane::Lane, procedure};
    ///
    /// fn main() -> ExitCode {
    ///     // The program is started again as the guard of its server, and as the stand-in.
    ///     if let Some(code) = harness::reexecuted() {
    ///         return code;
    ///     }
    ///     let procedures = procedure::builtin().expect("they ship with the crate");
    ///     for procedure in procedures {
    ///         match Job::new(procedure, Lane::Standin, "runs").run(&|_, _| {}) {
    ///             Ok(finished) if finished.decided.verdict.passed => {}
    ///             Ok(_) => return ExitCode::from(1),
    ///             Err(unfinished) => {
    ///                 eprintln!("no verdict: {unfinished}");
    ///                 return ExitCode::from(3);
    ///             }
    ///         }
    ///     }
    ///     ExitCode::SUCCESS
    /// }
    /// ```
    #[must_use]
    pub fn new(procedure: Procedure, lane: Lane, out: impl Into<PathBuf>) -> Self {
        Self {
            procedure,
            lane,
            out: out.into(),
            reviews: Reviews::None,
            fault: None,
            client: None,
            tensor_parallel_size: None,
            with_stack: None,
            deadline_scale: 1.0,
            windows: 1,
            own_boot: false,
            rules: Vec::new(),
        }
    }

    /// Makes the plan: probes the lane and resolves the procedure for what is there.
    ///
    /// # Errors
    /// The lane lacks something, or its versions cannot be profiled.
    pub fn plan(&self) -> Result<Plan, RunError> {
        self.plan_for(&lane::probe_as(self.lane, self.procedure.dialect)?)
    }

    fn plan_for(&self, site: &Site) -> Result<Plan, RunError> {
        let procedure = self.chosen();
        self.refuse_fault(&procedure)?;
        let mut plan = resolve(&procedure, site)?;
        plan.options = departures(&self.procedure, &procedure);
        plan.reviews = self.reviews.clone();
        if let Some(fault) = self.fault {
            plan.server.argv.extend(["--fault".to_owned(), fault.name()]);
        }
        let scale = |span: &mut Span| *span = Span(span.0.mul_f64(self.deadline_scale));
        let deadlines = &mut plan.deadlines;
        for span in [
            &mut deadlines.prepare,
            &mut deadlines.boot,
            &mut deadlines.request,
            &mut deadlines.quiet,
            &mut deadlines.stop,
            &mut deadlines.trace,
            &mut deadlines.shutdown,
        ] {
            scale(span);
        }
        Ok(plan)
    }

    /// A fault that changes nothing would make a pass of nothing.
    ///
    /// # Errors
    /// The stand-in cannot play it in this procedure.
    fn refuse_fault(&self, chosen: &Procedure) -> Result<(), PlanError> {
        match self.fault.and_then(|fault| Some((fault, chosen.lacks_for(fault, self.windows)?))) {
            None => Ok(()),
            Some((fault, need)) => {
                let (fault, procedure) = (fault.name(), chosen.name.clone());
                Err(PlanError::Fault { fault, procedure, needs: need.describe() })
            }
        }
    }

    /// Asks only whether the fault of this job can be played.
    ///
    /// # Errors
    /// It cannot, with the reason.
    pub(crate) fn playable(&self) -> Result<(), PlanError> {
        self.refuse_fault(&self.chosen())
    }

    /// The procedure with the options of this job.
    fn chosen(&self) -> Procedure {
        let mut procedure = self.procedure.clone();
        if let (Some(client), Some(_)) = (self.client, &procedure.load.bench) {
            procedure.load.client = client;
        }
        if let Some(ranks) = self.tensor_parallel_size {
            procedure.server.tensor_parallel_size = ranks;
        }
        if let (None, Some(fault)) = (self.tensor_parallel_size, self.fault) {
            // A fault of one rank among others needs others.
            let ranks = &mut procedure.server.tensor_parallel_size;
            *ranks = fault.ranks().max(*ranks);
        }
        if self.own_boot {
            procedure.boot = BootPolicy::Own;
        }
        if let Some(with_stack) = self.with_stack {
            procedure.profiler.with_stack = Some(with_stack);
        }
        procedure
    }

    /// Probes the lane and makes the plan, once for all windows of the job.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub(crate) fn prepare(&self) -> Result<Planned, Box<Unfinished>> {
        let early = |error| Box::new(Unfinished { directory: None, error });
        let site = lane::probe_as(self.lane, self.procedure.dialect).map_err(|error| early(error.into()))?;
        let plan = self.plan_for(&site).map_err(early)?;
        Ok(Planned { plan, site })
    }

    /// Runs and decides. Everything is left in the run directory, the verdict and the snapshot too.
    ///
    /// # Errors
    /// The run could not answer.
    pub fn run(&self, tell: &dyn Fn(Phase, &str)) -> Result<Finished, Box<Unfinished>> {
        let planned = self.prepare()?;
        self.play(&planned, |directory| execute(&planned.plan, directory, self.fault, tell).map(|_| ()))
    }

    /// The same on the server of a session, where the plan may share one and the window is not `alone` on it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn run_in(
        &self,
        session: &mut Session,
        planned: &Planned,
        alone: bool,
        tell: &dyn Fn(Phase, &str),
    ) -> Result<Finished, Box<Unfinished>> {
        let run = if alone { Session::run_alone } else { Session::run };
        self.play(planned, |directory| run(session, &planned.plan, directory, self.fault, tell))
    }

    /// The same on a server that a keeper has, for trials that are processes of their own.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn run_kept(
        &self,
        kept: &Kept,
        tell: &dyn Fn(Phase, &str),
    ) -> Result<Finished, Box<Unfinished>> {
        let planned = self.prepare()?;
        self.play(&planned, |directory| kept.window(&planned.plan, directory, tell))
    }

    fn play(
        &self,
        planned: &Planned,
        play: impl FnOnce(&RunDirectory) -> Result<(), RunError>,
    ) -> Result<Finished, Box<Unfinished>> {
        let early = |error| Box::new(Unfinished { directory: None, error });
        let directory = RunDirectory::create(&self.out, &planned.plan).map_err(early)?;
        // What was found on this machine, beside what was made of it.
        directory.write_json("site.json", &planned.site).map_err(early)?;
        let decided = play(&directory).and_then(|()| {
            let decided = decide_with(&directory, None, &self.rules)?;
            write(&directory, &decided)?;
            Ok(decided)
        });
        match decided {
            Ok(decided) => Ok(Finished { directory, decided }),
            Err(error) => {
                // The error is what happened; a page that cannot be written takes nothing from it.
                let _ = report_unfinished(&directory);
                Err(Box::new(Unfinished { directory: Some(directory), error }))
            }
        }
    }
}

/// Options that make another run of a procedure than the reviewed one. Python stacks change no step, and
/// tell which operators prepare the sampler.
fn departures(procedure: &Procedure, chosen: &Procedure) -> Vec<String> {
    let mut options = Vec::new();
    let ranks = chosen.server.tensor_parallel_size;
    if ranks != procedure.server.tensor_parallel_size {
        options.push(format!("tensor_parallel_size {ranks}"));
    }
    if chosen.profiler.with_stack != procedure.profiler.with_stack {
        options.push("other Python stacks".to_owned());
    }
    if chosen.load.client != procedure.load.client {
        options.push("another client".to_owned());
    }
    options
}

/// Leaves what was decided in the run directory: `verdict.json`, `observed.snap`, `report.html`, and once the reviewed
/// text that the run was compared with, so that it is compared alike on another machine.
///
/// # Errors
/// A file cannot be written.
pub fn write(directory: &RunDirectory, decided: &Decided) -> Result<(), RunError> {
    let from_files = matches!(decided.observed.plan.reviews, Reviews::Directory(_));
    if let Some(text) = decided.review.text.as_ref().filter(|_| from_files)
        && !directory.path().join(COPY).exists()
    {
        directory.write_text(COPY, text)?;
    }
    directory.write_json("verdict.json", &decided.verdict)?;
    directory.write_text("observed.snap", &decided.snapshot.to_string())?;
    write_report(&Reported::of(directory.clone(), decided.clone()))
}

/// Writes `report.html` of a run without a verdict.
fn report_unfinished(directory: &RunDirectory) -> Result<(), RunError> {
    write_report(&Reported::read(directory.path(), None)?)
}

fn write_report(reported: &Reported) -> Result<(), RunError> {
    let directory = &reported.directory;
    let text = page(std::slice::from_ref(reported), Vec::new(), None)
        .map_err(|error| RunError::directory(directory.path().join("report.html"), error))?;
    directory.write_text("report.html", &text)
}
