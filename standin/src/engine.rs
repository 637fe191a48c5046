//! The engine: continuous batching on a virtual clock that real time follows. One task owns everything,
//! so start, steps and stop happen in one order, as in vLLM's engine core.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};

use super::error::ApiError;
use super::fault::Fault;
use super::latency::Latency;
use super::options::StandinOptions;
use super::profiler::Profiler;

/// One output token, or the last one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) last: bool,
}

/// A request as the scheduler sees it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) prompt_tokens: u64,
    pub(crate) max_tokens: u64,
    pub(crate) tokens: mpsc::UnboundedSender<Token>,
}

/// What the API asks of the engine.
pub(crate) enum Command {
    Submit(Request),
    Start(oneshot::Sender<Result<(), ApiError>>),
    Stop(oneshot::Sender<Result<(), ApiError>>),
}

/// One executed step, on the virtual clock in nanoseconds since boot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Executed {
    pub(crate) context_requests: u64,
    pub(crate) context_tokens: u64,
    pub(crate) generation_requests: u64,
    pub(crate) generation_tokens: u64,
    /// Number of the scheduled batch that it belongs to.
    pub(crate) batch: u64,
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Executed {
    /// The prompts of a batch and its decodes, one after the other.
    fn phases(self) -> [Self; 2] {
        [
            Self { generation_requests: 0, generation_tokens: 0, ..self },
            Self { context_requests: 0, context_tokens: 0, ..self },
        ]
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.context_requests + self.generation_requests == 0
    }
}

#[derive(Debug)]
struct Running {
    request: Request,
    prefilled: u64,
    generated: u64,
}

/// The wall and the virtual clock, in nanoseconds since boot.
#[derive(Debug)]
pub(crate) struct Clock {
    boot: Instant,
    /// Nanoseconds from the Unix epoch to boot.
    pub(crate) epoch: i64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { boot: Instant::now(), epoch: epoch.as_nanos() as i64 }
    }

    pub(crate) fn now(&self) -> i64 {
        self.boot.elapsed().as_nanos() as i64
    }

    async fn reach(&self, virtual_ns: i64) {
        let wait = virtual_ns - self.now();
        if wait > 0 {
            tokio::time::sleep(Duration::from_nanos(wait as u64)).await;
        }
    }
}

pub(crate) struct Engine {
    commands: mpsc::UnboundedReceiver<Command>,
    waiting: VecDeque<Request>,
    running: Vec<Running>,
    latency: Latency,
    clock: Clock,
    /// End of the last step.
    at: i64,
    profiler: Profiler,
    max_num_seqs: usize,
    token_budget: u64,
    long_gaps: bool,
    separates_phases: bool,
    /// Batches scheduled so far.
    batches: u64,
}

impl Engine {
    pub(crate) fn new(options: &StandinOptions, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        let clock = Clock::new();
        Self {
            commands,
            waiting: VecDeque::new(),
            running: Vec::new(),
            latency: Latency::new(options),
            profiler: Profiler::new(options, clock.epoch),
            clock,
            at: 0,
            max_num_seqs: options.max_num_seqs as usize,
            token_budget: u64::from(options.max_num_batched_tokens),
            long_gaps: options.fault == Some(Fault::LongGaps),
            separates_phases: options.dialect.separates_phases(),
            batches: 0,
        }
    }

    /// Runs until the API is gone.
    pub(crate) async fn run(mut self) {
        loop {
            let next = if self.waiting.is_empty() && self.running.is_empty() {
                self.commands.recv().await
            } else {
                match self.commands.try_recv() {
                    Ok(command) => Some(command),
                    Err(mpsc::error::TryRecvError::Empty) => {
                        self.step().await;
                        continue;
                    }
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                }
            };
            match next {
                None => return,
                Some(Command::Submit(request)) => self.submit(request),
                Some(Command::Start(reply)) => {
                    let _ = reply.send(self.profiler.start(self.clock.now()));
                }
                Some(Command::Stop(reply)) => {
                    let now = self.clock.now().max(self.at);
                    let stopped = self.profiler.stop(&self.clock, now).await;
                    let _ = reply.send(stopped);
                }
            }
        }
    }

