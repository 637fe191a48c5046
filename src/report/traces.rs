//! What is shown of a trace, in text and in Markdown: what it is, its steps, its gaps, its totals, its problems.

use std::collections::BTreeMap;

use super::grid::{Column, Grid, cell, numbers, words};
use crate::observe::Arrivals;
use crate::text::inert;
use crate::trace::{GapSummary, Problem, Step, StepPair, Trace, TraceRole, Writer};

/// Steps shown of a long trace: the first and the last ones.
const FIRST_STEPS: usize = 30;
const LAST_STEPS: usize = 10;

/// Columns that a narrow terminal does without: of the gaps, the median and the largest say most.
const WIDE_ONLY: [&str; 7] = ["context", "generation", "bucket", "start", "client", "min", "p90"];

/// A trace as text. `arrivals` are what the client saw of each step.
pub(super) fn text(trace: &Trace, arrivals: &[Arrivals]) -> String {
    let fitted = |grid: Grid| if is_narrow() { grid.without(&WIDE_ONLY) } else { grid }.text();
    let mut text = format!("{}\n  {}\n", inert(&trace.file, 300), description(trace).join(", "));
    if !trace.steps.is_empty() {
        text += &fitted(steps(&trace.steps, arrivals));
        text += &format!("{}\n", totals(trace));
    }
    if !trace.gaps.is_empty() {
        text += &fitted(gaps(&trace.gaps));
    }
    let problem = |problem: &Problem| {
        format!(
            "problem {} x{}{}: {}\n",
            problem.code.code(),
            problem.count,
            problem.place(),
            inert(&problem.detail, 200)
        )
    };
    text + &trace.problems.iter().map(problem).collect::<String>()
}

/// Traces as Markdown, for job summaries and pull requests: totals first, then gaps, then steps.
pub(crate) fn markdown(traces: &[Trace]) -> String {
    traces.iter().map(of_trace).collect()
}

fn of_trace(trace: &Trace) -> String {
    let mut text = format!("### `{}`\n\n{}\n\n", code(&trace.file), cell(&description(trace).join(", ")));
    if !trace.steps.is_empty() {
        text += &format!("{}\n\n", totals(trace));
    }
    if !trace.gaps.is_empty() {
        text += &gaps(&trace.gaps).markdown();
    }
    if !trace.steps.is_empty() {
        text += &steps(&trace.steps, &[]).markdown();
    }
    for problem in &trace.problems {
        text += &format!(
            "- problem `{}` ×{}{}: `{}`\n",
            problem.code.code(),
            problem.count,
            problem.place(),
            code(&problem.detail)
        );
    }
    text
}

/// Text that cannot leave a code span or a line.
fn code(text: &str) -> String {
    inert(text, 300).replace(['`', '|', '\n'], "\u{b7}")
}

fn description(trace: &Trace) -> Vec<String> {
    if trace.is_none() {
        return vec!["no trace".to_owned()];
    }
    let role = match trace.role {
        TraceRole::Worker if !trace.serving => "no serving steps: not the trace of a server",
        TraceRole::Worker => "worker",
        TraceRole::Frontend => "frontend",
    };
    let mut parts = vec![role.to_owned()];
    if let Some(rank) = trace.rank {
        let of = trace.world_size.map_or_else(String::new, |size| format!(" of {size}"));
        parts.push(format!("rank {rank}{of}"));
    }
    if let Some(version) = &trace.vllm_version {
        parts.push(format!("vLLM {}", inert(version, 40)));
    }
    parts.push(format!("{} events", trace.events));
    let nesting = trace.nesting.map_or_else(String::new, |nesting| format!(" ({})", nesting.words()));
    let by = trace.writer.filter(|writer| *writer != Writer::Vllm);
    let by = by.map_or_else(String::new, |writer| format!(" of {}", writer.name()));
    if trace.serving || trace.role == TraceRole::Frontend {
        parts.push(format!("evidence {}{by}{nesting}", trace.evidence.name()));
    }
    parts
}

/// Steps by kind, and the tokens that they count.
pub(super) fn totals(trace: &Trace) -> String {
    let totals = &trace.totals;
    let mut parts: Vec<String> = [
        ("prompt", totals.prompt),
        ("decode", totals.decode),
        ("mixed", totals.mixed),
        ("idle", totals.idle),
        ("unclassified", totals.unclassified),
        ("partial", totals.partial),
        ("overrun", totals.overrun),
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

/// `client` is the median arrival of a step's tokens after its end, `bucket` the shape that it was padded to.
fn steps(steps: &[Step], arrivals: &[Arrivals]) -> Grid {
    let mut head: Vec<Column> = vec![words("step"), words("kind")];
    head.extend(["context", "generation", "bucket", "start", "duration", "gap", "client"].map(numbers));
    let mut grid = Grid::new(head);
    let hidden = steps.len().saturating_sub(FIRST_STEPS + LAST_STEPS);
    for (place, step) in steps.iter().enumerate() {
        if hidden > 0 && (FIRST_STEPS..FIRST_STEPS + hidden).contains(&place) {
            if place == FIRST_STEPS {
                grid.row([format!("… {hidden} more"), "…".to_owned()]);
            }
            continue;
        }
        let arrived = arrivals.iter().find(|arrivals| arrivals.step == step.index);
        grid.row([
            step.index.to_string(),
            kind(step),
            batch(step.context_requests, step.context_tokens),
            batch(step.generation_requests, step.generation_tokens),
            step.bucket.map_or_else(String::new, |bucket| bucket.to_string()),
            step.start_ns.to_string(),
            step.duration_ns.to_string(),
            step.gap_ns.map_or_else(String::new, |gap| gap.to_string()),
            arrived.map_or_else(String::new, |arrivals| format!("+{}", arrivals.median_ns)),
        ]);
    }
    let mut unused = Vec::new();
    if steps.iter().all(|step| step.bucket.is_none()) {
        unused.push("bucket");
    }
    if arrivals.is_empty() {
        unused.push("client");
    }
    grid.without(&unused)
}

/// The kind, and what is special about the step.
fn kind(step: &Step) -> String {
    let overrun = match step.overrun {
        0 => String::new(),
        _ if step.is_overrun() => " (overrun)".to_owned(),
        some => format!(" (overrun of {some})"),
    };
    format!("{}{overrun}{}", step.kind, if step.partial { " (partial)" } else { "" })
}

/// True on a terminal of fewer than 72 columns, the width of the whole step table. `COLUMNS` decides
/// where it is set.
fn is_narrow() -> bool {
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<u16>().ok());
    let terminal = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col);
    asked.or_else(terminal).is_some_and(|width| (1..72).contains(&width))
}

/// `requests (tokens)`.
fn batch(requests: Option<u64>, tokens: Option<u64>) -> String {
    match (requests, tokens) {
        (Some(0), _) => String::new(),
        (Some(requests), Some(tokens)) => format!("{requests} ({tokens})"),
        (Some(requests), None) => requests.to_string(),
        (None, _) => "?".to_owned(),
    }
}

/// The gaps between steps, or between a device's operations, by pair.
pub(super) fn gaps(gaps: &BTreeMap<StepPair, GapSummary>) -> Grid {
    let columns = ["count", "min", "p50", "p90", "max"].map(numbers);
    let mut grid = Grid::new(std::iter::once(words("step gap")).chain(columns));
    for (pair, gap) in gaps {
        let times = [gap.min_ns, gap.p50_ns, gap.p90_ns, gap.max_ns].map(|time| time.to_string());
        grid.row([pair.to_string().replace('_', " "), gap.count.to_string()].into_iter().chain(times));
    }
    grid
}
