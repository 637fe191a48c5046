//! The workload as it was served: the lengths that the plan asked for.

use super::answer::Answer;
use crate::client::Served;
use crate::observe::Observed;
use crate::procedure::PromptForm;

/// Text is cut into tokens again by the server and comes out longer or shorter: two more than 512
/// were measured on vLLM 0.32.
const TEXT_SLACK: u64 = 4;

/// Every request had a prompt and an output of the planned length. Without this, a client whose
/// tokenizer disagrees with the server's measures another workload than the one named.
pub(super) fn as_planned(observed: &Observed) -> Answer {
    let (plan, ledger) = (&observed.plan, &observed.ledger);
    let Some(bench) = &plan.bench else {
        return one_by_one(observed);
    };
    let text = plan.bench_command.is_some() || bench.prompts == PromptForm::Text;
    let slack = if text { TEXT_SLACK } else { 0 };
    let spread = |tokens: u32| {
        let (tokens, ratio) = (f64::from(tokens), bench.random_range_ratio);
        ((tokens * (1.0 - ratio)).floor() as u64, (tokens * (1.0 + ratio)).ceil() as u64)
    };
    let (least, most) = spread(bench.random_input_len);
    let (least, most) = (least.saturating_sub(slack).max(1), most + slack);
    let (fewest, largest) = spread(bench.random_output_len);
    // Without --ignore-eos an answer may end at any token.
    let fewest = if bench.ignore_eos { fewest.max(1) } else { 1 };
    let mut complaints = Vec::new();
    for served in &ledger.requests {
        if !(least..=most).contains(&served.prompt_tokens) {
            complaints.push(format!(
                "request {} had {} prompt tokens, planned are {}",
                served.request,
                served.prompt_tokens,
                range(least, most)
            ));
        }
        if !(fewest..=largest).contains(&served.output_tokens) {
            complaints.push(format!(
                "request {} had {} output tokens, planned are {}",
                served.request,
                served.output_tokens,
                range(fewest, largest)
            ));
        }
    }
    let seen = format!(
        "prompts of {} tokens, outputs of {}",
        range(least, most),
        range(fewest, largest.max(fewest))
    );
    Answer::from_complaints(&complaints, seen)
}

/// Requests that a procedure names itself: none has more output tokens than it asked for, and none that ended for
/// its length has fewer.
fn one_by_one(observed: &Observed) -> Answer {
    let (asked, ledger) = (&observed.plan.requests, &observed.ledger);
    if asked.is_empty() {
        return Answer::CannotSay("the procedure sends no requests".to_owned());
    }
    let complaint = |served: &Served| {
        let most = u64::from(asked.get(served.request)?.max_tokens);
        let (number, tokens) = (served.request, served.output_tokens);
        if tokens > most {
            return Some(format!(
                "request {number} had {tokens} output tokens, {most} were asked for (max_tokens)"
            ));
        }
        let cut = tokens < most && served.finish_reason.as_deref() == Some("length");
        cut.then(|| format!("request {number} ended for its length after {tokens} of {most} output tokens"))
    };
    let complaints: Vec<String> = ledger.requests.iter().filter_map(complaint).collect();
    let most: u64 = asked.iter().map(|request| u64::from(request.max_tokens)).sum();
    Answer::from_complaints(
        &complaints,
        format!("{} of at most {most} output tokens", ledger.output_tokens()),
    )
}

fn range(least: u64, most: u64) -> String {
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}
