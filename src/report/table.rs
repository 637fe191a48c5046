//! Text tables for terminals and logs.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::judge::{Check, Decided, Verdict};
use crate::observe::{Arrivals, arrivals};
use crate::time::Nanos;
use crate::trace::{Device, ExplainedGap, GapSummary, Ranks, Step, StepPair, Trace, TraceRole};

/// Steps shown of a long trace: the first and the last ones.
const FIRST_STEPS: usize = 30;
const LAST_STEPS: usize = 10;

/// Everything a person wants to see of a decided run.
pub(crate) fn decided(decided: &Decided) -> String {
    let mut text = String::new();
    for trace in &decided.observed.traces {
        text += &summary(trace, &arrivals(trace, &decided.observed.ledger));
        text.push('\n');
    }
    let workers: Vec<&Trace> = decided.observed.workers().collect();
    if let Some(together) = ranks(&workers) {
        text += &together;
        text.push('\n');
    }
    let ledger = &decided.observed.ledger;
    text += &format!(
        "ledger  requests {}, context tokens {}, generation tokens {} (output tokens {})\n\n",
        ledger.requests.len(),
        ledger.context_tokens(),
        ledger.generation_tokens(),
        ledger.output_tokens()
    );
    text += &checks(&decided.verdict);
    text
}

/// One line per check, failures marked, and the verdict.
pub(crate) fn checks(verdict: &Verdict) -> String {
    lines(&verdict.checks.iter().collect::<Vec<_>>()) + &word(verdict)
}

/// The failed checks and the verdict, for `--quiet`.
pub(crate) fn failures(verdict: &Verdict) -> String {
    lines(&verdict.failed().collect::<Vec<_>>()) + &word(verdict)
}

fn lines(checks: &[&Check]) -> String {
    let line =
        |check: &&Check| format!("{:<5} {:<12} {}\n", check.answer.word(), check.name, check.answer.detail());
    checks.iter().map(line).collect()
}

fn word(verdict: &Verdict) -> String {
    let failed: Vec<&str> = verdict.failed().map(|check| check.name.as_str()).collect();
    match failed.as_slice() {
        [] => "verdict: pass".to_owned(),
        names => format!("verdict: FAIL ({})", names.join(", ")),
    }
}

/// A trace: what it is, its steps, its gaps, its totals, its problems.
pub(crate) fn trace_summary(trace: &Trace) -> String {
    summary(trace, &[])
}

fn summary(trace: &Trace, arrivals: &[Arrivals]) -> String {
    let mut text = format!("{}\n", headline(trace));
    if !trace.steps.is_empty() {
        text += &format!("{}\n", steps(&trace.steps, arrivals));
        text += &format!("{}\n", totals(trace));
    }
    if !trace.gaps.is_empty() {
        text += &format!("{}\n", gaps(&trace.gaps));
    }
    for problem in &trace.problems {
        text += &format!(
            "problem {} x{}{}: {}\n",
            problem.code.code(),
            problem.count,
            problem.place(),
            crate::text::inert(&problem.detail, 200)
        );
    }
    text
}

/// Frames shown of one gap.
const FRAMES: usize = 5;

/// Which frames filled the largest gaps.
/// Several ranks seen together.
pub(crate) fn ranks(workers: &[&Trace]) -> Option<String> {
    let Ranks { count, steps, difference, skew } = Ranks::of(workers)?;
    let same = difference.unwrap_or_else(|| format!("the same {steps} steps on each"));
    let skew = skew.map_or_else(|| "skew unknown".to_owned(), |skew| format!("largest skew {skew}"));
    Some(format!("{count} ranks  {same}, {skew}\n"))
}

pub(crate) fn explained(gaps: &[ExplainedGap]) -> String {
    let mut text = String::new();
    for gap in gaps {
        text +=
            &format!("gap of {} in front of step {} ({} to {})\n", gap.gap_ns, gap.step, gap.from, gap.to);
        let share = |time: Nanos| 100.0 * time.as_ns() as f64 / gap.gap_ns.as_ns().max(1) as f64;
        for frame in gap.frames.iter().take(FRAMES) {
            let name = crate::text::inert(&frame.name, 100);
            text += &format!(
                "  {:>5.1} % {:>10}  x{:<6} {name}\n",
                share(frame.self_ns),
                frame.self_ns,
                frame.calls
            );
        }
        let rest: Nanos = gap.frames.iter().skip(FRAMES).map(|frame| frame.self_ns).sum();
        text += &format!(
            "  {:>5.1} % {:>10}  in {} other frames\n",
            share(rest),
            rest,
            gap.frames.len().saturating_sub(FRAMES)
        );
        text +=
            &format!("  {:>5.1} % {:>10}  in no frame\n\n", share(gap.unexplained_ns), gap.unexplained_ns);
    }
    text
}

/// The device's side of a trace; a measure of its own, never mixed with the step gaps.
pub(crate) fn device(device: Option<&Device>) -> String {
    let Some(device) = device else {
        return "device-idle gaps: not applicable, the trace has no engine events (hardware tracing was off) or no steps\n".to_owned();
    };
    format!("device-idle gaps, {} engine events\n{}\n", device.events, gaps(&device.gaps))
}

