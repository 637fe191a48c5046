//! Builds the reviewed text. One fact a line, no durations, ids, addresses, line numbers or host names.

use std::fmt::Write;

use crate::check::Decided;
use crate::trace::{Step, StepKind, Trace};

/// The text of one run's structure. Equal texts mean equal structure.
#[must_use]
pub fn snapshot_text(decided: &Decided) -> String {
    let mut text =
        format!("tracegate-snapshot 1\nprocedure {}\nlane {}\n", decided.plan.procedure, decided.plan.lane);
    let ledger = &decided.ledger;
    let prompts: u64 = ledger.requests.iter().map(|served| served.prompt_tokens).sum();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\n[ledger]\nrequests {}\nprompt_tokens {prompts}\noutput_tokens {}\n",
        ledger.requests.len(),
        ledger.output_tokens()
    );
    // Ranks that ran the same stand together: a reviewer reads it once.
    let mut sections: Vec<(Vec<String>, String)> = Vec::new();
    for trace in decided.workers() {
        let rank = trace.rank.map_or_else(|| "?".to_owned(), |rank| rank.to_string());
        let mut section = String::new();
        write_rank(&mut section, trace, decided);
        match sections.iter_mut().find(|(_, known)| *known == section) {
            Some((ranks, _)) => ranks.push(rank),
            None => sections.push((vec![rank], section)),
        }
    }
    for (ranks, section) in sections {
        let word = if ranks.len() == 1 { "rank" } else { "ranks" };
        let _ = write!(text, "\n[{word} {}]\n{section}", ranks.join(" "));
    }
    text
}

fn write_rank(text: &mut String, trace: &Trace, decided: &Decided) {
    let _ = writeln!(text, "evidence {}", trace.evidence.name());
    // One request makes one sequence. Several may be batched in more than one way: then the text
    // holds what every way has in common, and the checks hold the rest.
    if decided.ledger.requests.len() == 1 {
        write_steps(text, trace);
    } else {
        let expected = &decided.plan.expected;
        let _ = writeln!(text, "sequence within {}", expected.sequence);
        if let Some(limit) = expected.max_decode_batch {
            let _ = writeln!(text, "decode batch within {limit}");
        }
    }
    let count =
        |tokens: Option<u64>| tokens.map_or_else(|| "unknown".to_owned(), |tokens| tokens.to_string());
    let _ = write!(
        text,
        "context_tokens {}\ngeneration_tokens {}\nrecompiles {}\n",
        count(trace.totals.context_tokens),
        count(trace.totals.generation_tokens),
        trace.recompiles.in_window
    );
    for problem in &trace.problems {
        let _ = writeln!(text, "problem {}", problem.code.code());
    }
}

fn describe(step: &Step) -> String {
    let part = |requests: Option<u64>, tokens: Option<u64>| match (requests, tokens) {
        (Some(requests), Some(tokens)) => format!("{requests}({tokens})"),
        (Some(requests), None) => requests.to_string(),
        _ => "?".to_owned(),
    };
    format!(
        "{} context {} generation {}",
        step.kind,
        part(step.context_requests, step.context_tokens),
        part(step.generation_requests, step.generation_tokens)
    )
}

fn write_steps(text: &mut String, trace: &Trace) {
    let working: Vec<&Step> = trace.steps.iter().filter(|step| step.kind != StepKind::Idle).collect();
    let mut rest = working.as_slice();
    while let Some((first, _)) = rest.split_first() {
        let label = describe(first);
        let same = rest.iter().take_while(|step| describe(step) == label).count();
        let times = if same > 1 { format!(" x{same}") } else { String::new() };
        let _ = writeln!(text, "step {label}{times}");
        rest = &rest[same..];
    }
}
