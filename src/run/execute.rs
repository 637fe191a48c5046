//! The run itself: prepare, boot, start, load, stop, wait for traces, shut down. In that order, once.

use std::path::Path;
use std::process::Stdio;

use super::directory::RunDirectory;
use super::error::RunError;
use super::record::{Phase, PhaseTime, RunRecord, RunState};
use super::traces;
use crate::client::bench::{BenchMetrics, RandomDataset, drive, result_json, table};
use crate::client::{Client, ClientError, real};
use crate::plan::{BenchCommand, Plan};
use crate::procedure::{Bench, PromptForm, Span};
use crate::server::interrupt::{Active, interrupted};
use crate::server::{Instance, ServerError, Starter, process};
use crate::standin::Fault;
use crate::time::Nanos;

/// Runs a plan and leaves everything in the run directory. No server process survives, whatever
/// happens. `tell` hears each phase and the last status of what is waited for.
///
/// # Errors
/// Any infrastructure error; it is in `run.json`, too.
pub fn execute(
    plan: &Plan,
    directory: &RunDirectory,
    fault: Option<Fault>,
    tell: &dyn Fn(Phase, &str),
) -> Result<RunRecord, RunError> {
    crate::server::prepare_process();
    let _active = Active::begin();
    // One thread, and this one: the server ends when the thread that started it ends.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::directory(directory.path(), error))?;
    directory.write_plan(plan)?;
    let mut run = Run { plan, directory, tell, record: RunRecord::begun() };
    run.record.fault = fault;
    run.save()?;
    let outcome = runtime.block_on(run.whole());
    run.close_phase();
    run.record.state = if outcome.is_ok() { RunState::Complete } else { RunState::Error };
    run.record.error = outcome.as_ref().err().map(ToString::to_string);
    run.save()?;
    outcome.map(|()| run.record)
}

struct Run<'a> {
    plan: &'a Plan,
    directory: &'a RunDirectory,
    tell: &'a dyn Fn(Phase, &str),
    record: RunRecord,
}

