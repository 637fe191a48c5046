//! The window protocol: one start, the load, quiet, one stop. After any failure inside it the stop is
//! still sent, once: a profiler left running fills memory and disk until the server ends.

use std::time::Duration;

use super::error::RunError;
use super::execute::Run;
use super::record::Phase;
use super::waiting::{Waiting, alive, still_alive};
use crate::client::bench::{BenchMetrics, RandomDataset, drive, result_json, table};
use crate::client::{Client, ClientError, real};
use crate::plan::BenchCommand;
use crate::procedure::{Bench, PromptForm, Span};
use crate::server::{Instance, ServerError};
use crate::time::Nanos;
use crate::wait::{Look, Unmet, Wait, until};

/// Longest time between two looks for quiet.
const POLL: Duration = Duration::from_millis(50);
/// Stop of an interrupted run: somebody waits for the end, and a runner kills after its grace.
const INTERRUPTED_STOP: Duration = Duration::from_secs(10);

impl Run<'_> {
    pub(super) async fn window(&mut self, instance: &mut Instance, client: &Client) -> Result<(), RunError> {
        self.warm_up(instance, client).await?;
        self.enter(Phase::Start)?;
        let limit = self.plan.deadlines.request;
        self.record.window.starts += 1;
        self.stop_due = true;
        let start = client.start_profile(limit);
        let waiting = self.waiting("while the window was opened", Phase::Start, limit);
        if let Err(error) = alive(instance, client, &waiting, start).await {
            self.stop_due = may_be_open(&error);
            return Err(error);
        }
        self.load(instance, client).await?;
        self.quiet(instance, client).await?;
        self.enter(Phase::Stop)?;
        self.stop(instance, client, self.plan.deadlines.stop).await
    }

    pub(super) fn waiting(&self, during: &'static str, phase: Phase, limit: Span) -> Waiting<'_> {
        Waiting { during, phase, limit, tell: self.tell }
    }

    /// Sends the one stop.
    async fn stop(&mut self, instance: &mut Instance, client: &Client, limit: Span) -> Result<(), RunError> {
        // Before it is sent: a stop that was cut off may have arrived, and a second one crashes
        // servers up to 0.24 (vllm#51676).
        self.stop_due = false;
        self.record.window.stops += 1;
        self.save()?;
        let waiting = self.waiting("while the window was closed", Phase::Stop, limit);
        alive(instance, client, &waiting, client.stop_profile(limit)).await
    }

    /// After a failure inside the window: waits for quiet and sends the stop that is due. How that
    /// went is in `run.json`; what is reported is the failure.
    pub(super) async fn stop_late(&mut self, instance: &mut Instance, cause: &RunError) {
        if !self.stop_due || instance.check_alive("").is_err() {
            return;
        }
        let interrupted = matches!(cause, RunError::Server(ServerError::Interrupted));
        let client = Client::new(instance);
        let mut limit = self.plan.deadlines.stop;
        if interrupted {
            limit = Span(limit.0.min(INTERRUPTED_STOP));
        } else if !matches!(cause, RunError::NotQuiet { .. }) {
            // Not quiet is no reason to leave the profiler running.
            let _ = self.quiet(instance, &client).await;
        }
        // The disk may be full, which is why the window failed.
        let _ = self.enter(Phase::Stop);
        let stopped = self.stop(instance, &client, limit).await;
        self.record.window.late_stop = Some(match stopped {
            Ok(()) => "accepted".to_owned(),
            Err(error) => crate::text::inert(error.to_string().lines().next().unwrap_or_default(), 300),
        });
    }

    /// Waits until the server runs nothing: a stop with requests in flight crashes workers
    /// (catalogue row 13).
    pub(super) async fn quiet(&mut self, instance: &mut Instance, client: &Client) -> Result<(), RunError> {
        self.enter(Phase::Quiet)?;
        let (limit, tell) = (self.plan.deadlines.quiet, self.tell);
        let quiet = until(
            Wait::of(limit.0, POLL),
            |status| tell(Phase::Quiet, status),
            async || {
                let Some(status) = client.busy().await else { return Ok(Look::Done(())) };
                instance.check_alive("while its last requests ended").map(|()| Look::NotYet(status))
            },
        );
        match quiet.await {
            Ok(()) => Ok(()),
            Err(Unmet::Failed(ended)) => Err(ended.into()),
            Err(Unmet::Overdue(status)) => {
                Err(RunError::NotQuiet { waited: limit, status, log: instance.log_tail() })
            }
        }
    }

    /// A worker may die in the stop while its front end answers 200 (catalogue row 13).
    pub(super) async fn check_health(
        &mut self,
        instance: &mut Instance,
        client: &Client,
    ) -> Result<(), RunError> {
        instance.check_alive("after the window was closed")?;
        match client.health().await {
            Ok(200) => Ok(()),
            Ok(status) => Err(RunError::Unhealthy {
                seen: format!("/health answers {status}"),
                log: instance.log_tail(),
            }),
            Err(seen) => {
                still_alive(instance, "after the window was closed").await?;
                Err(RunError::Unhealthy { seen, log: instance.log_tail() })
            }
        }
    }

    /// `--num-warmups`: copies of the first request, before the window and in no ledger.
    async fn warm_up(&mut self, instance: &mut Instance, client: &Client) -> Result<(), RunError> {
        let Some(bench) = self.plan.bench.as_ref().filter(|bench| bench.num_warmups > 0) else {
            return Ok(());
        };
        self.enter(Phase::WarmUp)?;
        let dataset = RandomDataset::draw(bench, 0);
        let copies = vec![dataset.prompts[0].clone(); bench.num_warmups as usize];
        let warm = Bench { num_prompts: bench.num_warmups, ..bench.clone() };
        let (model, limit) = (&self.plan.served_model, self.plan.deadlines.request);
        let driving = async { Ok::<_, ClientError>(drive(client, model, &warm, &copies, limit).await) };
        let waiting = self.waiting("while it was warmed up", Phase::WarmUp, limit);
        let driven = alive(instance, client, &waiting, driving).await?;
        match driven.answers.iter().find_map(|answer| answer.error.clone()) {
            None => Ok(()),
            Some(first) => {
                still_alive(instance, waiting.during).await?;
                let failed = driven.answers.iter().filter(|answer| !answer.succeeded()).count();
                let error = ClientError::Requests { failed, total: copies.len(), first };
                Err(RunError::client(error, client, instance).await)
            }
        }
    }

    /// The load without a window: the profiler records from boot. A thread of the Gaudi plugin writes
    /// its events once a second and dies with the server, so the last ones are waited for.
    pub(super) async fn load_from_boot(
        &mut self,
        instance: &mut Instance,
        client: &Client,
    ) -> Result<(), RunError> {
        self.warm_up(instance, client).await?;
        let begun = Nanos::now();
        self.load(instance, client).await?;
        self.quiet(instance, client).await?;
        self.events_of_the_load(instance, begun).await
    }

    async fn load(&mut self, instance: &mut Instance, client: &Client) -> Result<(), RunError> {
        self.enter(Phase::Load)?;
        if let Some(bench) = &self.plan.bench {
            return self.bench(instance, client, bench).await;
        }
        let limit = self.plan.deadlines.request;
        for (index, request) in self.plan.requests.iter().enumerate() {
            (self.tell)(Phase::Load, &format!("request {} of {}", index + 1, self.plan.requests.len()));
            let answer = client.complete(index, &self.plan.served_model, request, limit);
            let waiting = self.waiting("while a request was served", Phase::Load, limit);
            let served = alive(instance, client, &waiting, answer).await?;
            self.directory.append_served(&served)?;
        }
        Ok(())
    }

    /// The workload of `vllm bench serve`, sent natively.
    async fn bench(&self, instance: &mut Instance, client: &Client, bench: &Bench) -> Result<(), RunError> {
        let (model, limit) = (&self.plan.served_model, self.plan.deadlines.request);
        let dataset = match bench.prompts {
            PromptForm::Ids => RandomDataset::draw(bench, 0),
            PromptForm::Text => client.text_dataset(model, bench, limit).await?,
        };
        (self.tell)(Phase::Load, &format!("{} requests", dataset.prompts.len()));
        let driving =
            async { Ok::<_, ClientError>(drive(client, model, bench, &dataset.prompts, limit).await) };
        let waiting = self.waiting("while requests were served", Phase::Load, limit);
        let driven = alive(instance, client, &waiting, driving).await?;
        for (index, answer) in driven.answers.iter().enumerate().filter(|(_, answer)| answer.succeeded()) {
            self.directory.append_served(&answer.served(index, driven.begun))?;
        }
        let metrics = BenchMetrics::of(bench, &driven.answers, driven.duration);
        self.directory.write_json("bench.json", &result_json(bench, model, &metrics, &driven))?;
        self.directory.write_text("bench.txt", &table(bench, &metrics))?;
        let first = driven.answers.iter().find_map(|answer| answer.error.clone());
        match first {
            None => Ok(()),
            Some(first) => {
                // Connections of a server that has died break one by one; its end is the cause.
                still_alive(instance, waiting.during).await?;
                let error =
                    ClientError::Requests { failed: metrics.failed, total: driven.answers.len(), first };
                Err(RunError::client(error, client, instance).await)
            }
        }
    }

    /// `vllm bench serve --profile`: it opens and closes the window itself.
    pub(super) async fn real_client(
        &mut self,
        instance: &mut Instance,
        client: &Client,
        bench: &BenchCommand,
    ) -> Result<(), RunError> {
        self.enter(Phase::Load)?;
        let deadlines = self.plan.deadlines;
        let root = self.directory.path();
        let limit = Span(deadlines.request.0 + deadlines.stop.0);
        let call = real::BenchRun {
            command: bench.command.filled(root, instance.port()),
            reports_profiler: bench.reports_profiler,
            run: root,
            log: &root.join("client.log"),
            results: &root.join("bench.json"),
            limit,
        };
        // Set while it runs: an interrupted client leaves the window as it is.
        self.stop_due = true;
        let running = real::run(&call);
        let waiting = self.waiting("while vllm bench serve ran", Phase::Load, limit);
        let ran = alive(instance, client, &waiting, running).await;
        self.stop_due = ran.is_err() && real::left_window_open(call.log);
        for served in &ran?.requests {
            self.directory.append_served(served)?;
        }
        Ok(())
    }
}

/// After a refused start the window is shut only where the refusal says so: a front end that fails
/// answers 500 while the worker records (catalogue row 22), and a start that was cut off may still
/// take effect.
fn may_be_open(error: &RunError) -> bool {
    match error {
        // 404: there is no profiler. 409: the window that is open is somebody else's.
        RunError::Client(call) => !matches!(call.error, ClientError::Refused { status: 404 | 409, .. }),
        _ => false,
    }
}
