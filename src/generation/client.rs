//! The server's end of the worker's socket.
//!
//! One [`WorkerClient`] outlives many workers: [`launcher`](super::launcher) attaches each
//! new one's socket. A request belongs to the worker that it was sent to; when that one is
//! lost the request ends with [`GenerationError::WorkerLost`] at once.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::{SinkExt, Stream, StreamExt};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
};
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::{Framed, LengthDelimitedCodec},
};

use super::{GenerationError, GenerationStream, Output, buffer::Buffer};
use crate::wire::worker::{
    FromWorker, Generate, Load, MAX_FRAME, ModelInfo, PROTOCOL, Refusal, RequestId, Score,
    TextScore, ToWorker, Weigh,
};

/// Requests that may be under way on one connection; with it the queue of messages to the
/// worker is bounded too, for each request puts at most two there.
const MAX_IN_FLIGHT: usize = 8192;

/// Why a worker's socket is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("the connection to the worker broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the worker closed the connection")]
    Closed,
    #[error("the worker speaks protocol {theirs}, this server {PROTOCOL}")]
    Protocol { theirs: u16 },
    #[error("the worker sent what is not a message: {0}")]
    Garbage(String),
}

/// Who waits for a request's answer.
enum Waiting {
    Stream(Buffer),
    Weigh(oneshot::Sender<Result<Vec<f32>, GenerationError>>),
    Score(oneshot::Sender<Result<TextScore, GenerationError>>),
    /// Nobody any more; the worker's last word on it is still due.
    Abandoned,
}

impl Waiting {
    fn fail(self, error: GenerationError) {
        // A closed channel is a reader that has left: nobody to tell.
        match self {
            Self::Stream(buffer) => buffer.end(Err(error)),
            Self::Weigh(sender) => drop(sender.send(Err(error))),
            Self::Score(sender) => drop(sender.send(Err(error))),
            Self::Abandoned => {}
        }
    }
}

struct Link {
    epoch: u64,
    out: mpsc::UnboundedSender<ToWorker>,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    epochs: u64,
    next: u64,
    waiting: HashMap<RequestId, Waiting>,
    pings: HashMap<u64, oneshot::Sender<()>>,
    models: Vec<ModelInfo>,
    load: Load,
}

impl State {
    /// An answer for somebody who does not wait for one of its kind. Nobody may wait any
    /// more; else the worker has gone wrong, and who waits is told with all others when it
    /// is let go.
    fn mistaken(
        &mut self,
        id: RequestId,
        waiting: Option<Waiting>,
        answer: &str,
    ) -> Result<(), ConnectionError> {
        match waiting {
            None | Some(Waiting::Abandoned) => Ok(()),
            Some(waiting) => {
                self.waiting.insert(id, waiting);
                let problem = format!("{answer} for a request of another kind");
                Err(ConnectionError::Garbage(problem))
            }
        }
    }
}

struct Shared {
    state: Mutex<State>,
    ready: watch::Sender<bool>,
}

/// Asks the local worker. Cheap to clone; every clone speaks for the same worker.
#[derive(Clone)]
pub struct WorkerClient(Arc<Shared>);

impl fmt::Debug for WorkerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerClient(ready: {})", *self.0.ready.borrow())
    }
}

impl Default for WorkerClient {
    fn default() -> Self {
        Self::new()
    }
}

impl WorkerClient {
    /// A client without a worker yet.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            ready: watch::Sender::new(false),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock half way through a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a worker is attached.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    /// How busy the worker was at its last [`Self::ping`].
    pub fn load(&self) -> Load {
        self.lock().load.clone()
    }

    /// The models of the worker that is attached, or was last.
    pub fn models(&self) -> Vec<ModelInfo> {
        self.lock().models.clone()
    }

    /// Asks for text.
    pub fn generate(&self, request: Generate) -> GenerationStream {
        let buffer = Buffer::default();
        let waiting = Waiting::Stream(buffer.clone());
        match self.send(waiting, |id| ToWorker::Generate {
            id,
            request: Box::new(request),
        }) {
            Ok(request) => GenerationStream::new(Reading { buffer, request }),
            Err(error) => GenerationStream::failed(error),
        }
    }

    /// Asks how likely each option is to come next.
    ///
    /// # Errors
    /// When the worker refuses, fails or is lost.
    pub async fn weigh(&self, request: Weigh) -> Result<Vec<f32>, GenerationError> {
        let (sender, answer) = oneshot::channel();
        let _request = self.send(Waiting::Weigh(sender), |id| ToWorker::Weigh { id, request })?;
        answer.await.unwrap_or(Err(GenerationError::WorkerLost))
    }

