//! What the clients of the local processes share: the Unix socket of one process, the requests
//! that it has, and their end when it is lost.
//!
//! A [`Link`] outlives many processes: [`launcher`](super::launcher) attaches each new one's
//! socket. A request belongs to the process that it was sent to; when that one is lost the
//! request fails at once. A [`Protocol`] says what is spoken.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{SinkExt, Stream, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
};
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::{Framed, LengthDelimitedCodec},
};

use crate::wire::worker::RequestId;

/// Why a process's socket is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("the connection to the worker broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the worker closed the connection")]
    Closed,
    #[error("the worker speaks protocol {theirs}, this server {ours}")]
    Protocol { theirs: u16, ours: u16 },
    #[error("the worker sent what is not a message: {0}")]
    Garbage(String),
}

/// What is spoken with one kind of process.
pub(super) trait Protocol: Sized + Send + 'static {
    /// Bytes that a frame may have, either way.
    const MAX_FRAME: usize;
    /// Requests that may be under way on one connection; what waits to be written is bounded
    /// by what these put there.
    const MAX_IN_FLIGHT: usize;
    /// What the process is told.
    type Outgoing: Send;
    /// What the process says.
    type Incoming: Send;
    /// Who waits for a request's answer.
    type Waiting: Send;
    /// What the process says of itself when it comes.
    type About: Default + Send;
    /// What it says of itself with each sign of life.
    type Load: Default + Send;
    /// Why a request fails.
    type Error;

    /// The error of requests whose process is lost.
    const LOST: Self::Error;

    /// The error of a request that comes when `in_flight` are under way, which is too many.
    fn busy(in_flight: usize) -> Self::Error;
    /// The first thing that is said.
    fn hello() -> Self::Outgoing;
    /// Asks for a sign of life.
    fn ping(nonce: u64) -> Self::Outgoing;
    /// Nobody waits for the request any more.
    fn cancel(id: RequestId) -> Self::Outgoing;
    /// A message as a frame.
    fn encode(message: &Self::Outgoing) -> Result<Bytes, ConnectionError>;
    /// A frame as a message.
    fn decode(frame: &[u8]) -> Result<Self::Incoming, ConnectionError>;
    /// What the process says of itself in its greeting, the first thing that it says.
    fn greeted(greeting: Self::Incoming) -> Result<Self::About, ConnectionError>;
    /// Takes whatever comes after the greeting.
    fn receive(state: &mut State<Self>, message: Self::Incoming) -> Result<(), ConnectionError>;
    /// Which request fails, and how, because its message of `bytes` does not fit into a frame.
    /// `None`: the connection does.
    fn too_long(_message: &Self::Outgoing, _bytes: usize) -> Option<(RequestId, Self::Error)> {
        None
    }
    /// Tells who waits.
    fn fail(waiting: Self::Waiting, error: Self::Error);
}

/// A message of JSON, as most are.
pub(super) fn to_json(message: &impl Serialize) -> Result<Bytes, ConnectionError> {
    serde_json::to_vec(message)
        .map(Bytes::from)
        .map_err(|error| ConnectionError::Garbage(error.to_string()))
}

/// The other way round.
pub(super) fn from_json<T: DeserializeOwned>(frame: &[u8]) -> Result<T, ConnectionError> {
    serde_json::from_slice(frame).map_err(|error| ConnectionError::Garbage(error.to_string()))
}

struct Attached<P: Protocol> {
    epoch: u64,
    out: mpsc::UnboundedSender<P::Outgoing>,
}

/// The process of now and what it has to do.
pub(super) struct State<P: Protocol> {
    attached: Option<Attached<P>>,
    epochs: u64,
    /// The last number that was given to a request or a ping.
    last: u64,
    /// `None` is nobody any more; the process's last word on the request is still due.
    waiting: HashMap<RequestId, Option<P::Waiting>>,
    pings: HashMap<u64, oneshot::Sender<()>>,
    /// Of the process that is attached, or was last.
    pub(super) about: P::About,
    /// At the last sign of life.
    pub(super) load: P::Load,
}

impl<P: Protocol> Default for State<P> {
    fn default() -> Self {
        Self {
            attached: None,
            epochs: 0,
            last: 0,
            waiting: HashMap::new(),
            pings: HashMap::new(),
            about: P::About::default(),
            load: P::Load::default(),
        }
    }
}

