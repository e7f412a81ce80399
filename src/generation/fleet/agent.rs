//! The worker's side: takes jobs, has them computed by an engine of its own, answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use redis::{RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle, task::TaskTracker};

use super::{
    FleetError,
    claims::{Claim, Claims, Place},
    line::{Line, Redis, longer, within},
    post::Streams,
    rules::{self, Rhythm},
    scripts::{Keys, Script, WITHDRAWN},
};
use crate::{
    config::Secret,
    generation::{
        GenerationError, Output,
        client::WorkerClient,
        launcher::{LaunchOptions, Launcher},
    },
    wire::{
        fleet::{Card, Request, Says},
        worker::Generate,
    },
};

/// Between two signs of life that the engine is asked for.
pub(super) const PING: Duration = Duration::from_secs(1);

/// How long what this worker is told is waited for in one command.
const WAIT: Duration = Duration::from_secs(1);

/// Between two looks for consumers that are gone, and how long one must be silent.
const TIDY: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(3600));

/// Time that giving back takes at most when the worker leaves.
const FAREWELL: Duration = Duration::from_secs(2);

/// A worker of a fleet.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    pub url: Secret,
    /// What all names of keys begin with.
    pub prefix: String,
    /// How long a claim holds that is not renewed.
    pub lease: Duration,
    /// How long jobs in hand may go on when the worker is told to leave.
    pub drain: Duration,
    /// The engine's process.
    pub engine: LaunchOptions,
}

/// Works until SIGTERM or SIGINT, then finishes what it has in hand as far as there is time
/// and gives the rest back.
///
/// # Errors
/// When the URL is none of Redis' or the engine's process can never be started. That Redis is
/// away is no error: it may come.
pub fn run(options: AgentOptions) -> Result<(), FleetError> {
    // The cores belong to the engine.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(options))
}

async fn work(options: AgentOptions) -> Result<(), FleetError> {
    let redis = Redis::new(&options.url)?;
    let keys = Keys::new(&options.prefix);
    let model = options.engine.model.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (engine, launcher) = Launcher::start(options.engine)?;
    let agent = Arc::new(Agent {
        claims: Claims::new(Line::new(redis), keys.clone(), name()),
        streams: rules::spoken().map(|v| keys.jobs(v, &model)).collect(),
        engine,
        lease: options.lease,
        rhythm: Rhythm::of(options.lease),
        tasks: TaskTracker::new(),
        leaving: CancellationToken::new(),
    });
    tracing::info!(
        worker = agent.claims.me,
        model,
        "this worker joins the fleet"
    );
    let mut taking = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&agent).take_jobs()));
    let chores = [
        AbortOnDropHandle::new(tokio::spawn(Arc::clone(&agent).keep_up())),
        AbortOnDropHandle::new(tokio::spawn(Arc::clone(&agent).obey())),
        AbortOnDropHandle::new(tokio::spawn(Arc::clone(&agent).ask_engine())),
    ];
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    agent.leaving.cancel();
    agent.tasks.close();
    let jobs = *agent.claims.count().borrow();
    tracing::info!(jobs, "this worker leaves the fleet");
    let finish = async {
        // What it is about to be given counts too; a task that panicked gives nothing.
        let _ = (&mut taking).await;
        agent.tasks.wait().await;
    };
    tokio::select! {
        done = tokio::time::timeout(options.drain, finish) => {
            if done.is_err() {
                tracing::info!("there is no time left; jobs are given back");
            }
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let farewell = async {
        if !taking.is_finished() {
            let _ = (&mut taking).await;
        }
        agent.claims.stop_all();
        agent.tasks.wait().await;
        agent.leave().await
    };
    if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
        tracing::warn!("Redis was not told; others take over when the lease is over");
    }
    drop(chores);
    launcher.stop().await;
    Ok(())
}

/// A name that no other worker has, and that says where to look for this one.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!(
        "{}:{}:{:08x}",
        host.trim(),
        std::process::id(),
        rand::random::<u32>()
    )
}

pub(super) struct Agent {
    pub(super) claims: Claims,
    /// Jobs of every version that this worker takes, newest first.
    pub(super) streams: Vec<String>,
    pub(super) engine: WorkerClient,
    pub(super) lease: Duration,
    pub(super) rhythm: Rhythm,
    /// Jobs in hand.
    pub(super) tasks: TaskTracker,
    pub(super) leaving: CancellationToken,
}