impl Run<'_> {
    async fn whole(&mut self) -> Result<(), RunError> {
        self.enter(Phase::Prepare)?;
        self.prepare().await?;
        self.enter(Phase::Boot)?;
        let mut instance = self.boot().await?;
        self.record.server = Some(instance.command().clone());
        let profiled = tokio::select! {
            profiled = self.profile(&mut instance) => profiled,
            () = interrupted() => Err(ServerError::Interrupted.into()),
        };
        // Entered whatever came before; its own write error must not keep the server alive.
        let entered = self.enter(Phase::Shutdown);
        self.record.shutdown = Some(instance.shutdown(self.plan.deadlines.shutdown).await);
        profiled.and(entered)
    }

    /// The part that needs a living server: when it ends early, that is the cause to report.
    async fn profile(&mut self, instance: &mut Instance) -> Result<(), RunError> {
        match &self.plan.bench_command {
            Some(bench) => self.real_client(instance, bench).await?,
            None => self.window(instance).await?,
        }
        self.enter(Phase::Trace)?;
        let tell = self.tell;
        let limit = self.plan.deadlines.trace;
        traces::wait(&self.directory.traces(), &self.plan.expected, limit, &|status| {
            tell(Phase::Trace, status)
        })
        .await?;
        instance.check_alive("after the window was closed")?;
        Ok(())
    }

    async fn window(&mut self, instance: &mut Instance) -> Result<(), RunError> {
        let client = Client::new(instance);
        self.warm_up(instance, &client).await?;
        self.enter(Phase::Start)?;
        let deadlines = self.plan.deadlines;
        alive(instance, "while the window was opened", client.start_profile(deadlines.request)).await?;
        let loaded = self.load(instance, &client).await;
        self.enter(Phase::Stop)?;
        // Also after a failed load: an open window holds the profiler, and what was recorded is evidence.
        let stopped =
            alive(instance, "while the window was closed", client.stop_profile(deadlines.stop)).await;
        loaded?;
        stopped?;
        Ok(())
    }

    /// `--num-warmups`: copies of the first request, before the window and in no ledger.
    async fn warm_up(&mut self, instance: &mut Instance, client: &Client) -> Result<(), RunError> {
        let Some(bench) = self.plan.bench.as_ref().filter(|bench| bench.num_warmups > 0) else {
            return Ok(());
        };
        let dataset = RandomDataset::draw(bench, 0);
        let copies = vec![dataset.prompts[0].clone(); bench.num_warmups as usize];
        let warm = Bench { num_prompts: bench.num_warmups, ..bench.clone() };
        let (model, limit) = (&self.plan.served_model, self.plan.deadlines.request);
        let driving = async { Ok::<_, RunError>(drive(client, model, &warm, &copies, limit).await) };
        let driven = alive(instance, "while it was warmed up", driving).await?;
        match driven.answers.iter().find_map(|answer| answer.error.clone()) {
            None => Ok(()),
            Some(first) => {
                let failed = driven.answers.iter().filter(|answer| !answer.succeeded()).count();
                Err(ClientError::Requests { failed, total: copies.len(), first }.into())
            }
        }
    }

    async fn load(&mut self, instance: &mut Instance, client: &Client) -> Result<(), RunError> {
        self.enter(Phase::Load)?;
        if let Some(bench) = &self.plan.bench {
            return self.bench(instance, client, bench).await;
        }
        for (index, request) in self.plan.requests.iter().enumerate() {
            (self.tell)(Phase::Load, &format!("request {} of {}", index + 1, self.plan.requests.len()));
            let answer =
                client.complete(index, &self.plan.served_model, request, self.plan.deadlines.request);
            let served = alive(instance, "while a request was served", answer).await?;
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
        let driving = async { Ok::<_, RunError>(drive(client, model, bench, &dataset.prompts, limit).await) };
        let driven = alive(instance, "while requests were served", driving).await?;
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
                Err(ClientError::Requests { failed: metrics.failed, total: driven.answers.len(), first }
                    .into())
            }
        }
    }

    /// `vllm bench serve --profile`: it opens and closes the window itself.
    async fn real_client(&mut self, instance: &mut Instance, bench: &BenchCommand) -> Result<(), RunError> {
        self.enter(Phase::Load)?;
        let deadlines = self.plan.deadlines;
        let command = bench.command.filled(self.directory.path(), instance.port());
        let limit = Span(deadlines.request.0 + deadlines.stop.0);
        let (log, results) =
            (self.directory.path().join("client.log"), self.directory.path().join("bench.json"));
        let running = real::run(&command, bench.reports_profiler, &log, &results, limit);
        let ledger = alive(instance, "while vllm bench serve ran", running).await?;
        for served in &ledger.requests {
            self.directory.append_served(served)?;
        }
        Ok(())
    }

    async fn prepare(&self) -> Result<(), RunError> {
        for command in &self.plan.prepare {
            let filled = command.filled(self.directory.path(), None);
            let failed = |status: String, output: String| ServerError::Prepare {
                command: filled.to_string(),
                status,
                output: crate::text::inert(&output, 2_000),
            };
            let output =
                process(&filled)?.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(
                    |error| failed(error.to_string(), "is it installed and on your PATH?".to_owned()),
                )?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                return Err(failed(output.status.to_string(), text).into());
            }
        }
        Ok(())
    }

    async fn boot(&mut self) -> Result<Instance, RunError> {
        let starter = Starter {
            command: self.plan.server.clone(),
            run: self.directory.path().to_owned(),
            port: self.plan.port,
            deadline: self.plan.deadlines.boot,
            served_model: self.plan.served_model.clone(),
        };
        let tell = self.tell;
        starter.start(&|status| tell(Phase::Boot, status)).await.map_err(|not| {
            if let Some((command, shutdown)) = not.ran {
                self.record.server = Some(command);
                self.record.shutdown = Some(shutdown);
            }
            not.error.into()
        })
    }

    fn enter(&mut self, phase: Phase) -> Result<(), RunError> {
        self.close_phase();
        (self.tell)(phase, "");
        self.record.phases.push(PhaseTime { phase, start_ns: Nanos::now(), end_ns: None });
        self.save()
    }

    fn close_phase(&mut self) {
        if let Some(last) = self.record.phases.last_mut() {
            last.end_ns.get_or_insert_with(Nanos::now);
        }
    }

    fn save(&self) -> Result<(), RunError> {
        self.directory.write_json("run.json", &self.record)
    }
}

/// Waits for an answer while the server lives. A dead server closes the connection a moment before
/// its exit status is known, so a failed answer is held against the server first.
async fn alive<T, E: Into<RunError>>(
    instance: &mut Instance,
    during: &'static str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, RunError> {
    tokio::select! {
        biased;
        answer = answer => match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                instance.check_alive(during)?;
                Err(error.into())
            }
        },
        ended = instance.ended(during) => Err(ended.into()),
    }
}

/// The directory under which runs are kept when none is named.
pub(crate) fn default_parent() -> &'static Path {
    Path::new("target/tracegate")
}
