//! Nightly verdicts and histories as text and Markdown.

use std::path::Path;

use super::grid::{Cell, Grid, cell, numbers, words};
use crate::history::{
    Absent, Damage, Direction, MetricVerdict, Overall, SeriesVerdict, SeriesView, Trend, Verdicts,
};
use crate::time::Nanos;

/// A value in its unit, as a person would write it.
pub(crate) fn amount(value: f64, unit: &str) -> String {
    if unit == "ns" { Nanos::from_ns(value.round() as i64).to_string() } else { format!("{value:.3} {unit}") }
}

/// `1 night`, `2 nights`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `the decode to decode gap (p50) grew by 12.0 % on 2026-10-20`.
pub(crate) fn sentence(metric: &MetricVerdict) -> String {
    let change = match metric.dir {
        Direction::Lower => metric.assessment.worse,
        Direction::Higher => -metric.assessment.worse,
    };
    let verb = if change >= 0.0 { "grew" } else { "shrank" };
    let on = metric.since.as_ref().map_or_else(String::new, |night| format!(" on {night}"));
    format!("the {} {verb} by {:.1} %{on}", title(&metric.name), 100.0 * change.abs())
}

/// `gap.decode_to_decode.p50` as `decode to decode gap (p50)`.
pub(crate) fn title(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        [kind, of, statistic] => format!("{} {kind} ({statistic})", of.replace('_', " ")),
        _ => name.to_owned(),
    }
}

/// `gaudi/p on gaudi2 x8: no record tonight, the last one is of 2026-10-11`.
pub(crate) fn absence(absent: &Absent) -> String {
    format!(
        "{}/{} on {}: no record tonight, the last one is of {}",
        absent.lane, absent.procedure, absent.machine_class, absent.last
    )
}

/// Everything of a night, the most urgent series first.
pub(crate) fn verdicts_text(verdicts: &Verdicts) -> String {
    let mut text = format!("night {}\n", verdicts.night);
    if has_standin(verdicts) {
        text += "lane standin: an imitation; its results prove the harness, never vLLM\n";
    }
    for series in by_urgency(verdicts) {
        text += &series_text(series);
    }
    for absent in &verdicts.absent {
        text += &format!("{:<11} {}\n", Overall::Absent.name(), absence(absent));
    }
    if let Some(worst) = verdicts.worst() {
        text += &format!("verdict: {}\n", worst.name());
    }
    text
}

fn has_standin(verdicts: &Verdicts) -> bool {
    verdicts.series.iter().any(|series| series.key.lane == "standin")
}

fn by_urgency(verdicts: &Verdicts) -> Vec<&SeriesVerdict> {
    let mut all: Vec<&SeriesVerdict> = verdicts.series.iter().collect();
    all.sort_by_key(|series| std::cmp::Reverse(series.state));
    all
}

fn series_text(series: &SeriesVerdict) -> String {
    let key = &series.key;
    let mut text = format!(
        "{:<11} {}/{} on {} ({}, {} tonight{})\n",
        series.state.name(),
        key.lane,
        key.procedure,
        key.machine_class,
        counted(series.nights, "night"),
        counted(series.n_reps as usize, "repetition"),
        if series.epoch > 0 { format!(", epoch {}", series.epoch) } else { String::new() }
    );
    for failure in &series.failures {
        text += &format!("  {failure}\n");
    }
    for metric in &series.metrics {
        text += &metric_text(metric);
    }
    for note in &series.notes {
        text += &format!("  note: {note}\n");
    }
    if series.rerun {
        text += "  what to do: repeat the procedure tonight and record it again; more repetitions tell chance from change\n";
    }
    text
}

fn metric_text(metric: &MetricVerdict) -> String {
    let shown = |value| amount(value, &metric.unit);
    let mut text = format!("  {:<12} {}", metric.assessment.state.name(), metric.name);
    match metric.assessment.state {
        Trend::Insufficient => {
            let before = metric.assessment.before;
            let before = if before > 0.0 { format!(", before {}", shown(before)) } else { String::new() };
            text += &format!(
                ": tonight {}{before}; {} of the {} nights that a verdict needs\n",
                shown(metric.tonight),
                metric.assessment.nights,
                metric.assessment.needed
            );
        }
        Trend::Ok | Trend::Suspect => {
            text += &format!(
                ": tonight {}, before {}; detectable from {:.1} %, noise {:.1} %\n",
                shown(metric.tonight),
                shown(metric.assessment.before),
                100.0 * metric.assessment.least_change,
                100.0 * metric.assessment.noise
            );
        }
        Trend::Regressed | Trend::Improved => {
            text += &format!(
                ": {}\n{:15}{} -> {}, tonight {}; p {:.4}, after Holm {:.4}; detectable from {:.1} %, noise {:.1} %\n",
                sentence(metric),
                "",
                shown(metric.assessment.before),
                shown(metric.assessment.after),
                shown(metric.tonight),
                metric.assessment.p,
                metric.assessment.p_holm,
                100.0 * metric.assessment.least_change,
                100.0 * metric.assessment.noise
            );
        }
    }
    for change in &metric.changed {
        text +=
            &format!("{:15}changed that night: {} {} -> {}\n", "", change.what, change.before, change.after);
    }
    text
}