impl Agent {
    pub(super) async fn run(&self, claim: Claim, left: Duration, stop: CancellationToken) {
        let deadline = tokio::time::sleep(left);
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                // To give back what is another's by now changes nothing.
                self.claims.release(&claim.place, claim.attempt, false).await;
            }
            () = deadline => {
                self.claims.end(&claim, Says::Late).await;
            }
            () = self.compute(&claim) => {}
        }
    }

    async fn compute(&self, claim: &Claim) {
        let last = match claim.job.request.clone() {
            Request::Generate { request } => self.write(claim, *request).await,
            Request::Weigh { request } => {
                let answer = self.engine.weigh(request).await;
                answer.map(|log_probs| Some(Says::Weighed { log_probs }))
            }
            Request::Score { request } => {
                let answer = self.engine.score(request).await;
                answer.map(|score| Some(Says::Scored { score }))
            }
        };
        let last = match last {
            Ok(Some(says)) => says,
            // Another worker's by now.
            Ok(None) => return,
            Err(GenerationError::Refused(refusal)) => Says::Refused { refusal },
            Err(GenerationError::WorkerLost) => {
                tracing::warn!(job = %claim.job.id, "the engine is lost; a job is given back");
                self.claims.release(&claim.place, claim.attempt, true).await;
                return;
            }
            Err(error) => Says::Failed {
                message: error.to_string(),
            },
        };
        self.claims.end(claim, last).await;
    }

    /// Writes a text as it comes; what comes while a piece is on its way goes with the next.
    async fn write(
        &self,
        claim: &Claim,
        request: Generate,
    ) -> Result<Option<Says>, GenerationError> {
        let mut stream = self.engine.generate(request);
        let (mut at, mut told) = (0, 0);
        let mut logprobs = Vec::new();
        while let Some(item) = stream.next().await {
            match item? {
                Output::LogProbs(more) => logprobs.extend(more),
                Output::Piece(text) => {
                    let (length, count) = (text.len() as u64, logprobs.len() as u64);
                    let piece = Says::Piece {
                        at,
                        text,
                        told,
                        logprobs: std::mem::take(&mut logprobs),
                    };
                    if !self.claims.say(claim, piece).await {
                        return Ok(None);
                    }
                    at += length;
                    told += count;
                }
                Output::Done { finish, usage } => {
                    if !logprobs.is_empty() {
                        let text = String::new();
                        let piece = Says::Piece {
                            at,
                            text,
                            told,
                            logprobs,
                        };
                        if !self.claims.say(claim, piece).await {
                            return Ok(None);
                        }
                    }
                    return Ok(Some(Says::Done { at, finish, usage }));
                }
            }
        }
        Err(GenerationError::Failed("the text has no end".into()))
    }

    /// Renews claims and shows the card, for ever.
    async fn keep_up(self: Arc<Self>) {
        let mut tidied = Instant::now();
        let (mut ready, mut told) = (self.engine.ready(), false);
        loop {
            let done = async {
                self.claims.renew().await?;
                self.show().await?;
                if tidied.elapsed() >= TIDY.0 {
                    tidied = Instant::now();
                    self.tidy().await?;
                }
                RedisResult::Ok(())
            };
            if let Err(error) = done.await {
                tracing::trace!(%error, "claims cannot be renewed");
            }
            tokio::select! {
                () = tokio::time::sleep(self.rhythm.renew) => {}
                // Closed only with the engine's client, which lives as long as this.
                _ = ready.changed() => {}
                () = self.leaving.cancelled(), if !told => told = true,
            }
        }
    }

    async fn show(&self) -> RedisResult<()> {
        let up = *self.engine.ready().borrow() && !self.leaving.is_cancelled();
        let Some(model) = self.engine.models().into_iter().next().filter(|_| up) else {
            return self.leave().await;
        };
        let claims = &self.claims;
        let card = Card {
            name: claims.me.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocols: rules::spoken().collect(),
            model,
            jobs: u32::try_from(*claims.count().borrow()).unwrap_or(u32::MAX),
            load: self.engine.load(),
        };
        let card = serde_json::to_string(&card).expect("a card has only texts as names");
        let life = self.rhythm.believe.as_millis().to_string();
        let arguments = [&claims.keys.card_prefix(), &claims.me, &card, &life];
        claims
            .line
            .run(
                Script::Show,
                &[&claims.keys.workers()],
                &arguments.map(String::as_str),
            )
            .await
    }

    /// Takes the card away.
    async fn leave(&self) -> RedisResult<()> {
        let claims = &self.claims;
        claims
            .line
            .run(
                Script::Leave,
                &[&claims.keys.workers()],
                &[
                    &claims.keys.card_prefix(),
                    &claims.me,
                    &claims.keys.control_prefix(),
                ],
            )
            .await
    }

    async fn tidy(&self) -> RedisResult<()> {
        let silence = TIDY.1.as_millis().to_string();
        for stream in &self.streams {
            let gone: u64 = self
                .claims
                .line
                .run(Script::Tidy, &[stream], &[&silence])
                .await?;
            if gone > 0 {
                tracing::info!(gone, stream, "consumers that are gone are forgotten");
            }
        }
        Ok(())
    }

    /// Stops what nobody waits for any more, for ever.
    async fn obey(self: Arc<Self>) {
        let mut pause = None;
        loop {
            let error = match self.claims.line.redis().connect().await {
                Ok(connection) => self.listen(connection, &mut pause).await,
                Err(error) => error,
            };
            tracing::trace!(%error, "nothing can be heard");
            let next = longer(pause);
            tokio::time::sleep(next).await;
            pause = Some(next);
        }
    }

    async fn listen(
        &self,
        mut connection: MultiplexedConnection,
        pause: &mut Option<Duration>,
    ) -> RedisError {
        let control = self.claims.keys.control(&self.claims.me);
        let mut last = "0".to_owned();
        loop {
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(100);
            read.arg("BLOCK").arg(WAIT.as_millis() as u64);
            read.arg("STREAMS").arg(&control).arg(&last);
            let read = read.query_async::<Option<Streams>>(&mut connection);
            let heard = match within(WAIT, read).await {
                Ok(heard) => heard,
                Err(error) => return error,
            };
            *pause = None;
            let entries = heard.into_iter().flatten().flatten();
            for (id, fields) in entries.flat_map(|(_, entries)| entries).flatten() {
                if let Some((stream, entry)) =
                    fields.get(WITHDRAWN).and_then(|job| job.split_once(' '))
                {
                    self.claims.stop(&Place {
                        stream: stream.to_owned(),
                        entry: entry.to_owned(),
                    });
                }
                last = id;
            }
        }
    }

    /// Keeps what the card says of the engine fresh, for ever.
    async fn ask_engine(self: Arc<Self>) {
        loop {
            // One that does not answer is the launcher's to replace.
            let _ = tokio::time::timeout(PING, self.engine.ping()).await;
            tokio::time::sleep(PING).await;
        }
    }
}