impl<P: Protocol> State<P> {
    /// Says something to the process; what is said to none is lost as it would be on the way.
    pub(super) fn tell(&self, message: P::Outgoing) {
        if let Some(process) = &self.attached {
            // A closed channel is a lost process, which has forgotten its requests anyway.
            drop(process.out.send(message));
        }
    }

    /// Says something that has to arrive.
    fn must_tell(&self, message: P::Outgoing) -> Result<(), P::Error> {
        let process = self.attached.as_ref().ok_or(P::LOST)?;
        process.out.send(message).map_err(|_| P::LOST)
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Who waits for more of a request.
    pub(super) fn waiting(&mut self, id: RequestId) -> Option<&mut P::Waiting> {
        self.waiting.get_mut(&id)?.as_mut()
    }

    /// Who waits for a request's end, which has come.
    pub(super) fn take(&mut self, id: RequestId) -> Option<P::Waiting> {
        self.waiting.remove(&id)?
    }

    /// An end that does not fit who waits for it. Nobody may wait any more; else the process
    /// has gone wrong, and who waits is told with all others when it is let go.
    pub(super) fn mistaken(
        &mut self,
        id: RequestId,
        waiting: Option<P::Waiting>,
        problem: &str,
    ) -> Result<(), ConnectionError> {
        match waiting {
            None => Ok(()),
            waiting => {
                self.waiting.insert(id, waiting);
                Err(ConnectionError::Garbage(problem.into()))
            }
        }
    }

    /// A request's end that is none.
    pub(super) fn fail(&mut self, id: RequestId, error: P::Error) {
        if let Some(waiting) = self.take(id) {
            P::fail(waiting, error);
        }
    }

    /// The sign of life that was asked for.
    pub(super) fn pong(&mut self, nonce: u64, load: P::Load) {
        self.load = load;
        if let Some(sender) = self.pings.remove(&nonce) {
            // Closed when whoever asked has given up.
            let _ = sender.send(());
        }
    }
}

struct Shared<P: Protocol> {
    state: Mutex<State<P>>,
    ready: watch::Sender<bool>,
}

/// The server's end of the socket. Every clone speaks for the same process.
pub(super) struct Link<P: Protocol>(Arc<Shared<P>>);

impl<P: Protocol> Clone for Link<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Protocol> fmt::Debug for Link<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link(ready: {})", *self.0.ready.borrow())
    }
}

impl<P: Protocol> Default for Link<P> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            ready: watch::Sender::new(false),
        }))
    }
}

