//! Markdown for job summaries and pull requests.

use super::table::{batch, totals};
use crate::trace::{Trace, TraceRole};

/// Steps shown of one trace.
const STEPS: usize = 50;

/// Traces as Markdown: totals first, then gaps, then steps.
pub(crate) fn inspect_markdown(traces: &[Trace]) -> String {
    let mut text = String::new();
    for trace in traces {
        let role = if trace.role == TraceRole::Worker { "worker" } else { "frontend" };
        let of = trace.world_size.map_or_else(String::new, |size| format!(" of {size}"));
        let rank = trace.rank.map_or_else(String::new, |rank| format!(", rank {rank}{of}"));
        let version = trace
            .vllm_version
            .as_deref()
            .map_or_else(String::new, |version| format!(", vLLM `{}`", code(version)));
        text += &format!("### `{}`\n\n", crate::text::inert(&trace.file, 300).replace(['`', '\n'], "\u{b7}"));
        text += &format!(
            "{role}{rank}{version}, {} events, evidence `{}`\n\n",
            trace.events,
            trace.evidence.name()
        );
        if !trace.steps.is_empty() {
            text += &format!("{}\n\n", totals(trace));
        }
        if !trace.gaps.is_empty() {
            text +=
                "| step gap | count | min | p50 | p90 | max |\n| --- | ---: | ---: | ---: | ---: | ---: |\n";
            for (pair, gap) in &trace.gaps {
                text += &format!(
                    "| {} | {} | {} | {} | {} | {} |\n",
                    pair.to_string().replace('_', " "),
                    gap.count,
                    gap.min_ns,
                    gap.p50_ns,
                    gap.p90_ns,
                    gap.max_ns
                );
            }
            text.push('\n');
        }
        text += &steps(trace);
        for problem in &trace.problems {
            text += &format!(
                "- problem `{}` ×{}{}: `{}`\n",
                problem.code.code(),
                problem.count,
                problem.place(),
                code(&problem.detail)
            );
        }
    }
    text
}

fn steps(trace: &Trace) -> String {
    if trace.steps.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| step | kind | context | generation | start | duration | gap |\n| ---: | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for step in trace.steps.iter().take(STEPS) {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            step.index,
            step.kind,
            batch(step.context_requests, step.context_tokens),
            batch(step.generation_requests, step.generation_tokens),
            step.start_ns,
            step.duration_ns,
            step.gap_ns.map_or_else(String::new, |gap| gap.to_string())
        );
    }
    if trace.steps.len() > STEPS {
        text += &format!("\n… {} more steps\n", trace.steps.len() - STEPS);
    }
    text.push('\n');
    text
}

/// Text that cannot leave a code span or a table cell.
fn code(text: &str) -> String {
    crate::text::inert(text, 200).replace(['`', '|', '\n'], "\u{b7}")
}
