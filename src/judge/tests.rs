//! The rules as one engine: what several ranks answer together, and what a rank cannot say.

use super::rule::{Rule, ask_all};
use super::{Answer, Check, Verdict};
use crate::client::Ledger;
use crate::lane::{Lane, assume};
use crate::observe::Observed;
use crate::plan::resolve;
use crate::procedure::{CustomCheck, builtin, find};
use crate::run::RunRecord;
use crate::trace::{Operators, Trace};

/// When every trace begins, on the Unix clock.
const EPOCH: i64 = 1_790_000_000_000_000_000;

/// A trace of one rank: step names one millisecond apart, each with one operator.
fn rank(number: u32, base: Option<i64>, steps: &[&str]) -> (Trace, Operators) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("rank{number}.1.pt.trace.json"));
    let event = |cat: &str, name: &str, ts: usize, dur: u32| {
        format!(r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":1,"tid":1,"ts":{ts},"dur":{dur}}}"#)
    };
    let events: Vec<String> = steps
        .iter()
        .enumerate()
        .flat_map(|(place, name)| {
            let at = place * 1_000;
            [event("user_annotation", name, at, 500), event("cpu_op", "aten::mm", at + 1, 5)]
        })
        .collect();
    let base = base.map_or_else(String::new, |base| format!("\"baseTimeNanoseconds\":{base},"));
    std::fs::write(&path, format!("{{{base}\"traceEvents\":[{}]}}", events.join(","))).unwrap();
    let trace = Trace::read(&path);
    let operators = Operators::read(&path, &trace, crate::trace::KernelNames::Stable);
    (trace, operators)
}

const PROMPT: &str = "execute_context_1(4)_generation_0(0)";
const DECODE: &str = "execute_context_0(0)_generation_1(1)";

/// One request of `tokens` output tokens, each arriving in the middle of its step.
fn ledger(tokens: u64) -> Ledger {
    let token_ns: Vec<i64> = (0..tokens as i64).map(|token| EPOCH + token * 1_000_000 + 600_000).collect();
    let served = serde_json::json!({
        "request": 0, "prompt_tokens": 4, "output_tokens": tokens, "cached_tokens": 0,
        "sent_ns": EPOCH - 1, "token_ns": token_ns, "done_ns": EPOCH + 9_000_000, "finish_reason": "length",
    });
    Ledger { requests: vec![serde_json::from_value(served).unwrap()] }
}

/// A run of the shipped single request with these traces.
fn run_of(read: Vec<(Trace, Operators)>, ledger: Ledger) -> Observed {
    let site = assume(Lane::Standin, [("vllm".to_owned(), "0.32.0".to_owned())].into());
    let procedures = builtin().unwrap();
    let mut plan = resolve(&find("async_single_request", &procedures).unwrap(), &site).unwrap();
    plan.expected.ranks = read.len() as u32;
    let (traces, operators) = read.into_iter().unzip();
    Observed {
        plan,
        record: RunRecord::begun(),
        ledger,
        traces,
        operators,
        cold_shapes: 0,
        files: Vec::new(),
    }
}

fn answer(checks: &[Check], name: &str) -> Answer {
    checks.iter().find(|check| check.name == name).unwrap().answer.clone()
}

fn asked(observed: &Observed) -> Vec<Check> {
    ask_all(observed, &[])
}

fn single() -> [&'static str; 7] {
    [PROMPT, DECODE, DECODE, DECODE, DECODE, DECODE, DECODE]
}

#[test]
fn a_clean_run_holds() {
    let checks = asked(&run_of(vec![rank(0, Some(EPOCH), &single())], ledger(7)));
    for name in ["presence", "order", "ledger", "client_times"] {
        assert!(matches!(answer(&checks, name), Answer::Holds(_)), "{name}: {:?}", answer(&checks, name));
    }
}