impl<P: Protocol> Link<P> {
    pub(super) fn lock(&self) -> MutexGuard<'_, State<P>> {
        // No code panics while it holds the lock half way through a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a process is attached.
    pub(super) fn ready(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    /// Asks for a sign of life. There is no deadline here.
    ///
    /// # Errors
    /// When the process is lost before it answers.
    pub(super) async fn ping(&self) -> Result<(), P::Error> {
        let answer = {
            let mut state = self.lock();
            let nonce = state.number();
            state.must_tell(P::ping(nonce))?;
            let (sender, answer) = oneshot::channel();
            state.pings.retain(|_, ping| !ping.is_closed());
            state.pings.insert(nonce, sender);
            answer
        };
        answer.await.map_err(|_| P::LOST)
    }

    /// Sends a request, for `waiting` to have the answer.
    ///
    /// # Errors
    /// When no process is there, or too much is under way.
    pub(super) fn send(
        &self,
        waiting: P::Waiting,
        message: impl FnOnce(RequestId) -> P::Outgoing,
    ) -> Result<InFlight<P>, P::Error> {
        let mut state = self.lock();
        let id = RequestId(state.number());
        if state.attached.is_none() {
            return Err(P::LOST);
        }
        let in_flight = state.waiting.len();
        if in_flight >= P::MAX_IN_FLIGHT {
            return Err(P::busy(in_flight));
        }
        state.must_tell(message(id))?;
        state.waiting.insert(id, Some(waiting));
        Ok(InFlight {
            link: self.clone(),
            id,
        })
    }

    /// Greets the process at the other end of `socket` and serves requests there from now
    /// on. Whatever process was attached before is let go.
    ///
    /// # Errors
    /// When it does not greet back in this protocol.
    pub(super) async fn attach(
        &self,
        socket: UnixStream,
    ) -> Result<Connection<P>, ConnectionError> {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(P::MAX_FRAME)
            .new_codec();
        let mut framed = Framed::new(socket, codec);
        framed.send(P::encode(&P::hello())?).await?;
        let about = P::greeted(next::<P>(&mut framed).await?)?;
        let (out, messages) = mpsc::unbounded_channel();
        let epoch = {
            self.detach(None);
            let mut state = self.lock();
            state.epochs += 1;
            let epoch = state.epochs;
            state.about = about;
            state.attached = Some(Attached { epoch, out });
            epoch
        };
        self.0.ready.send_replace(true);
        let link = self.clone();
        let task = tokio::spawn(async move {
            let ended = link.serve(framed, messages).await;
            link.detach(Some(epoch));
            ended
        });
        Ok(Connection {
            link: self.clone(),
            epoch,
            task,
        })
    }

    /// Lets the process go (only if it is still that of `epoch`) and ends what it had.
    fn detach(&self, epoch: Option<u64>) {
        let (waiting, pings) = {
            let mut state = self.lock();
            match &state.attached {
                Some(process) if epoch.is_none_or(|epoch| epoch == process.epoch) => {}
                _ => return,
            }
            state.attached = None;
            // Before any reader hears of its loss, so that none asks again too early.
            self.0.ready.send_replace(false);
            (
                std::mem::take(&mut state.waiting),
                std::mem::take(&mut state.pings),
            )
        };
        drop(pings);
        for waiting in waiting.into_values().flatten() {
            P::fail(waiting, P::LOST);
        }
    }

    async fn serve(
        &self,
        framed: Framed<UnixStream, LengthDelimitedCodec>,
        mut messages: mpsc::UnboundedReceiver<P::Outgoing>,
    ) -> ConnectionError {
        let (mut sink, mut source) = framed.split();
        let read = async {
            loop {
                let received = next::<P>(&mut source).await;
                let taken = received.and_then(|message| P::receive(&mut self.lock(), message));
                if let Err(error) = taken {
                    return error;
                }
            }
        };
        let write = async {
            while let Some(message) = messages.recv().await {
                let frame = match P::encode(&message) {
                    Ok(frame) => frame,
                    Err(error) => return error,
                };
                if frame.len() > P::MAX_FRAME
                    && let Some((id, error)) = P::too_long(&message, frame.len())
                {
                    self.lock().fail(id, error);
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
}

async fn next<P: Protocol>(
    framed: &mut (impl Stream<Item = std::io::Result<BytesMut>> + Unpin),
) -> Result<P::Incoming, ConnectionError> {
    let frame = framed.next().await.ok_or(ConnectionError::Closed)??;
    P::decode(&frame)
}

/// One attached process. Dropping it lets the process go.
pub(super) struct Connection<P: Protocol> {
    link: Link<P>,
    epoch: u64,
    task: tokio::task::JoinHandle<ConnectionError>,
}

impl<P: Protocol> Connection<P> {
    /// Waits until the process is lost.
    pub(super) async fn lost(&mut self) -> ConnectionError {
        (&mut self.task).await.unwrap_or(ConnectionError::Closed)
    }
}

impl<P: Protocol> Drop for Connection<P> {
    fn drop(&mut self) {
        self.task.abort();
        self.link.detach(Some(self.epoch));
    }
}

impl<P: Protocol> fmt::Debug for Connection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.epoch)
    }
}

/// A request under way; dropping it tells the process that nobody waits any more.
pub(super) struct InFlight<P: Protocol> {
    link: Link<P>,
    id: RequestId,
}

impl<P: Protocol> InFlight<P> {
    /// Which request it is.
    pub(super) fn id(&self) -> RequestId {
        self.id
    }
}

impl<P: Protocol> Drop for InFlight<P> {
    fn drop(&mut self) {
        let mut state = self.link.lock();
        let Some(waiting) = state.waiting.get_mut(&self.id) else {
            return;
        };
        *waiting = None;
        state.tell(P::cancel(self.id));
    }
}

impl<P: Protocol> fmt::Debug for InFlight<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InFlight({:?})", self.id)
    }
}
