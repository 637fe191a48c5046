//! The entry point of a test binary: which procedures, which snapshots, which lanes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use super::replay::Recordings;
use super::{meta, trial};
use crate::judge::{Answer, Rule};
use crate::lane::Lane;
use crate::observe::Observed;
use crate::procedure::{Procedure, ProcedureError, find, load_directory};

/// Runs every procedure of a directory on every lane, with snapshots in another directory. Relative
/// paths start at the package's root.
///
/// ```no_run
/// // harness/main.rs, with [[test]] harness = false
/// fn main() -> std::process::ExitCode {
///     tracegate::harness::run("procedures", "snapshots")
/// }
/// ```
#[must_use]
pub fn run(procedures: impl AsRef<Path>, snapshots: impl AsRef<Path>) -> ExitCode {
    Harness::new(procedures, snapshots).run()
}

/// The same with choices.
///
/// ```no_run
/// use tracegate::harness::{Answer, Harness, Observed};
/// use tracegate::lane::Lane;
///
/// fn answers_are_whole(observed: &Observed) -> Answer {
///     match observed.ledger.output_tokens() {
///         0 => Answer::CannotSay("nothing was asked".to_owned()),
///         7 => Answer::Holds("7 output tokens".to_owned()),
///         other => Answer::Fails(format!("{other} output tokens, expected 7")),
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     Harness::new("procedures", "snapshots")
///         .lanes([Lane::Standin, Lane::VllmCpu])
///         .procedures(["chat_round"])
///         .check("whole_answers", answers_are_whole)
///         .run()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Harness {
    procedures: PathBuf,
    snapshots: PathBuf,
    lanes: Vec<Lane>,
    chosen: Option<Vec<String>>,
    rules: Vec<Rule>,
    out: PathBuf,
}

impl Harness {
    /// Procedures and snapshots; relative paths start at the package's root.
    #[must_use]
    pub fn new(procedures: impl AsRef<Path>, snapshots: impl AsRef<Path>) -> Self {
        let root = package_root();
        Self {
            procedures: root.join(procedures),
            snapshots: root.join(snapshots),
            lanes: Lane::ALL.to_vec(),
            chosen: None,
            rules: Vec::new(),
            out: root.join("target/tracegate/trials"),
        }
    }

    /// Lists only trials of these lanes. Lanes that are listed and off appear as ignored.
    #[must_use]
    pub fn lanes(mut self, lanes: impl IntoIterator<Item = Lane>) -> Self {
        self.lanes = lanes.into_iter().collect();
        self
    }

    /// Lists only trials of these procedures: names, or paths of `.toml` files. A name that the
    /// directory does not hold is an error, because a trial that is gone would look like a pass.
    #[must_use]
    pub fn procedures<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.chosen = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a check to the verdict of every trial, behind the built-in ones. One that fails, or panics,
    /// fails its trial under its name; its answer is in `verdict.json` and on the report page. What it
    /// cannot ask of a procedure is [`Answer::CannotSay`]. `tracegate check` does not know it.
    #[must_use]
    pub fn check(
        mut self,
        name: impl Into<String>,
        ask: impl Fn(&Observed) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.rules.push(Rule::added(&name.into(), ask));
        self
    }

    /// Keeps the run directories of failed trials elsewhere than in `target/tracegate/trials`.
    #[must_use]
    pub fn out(mut self, directory: impl Into<PathBuf>) -> Self {
        self.out = directory.into();
        self
    }

    /// Parses the arguments, lists or runs the trials, and returns the exit code. When this process
    /// was started to be the stand-in server, it is that instead.
    #[must_use]
    pub fn run(self) -> ExitCode {
        if let Some(code) = super::reexecuted() {
            return code;
        }
        let arguments = Arguments::from_args();
        if arguments.test_threads == Some(0) {
            // libtest-mimic would wait for a pool of no threads for ever.
            crate::output::error_line("error: --test-threads must be at least 1");
            return ExitCode::from(2);
        }
        let trials = match self.trials() {
            Ok(trials) => trials,
            Err(error) => {
                crate::output::error_line(format_args!("error: {error}"));
                return ExitCode::from(2);
            }
        };
        crate::server::prepare_process();
        let conclusion = libtest_mimic::run(&arguments, trials);
        let left = if arguments.list { Vec::new() } else { self.end_servers() };
        match crate::server::interrupt::heard() {
            Some(signal) => ExitCode::from(128 + signal as u8),
            None if !left.is_empty() && !conclusion.has_failed() => ExitCode::from(101),
            None => conclusion.exit_code(),
        }
    }

