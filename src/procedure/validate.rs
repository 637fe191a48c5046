//! What serde cannot say: values that have the right type and cannot be meant.

use regex_lite::Regex;

use super::bench::Bench;
use super::custom;
use super::model::{LoadClient, Procedure, ProfilerKind, Request};

/// A refused key and the reason.
pub(crate) type Complaint = (String, String);

/// The first impossible value, if there is one.
pub(crate) fn complaint(procedure: &Procedure) -> Option<Complaint> {
    name(procedure)
        .or_else(|| server(procedure))
        .or_else(|| load(procedure))
        .or_else(|| deadlines(procedure))
        .or_else(|| lanes(procedure))
        .or_else(|| expect(procedure))
        .or_else(|| gaps(procedure))
        .or_else(|| checks(procedure))
}

fn say(key: impl Into<String>, message: impl Into<String>) -> Option<Complaint> {
    Some((key.into(), message.into()))
}

fn checks(procedure: &Procedure) -> Option<Complaint> {
    for (number, check) in procedure.checks.iter().enumerate() {
        if procedure.checks[..number].iter().any(|other| other.name == check.name) {
            return say(
                format!("check[{number}].name"),
                format!("{:?} is the name of two checks", check.name),
            );
        }
        if let Some((key, message)) = custom::complaint(check) {
            return say(format!("check[{number}].{key}"), format!("[[check]] {}: {message}", check.name));
        }
    }
    None
}

fn name(procedure: &Procedure) -> Option<Complaint> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let name = &procedure.name;
    if name.is_empty() || !name.bytes().all(fits) {
        return say(
            "name",
            format!("{name:?} must be lower-case letters, digits and _ (it names files and trials)"),
        );
    }
    None
}

fn server(procedure: &Procedure) -> Option<Complaint> {
    let server = &procedure.server;
    if server.model.trim().is_empty() {
        return say("server.model", "must name a model");
    }
    if !(1..=1024).contains(&server.tensor_parallel_size) {
        return say("server.tensor_parallel_size", "must be between 1 and 1024 ranks");
    }
    if server.max_num_seqs == Some(0) {
        return say("server.max_num_seqs", "must be at least 1");
    }
    if server.max_model_len.is_some_and(|tokens| tokens < 2) {
        return say("server.max_model_len", "must be at least 2: one prompt token and one output token");
    }
    if let Some(bad) = server.env.keys().find(|key| key.is_empty() || key.contains(['=', '\0'])) {
        return say("server.env", format!("{bad:?} cannot be the name of an environment variable"));
    }
    server_args(&server.args).or_else(|| {
        let (key, value) = server.env.iter().find(|(_, value)| leaves_run(value))?;
        say("server.env", format!("{key}={value:?} leads out of the run directory"))
    })
}

/// Flags that the plan sets itself: another address would expose the server, another port or
/// directory would make it somebody else's.
fn server_args(args: &[String]) -> Option<Complaint> {
    const PLANS: [&str; 8] = [
        "--host",
        "--port",
        "--port-file",
        "--uds",
        "--model",
        "--served-model-name",
        "--profiler-config",
        "--api-key",
    ];
    for arg in args {
        if arg.contains('\0') {
            return say("server.args", format!("{arg:?} cannot be an argument"));
        }
        let flag = arg.split('=').next().unwrap_or_default();
        // `--profiler-config.torch_profiler_dir` and `--profiler_config` are the same flag to vLLM.
        let flag = flag.split('.').next().unwrap_or_default().replace('_', "-");
        if PLANS.contains(&flag.as_str()) {
            return say("server.args", format!("{flag} is set by the plan and cannot be given here"));
        }
        if leaves_run(arg) {
            return say("server.args", format!("{arg:?} leads out of the run directory"));
        }
    }
    None
}

/// A path below `{run}` that climbs out of it.
fn leaves_run(text: &str) -> bool {
    text.match_indices("{run}").any(|(at, run)| {
        let path = &text[at + run.len()..];
        let end = path.find(|c: char| c == '"' || c == ':' || c.is_whitespace()).unwrap_or(path.len());
        path[..end].split('/').any(|part| part == "..")
    })
}

