//! The matrix of faults and detectors: which run each fault is played in, how that must end, and who must
//! notice. The one table behind `--list-faults`, `tests/it/matrix.rs` and `docs/faults.md`.

use clap::ValueEnum;

use super::fault::Fault;
use super::scene::{Act, Scene};

/// What a fault must lead to.
#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    /// The fault.
    pub fault: Fault,
    /// The procedure that it is played in.
    pub procedure: &'static str,
    /// Exit code of `tracegate run PROCEDURE --fault NAME`.
    pub exit: u8,
    /// Who must notice: a check, or the part of a run that gave up; `none` for what a run has to bear.
    pub detector: &'static str,
    /// Checks that are bound to fail as well, because they read the same fact. Nobody else may.
    pub also: &'static [&'static str],
    /// What the comparison with the reviewed snapshot says, in its order, where it speaks.
    pub says: &'static [&'static str],
}

impl Expectation {
    /// Who must notice in a run of that kind. What ends by itself answers nobody: its end is what is seen.
    #[must_use]
    pub fn detector_in(&self, scene: &Scene) -> &'static str {
        match (scene.act, self.fault, self.detector) {
            // Without a bound of its own the rank is held against the client's clock.
            (_, Fault::SkewedRank, _) if !scene.bounds_skew => "client_times",
            (Act::Window | Act::FromBoot, _, detector) => detector,
            (_, Fault::StopHangs, _) => "end",
            (_, _, "boot" | "start" | "stop") => "alive",
            (_, _, detector) => detector,
        }
    }
}

const SINGLE: &str = "async_single_request";
const MULTIPLE: &str = "async_multiple_requests";

const fn row(fault: Fault, exit: u8, detector: &'static str) -> Expectation {
    Expectation { fault, procedure: SINGLE, exit, detector, also: &[], says: &[] }
}

const fn with(row: Expectation, also: &'static [&'static str]) -> Expectation {
    Expectation { also, ..row }
}

/// The snapshot differs as well, and says what of it.
const fn saying(row: Expectation, says: &'static [&'static str]) -> Expectation {
    Expectation { says, ..row }
}

/// Every fault of the stand-in, once.
pub const MATRIX: &[Expectation] = &[
    saying(with(row(Fault::DropDecode, 1, "ledger"), &["order", "gaps"]), &["LEDGER", "STEPS"]),
    saying(with(row(Fault::DuplicateStep, 1, "ledger"), &["order", "gaps"]), &["LEDGER", "STEPS"]),
    saying(
        with(row(Fault::MissingPrompt, 1, "presence"), &["order", "ledger"]),
        &["LEDGER", "MISSING PHASE"],
    ),
    saying(row(Fault::ReorderSteps, 1, "order"), &["STEPS"]),
    saying(with(row(Fault::LostTail, 1, "ledger"), &["order"]), &["LEDGER", "STEPS"]),
    saying(row(Fault::WrongTokenCounts, 1, "ledger"), &["LEDGER", "STEPS"]),
    row(Fault::LongGaps, 1, "gaps"),
    saying(row(Fault::Recompile, 1, "recompiles"), &["EXTRA RECOMPILE"]),
    saying(row(Fault::ExtraIdle, 1, "snapshot"), &["STEPS"]),
    saying(row(Fault::ChangedOps, 1, "snapshot"), &["OP MORE", "OP FEWER", "TREE"]),
    saying(row(Fault::SwappedOps, 1, "snapshot"), &["OP ADDED", "OP REMOVED", "TREE"]),
    saying(row(Fault::ExtraD2h, 1, "snapshot"), &["BUDGET"]),
    saying(row(Fault::ExtraSync, 1, "snapshot"), &["BUDGET"]),
    saying(row(Fault::ExtraItem, 1, "snapshot"), &["BUDGET"]),
    saying(row(Fault::SamplerSwap, 1, "snapshot"), &["SAMPLER"]),
    row(Fault::MissingRank, 1, "ranks"),
    row(Fault::TwoTraces, 1, "ranks"),
    row(Fault::SkewedRank, 1, "agreement"),
    row(Fault::TruncatedTrace, 3, "reader"),
    row(Fault::InvalidJson, 3, "reader"),
    row(Fault::EmptyTrace, 3, "reader"),
    row(Fault::FrontendOnly, 3, "traces"),
    row(Fault::NoTrace, 3, "traces"),
    row(Fault::NeverHealthy, 3, "readiness"),
    row(Fault::ExitDuringBoot, 3, "boot"),
    row(Fault::PortTaken, 3, "port"),
    row(Fault::WrongModel, 3, "identity"),
    row(Fault::WrongVersion, 3, "identity"),
    row(Fault::NoProfileRoutes, 3, "routes"),
    row(Fault::AlreadyActive, 3, "start"),
    row(Fault::StartFails, 3, "start"),
    row(Fault::ProfilerNotEnabled, 3, "start"),
    row(Fault::OldSignature, 3, "start"),
    row(Fault::RequestFails, 3, "request"),
    row(Fault::RequestHangs, 3, "request"),
    Expectation { procedure: MULTIPLE, ..row(Fault::StreamCut, 3, "request") },
    row(Fault::CrashInLoad, 3, "alive"),
    row(Fault::NeverQuiet, 3, "quiet"),
    row(Fault::StopFails, 3, "stop"),
    row(Fault::StopHangs, 3, "stop"),
    row(Fault::CrashOnStop, 3, "alive"),
    row(Fault::UnhealthyAfterStop, 3, "health"),
    row(Fault::LateFile, 1, "window"),
    row(Fault::StaleFile, 3, "traces"),
    saying(row(Fault::CachedPrompt, 1, "window"), &["LEDGER", "STEPS"]),
    row(Fault::StuckSession, 0, "second boot"),
    row(Fault::SlowStop, 0, "none"),
    row(Fault::AsyncExport, 0, "none"),
    row(Fault::LateRank, 0, "none"),
    row(Fault::SlowExport, 0, "none"),
];

