//! The verdict over everything that a report holds: one word and the lines that say why, for the page and the summary.

use super::nights;
use super::page::Reported;
use crate::history::{MetricVerdict, Overall, SeriesVerdict, Trend, Verdicts};

/// The word on top, its colour, and the lines below it.
pub(crate) struct Headline {
    pub(crate) word: &'static str,
    /// `pass`, `fail` or `none`: a class of the page's style.
    pub(crate) state: &'static str,
    pub(crate) lines: Vec<String>,
}

/// The worst first: no verdict, failed, regressed, passed.
pub(crate) fn headline(runs: &[Reported], night: Option<&Verdicts>) -> Headline {
    let mut lines: Vec<String> = runs.iter().flat_map(of_run).collect();
    lines.extend(night.iter().flat_map(|night| &night.series).flat_map(of_series));
    lines.extend(night.iter().flat_map(|night| &night.absent).map(nights::absence));
    let none = runs.iter().any(|run| run.decided.is_err());
    let failed = runs.iter().any(|run| run.decided.as_ref().is_ok_and(|decided| !decided.verdict.passed));
    let (word, state) = match (none, failed, night.and_then(Verdicts::worst)) {
        (true, _, _) | (_, _, Some(Overall::Infrastructure)) => ("no verdict: infrastructure error", "none"),
        (_, true, _) | (_, _, Some(Overall::Failed)) => ("FAIL", "fail"),
        (_, _, Some(Overall::Regressed)) => ("REGRESSED", "fail"),
        (_, _, Some(Overall::Suspect)) => ("suspect: repeat it tonight", "none"),
        (_, _, Some(Overall::Absent)) => ("absent: a procedure did not run", "none"),
        (_, _, Some(Overall::Insufficient)) if runs.is_empty() => ("insufficient: too few nights", "none"),
        _ => ("pass", "pass"),
    };
    Headline { word, state, lines }
}

fn of_run(run: &Reported) -> Vec<String> {
    let name = format!("{}/{} ({})", run.plan.lane, run.plan.procedure, run.name());
    match &run.decided {
        Err(error) => vec![format!("{name}: no verdict: {error}")],
        Ok(decided) => {
            let failed = decided.verdict.failed();
            failed.map(|check| format!("{name}: {}: {}", check.name, check.answer.detail())).collect()
        }
    }
}

fn of_series(series: &SeriesVerdict) -> Vec<String> {
    let name = format!("{}/{}", series.key.lane, series.key.procedure);
    let failures = series.failures.iter();
    let mut lines: Vec<String> =
        failures.map(|failure| format!("{name}, night {}: {failure}", series.night)).collect();
    let moved = series.metrics.iter().filter_map(of_metric);
    lines.extend(moved.map(|sentence| format!("{name}: {sentence}")));
    let unjudged = series.metrics.iter().filter(|metric| metric.assessment.state == Trend::Insufficient);
    let (nights, needed) = unjudged
        .fold((0, 0), |most, one| (one.assessment.nights.max(most.0), one.assessment.needed.max(most.1)));
    if needed > 0 {
        lines.push(format!("{name}: too few nights to judge every timing ({nights} of {needed})"));
    }
    lines
}

fn of_metric(metric: &MetricVerdict) -> Option<String> {
    match metric.assessment.state {
        Trend::Regressed | Trend::Improved => Some(nights::sentence(metric)),
        Trend::Suspect => Some(format!(
            "{} is suspect tonight: {} after {}",
            nights::title(&metric.name),
            nights::amount(metric.tonight, &metric.unit),
            nights::amount(metric.assessment.before, &metric.unit)
        )),
        Trend::Insufficient | Trend::Ok => None,
    }
}