/// Rank 0 one hour off beside a rank without a base time was n/a, and the verdict passed.
#[test]
fn a_rank_without_a_clock_does_not_hide_one_that_is_wrong() {
    let hour = 3_600_000_000_000;
    for second in [None, Some(EPOCH + hour)] {
        let ranks = vec![rank(0, Some(EPOCH + hour), &single()), rank(1, second, &single())];
        let checks = asked(&run_of(ranks, ledger(7)));
        let Answer::Fails(why) = answer(&checks, "client_times") else {
            panic!("{second:?}: {:?}", answer(&checks, "client_times"));
        };
        assert!(
            why.contains("a token arrived 3599.999 s before step") || why.contains("before step 0 began"),
            "{why}"
        );
        assert_eq!(why.contains("does not say when it began"), second.is_none(), "{why}");
        assert!(!Verdict::of(checks).passed);
    }
}

/// The same for ledger, batches and gaps, whose lines hid the rank that failed.
#[test]
fn every_rule_names_the_rank_that_fails_beside_one_that_cannot_say() {
    let silent = ["execute_new_1_cached_0"; 7];
    let ranks = vec![rank(0, Some(EPOCH), &single()[..6]), rank(1, Some(EPOCH), &silent)];
    let mut observed = run_of(ranks, ledger(7));
    observed.plan.expected.max_decode_batch = Some(0);
    let checks = asked(&observed);
    for (name, part) in
        [("ledger", "rank 0: the trace has 5 generation tokens"), ("batches", "rank 0: step 1 decodes 1")]
    {
        let Answer::Fails(why) = answer(&checks, name) else { panic!("{name}: {:?}", answer(&checks, name)) };
        assert!(why.contains(part), "{why}");
    }
}

fn bounded(quantity: &str, bound: &str) -> CustomCheck {
    toml::from_str(&format!("name = \"n\"\nquantity = \"{quantity}\"\n{bound}")).unwrap()
}

/// `batch max = 3` failed at 4 and passed when the counters of those two steps were deleted.
#[test]
fn steps_that_do_not_say_are_named_and_nothing_is_claimed_of_them() {
    let four = "execute_context_0(0)_generation_4(4)";
    let three = "execute_context_0(0)_generation_3(3)";
    let of = |steps: &[&str]| {
        let mut observed = run_of(vec![rank(0, Some(EPOCH), steps)], ledger(7));
        observed.plan.expected.checks = vec![bounded("batch", "max = 3")];
        answer(&asked(&observed), "check:n")
    };
    assert_eq!(of(&[PROMPT, three]), Answer::Holds("batch 1 to 3".to_owned()));
    let Answer::Fails(why) = of(&[PROMPT, four]) else { panic!() };
    assert!(why.contains("batch is 4 in step 1 (decode), at most 3 is allowed"), "{why}");
    // The same trace whose later step lost its counters.
    let mut read = rank(0, Some(EPOCH), &[PROMPT, three, four]);
    read.0.steps[2].generation_requests = None;
    let mut observed = run_of(vec![read], ledger(7));
    observed.plan.expected.checks = vec![bounded("batch", "max = 3")];
    assert_eq!(
        answer(&asked(&observed), "check:n"),
        Answer::CannotSay("1 of 3 steps do not say; elsewhere batch 1 to 3".to_owned())
    );
}

/// Found by a second reader: a rank that could not say was left out, and the check passed.
#[test]
fn a_rank_without_operators_is_no_pass() {
    let told = rank(0, Some(EPOCH), &[DECODE]);
    let mut silent = rank(1, Some(EPOCH), &[DECODE]);
    silent.1.events = 0;
    let mut observed = run_of(vec![told, silent], ledger(7));
    observed.plan.expected.checks = vec![bounded("op aten::mm", "max = 1")];
    assert_eq!(
        answer(&asked(&observed), "check:n"),
        Answer::CannotSay("rank 1: there are no operators in the trace; rank 0: op aten::mm 1".to_owned())
    );
}

