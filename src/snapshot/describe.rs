//! Differences as text: what they mean first, grouped, with before and after.

use std::fmt::Write;

use super::difference::{Difference, Group};
use super::facts::Snapshot;
use crate::trace::{Operators, Trace, TraceRole};

/// Groups in order, one difference a line: `  decode  aten::mm  0 → 1`.
pub(crate) fn describe(differences: &[Difference]) -> String {
    let mut text = String::new();
    let differences = by_fact(differences);
    for group in differences.chunk_by(|left, right| left.group == right.group) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", group[0].group.title());
        for difference in group {
            let _ = writeln!(text, "  {}", sentence(difference));
        }
    }
    text
}

/// The same change in several kinds of step is one line: `prompt, decode: aten::mm 1 → 2`.
fn by_fact(differences: &[Difference]) -> Vec<Difference> {
    let mut facts: Vec<Difference> = Vec::new();
    for difference in differences {
        let same = |known: &&mut Difference| {
            known.phase.is_some()
                && difference.phase.is_some()
                && (known.group, &known.what, &known.before, &known.after, &known.ranks)
                    == (
                        difference.group,
                        &difference.what,
                        &difference.before,
                        &difference.after,
                        &difference.ranks,
                    )
        };
        match (facts.iter_mut().find(same), &difference.phase) {
            (Some(Difference { phase: Some(phases), .. }), Some(phase)) => *phases += &format!(", {phase}"),
            _ => facts.push(difference.clone()),
        }
    }
    facts
}

/// One difference in a line, without its group.
pub(crate) fn sentence(difference: &Difference) -> String {
    let Difference { phase, what, before, after, ranks, .. } = difference;
    let phase = phase.as_ref().map_or_else(String::new, |phase| format!("{phase}: "));
    let rank = match ranks.as_slice() {
        _ if difference.everywhere => String::new(),
        [rank] => format!(" (rank {rank})"),
        ranks => format!(" (ranks {})", ranks.join(" ")),
    };
    let remark = if is_improvement(difference) { ", an improvement if it is meant" } else { "" };
    format!("{phase}{what} {before} → {after}{rank}{remark}")
}

/// All in one line, for the list of checks: the first of each group.
pub(crate) fn headline(differences: &[Difference]) -> String {
    let differences = by_fact(differences);
    let groups = differences.chunk_by(|left, right| left.group == right.group).map(|group| {
        let more = if group.len() > 1 { format!(" and {} more", group.len() - 1) } else { String::new() };
        format!("{} {}{more}", group[0].group.title(), sentence(&group[0]))
    });
    groups.collect::<Vec<_>>().join("; ")
}

/// Fewer waits, copies and compilations are what people work for. They need a review all the same.
fn is_improvement(difference: &Difference) -> bool {
    let fewer = || {
        let high = |text: &str| super::interval::Interval::parse(text).map(|interval| interval.high);
        Some(high(&difference.after)? < high(&difference.before)?)
    };
    match difference.group {
        Group::FewerRecompiles => true,
        Group::Budget => fewer().unwrap_or(false),
        _ => false,
    }
}

/// What was left out of the comparison, and where it still is.
pub(crate) fn footer(traces: &[Trace], operators: &[Operators]) -> String {
    let mut text = String::new();
    for (trace, operators) in
        traces.iter().zip(operators).filter(|(trace, _)| trace.role == TraceRole::Worker)
    {
        let _ = writeln!(
            text,
            "normalised: {} of {} events counted by name, {} names rewritten{}; raw: {}",
            operators.events,
            trace.events,
            operators.rewritten,
            unlaunched(operators.unlaunched),
            crate::text::inert(&trace.file, 300)
        );
    }
    text
}

/// What the device ran and no step had launched.
fn unlaunched(count: u64) -> String {
    if count == 0 { String::new() } else { format!(", {count} device events launched in no step left out") }
}

/// The unified difference of two snapshot texts.
pub(crate) fn unified(committed: &Snapshot, observed: &Snapshot, names: (&str, &str)) -> String {
    let (committed, observed) = (committed.to_string(), observed.to_string());
    similar::TextDiff::from_lines(&committed, &observed)
        .unified_diff()
        .context_radius(3)
        .header(names.0, names.1)
        .to_string()
}