    /// Asks how likely a text is.
    ///
    /// # Errors
    /// When the worker refuses, fails or is lost.
    pub async fn score(&self, request: Score) -> Result<TextScore, GenerationError> {
        let (sender, answer) = oneshot::channel();
        let _request = self.send(Waiting::Score(sender), |id| ToWorker::Score { id, request })?;
        answer.await.unwrap_or(Err(GenerationError::WorkerLost))
    }

    /// Asks for a sign of life and with it the worker's [`Load`].
    ///
    /// # Errors
    /// When the worker is lost before it answers. There is no deadline here.
    pub async fn ping(&self) -> Result<Load, GenerationError> {
        let answer = {
            let mut state = self.lock();
            state.next += 1;
            let nonce = state.next;
            let link = state.link.as_ref().ok_or(GenerationError::WorkerLost)?;
            link.out
                .send(ToWorker::Ping { nonce })
                .map_err(|_| GenerationError::WorkerLost)?;
            let (sender, answer) = oneshot::channel();
            state.pings.retain(|_, ping| !ping.is_closed());
            state.pings.insert(nonce, sender);
            answer
        };
        answer.await.map_err(|_| GenerationError::WorkerLost)?;
        Ok(self.load())
    }

    fn send(
        &self,
        waiting: Waiting,
        message: impl FnOnce(RequestId) -> ToWorker,
    ) -> Result<InFlight, GenerationError> {
        let mut state = self.lock();
        let in_flight = state.waiting.len();
        state.next += 1;
        let id = RequestId(state.next);
        let link = state.link.as_ref().ok_or(GenerationError::WorkerLost)?;
        if in_flight >= MAX_IN_FLIGHT {
            return Err(Refusal::Busy {
                queued: u32::try_from(in_flight).unwrap_or(u32::MAX),
            }
            .into());
        }
        link.out
            .send(message(id))
            .map_err(|_| GenerationError::WorkerLost)?;
        state.waiting.insert(id, waiting);
        Ok(InFlight {
            client: self.clone(),
            id,
        })
    }

    /// Greets the worker at the other end of `socket` and serves requests there from now
    /// on. Whatever worker was attached before is let go.
    ///
    /// # Errors
    /// When the worker does not greet back in this protocol.
    pub async fn attach(&self, socket: UnixStream) -> Result<Connection, ConnectionError> {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        let mut framed = Framed::new(socket, codec);
        framed
            .send(encode(&ToWorker::Hello { protocol: PROTOCOL })?)
            .await?;
        let models = match next(&mut framed).await? {
            FromWorker::Hello {
                protocol, models, ..
            } if protocol == PROTOCOL => models,
            FromWorker::Hello { protocol, .. } => {
                return Err(ConnectionError::Protocol { theirs: protocol });
            }
            other => {
                return Err(ConnectionError::Garbage(format!(
                    "{other:?} for a greeting"
                )));
            }
        };
        let (out, messages) = mpsc::unbounded_channel();
        let epoch = {
            self.detach(None);
            let mut state = self.lock();
            state.epochs += 1;
            let epoch = state.epochs;
            state.models = models;
            state.link = Some(Link { epoch, out });
            epoch
        };
        self.0.ready.send_replace(true);
        let client = self.clone();
        let task = tokio::spawn(async move {
            let ended = serve(&client, framed, messages).await;
            client.detach(Some(epoch));
            ended
        });
        Ok(Connection {
            client: self.clone(),
            epoch,
            task,
        })
    }

    /// Lets the worker go (only if it is still that of `epoch`) and ends what it had.
    fn detach(&self, epoch: Option<u64>) {
        let (waiting, pings) = {
            let mut state = self.lock();
            match &state.link {
                Some(link) if epoch.is_none_or(|epoch| epoch == link.epoch) => {}
                _ => return,
            }
            state.link = None;
            // Before any reader hears of its loss, so that none asks again too early.
            self.0.ready.send_replace(false);
            (
                std::mem::take(&mut state.waiting),
                std::mem::take(&mut state.pings),
            )
        };
        drop(pings);
        for waiting in waiting.into_values() {
            waiting.fail(GenerationError::WorkerLost);
        }
    }

