//! The workload of `vllm bench serve` in the plan: translated flags, and the command where the real client sends it.

use pep440_rs::Version;

use super::build::{Builder, PlanError};
use super::model::{BenchCommand, Command, PORT, RUN};
use super::rules::{Fact, find};
use crate::procedure::{Bench, LoadClient, Metric, PromptForm, RampUpStrategy};

impl Builder<'_> {
    /// The workload with everything translated that means something else today.
    pub(super) fn bench(&mut self) -> Option<Bench> {
        let mut bench = self.procedure.load.bench.clone()?;
        if bench.random_range_ratio >= 1.0
            && let Some(rule) = self.vllm_rule(|fact| fact == Fact::RangeRatioSpreads)
        {
            bench.random_range_ratio = 0.0;
            self.adapt("--random-range-ratio 1.0", "--random-range-ratio 0.0", rule.reason, rule.source);
        }
        self.adapt(
            "no --temperature",
            format!("temperature {} in every request", bench.temperature),
            "the client sent 0 until 0.13 and leaves it to the server since 0.16, which changes the traced operators",
            "measured on 0.32.0: greedy_argmax against fused_gumbel_argmax",
        );
        if self.procedure.load.client == LoadClient::Vllm {
            return Some(bench);
        }
        self.adapt(
            "vllm bench serve --profile",
            "tracegate's own client sends the same workload",
            "it takes a minute to start, exits 0 when profiling failed, and prints its table inside the window",
            "measured on 0.32.0",
        );
        if bench.prompts == PromptForm::Ids {
            self.adapt(
                "prompts as text",
                "prompts as token ids",
                "text is tokenised again by the server and changes length: 514 instead of 512 tokens were measured",
                "measured on 0.32.0",
            );
        }
        for package in &self
            .procedure
            .load
            .bench
            .iter()
            .flat_map(|bench| bench.python_packages.clone())
            .collect::<Vec<_>>()
        {
            let reason = "the native client needs no Python";
            self.adapt(format!("pip install {package}"), "left out", reason, "design");
        }
        Some(bench)
    }

    /// `vllm bench serve --profile`.
    pub(super) fn real_client(&mut self, bench: &Bench) -> Result<BenchCommand, PlanError> {
        let Some(client) = &self.site.bench else {
            return Err(PlanError::NoRealClient { lane: self.site.lane });
        };
        let mut argv = [&client.program.display().to_string(), "bench", "serve"].map(str::to_owned).to_vec();
        argv.extend(["--host", "127.0.0.1", "--port", PORT, "--profile"].map(str::to_owned));
        let mut flag = |name: &str, value: String| argv.extend([format!("--{name}"), value]);
        flag("backend", bench.backend.clone());
        flag("model", self.procedure.server.model.clone());
        if let Some(tokenizer) = &client.tokenizer {
            flag("tokenizer", tokenizer.display().to_string());
        }
        flag("dataset-name", "random".to_owned());
        flag("random-input-len", bench.random_input_len.to_string());
        flag("random-output-len", bench.random_output_len.to_string());
        flag("random-range-ratio", bench.random_range_ratio.to_string());
        flag("request-rate", bench.request_rate.to_string());
        flag("burstiness", bench.burstiness.to_string());
        flag("num-prompts", bench.num_prompts.to_string());
        flag("seed", bench.seed.to_string());
        flag("temperature", bench.temperature.to_string());
        if let Some(limit) = bench.max_concurrency {
            flag("max-concurrency", limit.to_string());
        }
        if let Some(ramp) = bench.ramp_up {
            let linear = ramp.strategy == RampUpStrategy::Linear;
            flag("ramp-up-strategy", if linear { "linear" } else { "exponential" }.to_owned());
            flag("ramp-up-start-rps", ramp.start_rps.to_string());
            flag("ramp-up-end-rps", ramp.end_rps.to_string());
        }
        if bench.num_warmups > 0 {
            flag("num-warmups", bench.num_warmups.to_string());
        }
        flag("percentile-metrics", names(&bench.percentile_metrics).join(","));
        let percentiles: Vec<String> = bench.metric_percentiles.iter().map(ToString::to_string).collect();
        flag("metric-percentiles", percentiles.join(","));
        flag("result-dir", RUN.to_owned());
        flag("result-filename", "bench.json".to_owned());
        let switches = ["--save-result", "--save-detailed", "--disable-tqdm"];
        argv.extend(switches.map(str::to_owned));
        let limits =
            [("ttft", bench.goodput.ttft), ("tpot", bench.goodput.tpot), ("e2el", bench.goodput.e2el)];
        let limits: Vec<String> =
            limits.iter().filter_map(|(name, limit)| limit.map(|limit| format!("{name}:{limit}"))).collect();
        if !limits.is_empty() {
            argv.push("--goodput".to_owned());
            argv.extend(limits);
        }
        if bench.ignore_eos {
            argv.push("--ignore-eos".to_owned());
        }
        let version: Option<Version> = client.version.parse().ok();
        let reports_profiler =
            find("vllm", version.as_ref(), |fact| fact == Fact::BenchReportsProfiler).is_some();
        Ok(BenchCommand { command: Command { argv, env: client.env.clone() }, reports_profiler })
    }
}

fn names(metrics: &[Metric]) -> Vec<String> {
    let name = |metric: &Metric| serde_json::to_value(metric).ok()?.as_str().map(str::to_owned);
    metrics.iter().filter_map(name).collect()
}