fn load(procedure: &Procedure) -> Option<Complaint> {
    let load = &procedure.load;
    if procedure.profiler.kind == ProfilerKind::SpecificStep {
        return specific_step(procedure);
    }
    if let Some(step) = &procedure.profiler.step {
        return say("profiler.step", format!("{step} belongs to kind = \"specific_step\""));
    }
    if load.client == LoadClient::Script && load.bench.is_some() {
        return say("load.client", "\"script\" sends [[load.request]] only");
    }
    match (load.request.is_empty(), &load.bench) {
        (true, None) => {
            return say("load", "needs [[load.request]] or [load.bench]: a window without load has no steps");
        }
        (false, Some(_)) => {
            return say("load.bench", "cannot stand beside [[load.request]]: one load per window");
        }
        (true, Some(bench)) => {
            let (key, message) = bench_complaint(bench, procedure.server.max_model_len)?;
            return say(format!("load.bench.{key}"), message);
        }
        (false, None) => {}
    }
    if load.client == LoadClient::Vllm {
        return say("load.client", "\"vllm\" sends [load.bench] only");
    }
    if load.client == LoadClient::Script && procedure.profiler.kind != ProfilerKind::Torch {
        return say("load.client", "\"script\" calls start_profile and stop_profile: kind = \"torch\"");
    }
    load.request.iter().enumerate().find_map(|(index, request)| {
        let (key, message) = request_complaint(request, procedure.server.max_model_len)?;
        say(format!("load.request[{index}].{key}"), message)
    })
}

/// The plugin makes its own batch while it warms up; nothing is ever sent.
fn specific_step(procedure: &Procedure) -> Option<Complaint> {
    let load = &procedure.load;
    if !load.request.is_empty() || load.bench.is_some() {
        return say("load", "cannot stand beside kind = \"specific_step\": the server ends before it serves");
    }
    let Some(step) = procedure.profiler.step else {
        return say("profiler.step", "is needed by kind = \"specific_step\"");
    };
    if step.batch_size == 0 || step.size == 0 {
        return say("profiler.step", "batch_size and size must be at least 1");
    }
    // vllm-gaudi hpu_model_runner.py:5767-5769 asserts this after minutes of boot.
    let eager = procedure.server.args.iter().any(|arg| arg == "--enforce-eager");
    (eager == step.hpu_graph)
        .then(|| ("profiler.step.hpu_graph".to_owned(), "must be the opposite of --enforce-eager".to_owned()))
}

fn bench_complaint(bench: &Bench, longest: Option<u32>) -> Option<(&'static str, String)> {
    let positive = |value: f64| value > 0.0;
    let complaint = |wrong: bool, key: &'static str, message: &str| wrong.then(|| (key, message.to_owned()));
    // A ratio of 1 is translated to fixed lengths; any other spreads them upwards, too.
    let spread = if bench.random_range_ratio < 1.0 { 1.0 + bench.random_range_ratio } else { 1.0 };
    let longest_of = |tokens: u32| (f64::from(tokens) * spread).ceil() as u64;
    let tokens = longest_of(bench.random_input_len) + longest_of(bench.random_output_len);
    complaint(bench.num_prompts == 0, "num_prompts", "must be at least 1")
        .or_else(|| complaint(bench.random_input_len == 0, "random_input_len", "must be at least 1"))
        .or_else(|| complaint(bench.random_output_len == 0, "random_output_len", "must be at least 1"))
        .or_else(|| {
            let too_long = longest.is_some_and(|longest| tokens > u64::from(longest));
            complaint(too_long, "random_input_len", "with random_output_len it exceeds server.max_model_len")
        })
        .or_else(|| {
            let wrong = !(0.0..=1.0).contains(&bench.random_range_ratio);
            complaint(wrong, "random_range_ratio", "must be between 0 and 1")
        })
        .or_else(|| complaint(bench.max_concurrency == Some(0), "max_concurrency", "must be at least 1"))
        .or_else(|| complaint(!positive(bench.request_rate.0), "request_rate", "must be above 0, or \"inf\""))
        .or_else(|| complaint(!positive(bench.burstiness), "burstiness", "must be above 0"))
        .or_else(|| complaint(bench.vocab_size < 10, "vocab_size", "must be at least 10"))
        .or_else(|| {
            let wrong = !(0.0..=2.0).contains(&bench.temperature);
            complaint(wrong, "temperature", "must be between 0 and 2")
        })
        .or_else(|| {
            let wrong = bench.metric_percentiles.iter().any(|percent| !(0.0..=100.0).contains(percent));
            complaint(wrong, "metric_percentiles", "must be between 0 and 100")
        })
        .or_else(|| {
            let wrong = bench.ramp_up.is_some() && bench.request_rate.0.is_finite();
            complaint(wrong, "ramp_up", "sets the rate itself; leave request_rate out")
        })
        .or_else(|| {
            let wrong = bench.ramp_up.is_some_and(|ramp| ramp.start_rps == 0 || ramp.end_rps == 0);
            complaint(wrong, "ramp_up", "must go from and to at least 1 request per second")
        })
        .or_else(|| {
            let limits = [bench.goodput.ttft, bench.goodput.tpot, bench.goodput.e2el];
            let wrong = limits.into_iter().flatten().any(|limit| limit < 0.0);
            complaint(wrong, "goodput", "must not be below 0 milliseconds")
        })
}