    fn receive(&self, message: FromWorker) -> Result<(), ConnectionError> {
        let mut state = self.lock();
        match message {
            FromWorker::Hello { .. } => {
                return Err(ConnectionError::Garbage("a second greeting".into()));
            }
            FromWorker::Piece {
                id, text, logprobs, ..
            } => {
                if let Some(Waiting::Stream(buffer)) = state.waiting.get(&id) {
                    buffer.push(&text, logprobs);
                }
            }
            FromWorker::Done { id, finish, usage } => match state.waiting.remove(&id) {
                Some(Waiting::Stream(buffer)) => buffer.end(Ok(Output::Done { finish, usage })),
                other => state.mistaken(id, other, "a text's end")?,
            },
            FromWorker::Weighed { id, log_probs } => match state.waiting.remove(&id) {
                Some(Waiting::Weigh(sender)) => drop(sender.send(Ok(log_probs))),
                other => state.mistaken(id, other, "weights")?,
            },
            FromWorker::Scored { id, score } => match state.waiting.remove(&id) {
                Some(Waiting::Score(sender)) => drop(sender.send(Ok(score))),
                other => state.mistaken(id, other, "a score")?,
            },
            FromWorker::Refused { id, refusal } => {
                if let Some(waiting) = state.waiting.remove(&id) {
                    waiting.fail(refusal.into());
                }
            }
            FromWorker::Failed { id, message } => {
                if let Some(waiting) = state.waiting.remove(&id) {
                    waiting.fail(GenerationError::Failed(message));
                }
            }
            FromWorker::Pong { nonce, load } => {
                state.load = load;
                if let Some(sender) = state.pings.remove(&nonce) {
                    // Closed when whoever asked has given up.
                    let _ = sender.send(());
                }
            }
        }
        Ok(())
    }
}

fn encode(message: &ToWorker) -> Result<Bytes, ConnectionError> {
    serde_json::to_vec(message)
        .map(Bytes::from)
        .map_err(|error| ConnectionError::Garbage(error.to_string()))
}

async fn next(
    framed: &mut (impl Stream<Item = std::io::Result<BytesMut>> + Unpin),
) -> Result<FromWorker, ConnectionError> {
    let frame = framed.next().await.ok_or(ConnectionError::Closed)??;
    serde_json::from_slice(&frame).map_err(|error| ConnectionError::Garbage(error.to_string()))
}

async fn serve(
    client: &WorkerClient,
    framed: Framed<UnixStream, LengthDelimitedCodec>,
    mut messages: mpsc::UnboundedReceiver<ToWorker>,
) -> ConnectionError {
    let (mut sink, mut source) = framed.split();
    let read = async {
        loop {
            let received = next(&mut source).await;
            if let Err(error) = received.and_then(|message| client.receive(message)) {
                return error;
            }
        }
    };
    let write = async {
        while let Some(message) = messages.recv().await {
            let id = match &message {
                ToWorker::Generate { id, .. }
                | ToWorker::Weigh { id, .. }
                | ToWorker::Score { id, .. } => Some(*id),
                _ => None,
            };
            let frame = match encode(&message) {
                Ok(frame) => frame,
                Err(error) => return error,
            };
            if let (true, Some(id)) = (frame.len() > MAX_FRAME, id) {
                let message = format!("{} bytes; at most {MAX_FRAME}", frame.len());
                if let Some(waiting) = client.lock().waiting.remove(&id) {
                    waiting.fail(Refusal::Malformed { message }.into());
                }
                continue;
            }
            if let Err(error) = sink.send(frame).await {
                return error.into();
            }
        }
        ConnectionError::Closed
    };
    tokio::select! {
        error = read => error,
        error = write => error,
    }
}

/// One attached worker. Dropping it lets the worker go.
#[derive(Debug)]
pub struct Connection {
    client: WorkerClient,
    epoch: u64,
    task: tokio::task::JoinHandle<ConnectionError>,
}

impl Connection {
    /// Waits until the worker is lost.
    pub async fn lost(&mut self) -> ConnectionError {
        (&mut self.task).await.unwrap_or(ConnectionError::Closed)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
        self.client.detach(Some(self.epoch));
    }
}

/// A request under way; dropping it tells the worker that nobody waits any more.
struct InFlight {
    client: WorkerClient,
    id: RequestId,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.client.lock();
        let Some(waiting) = state.waiting.get_mut(&self.id) else {
            return;
        };
        *waiting = Waiting::Abandoned;
        if let Some(link) = &state.link {
            // A closed channel is a lost worker, which has forgotten the request anyway.
            drop(link.out.send(ToWorker::Cancel { id: self.id }));
        }
    }
}

struct Reading {
    buffer: Buffer,
    #[expect(dead_code, reason = "held for its drop, which cancels")]
    request: InFlight,
}

impl Stream for Reading {
    type Item = Result<Output, GenerationError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.buffer.poll_next(context)
    }
}
