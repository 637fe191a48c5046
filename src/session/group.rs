//! A session: one server at a time, kept while the next plan wants the same one, replaced when a window spoilt it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::runtime::Runtime;
use tracegate_standin::Fault;

use super::cost::Cost;
use crate::plan::Plan;
use crate::run::{Boot, Phase, RunDirectory, RunError, execute, prune_boots, refuse};
use crate::server::interrupt::Active;

/// Boots lost in a row after which the rest of a group is not tried.
const MOST_LOST: usize = 2;

/// Hears each phase and what is waited for.
type Tell<'a> = &'a dyn Fn(Phase, &str);

/// Servers of one process, one at a time.
pub(crate) struct Session {
    runtime: Runtime,
    boot: Option<(Plan, Boot)>,
    /// Boots of the server that were lost since its last window that came to its end: the server and why.
    lost: (String, Vec<String>),
    cost: Cost,
    /// Where boots were made.
    lanes: BTreeSet<PathBuf>,
    /// Boots whose server left processes behind.
    leftovers: Vec<String>,
    /// Windows that a server was replaced for, and why.
    replaced: Vec<String>,
    #[expect(dead_code, reason = "signals are heard while it lives")]
    active: Active,
}

impl Session {
    /// A session without a server.
    ///
    /// # Errors
    /// The process cannot wait for anything.
    pub(crate) fn new() -> std::io::Result<Self> {
        crate::server::prepare_process();
        // One thread: a panic in it ends this session's server and no other's.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let active = Active::begin();
        Ok(Self {
            runtime,
            boot: None,
            lost: (String::new(), Vec::new()),
            cost: Cost::default(),
            lanes: BTreeSet::new(),
            leftovers: Vec::new(),
            replaced: Vec::new(),
            active,
        })
    }

    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    /// Servers that were replaced, each with the reason.
    pub(crate) fn replaced(&self) -> &[String] {
        &self.replaced
    }

    /// Plays a plan on a boot of its own, in its run directory.
    ///
    /// # Errors
    /// An infrastructure error; it is in the run directory, too.
    pub(crate) fn run_alone(
        &mut self,
        plan: &Plan,
        directory: &RunDirectory,
        fault: Option<Fault>,
        tell: Tell<'_>,
    ) -> Result<(), RunError> {
        // Two servers would measure each other, and there is one turn on a device.
        self.end_boot(None);
        let ran = execute(plan, directory, fault, tell);
        if let Ok(record) = directory.record() {
            self.cost.own(&record);
        }
        ran.map(|_| ())
    }

    /// Plays a plan: on the server at hand where that is its own, otherwise on a new one.
    ///
    /// # Errors
    /// An infrastructure error; it is in the run directory, too. The server is replaced before the next window.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        directory: &RunDirectory,
        fault: Option<Fault>,
        tell: Tell<'_>,
    ) -> Result<(), RunError> {
        if plan.needs_own_boot().is_some() {
            return self.run_alone(plan, directory, fault, tell);
        }
        let server = plan.server_id();
        if self.boot.as_ref().is_some_and(|(other, _)| other.server_id() != server) {
            self.end_boot(None);
        }
        if self.lost.0 != server {
            self.lost = (server, Vec::new());
        }
        let mut replaced = Vec::new();
        loop {
            self.booted(plan, directory, fault, tell)?;
            let Some((_, boot)) = &mut self.boot else { continue };
            let begun = Instant::now();
            let cold = boot.windows() == 0;
            let name = boot.directory().display().to_string();
            let played = self.runtime.block_on(boot.window(plan, directory, fault, &replaced, tell));
            self.cost.window(begun.elapsed());
            let Err(failed) = played else {
                self.lost.1.clear();
                return Ok(());
            };
            let reason = first_line(&failed.error);
            self.end_boot(Some(&reason));
            // What a window before left is not this one's fault: it gets a fresh server, once.
            if failed.before_load && !cold && replaced.is_empty() {
                let told = format!("{}: the server of {name} was replaced: {reason}", plan.procedure);
                (tell)(Phase::Boot, &told);
                self.replaced.push(told);
                replaced.push(reason);
                directory.set_aside()?;
                continue;
            }
            self.lost.1.push(reason);
            return Err(failed.error);
        }
    }

    /// Makes sure that there is a server.
    fn booted(
        &mut self,
        plan: &Plan,
        directory: &RunDirectory,
        fault: Option<Fault>,
        tell: Tell<'_>,
    ) -> Result<(), RunError> {
        if self.boot.is_some() {
            return Ok(());
        }
        if self.lost.1.len() >= MOST_LOST {
            let error = RunError::GroupLost { boots: MOST_LOST, reasons: self.lost.1.join("; then: ") };
            return refuse(plan, directory, fault, error);
        }
        let begun = Instant::now();
        let out = directory.path().parent().and_then(Path::parent).unwrap_or(Path::new("."));
        match self.runtime.block_on(Boot::start(plan, out, tell)) {
            Ok(boot) => {
                self.cost.booted(boot.took());
                self.boot = Some((plan.clone(), boot));
                Ok(())
            }
            Err(error) => {
                self.cost.booted(begun.elapsed());
                self.lost.1.push(first_line(&error));
                refuse(plan, directory, fault, error)
            }
        }
    }

    fn end_boot(&mut self, reason: Option<&str>) {
        if let Some((plan, boot)) = self.boot.take() {
            self.lanes.extend(boot.directory().parent().map(Path::to_owned));
            self.leftovers.extend(self.runtime.block_on(boot.end(&plan, reason)));
        }
    }

    /// Ends the server, so that the next window boots another.
    pub(crate) fn renew(&mut self) {
        self.end_boot(None);
    }

    /// Ends the server; names the boots that left processes behind.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.end_boot(None);
        // Boots are evidence of their windows; those of which none is left go with them.
        for lane in &self.lanes {
            prune_boots(lane);
        }
        std::mem::take(&mut self.leftovers)
    }
}

fn first_line(error: &RunError) -> String {
    crate::text::inert(error.to_string().lines().next().unwrap_or_default(), 300)
}
