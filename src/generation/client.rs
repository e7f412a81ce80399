//! The server's end of the worker's socket.
//!
//! One [`WorkerClient`] outlives many workers: [`launcher`](super::launcher) attaches each
//! new one's socket. A request belongs to the worker that it was sent to; when that one is
//! lost the request ends with [`GenerationError::WorkerLost`] at once.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::{
    net::UnixStream,
    sync::{oneshot, watch},
};
use tokio_util::bytes::Bytes;

pub use super::link::ConnectionError;
use super::{
    GenerationError, GenerationStream, Output,
    buffer::Buffer,
    link::{self, InFlight, Link, Protocol, State},
};
use crate::wire::worker::{
    FromWorker, Generate, Load, MAX_FRAME, ModelInfo, PROTOCOL, Refusal, RequestId, Score,
    TextScore, ToWorker, Weigh,
};

/// Who waits for a request's answer.
pub(super) enum Waiting {
    Stream(Buffer),
    Weigh(oneshot::Sender<Result<Vec<f32>, GenerationError>>),
    Score(oneshot::Sender<Result<TextScore, GenerationError>>),
}

/// What is spoken with the worker.
pub(super) struct Texts;

impl Protocol for Texts {
    const MAX_FRAME: usize = MAX_FRAME;
    /// Each puts at most two messages into the queue to the worker.
    const MAX_IN_FLIGHT: usize = 8192;
    type Outgoing = ToWorker;
    type Incoming = FromWorker;
    type Waiting = Waiting;
    type About = Vec<ModelInfo>;
    type Load = Load;
    type Error = GenerationError;

    const LOST: GenerationError = GenerationError::WorkerLost;

    fn busy(in_flight: usize) -> GenerationError {
        let queued = u32::try_from(in_flight).unwrap_or(u32::MAX);
        Refusal::Busy { queued }.into()
    }

    fn hello() -> ToWorker {
        ToWorker::Hello { protocol: PROTOCOL }
    }

    fn ping(nonce: u64) -> ToWorker {
        ToWorker::Ping { nonce }
    }

    fn cancel(id: RequestId) -> ToWorker {
        ToWorker::Cancel { id }
    }

    fn encode(message: &ToWorker) -> Result<Bytes, ConnectionError> {
        link::to_json(message)
    }

    fn decode(frame: &[u8]) -> Result<FromWorker, ConnectionError> {
        link::from_json(frame)
    }

    fn greeted(greeting: FromWorker) -> Result<Vec<ModelInfo>, ConnectionError> {
        match greeting {
            FromWorker::Hello {
                protocol, models, ..
            } if protocol == PROTOCOL => Ok(models),
            FromWorker::Hello { protocol, .. } => Err(ConnectionError::Protocol {
                theirs: protocol,
                ours: PROTOCOL,
            }),
            other => Err(ConnectionError::Garbage(format!(
                "{other:?} for a greeting"
            ))),
        }
    }

    fn receive(state: &mut State<Self>, message: FromWorker) -> Result<(), ConnectionError> {
        match message {
            FromWorker::Hello { .. } => {
                return Err(ConnectionError::Garbage("a second greeting".into()));
            }
            FromWorker::Piece {
                id, text, logprobs, ..
            } => {
                if let Some(Waiting::Stream(buffer)) = state.waiting(id) {
                    buffer.push(&text, logprobs);
                }
            }
            FromWorker::Done { id, finish, usage } => match state.take(id) {
                Some(Waiting::Stream(buffer)) => buffer.end(Ok(Output::Done { finish, usage })),
                other => state.mistaken(id, other, "a text's end for a request of another kind")?,
            },
            FromWorker::Weighed { id, log_probs } => match state.take(id) {
                Some(Waiting::Weigh(sender)) => drop(sender.send(Ok(log_probs))),
                other => state.mistaken(id, other, "weights for a request of another kind")?,
            },
            FromWorker::Scored { id, score } => match state.take(id) {
                Some(Waiting::Score(sender)) => drop(sender.send(Ok(score))),
                other => state.mistaken(id, other, "a score for a request of another kind")?,
            },
            FromWorker::Refused { id, refusal } => state.fail(id, refusal.into()),
            FromWorker::Failed { id, message } => state.fail(id, GenerationError::Failed(message)),
            FromWorker::Pong { nonce, load } => state.pong(nonce, load),
        }
        Ok(())
    }