/// A night for a job summary: one table, the most urgent series first.
pub(crate) fn verdicts_markdown(verdicts: &Verdicts) -> String {
    let worst = verdicts.worst().map_or("no series", Overall::name);
    let mut text = format!("## Night {}: {worst}\n\n", cell(&verdicts.night));
    if has_standin(verdicts) {
        text += "The lane standin is an imitation: its results prove the harness, never vLLM.\n\n";
    }
    for series in by_urgency(verdicts) {
        for metric in series.metrics.iter().filter(|metric| metric.assessment.state == Trend::Regressed) {
            text += &format!(
                "- **{}/{}**: {}",
                cell(&series.key.lane),
                cell(&series.key.procedure),
                cell(&sentence(metric))
            );
            let changed: Vec<String> = metric
                .changed
                .iter()
                .map(|change| {
                    format!("{} {} → {}", cell(&change.what), cell(&change.before), cell(&change.after))
                })
                .collect();
            text += &match changed.as_slice() {
                [] => "\n".to_owned(),
                some => format!("; changed that night: {}\n", some.join(", ")),
            };
        }
        for failure in &series.failures {
            text += &format!(
                "- **{}/{}**: {}\n",
                cell(&series.key.lane),
                cell(&series.key.procedure),
                cell(failure)
            );
        }
    }
    for absent in &verdicts.absent {
        text += &format!("- **absent**: {}\n", cell(&absence(absent)));
    }
    text.push('\n');
    text + &grid(verdicts).markdown()
}

/// What was judged, a row for each metric, the most urgent series first.
pub(crate) fn grid(verdicts: &Verdicts) -> Grid {
    let names = ["lane", "procedure", "machine class", "state", "metric"].map(words);
    let values = ["before", "tonight", "change", "detectable", "p (Holm)"].map(numbers);
    let mut grid = Grid::new(names.into_iter().chain(values));
    for series in by_urgency(verdicts) {
        let key = &series.key;
        let front = [&key.lane, &key.procedure, &key.machine_class].map(|name| Cell::from(name.as_str()));
        if series.metrics.is_empty() {
            grid.row(front.iter().cloned().chain([series.state.name().into()]));
        }
        for metric in &series.metrics {
            let judged = &metric.assessment;
            let state = match judged.state {
                Trend::Regressed => Cell::strong(judged.state.name()),
                state => state.name().into(),
            };
            let mut cells = vec![state, metric.name.as_str().into()];
            // Without a baseline there is nothing to compare tonight with.
            let compared = judged.before > 0.0;
            let shown = |text: String| if compared { Cell::from(text) } else { Cell::from("") };
            cells.extend([
                shown(amount(judged.before, &metric.unit)),
                amount(metric.tonight, &metric.unit).into(),
                shown(format!("{:+.1} %", 100.0 * (judged.after / judged.before - 1.0))),
                shown(format!("{:.1} %", 100.0 * judged.least_change)),
                shown(format!("{:.4}", judged.p_holm)),
            ]);
            grid.row(front.iter().cloned().chain(cells));
        }
    }
    grid
}

/// The nights of every series, one table each.
pub(crate) fn views_text(views: &[SeriesView]) -> String {
    let mut text = String::new();
    for view in views {
        let key = &view.key;
        text += &format!(
            "{}/{} on {} (model {}, cfg {})\n",
            key.lane, key.procedure, key.machine_class, key.model, key.cfg_hash
        );
        for epoch in &view.epochs {
            let link = epoch.link.as_ref().map_or_else(String::new, |link| format!(" ({link})"));
            text += &format!("  epoch from {}: {}{link}\n", epoch.from, epoch.reason);
        }
        for metric in &view.metrics {
            text += &format!("  {}\n", metric.name);
            if !metric.dated.is_empty() {
                text += &format!("    changed on: {}\n", metric.dated.join(", "));
            }
            let mut grid = Grid::new([words("night"), numbers("median"), numbers("repetitions"), words("")]);
            for point in &metric.points {
                let state = point.state.map_or("", Trend::name).to_owned();
                let median = amount(point.median, &metric.unit);
                grid.row([point.night.clone(), median, point.values.len().to_string(), state]);
            }
            text += &grid.text().lines().map(|line| format!("   {line}\n")).collect::<String>();
        }
    }
    text
}

/// A warning for each line of a history that was skipped.
pub(crate) fn damage_text(path: &Path, damage: &[Damage]) -> Vec<String> {
    damage
        .iter()
        .map(|one| format!("warning: {} line {} was skipped: {}", path.display(), one.line, one.reason))
        .collect()
}
