//! Parlour's worker, asked over its own socket. Every message is stamped when it is read,
//! which the server's client does not do.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::{
    bytes::Bytes,
    codec::{Framed, LengthDelimitedCodec},
    task::AbortOnDropHandle,
};

use super::{
    exchange::{Answer, Arrival, Ask, TOP_K},
    machine::Process,
};
use crate::wire::worker::{
    FromWorker, Generate, Load, MAX_FRAME, ModelInfo, PROTOCOL, Prompt, RequestId, Sampling, Score,
    Terms, ToWorker,
};

/// How long the worker may be silent about a request.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long loading a model may take.
const START: Duration = Duration::from_secs(600);

type Stamped = (Instant, FromWorker);

#[derive(Default)]
struct State {
    next: u64,
    /// By the request's id, or the ping's nonce: both are drawn from `next`.
    waiting: HashMap<u64, mpsc::UnboundedSender<Stamped>>,
    closed: bool,
}

/// A connection to a worker. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ours {
    state: Arc<Mutex<State>>,
    out: mpsc::UnboundedSender<ToWorker>,
    pub model: ModelInfo,
    pub version: String,
    pub process: Option<Process>,
    bias: BTreeMap<u32, f32>,
    _task: Arc<AbortOnDropHandle<()>>,
}

type Socket = Framed<UnixStream, LengthDelimitedCodec>;

