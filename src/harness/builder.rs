//! The entry point of a test binary: which procedures, which snapshots, which lanes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use super::replay::Recordings;
use super::{meta, trial};
use crate::lane::Lane;
use crate::procedure::{Procedure, ProcedureError, load_directory};

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
#[derive(Clone, Debug)]
pub struct Harness {
    procedures: PathBuf,
    snapshots: PathBuf,
    lanes: Vec<Lane>,
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
            out: root.join("target/tracegate/trials"),
        }
    }

    /// Lists only trials of these lanes. Lanes that are listed and off appear as ignored.
    #[must_use]
    pub fn lanes(mut self, lanes: impl IntoIterator<Item = Lane>) -> Self {
        self.lanes = lanes.into_iter().collect();
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
        match crate::server::interrupt::heard() {
            Some(signal) => ExitCode::from(128 + signal as u8),
            None => conclusion.exit_code(),
        }
    }

    /// Builds the list of trials. Reads the procedure files, and under `TRACEGATE_REPLAY` the plans of the
    /// recorded runs, and touches nothing else: a runner may list once per trial.
    fn trials(&self) -> Result<Vec<Trial>, ProcedureError> {
        let procedures = load_directory(&self.procedures)?;
        let recordings = Recordings::named();
        let mut trials = Vec::new();
        let mut known = Vec::new();
        for lane in &self.lanes {
            for procedure in procedures.iter().filter(|procedure| procedure.lanes.contains(lane)) {
                known.push((*lane, procedure.name.clone()));
                trials.push(self.trial(*lane, procedure.clone(), recordings.as_ref()));
            }
        }
        trials.extend(recordings.map(|recordings| recordings.meta(&known)));
        trials.extend(meta::trials(&self.snapshots, &procedures));
        Ok(trials)
    }

    fn trial(&self, lane: Lane, procedure: Procedure, recordings: Option<&Recordings>) -> Trial {
        let name = format!("{}::{}", lane.trial_prefix(), procedure.name);
        let (out, snapshots) = (self.out.clone(), self.snapshots.clone());
        match recordings {
            Some(recordings) => recordings.trial(name, lane, procedure, snapshots),
            None => Trial::test(name, move || trial::run(lane, procedure, out, &snapshots))
                .with_ignored_flag(!lane.is_on()),
        }
    }
}

/// Cargo and nextest set the variable at run time, nextest to where an archive was unpacked; a
/// binary run by hand starts where the user is.
fn package_root() -> PathBuf {
    let named = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    // Absolute in any case: insta takes a relative path for one beside this crate's own sources.
    named.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}