    /// Ends the servers that trials of this process shared. Under nextest a trial is a process and does not know
    /// whether another one follows: there the keeper ends when nobody has come for a while.
    fn end_servers(&self) -> Vec<String> {
        if std::env::var_os("NEXTEST").is_some() {
            return Vec::new();
        }
        let kept = self.lanes.iter().filter_map(|lane| trial::shared(*lane, &self.out)?.ok());
        let left: Vec<String> = kept.flat_map(|kept| kept.end()).collect();
        for line in &left {
            crate::output::error_line(format_args!("FAIL: {line}"));
        }
        left
    }

    /// Builds the list of trials. Reads the procedure files, and under `TRACEGATE_REPLAY` the plans of the
    /// recorded runs, and touches nothing else: a runner may list once per trial.
    fn trials(&self) -> Result<Vec<Trial>, ProcedureError> {
        let mut known = load_directory(&self.procedures)?;
        if known.is_empty() {
            return Err(ProcedureError::None { directory: self.procedures.clone() });
        }
        let chosen: Vec<Procedure> = match &self.chosen {
            None => known.clone(),
            Some(names) => names.iter().map(|name| find(name, &known)).collect::<Result<_, _>>()?,
        };
        let chosen = beside_their_likes(chosen);
        let recordings = Recordings::named();
        let mut trials = Vec::new();
        let mut decided = Vec::new();
        for lane in &self.lanes {
            for procedure in chosen.iter().filter(|procedure| procedure.lanes.contains(lane)) {
                decided.push((*lane, procedure.name.clone()));
                trials.push(self.trial(*lane, procedure.clone(), recordings.as_ref()));
            }
        }
        if trials.is_empty() {
            let lanes: Vec<&str> = self.lanes.iter().map(|lane| lane.name()).collect();
            return Err(ProcedureError::NoTrial { lanes: lanes.join(", ") });
        }
        trials.extend(recordings.map(|recordings| recordings.meta(&decided)));
        let reviewed = if self.lanes.contains(&Lane::Standin) { chosen.clone() } else { Vec::new() };
        // Those chosen by path own snapshots, too.
        known.extend(chosen);
        trials.extend(meta::trials(&self.snapshots, &known, &reviewed));
        Ok(trials)
    }

    fn trial(&self, lane: Lane, procedure: Procedure, recordings: Option<&Recordings>) -> Trial {
        let name = format!("{}::{}", lane.trial_prefix(), procedure.name);
        let (out, snapshots, rules) = (self.out.clone(), self.snapshots.clone(), self.rules.clone());
        match recordings {
            Some(recordings) => recordings.trial(name, lane, procedure, snapshots, rules),
            None => Trial::test(name, move || trial::run(lane, procedure, out, &snapshots, &rules))
                .with_ignored_flag(!lane.is_on()),
        }
    }
}

/// Procedures that ask for the same server stand together, at the place of the first: few trials run at a time, and
/// those that wait for the same server share its boot.
fn beside_their_likes(procedures: Vec<Procedure>) -> Vec<Procedure> {
    let mut kinds: Vec<(String, Vec<Procedure>)> = Vec::new();
    for procedure in procedures {
        let server = (&procedure.server, &procedure.profiler, &procedure.hardware_trace, procedure.boot);
        // What cannot be written stands for itself.
        let kind = serde_json::to_string(&server).unwrap_or_else(|_| procedure.name.clone());
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, members)) => members.push(procedure),
            None => kinds.push((kind, vec![procedure])),
        }
    }
    kinds.into_iter().flat_map(|(_, members)| members).collect()
}

/// Cargo and nextest set the variable at run time, nextest to where an archive was unpacked; a
/// binary run by hand starts where the user is.
fn package_root() -> PathBuf {
    let named = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    // Absolute in any case: insta takes a relative path for one beside this crate's own sources.
    named.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}