/// One line a fault: fault, procedure, exit code, detector, separated by tabs.
#[must_use]
pub fn matrix_lines() -> String {
    let line = |row: &Expectation| {
        format!("{}\t{}\t{}\t{}\n", row.fault.name(), row.procedure, row.exit, row.detector)
    };
    MATRIX.iter().map(line).collect()
}

/// The contents of `docs/faults.md`.
#[must_use]
pub fn matrix_page() -> String {
    let mut page = String::from(HEAD);
    for row in MATRIX {
        let also = if row.also.is_empty() { "-".to_owned() } else { row.also.join(", ") };
        page += &format!(
            "| `{}` | {} | {} | {} | {} | {} | {also} | {} |\n",
            row.fault.name(),
            told(row.fault),
            needs(row.fault),
            row.procedure,
            row.exit,
            row.detector,
            row.says.join(", ")
        );
    }
    page
}

/// What a run must have for the fault.
fn needs(fault: Fault) -> String {
    let needs: Vec<&str> = fault.needs().iter().map(|need| need.describe()).collect();
    if needs.is_empty() { "-".to_owned() } else { needs.join(", ") }
}

/// What the command line says of a fault.
fn told(fault: Fault) -> String {
    let help = fault.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
    help.unwrap_or_default().trim_end_matches('.').to_owned()
}

const HEAD: &str = "# Faults and who notices them

The stand-in can play each of these faults (`tracegate run PROCEDURE --fault NAME`).
This shows that the harness notices them. It shows nothing about vLLM.

This page is made from the table in `standin/src/matrix.rs`, which `tests/it/matrix.rs` runs row by row: the exit code
must be the one of the row, the detector must speak, and no check may fail that the row does not name.
`tracegate standin --list-faults` prints the same table.

A detector is a check of the verdict, or the part of a run that gave up (exit code 3, `found by:` in the output). `none` means that a run must bear the fault and pass.
Faults of one rank among others are played with two ranks, and those of one window among others with two windows on one
boot (`--repeat 2`): the second one is looked at. `second boot` means that the server was replaced, and the run says why.

A fault can be played where a procedure has what it needs: it would change nothing elsewhere, or nothing that anybody looks at.
There it is refused with exit code 2 and the names of procedures in which it can be played; the same test plays every fault in
every shipped procedure, where it must be refused or noticed by the detector of its row. What ends by itself, a script or a
server that profiles its warm-up, answers nobody: there `alive` takes the place of `boot`, `start` and `stop`, and `end` that of a stop that hangs.

The last column is what the comparison with the reviewed snapshot says, in its own words ([review.md](review.md)).
Where it speaks and is not the detector, it says what the detector says.

| fault | what happens | what it needs | procedure | exit code | detector | fails as well | the snapshot says |
| --- | --- | --- | --- | ---: | --- | --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_one_row() {
        for fault in Fault::value_variants() {
            assert_eq!(MATRIX.iter().filter(|row| row.fault == *fault).count(), 1, "{}", fault.name());
        }
    }
}