/// Two steps for four tokens failed, where the ledger knew of speculative decoding.
#[test]
fn speculative_decoding_needs_fewer_steps() {
    let speculative = "execute_context_0(0)_generation_1(2)";
    let mut observed = run_of(vec![rank(0, Some(EPOCH), &[PROMPT, speculative, speculative])], ledger(5));
    observed.plan.expected.max_decode_batch = Some(1);
    let checks = asked(&observed);
    assert!(matches!(answer(&checks, "batches"), Answer::Holds(_)), "{:?}", answer(&checks, "batches"));
    // Without it two steps are too few.
    let mut observed = run_of(vec![rank(0, Some(EPOCH), &[PROMPT, DECODE, DECODE])], ledger(5));
    observed.plan.expected.max_decode_batch = Some(1);
    assert!(matches!(answer(&asked(&observed), "batches"), Answer::Fails(_)));
}

/// `P D*` with one output token: a decode was missed that nobody needs.
#[test]
fn a_decode_that_is_optional_is_not_missed() {
    let of = |sequence: &str, steps: &[&str]| {
        let mut observed = run_of(vec![rank(0, Some(EPOCH), steps)], ledger(1));
        observed.plan.expected.sequence = sequence.to_owned();
        answer(&asked(&observed), "presence")
    };
    assert!(matches!(of("P D*", &[PROMPT]), Answer::Holds(_)));
    assert_eq!(of("P D+", &[PROMPT]), Answer::Fails("no decode step".to_owned()));
    assert_eq!(of("P D+", &[DECODE]), Answer::Fails("no prompt step".to_owned()));
}

/// `presence` and `order` passed on seven steps of unknown kind.
#[test]
fn steps_of_unknown_kind_are_no_pass() {
    let mut read = rank(0, Some(EPOCH), &single());
    for step in &mut read.0.steps {
        step.kind = crate::trace::StepKind::Unclassified;
    }
    read.0.totals.unclassified = 7;
    (read.0.totals.prompt, read.0.totals.decode) = (0, 0);
    let mut observed = run_of(vec![read], ledger(7));
    for name in ["presence", "order"] {
        let answer = answer(&asked(&observed), name);
        assert!(matches!(answer, Answer::CannotSay(_)), "{name}: {answer:?}");
    }
    // Too few of them contradict the sequence all the same.
    observed.traces[0].steps.truncate(5);
    assert!(matches!(answer(&asked(&observed), "order"), Answer::Fails(_)));
}

/// A server that stopped one token late: the steps were "P D{7}, expected P D{6}", and nobody said why.
#[test]
fn more_tokens_than_were_asked_for_are_named() {
    let steps = [PROMPT, DECODE, DECODE, DECODE, DECODE, DECODE, DECODE, DECODE];
    let late = run_of(vec![rank(0, Some(EPOCH), &steps)], ledger(8));
    assert_eq!(
        answer(&asked(&late), "workload"),
        Answer::Fails("request 0 had 8 output tokens, 7 were asked for (max_tokens)".to_owned())
    );
    let early = run_of(vec![rank(0, Some(EPOCH), &single()[..6])], ledger(6));
    let Answer::Fails(why) = answer(&asked(&early), "workload") else { panic!() };
    assert_eq!(why, "request 0 ended for its length after 6 of 7 output tokens");
    let clean = run_of(vec![rank(0, Some(EPOCH), &single())], ledger(7));
    assert_eq!(answer(&asked(&clean), "workload"), Answer::Holds("7 of at most 7 output tokens".to_owned()));
}

#[test]
fn added_rules_stand_behind_the_built_in_ones_and_a_panic_is_a_failure() {
    let observed = run_of(vec![rank(0, Some(EPOCH), &single())], ledger(7));
    let pass = |_: &Observed| Answer::Holds("seen".to_owned());
    let rules = [
        Rule::added("mine", pass),
        Rule::added("careless", |_| panic!("no {}", 7)),
        Rule::added("mine", pass),
    ];
    let checks = ask_all(&observed, &rules);
    let added: Vec<_> =
        checks[checks.len() - 3..].iter().map(|check| (check.name.as_str(), check.answer.detail())).collect();
    assert_eq!(added[0], ("check:mine", "seen"));
    assert_eq!(added[1], ("check:careless", "the check panicked: no 7"));
    assert!(added[2].1.contains("another check has this name"));
}