fn headline(trace: &Trace) -> String {
    let role = match trace.role {
        TraceRole::Worker => "worker",
        TraceRole::Frontend => "frontend",
    };
    let mut parts = vec![role.to_owned()];
    if let Some(rank) = trace.rank {
        let of = trace.world_size.map_or_else(String::new, |size| format!(" of {size}"));
        parts.push(format!("rank {rank}{of}"));
    }
    if let Some(version) = &trace.vllm_version {
        parts.push(format!("vLLM {}", crate::text::inert(version, 40)));
    }
    parts.push(format!("{} events", trace.events));
    parts.push(format!("evidence {}", trace.evidence.name()));
    format!("{}\n  {}", crate::text::inert(&trace.file, 300), parts.join(", "))
}

pub(super) fn totals(trace: &Trace) -> String {
    let totals = &trace.totals;
    let mut parts: Vec<String> = [
        ("prompt", totals.prompt),
        ("decode", totals.decode),
        ("mixed", totals.mixed),
        ("idle", totals.idle),
        ("unclassified", totals.unclassified),
    ]
    .into_iter()
    .filter(|(name, count)| *count > 0 || matches!(*name, "prompt" | "decode" | "idle"))
    .map(|(name, count)| format!("{name} {count}"))
    .collect();
    for (name, tokens) in [("context", totals.context_tokens), ("generation", totals.generation_tokens)] {
        parts.push(format!(
            "{name} tokens {}",
            tokens.map_or_else(|| "unknown".to_owned(), |n| n.to_string())
        ));
    }
    format!("totals  {}", parts.join(", "))
}

/// `client` is the median arrival of a step's tokens after its end.
fn steps(steps: &[Step], arrivals: &[Arrivals]) -> Table {
    let narrow = is_narrow();
    let mut header = vec!["step", "kind", "context", "generation", "start", "duration", "gap"];
    let padded = !narrow && steps.iter().any(|step| step.bucket.is_some());
    if padded {
        header.insert(4, "bucket");
    }
    if narrow {
        header.retain(|column| !WIDE_ONLY.contains(column));
    } else if !arrivals.is_empty() {
        header.push("client");
    }
    let mut table = table(header);
    let hidden = steps.len().saturating_sub(FIRST_STEPS + LAST_STEPS);
    for step in steps {
        if hidden > 0 && (FIRST_STEPS..FIRST_STEPS + hidden).contains(&step.index) {
            if step.index == FIRST_STEPS {
                table.add_row([format!("… {hidden} more"), "…".to_owned()]);
            }
            continue;
        }
        let mut row = vec![
            step.index.to_string(),
            step.kind.to_string(),
            batch(step.context_requests, step.context_tokens),
            batch(step.generation_requests, step.generation_tokens),
            step.start_ns.to_string(),
            step.duration_ns.to_string(),
            step.gap_ns.map_or_else(String::new, |gap| gap.to_string()),
        ];
        if padded {
            row.insert(4, step.bucket.map_or_else(String::new, |bucket| bucket.to_string()));
        }
        if narrow {
            row.drain(2..5);
        } else {
            let arrived = arrivals.iter().find(|arrivals| arrivals.step == step.index);
            row.extend(arrived.map(|arrivals| format!("+{}", arrivals.median_ns)));
        }
        table.add_row(row);
    }
    right_align(&mut table, 2);
    table
}

/// Columns of the step table that a narrow terminal does without.
const WIDE_ONLY: [&str; 3] = ["context", "generation", "start"];

/// True on a terminal of fewer than 72 columns, the width of the whole step table. `COLUMNS` decides
/// where it is set.
fn is_narrow() -> bool {
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<u16>().ok());
    asked.or_else(|| Table::new().width()).is_some_and(|width| width < 72)
}

/// `requests (tokens)`.
pub(super) fn batch(requests: Option<u64>, tokens: Option<u64>) -> String {
    match (requests, tokens) {
        (Some(0), _) => String::new(),
        (Some(requests), Some(tokens)) => format!("{requests} ({tokens})"),
        (Some(requests), None) => requests.to_string(),
        (None, _) => "?".to_owned(),
    }
}

fn gaps(gaps: &BTreeMap<StepPair, GapSummary>) -> Table {
    let narrow = is_narrow();
    let columns = ["step gap", "count", "min", "p50", "p90", "max"];
    // The median and the largest say most.
    let kept = |at: usize| !narrow || !matches!(columns.get(at), Some(&"min" | &"p90"));
    let mut table = table(columns.into_iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, name)| name));
    for (pair, summary) in gaps {
        let times = [summary.min_ns, summary.p50_ns, summary.p90_ns, summary.max_ns]
            .map(|time: Nanos| time.to_string());
        let mut row = vec![pair.to_string().replace('_', " "), summary.count.to_string()];
        row.extend(times);
        table.add_row(row.into_iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, cell)| cell));
    }
    right_align(&mut table, 1);
    table
}

/// Not fitted to the terminal: broken numbers are worse than wrapped lines, and 80 columns suffice.
fn table(header: impl IntoIterator<Item = &'static str>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.into_iter().collect::<Vec<_>>());
    table
}

fn right_align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