    /// An idle engine starts at the time the request comes; a busy one goes on by its own clock, so
    /// that a slow machine stretches no gap.
    fn submit(&mut self, request: Request) {
        if self.waiting.is_empty() && self.running.is_empty() {
            self.at = self.at.max(self.clock.now());
        }
        self.waiting.push_back(request);
    }

    async fn step(&mut self) {
        let batch = self.schedule();
        self.batches += 1;
        let totals = Executed { batch: self.batches, ..batch.totals };
        if self.separates_phases {
            for phase in totals.phases().into_iter().filter(|phase| !phase.is_idle()) {
                self.execute(phase).await;
            }
        } else {
            self.execute(totals).await;
        }
        self.finish(&batch);
        if self.running.is_empty() && self.waiting.is_empty() {
            self.idle_step();
        }
    }

    async fn execute(&mut self, mut step: Executed) {
        step.start = self.at + self.latency.gap() * if self.long_gaps { 3 } else { 1 };
        step.end = step.start + self.latency.step(step.context_tokens, step.generation_requests);
        self.clock.reach(step.end).await;
        self.at = step.end;
        self.profiler.record(step, &self.clock);
    }

    /// Once the last request is done, vLLM 0.32 runs one more step over an empty batch.
    fn idle_step(&mut self) {
        let start = self.at + self.latency.gap();
        let end = start + 300_000;
        self.at = end;
        self.batches += 1;
        let idle = Executed { batch: self.batches, start, end, ..Batch::default().totals };
        self.profiler.record(idle, &self.clock);
    }

    /// Decodes first, then prompts in order of arrival within what is left of the token budget.
    fn schedule(&mut self) -> Batch {
        self.running.retain(|running| !running.request.tokens.is_closed());
        let mut budget = self.token_budget;
        let mut batch = Batch::default();
        for (place, running) in self.running.iter().enumerate() {
            let missing = running.request.prompt_tokens - running.prefilled;
            let tokens = missing.max(1).min(budget);
            if tokens == 0 {
                break;
            }
            budget -= tokens;
            batch.add(place, missing, tokens);
        }
        while budget > 0 && self.running.len() < self.max_num_seqs {
            let Some(request) = self.waiting.pop_front() else { break };
            let missing = request.prompt_tokens;
            let tokens = missing.min(budget);
            budget -= tokens;
            batch.add(self.running.len(), missing, tokens);
            self.running.push(Running { request, prefilled: 0, generated: 0 });
        }
        batch
    }

    /// Hands out the tokens of a finished step and drops finished requests.
    fn finish(&mut self, batch: &Batch) {
        for (place, tokens) in &batch.parts {
            let running = &mut self.running[*place];
            if running.prefilled < running.request.prompt_tokens {
                running.prefilled += tokens;
                if running.prefilled < running.request.prompt_tokens {
                    continue;
                }
            }
            running.generated += 1;
            let last = running.generated >= running.request.max_tokens;
            // A client that hung up is dropped when the next step is scheduled.
            let _ = running.request.tokens.send(Token { last });
        }
        self.running.retain(|running| running.generated < running.request.max_tokens);
    }
}

#[derive(Debug)]
struct Batch {
    /// Place in `running` and tokens scheduled.
    parts: Vec<(usize, u64)>,
    totals: Executed,
}

impl Default for Batch {
    fn default() -> Self {
        let totals = Executed {
            context_requests: 0,
            context_tokens: 0,
            generation_requests: 0,
            generation_tokens: 0,
            batch: 0,
            start: 0,
            end: 0,
        };
        Self { parts: Vec::new(), totals }
    }
}

impl Batch {
    fn add(&mut self, place: usize, missing: u64, tokens: u64) {
        self.parts.push((place, tokens));
        if missing > 0 {
            self.totals.context_requests += 1;
            self.totals.context_tokens += tokens;
        } else {
            self.totals.generation_requests += 1;
            self.totals.generation_tokens += tokens;
        }
    }
}
