//! The results JSON and the printed table of `vllm bench serve`, field by field, for whoever reads those.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::drive::{Answer, Driven};
use super::metrics::BenchMetrics;
use crate::procedure::{Bench, Metric};

/// The file that `--save-result --save-detailed` writes, as of vLLM 0.32.
pub(crate) fn result_json(bench: &Bench, model: &str, metrics: &BenchMetrics, driven: &Driven) -> Value {
    let answers = &driven.answers;
    let mut result = Map::new();
    let mut put = |key: &str, value: Value| result.insert(key.to_owned(), value);
    put("date", json!(date()));
    put("endpoint_type", json!(bench.backend));
    put("backend", json!(bench.backend));
    put("label", Value::Null);
    put("model_id", json!(model));
    put("tokenizer_id", json!(model));
    put("num_prompts", json!(bench.num_prompts));
    put("request_rate", number_or_inf(bench.request_rate.0));
    put("burstiness", number_or_inf(bench.burstiness));
    put("max_concurrency", json!(bench.max_concurrency));
    if let Some(ramp) = bench.ramp_up {
        put("ramp_up_strategy", json!(ramp.strategy));
        put("ramp_up_start_rps", json!(ramp.start_rps));
        put("ramp_up_end_rps", json!(ramp.end_rps));
        let event = |(rps, at): &(u32, SystemTime)| json!({"rps": rps, "timestamp": timestamp(*at)});
        put("rps_change_events", driven.rate_changes.iter().map(event).collect());
    }
    put("duration", json!(metrics.duration));
    put("completed", json!(metrics.completed));
    put("failed", json!(metrics.failed));
    put("total_input_tokens", json!(metrics.total_input_tokens));
    put("total_output_tokens", json!(metrics.total_output_tokens));
    put("request_throughput", json!(metrics.request_throughput()));
    put("request_goodput", json!(metrics.request_goodput));
    put("output_throughput", json!(metrics.output_throughput()));
    put("total_token_throughput", json!(metrics.total_token_throughput()));
    put("max_output_tokens_per_s", json!(metrics.max_output_tokens_per_s));
    put("max_concurrent_requests", json!(metrics.max_concurrent_requests));
    put("rtfx", json!(0.0));
    let each = |value: &dyn Fn(&Answer) -> Value| Value::from(answers.iter().map(value).collect::<Vec<_>>());
    put("input_lens", each(&|answer| json!(answer.prompt_tokens)));
    put("output_lens", each(&|answer| json!(if answer.succeeded() { answer.output_tokens } else { 0 })));
    put("ttfts", each(&|answer| json!(answer.ttft())));
    put("itls", each(&|answer| json!(answer.itls().collect::<Vec<_>>())));
    put("latencies", each(&|answer| json!(answer.latency())));
    put("start_times", each(&|answer| json!(answer.start)));
    put("queue_times", each(&|answer| json!(answer.start - answer.arrival)));
    put("generated_texts", each(&|_| json!("")));
    put("errors", each(&|answer| json!(answer.error.clone().unwrap_or_default())));
    for (metric, spread) in &metrics.latencies {
        let name = key(*metric);
        put(&format!("mean_{name}_ms"), json!(spread.mean_ms));
        put(&format!("median_{name}_ms"), json!(spread.median_ms));
        put(&format!("std_{name}_ms"), json!(spread.std_ms));
        for (percent, value) in &spread.percentiles_ms {
            put(&format!("p{percent}_{name}_ms"), json!(value));
        }
    }
    Value::Object(result)
}