impl Ours {
    /// Waits until a worker listens at `socket` and greets it. `bias` goes with every
    /// request.
    ///
    /// # Errors
    /// When there is none in time, or it speaks otherwise.
    pub async fn connect(socket: &Path, bias: BTreeMap<u32, f32>) -> anyhow::Result<Self> {
        let deadline = Instant::now() + START;
        let stream = loop {
            match UnixStream::connect(socket).await {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("no worker listens there");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let process = stream.peer_cred()?.pid();
        let process = process.and_then(|pid| u32::try_from(pid).ok());
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        let mut framed = Framed::new(stream, codec);
        let hello = ToWorker::Hello { protocol: PROTOCOL };
        framed
            .send(Bytes::from(serde_json::to_vec(&hello)?))
            .await?;
        let (version, models) = match hear(&mut framed).await? {
            FromWorker::Hello {
                protocol: PROTOCOL,
                version,
                models,
            } => (version, models),
            other => anyhow::bail!("the worker greets with {other:?}"),
        };
        let model = models.into_iter().next().context("it holds no model")?;
        let (out, messages) = mpsc::unbounded_channel();
        let state = Arc::<Mutex<State>>::default();
        let task = tokio::spawn(serve(framed, messages, state.clone()));
        Ok(Self {
            state,
            out,
            model,
            version,
            process: process.map(Process),
            bias,
            _task: Arc::new(AbortOnDropHandle::new(task)),
        })
    }

    fn send(
        &self,
        message: impl FnOnce(u64) -> ToWorker,
    ) -> anyhow::Result<mpsc::UnboundedReceiver<Stamped>> {
        let (sender, messages) = mpsc::unbounded_channel();
        let mut state = lock(&self.state);
        anyhow::ensure!(!state.closed, "the worker is gone");
        state.next += 1;
        let id = state.next;
        state.waiting.insert(id, sender);
        self.out.send(message(id)).context("the worker is gone")?;
        Ok(messages)
    }

    /// Asks for text and waits for its end.
    ///
    /// # Errors
    /// When the worker refuses, fails, is silent or is lost.
    pub async fn ask(&self, ask: &Ask) -> anyhow::Result<Answer> {
        let request = Generate {
            model: self.model.name.clone(),
            prompt: Prompt::Text(ask.prompt.clone()),
            sampling: Sampling {
                temperature: ask.temperature,
                top_k: TOP_K,
                seed: ask.seed,
                max_tokens: ask.tokens,
                logit_bias: self.bias.clone(),
                ..Sampling::default()
            },
            constraint: None,
            logprobs: None,
            terms: Terms {
                adapter: ask.adapter.clone(),
                ..Terms::default()
            },
        };
        let sent = Instant::now();
        let mut messages = self.send(|id| ToWorker::Generate {
            id: RequestId(id),
            request: Box::new(request),
        })?;
        let mut text = String::new();
        let mut arrivals = Vec::new();
        loop {
            match next(&mut messages).await? {
                (
                    at,
                    FromWorker::Piece {
                        text: piece,
                        tokens,
                        ..
                    },
                ) => {
                    text.push_str(&piece);
                    arrivals.push(Arrival {
                        at,
                        tokens: tokens.len() as f64,
                    });
                }
                (ended, FromWorker::Done { usage, .. }) => {
                    return Ok(Answer {
                        sent,
                        arrivals,
                        ended,
                        text,
                        prompt_tokens: usage.prompt_tokens,
                        output_tokens: usage.output_tokens,
                        reused_tokens: usage.reused_tokens,
                    });
                }
                (_, other) => anyhow::bail!("the worker says {other:?}"),
            }
        }
    }

    /// How long it takes to score `text` after `context`, and how many tokens `text` has.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn score(&self, context: &str, text: &str) -> anyhow::Result<(Duration, usize)> {
        let request = Score {
            model: self.model.name.clone(),
            prompt: Prompt::Text(context.into()),
            text: text.into(),
            terms: Terms::default(),
        };
        let sent = Instant::now();
        let mut messages = self.send(|id| ToWorker::Score {
            id: RequestId(id),
            request,
        })?;
        match next(&mut messages).await? {
            (at, FromWorker::Scored { score, .. }) => Ok((at - sent, score.log_probs.len())),
            (_, other) => anyhow::bail!("the worker says {other:?}"),
        }
    }

    /// What the worker did since it started.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn load(&self) -> anyhow::Result<Load> {
        let mut messages = self.send(|nonce| ToWorker::Ping { nonce })?;
        match next(&mut messages).await? {
            (_, FromWorker::Pong { load, .. }) => Ok(load),
            (_, other) => anyhow::bail!("the worker says {other:?}"),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // No change of the state can panic half way.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn next(messages: &mut mpsc::UnboundedReceiver<Stamped>) -> anyhow::Result<Stamped> {
    tokio::time::timeout(PATIENCE, messages.recv())
        .await
        .context("the worker is silent")?
        .context("the worker is gone")
}

async fn hear(socket: &mut Socket) -> anyhow::Result<FromWorker> {
    let frame = tokio::time::timeout(START, socket.next())
        .await
        .context("the worker does not greet")?
        .context("the worker hung up")??;
    Ok(serde_json::from_slice(&frame)?)
}

/// Passes messages on until either side ends.
async fn serve(
    socket: Socket,
    mut messages: mpsc::UnboundedReceiver<ToWorker>,
    state: Arc<Mutex<State>>,
) {
    let (mut sink, mut source) = socket.split();
    let read = async {
        while let Some(Ok(frame)) = source.next().await {
            let at = Instant::now();
            let Ok(message) = serde_json::from_slice(&frame) else {
                return;
            };
            let (key, last) = match &message {
                FromWorker::Piece { id, .. } => (id.0, false),
                FromWorker::Done { id, .. }
                | FromWorker::Weighed { id, .. }
                | FromWorker::Scored { id, .. }
                | FromWorker::Refused { id, .. }
                | FromWorker::Failed { id, .. } => (id.0, true),
                FromWorker::Pong { nonce, .. } => (*nonce, true),
                FromWorker::Hello { .. } => return,
            };
            let mut state = lock(&state);
            if let Some(waiting) = state.waiting.get(&key) {
                // A closed channel is a measurement that was given up.
                let _ = waiting.send((at, message));
            }
            if last {
                state.waiting.remove(&key);
            }
        }
    };
    let write = async {
        while let Some(message) = messages.recv().await {
            let Ok(frame) = serde_json::to_vec(&message) else {
                return;
            };
            if sink.send(Bytes::from(frame)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
    let mut state = lock(&state);
    state.closed = true;
    state.waiting.clear();
}