fn request_complaint(request: &Request, longest: Option<u32>) -> Option<(&'static str, String)> {
    if request.prompt.is_empty() {
        return Some(("prompt", "must not be empty".to_owned()));
    }
    if request.max_tokens == 0 {
        return Some(("max_tokens", "must be at least 1".to_owned()));
    }
    if let Some(longest) = longest
        && request.max_tokens >= longest
    {
        let message = format!(
            "{} leaves no room for the prompt within server.max_model_len = {longest}",
            request.max_tokens
        );
        return Some(("max_tokens", message));
    }
    if !(0.0..=2.0).contains(&request.temperature) {
        return Some(("temperature", "must be between 0 and 2".to_owned()));
    }
    None
}

fn deadlines(procedure: &Procedure) -> Option<Complaint> {
    let deadlines = &procedure.deadlines;
    [
        ("prepare", deadlines.prepare),
        ("boot", deadlines.boot),
        ("request", deadlines.request),
        ("quiet", deadlines.quiet),
        ("stop", deadlines.stop),
        ("trace", deadlines.trace),
        ("shutdown", deadlines.shutdown),
    ]
    .into_iter()
    .find(|(_, span)| span.0.is_zero())
    .and_then(|(key, _)| say(format!("deadlines.{key}"), "must be longer than nothing"))
}

fn lanes(procedure: &Procedure) -> Option<Complaint> {
    procedure.lanes.is_empty().then(|| ("lanes".to_owned(), "must name at least one lane".to_owned()))
}

fn expect(procedure: &Procedure) -> Option<Complaint> {
    let error = sequence_pattern(&procedure.expect.sequence).err()?;
    say("expect.sequence", error)
}

fn gaps(procedure: &Procedure) -> Option<Complaint> {
    for (lane, pairs) in &procedure.gaps {
        for (pair, bound) in pairs {
            let key = format!("gaps.{lane}.{pair}");
            if bound.min.is_some_and(|min| min > bound.max) {
                return say(key, "min is larger than max");
            }
        }
    }
    None
}

/// The pattern of `expect.sequence`, anchored at both ends. Blanks are for reading only. A step whose
/// kind nothing proves (`U`) stands for any: evidence that only counts steps can contradict a number,
/// not a kind.
pub(crate) fn sequence_pattern(sequence: &str) -> Result<Regex, String> {
    let pattern: String = sequence.split_whitespace().collect();
    if pattern.is_empty() {
        return Err("must not be empty; write for example \"P D{6}\"".to_owned());
    }
    if let Some(odd) = pattern.chars().find(|c| c.is_alphabetic() && !"PDMU".contains(*c)) {
        return Err(format!("{odd:?} is no kind of step: P prompt, D decode, M mixed, U unclassified"));
    }
    let mut class = None;
    let mut expanded = String::new();
    for c in pattern.chars() {
        match (c, class) {
            ('P' | 'D' | 'M', None) => expanded += &format!("[{c}U]"),
            // What is not P may be U already.
            (']', Some(Class::Listed)) => expanded += "U]",
            _ => expanded.push(c),
        }
        class = match (c, class) {
            ('[', None) => Some(Class::Listed),
            ('^', Some(Class::Listed)) if expanded.ends_with("[^") => Some(Class::Excluded),
            (']', _) => None,
            _ => class,
        };
    }
    Regex::new(&format!("^(?:{expanded})$")).map_err(|error| format!("is no pattern: {error}"))
}

/// Letters in brackets: those that may stand there, or those that may not.
#[derive(Clone, Copy)]
enum Class {
    Listed,
    Excluded,
}
