//! The Markdown job summary: the verdict on top, details last, and never over the limit of the service that shows it.

use super::grid::{Cell, Grid, cell, words};
use super::headline::headline;
use super::nights::verdicts_markdown;
use super::page::Reported;
use crate::history::Verdicts;
use crate::judge::{Answer, Verdict};
use crate::lane::Lane;

/// GitHub refuses a summary of more than 1 MiB as a whole.
const LIMIT: usize = 1024 * 1024 - 4096;

/// The summary.
pub(crate) fn markdown(runs: &[Reported], night: Option<&Verdicts>) -> String {
    let headline = headline(runs, night);
    let mut text = format!("# {}\n\n", cell(headline.word));
    for line in &headline.lines {
        push(&mut text, &format!("- {}\n", cell(line)));
    }
    if runs.iter().any(|run| run.plan.lane == Lane::Standin) {
        text += "\nThe lane standin is an imitation: its results prove the harness, never vLLM.\n";
    }
    text.push('\n');
    if !runs.is_empty() {
        push(&mut text, &grid(runs).markdown());
    }
    if let Some(night) = night {
        push(&mut text, &verdicts_markdown(night));
    }
    // Details last: they are what may be dropped.
    let mut dropped = 0;
    for run in runs {
        if !push(&mut text, &details(run)) {
            dropped += 1;
        }
    }
    if dropped > 0 {
        text += &format!("\nDetails of {dropped} runs are left out: the summary would exceed 1 MiB.\n");
    }
    text
}

/// Appends a part where it fits.
fn push(text: &mut String, part: &str) -> bool {
    let fits = text.len() + part.len() <= LIMIT;
    if fits {
        text.push_str(part);
    }
    fits
}

/// The runs and their verdicts.
pub(crate) fn grid(runs: &[Reported]) -> Grid {
    let mut grid = Grid::new(["lane", "procedure", "run", "verdict", "failed checks"].map(words));
    for run in runs {
        let (verdict, failed) = match &run.decided {
            Err(_) => ("none".into(), "infrastructure error".to_owned()),
            Ok(decided) => (
                if decided.verdict.passed { "pass".into() } else { Cell::strong("FAIL") },
                decided.verdict.failed().map(|check| check.name.clone()).collect::<Vec<_>>().join(", "),
            ),
        };
        let name = [run.plan.lane.to_string(), run.plan.procedure.clone(), run.name()].map(Cell::from);
        grid.row(name.into_iter().chain([verdict, failed.into()]));
    }
    grid
}

/// What was checked of a run.
fn checks(verdict: &Verdict) -> Grid {
    let mut grid = Grid::new(["check", "result", "what was seen"].map(words));
    for check in &verdict.checks {
        let word = check.answer.word();
        let word = if matches!(check.answer, Answer::Fails(_)) { Cell::strong(word) } else { word.into() };
        grid.row([check.name.as_str().into(), word, check.answer.detail().into()]);
    }
    grid
}

fn details(run: &Reported) -> String {
    let mut text = format!(
        "<details><summary>{}/{} ({})</summary>\n\n",
        run.plan.lane,
        cell(&run.plan.procedure),
        cell(&run.name())
    );
    match &run.decided {
        Err(error) => text += &format!("{}\n", cell(&error.to_string())),
        Ok(decided) => {
            text += &checks(&decided.verdict).markdown();
            if let Some(diff) = run.snapshot_difference() {
                // Indented: a fence could be closed by the text itself.
                text += "\nThe snapshot differs from the reviewed one:\n\n";
                text.extend(
                    crate::text::inert(&diff.text(), 20_000).lines().map(|line| format!("    {line}\n")),
                );
            }
        }
    }
    text + "\n</details>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_what_fits_stays() {
        let mut text = "x".repeat(LIMIT - 10);
        assert!(!push(&mut text, "12345678901"));
        assert!(push(&mut text, "1234567890"));
        assert_eq!(text.len(), LIMIT);
    }
}