/// The table that vLLM prints, 50 columns wide.
pub(crate) fn table(bench: &Bench, metrics: &BenchMetrics) -> String {
    let mut text = title("Serving Benchmark Result", '=');
    let mut row = |label: &str, value: String| text += &format!("{label:<40} {value:<10}\n");
    row("Successful requests:", metrics.completed.to_string());
    row("Failed requests:", metrics.failed.to_string());
    if let Some(limit) = bench.max_concurrency {
        row("Maximum request concurrency:", limit.to_string());
    }
    if bench.request_rate.0.is_finite() {
        row("Request rate configured (RPS):", format!("{:.2}", bench.request_rate.0));
    }
    row("Benchmark duration (s):", format!("{:.2}", metrics.duration));
    row("Total input tokens:", metrics.total_input_tokens.to_string());
    row("Total generated tokens:", metrics.total_output_tokens.to_string());
    row("Request throughput (req/s):", format!("{:.2}", metrics.request_throughput()));
    if let Some(goodput) = metrics.request_goodput {
        row("Request goodput (req/s):", format!("{goodput:.2}"));
    }
    row("Output token throughput (tok/s):", format!("{:.2}", metrics.output_throughput()));
    row("Peak output token throughput (tok/s):", format!("{:.2}", metrics.max_output_tokens_per_s));
    row("Peak concurrent requests:", format!("{:.2}", metrics.max_concurrent_requests as f64));
    row("Total token throughput (tok/s):", format!("{:.2}", metrics.total_token_throughput()));
    for (metric, spread) in &metrics.latencies {
        let (name, heading) = names(*metric);
        text += &title(heading, '-');
        let mut row = |label: String, value: f64| text += &format!("{label:<40} {value:<10.2}\n");
        row(format!("Mean {name} (ms):"), spread.mean_ms);
        row(format!("Median {name} (ms):"), spread.median_ms);
        for (percent, value) in &spread.percentiles_ms {
            row(format!("P{percent} {name} (ms):"), *value);
        }
    }
    text + &"=".repeat(50) + "\n"
}

/// Centred as Python's `^` centres: the odd column goes to the right.
fn title(text: &str, fill: char) -> String {
    let text = if fill == '=' { format!(" {text} ") } else { text.to_owned() };
    let free = 50usize.saturating_sub(text.chars().count());
    let fill = |count: usize| fill.to_string().repeat(count);
    format!("{}{text}{}\n", fill(free / 2), fill(free - free / 2))
}

fn key(metric: Metric) -> &'static str {
    match metric {
        Metric::Ttft => "ttft",
        Metric::Tpot => "tpot",
        Metric::Itl => "itl",
        Metric::E2el => "e2el",
        Metric::ClientQueueTime => "client_queue_time",
        Metric::E2elIncludingClientQueue => "e2el_including_client_queue",
    }
}

fn names(metric: Metric) -> (&'static str, &'static str) {
    match metric {
        Metric::Ttft => ("TTFT", "Time to First Token"),
        Metric::Tpot => ("TPOT", "Time per Output Token (excl. 1st token)"),
        Metric::Itl => ("ITL", "Inter-token Latency"),
        Metric::E2el => ("E2EL", "End-to-end Latency"),
        Metric::ClientQueueTime => ("Client Queue Time", "Client-side Queueing"),
        Metric::E2elIncludingClientQueue => ("E2EL incl. Client Queue", "Queue-inclusive End-to-end Latency"),
    }
}

/// JSON has no infinity; vLLM writes the word for the rate.
fn number_or_inf(value: f64) -> Value {
    if value.is_infinite() { json!("inf") } else { json!(value) }
}

/// As Python's `datetime.isoformat` writes a time without a zone; in UTC.
fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_micros(at).to_string().trim_end_matches('Z').to_owned()
}

/// `YYYYmmdd-HHMMSS`, in UTC.
fn date() -> String {
    let text = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    text.replace(['-', ':', 'Z'], "").replace('T', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_centred_as_vllm_centres_them() {
        assert_eq!(
            title("Serving Benchmark Result", '='),
            "============ Serving Benchmark Result ============\n"
        );
        assert_eq!(title("Time to First Token", '-'), "---------------Time to First Token----------------\n");
    }

    #[test]
    fn the_date_has_vllms_form() {
        let date = date();
        assert_eq!(date.len(), 15, "{date}");
        assert_eq!(date.as_bytes()[8], b'-', "{date}");
        assert!(date.bytes().filter(u8::is_ascii_digit).count() == 14, "{date}");
    }
}
