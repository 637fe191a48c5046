//! GitHub annotations: failures at the lines of the reviewed snapshot. Ten a step are shown and the rest is dropped in
//! silence, so fewer are made and the rest is counted.

use std::path::Path;

use super::nights::{absence, sentence};
use super::page::Reported;
use crate::history::{Trend, Verdicts};
use crate::snapshot::describe;

/// Annotations made at most; one more says how many were not.
const LIMIT: usize = 8;

/// One `::error` line each, the most severe first: no verdict, failed checks, regressions, absent procedures.
pub(crate) fn annotations(runs: &[Reported], night: Option<&Verdicts>, snapshots: &Path) -> String {
    let mut all: Vec<(u8, String)> = Vec::new();
    for run in runs {
        let name = format!("{}/{}", run.plan.lane, run.plan.procedure);
        let file = run.committed();
        match &run.decided {
            Err(error) => all.push((0, line(None, &format!("{name}: no verdict"), &error.to_string()))),
            Ok(decided) => all.extend(decided.verdict.failed().map(|check| {
                let differing = (check.name == "snapshot").then(|| run.snapshot_difference()).flatten();
                let title = format!("{name}: {}", check.name);
                match (differing, file.as_deref()) {
                    (Some(differing), Some(file)) => {
                        let at = (file, changed_line(file, &differing.diff));
                        (2, line(Some(at), &title, &describe(&differing.differences)))
                    }
                    (_, file) => {
                        let at = file.map(|file| (file, line_of(file, &check.name)));
                        (1, line(at, &title, check.answer.detail()))
                    }
                }
            })),
        }
    }
    for series in night.map(|night| night.series.as_slice()).unwrap_or_default() {
        let name = format!("{}/{}", series.key.lane, series.key.procedure);
        let file = snapshots.join(&series.key.lane).join(format!("{}.snap", series.key.procedure));
        let at = file.is_file().then_some((file.as_path(), 1));
        let regressed = series.metrics.iter().filter(|metric| metric.assessment.state == Trend::Regressed);
        all.extend(regressed.map(|metric| (3, line(at, &format!("{name}: regressed"), &sentence(metric)))));
    }
    let absent = night.map(|night| night.absent.as_slice()).unwrap_or_default();
    all.extend(absent.iter().map(|absent| {
        let name = format!("{}/{}: absent", absent.lane, absent.procedure);
        (4, line(None, &name, &absence(absent)))
    }));
    all.sort_by_key(|(severity, _)| *severity);
    let more = all.len().saturating_sub(LIMIT);
    let mut text: String = all.into_iter().take(LIMIT).map(|(_, line)| line).collect();
    if more > 0 {
        text += &format!("::notice title=tracegate::{more} more failures are in the job summary\n");
    }
    text
}

/// The line of the snapshot that the failed check is about; the first where there is none.
fn line_of(file: &Path, check: &str) -> usize {
    let beginnings: &[&str] = match check {
        "order" | "presence" => &["step ", "sequence ", "[phases]"],
        "ledger" => &["context_tokens", "[ledger]"],
        "batches" => &["decode batch"],
        "recompiles" => &["recompiles"],
        "ranks" => &["[rank "],
        _ => &[],
    };
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let find = |beginning: &&str| text.lines().position(|line| line.starts_with(*beginning));
    beginnings.iter().find_map(find).map_or(1, |index| index + 1)
}

/// The line of the file where the first removed or changed line of a difference stands.
fn changed_line(file: &Path, diff: &str) -> usize {
    let removed = diff.lines().skip(2).find_map(|line| line.strip_prefix('-'));
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let place = removed.and_then(|removed| text.lines().position(|line| line == removed));
    place.map_or(1, |index| index + 1)
}

fn line(at: Option<(&Path, usize)>, title: &str, message: &str) -> String {
    let place = at.map_or_else(String::new, |(file, line)| {
        format!("file={},line={line},", property(&file.display().to_string()))
    });
    format!("::error {place}title={}::{}\n", property(title), data(&crate::text::inert(message, 1_000)))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cannot_end_their_line_or_begin_another_command() {
        let made = line(None, "a: b, c", "50 %\n::error::forged");
        assert_eq!(made, "::error title=a%3A b%2C c::50 %25%0A::error::forged\n");
    }
}