    fn too_long(message: &ToWorker, bytes: usize) -> Option<(RequestId, GenerationError)> {
        let (ToWorker::Generate { id, .. }
        | ToWorker::Weigh { id, .. }
        | ToWorker::Score { id, .. }) = message
        else {
            return None;
        };
        let message = format!("{bytes} bytes; at most {MAX_FRAME}");
        Some((*id, Refusal::Malformed { message }.into()))
    }

    fn fail(waiting: Waiting, error: GenerationError) {
        // A closed channel is a reader that has left: nobody to tell.
        match waiting {
            Waiting::Stream(buffer) => buffer.end(Err(error)),
            Waiting::Weigh(sender) => drop(sender.send(Err(error))),
            Waiting::Score(sender) => drop(sender.send(Err(error))),
        }
    }
}

/// Asks the local worker. Cheap to clone; every clone speaks for the same worker.
#[derive(Clone, Debug, Default)]
pub struct WorkerClient(pub(super) Link<Texts>);

impl WorkerClient {
    /// A client without a worker yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a worker is attached.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.0.ready()
    }

    /// How busy the worker was at its last [`Self::ping`].
    pub fn load(&self) -> Load {
        self.0.lock().load.clone()
    }

    /// The models of the worker that is attached, or was last.
    pub fn models(&self) -> Vec<ModelInfo> {
        self.0.lock().about.clone()
    }

    /// Asks for text.
    pub fn generate(&self, request: Generate) -> GenerationStream {
        let buffer = Buffer::default();
        let waiting = Waiting::Stream(buffer.clone());
        match self.0.send(waiting, |id| ToWorker::Generate {
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
        let message = |id| ToWorker::Weigh { id, request };
        let _request = self.0.send(Waiting::Weigh(sender), message)?;
        answer.await.unwrap_or(Err(GenerationError::WorkerLost))
    }

    /// Asks how likely a text is.
    ///
    /// # Errors
    /// When the worker refuses, fails or is lost.
    pub async fn score(&self, request: Score) -> Result<TextScore, GenerationError> {
        let (sender, answer) = oneshot::channel();
        let message = |id| ToWorker::Score { id, request };
        let _request = self.0.send(Waiting::Score(sender), message)?;
        answer.await.unwrap_or(Err(GenerationError::WorkerLost))
    }

    /// Asks for a sign of life and with it the worker's [`Load`].
    ///
    /// # Errors
    /// When the worker is lost before it answers. There is no deadline here.
    pub async fn ping(&self) -> Result<Load, GenerationError> {
        self.0.ping().await?;
        Ok(self.load())
    }

    /// Greets the worker at the other end of `socket` and serves requests there from now
    /// on. Whatever worker was attached before is let go.
    ///
    /// # Errors
    /// When the worker does not greet back in this protocol.
    pub async fn attach(&self, socket: UnixStream) -> Result<Connection, ConnectionError> {
        self.0.attach(socket).await.map(Connection)
    }
}

/// One attached worker. Dropping it lets the worker go.
#[derive(Debug)]
pub struct Connection(link::Connection<Texts>);

impl Connection {
    /// Waits until the worker is lost.
    pub async fn lost(&mut self) -> ConnectionError {
        self.0.lost().await
    }
}

struct Reading {
    buffer: Buffer,
    #[expect(dead_code, reason = "held for its drop, which cancels")]
    request: InFlight<Texts>,
}

impl Stream for Reading {
    type Item = Result<Output, GenerationError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.buffer.poll_next(context)
    }
}
