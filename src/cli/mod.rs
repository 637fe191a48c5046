//! The command line: one file per verb. Each verb calls the library and returns an exit code.

mod check;
mod diff;
mod directories;
mod doctor;
mod exit;
mod export;
mod form;
mod history;
mod inspect;
mod open;
mod plan;
mod play;
mod progress;
mod report;
mod run;
mod schema;
mod setup;
mod shell;
mod snapshots;
mod synth;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

use crate::reexec::REEXEC;
use crate::server::guard::GUARD;
use tracegate_standin::StandinOptions;
use tracegate_standin::kin::KIN;

/// `cargo test` for the profiling procedures of vLLM servers.
#[derive(Parser)]
#[command(name = "tracegate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print verdicts, failures and errors only; no progress and no tables
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Run procedures: boot, profile, read the trace, decide
    Run(run::Run),
    /// Print what would be run, with every departure from the manual and its reason
    Plan(plan::PlanVerb),
    /// Say what is present and what is missing per lane, and what to do
    Doctor(doctor::Doctor),
    /// Read traces and print steps, gaps and totals
    Inspect(inspect::Inspect),
    /// Decide a recorded run again
    Check(check::CheckVerb),
    /// Say how two runs, traces or snapshots differ in structure
    Diff(diff::Diff),
    /// Record nights, judge them, accept changes
    History(history::HistoryVerb),
    /// Write the report of runs: a page, a job summary, or JUnit
    Report(report::ReportVerb),
    /// Write a trace in Perfetto's own form: nothing dropped, steps and gaps on top
    Export(export::Export),
    /// Serve one trace on loopback for the Perfetto UI, and print the link to its largest gap
    Open(open::Open),
    /// Serve the embedded stand-in: it imitates a vLLM server and computes no text
    // As with vLLM, a flag given twice counts as given last.
    #[command(args_override_self = true)]
    Standin(Box<StandinOptions>),
    /// Write a large deterministic trace, with its true steps beside it
    Synth(synth::Synth),
    /// Build the environment of a lane
    Setup(setup::Setup),
    /// Print the completions of a shell
    Completions(shell::Completions),
    /// Print the JSON schema of procedure files, for editors and validators
    Schema,
    /// Print the manual page
    Man,
}

/// Parses the arguments of this process and runs the verb.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = hidden_part() {
        return code;
    }
    let cli = Cli::parse();
    if cli.quiet {
        crate::output::be_quiet();
    }
    let exit = match cli.verb {
        Verb::Run(verb) => verb.run(),
        Verb::Plan(verb) => verb.run(),
        Verb::Doctor(verb) => verb.run(),
        Verb::Inspect(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::Diff(verb) => verb.run(),
        Verb::Standin(options) => serve(*options),
        Verb::History(verb) => verb.run(),
        Verb::Report(verb) => verb.run(),
        Verb::Synth(verb) => verb.run(),
        Verb::Setup(verb) => verb.run(),
        Verb::Open(verb) => verb.run(),
        Verb::Export(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Schema => schema::schema(),
        Verb::Man => shell::man(),
    };
    match crate::server::interrupt::heard() {
        Some(signal) => ExitCode::from(128 + signal as u8),
        // A result that nobody could read is no result.
        None if crate::output::was_lost() => exit.and(Exit::Infrastructure).into(),
        None => exit.into(),
    }
}

/// When this process was started by a run to be the stand-in server or a guard, is that and returns
/// the exit code; otherwise returns `None` at once. For binaries that are no `tracegate`, such as
/// harnesses.
pub(crate) fn reexecuted() -> Option<ExitCode> {
    if std::env::var_os(REEXEC).is_none() {
        return crate::session::keeper::main();
    }
    if let Some(code) = hidden_part() {
        return Some(code);
    }
    let exit = match Cli::parse().verb {
        Verb::Standin(options) => serve(*options),
        _ => Exit::Usage,
    };
    Some(exit.into())
}

/// The parts that are no verb: the guard of a server, and the stand-in's children.
fn hidden_part() -> Option<ExitCode> {
    let part = std::env::var_os(REEXEC)?;
    match part.to_str()? {
        GUARD => Some(crate::server::guard::main()),
        KIN => Some(tracegate_standin::kin::main()),
        _ => None,
    }
}

fn serve(options: StandinOptions) -> Exit {
    if options.list_faults {
        crate::output::line(tracegate_standin::matrix_lines().trim_end());
        return Exit::Pass;
    }
    match tracegate_standin::run(options) {
        Ok(()) => Exit::Pass,
        Err(error) => Exit::infrastructure(&error),
    }
}
