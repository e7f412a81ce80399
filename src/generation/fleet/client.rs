//! The server's side: requests go out as jobs, answers come back as streams.
//!
//! A request is held here until Redis and a worker that can read it are there, then it waits
//! in the stream, then a worker has it. Its reader sees nothing of that: text, then an end, or
//! an error when its time is up. Dropping the reader takes the job back.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{
    FleetError, FleetOptions,
    desk::{Reader, State},
    line::{Line, Redis},
    post,
    scripts::Keys,
    splice::Splice,
};
use crate::{
    generation::{GenerationError, GenerationStream, Output, buffer::Buffer},
    wire::{
        fleet::{Card, Request},
        worker::{Generate, Refusal, Score, TextScore, Weigh},
    },
};

/// Requests that may be under way at one server.
const MAX_IN_FLIGHT: usize = 8192;

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) line: Line,
    pub(super) keys: Keys,
    pub(super) options: FleetOptions,
    pub(super) model: String,
    /// This server's name in Redis, new with every start.
    pub(super) server: String,
    pub(super) ready: watch::Sender<bool>,
    /// There is something to tell Redis.
    pub(super) wake: Notify,
    /// There is a deadline where there was none.
    clock: Notify,
}

/// Asks the workers of a fleet for one model's texts. Cheap to clone.
#[derive(Clone)]
pub struct FleetClient(pub(super) Arc<Shared>);

impl fmt::Debug for FleetClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FleetClient(ready: {})", *self.0.ready.borrow())
    }
}

/// Keeps a server in the fleet. Dropping it leaves jobs to their deadlines.
#[derive(Debug)]
pub struct FleetHandle {
    client: FleetClient,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl FleetHandle {
    /// Takes all jobs back and leaves. Whoever waits is told that there is no worker.
    pub async fn stop(&self) {
        self.client.fail_all();
        post::farewell(&self.client).await;
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl FleetClient {
    /// Joins the fleet in the background. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the URL is none of Redis'. That Redis is away is no error: it may come.
    pub fn start(options: FleetOptions, model: &str) -> Result<(Self, FleetHandle), FleetError> {
        let redis = Redis::new(&options.url)?;
        let client = Self(Arc::new(Shared {
            state: Mutex::default(),
            line: Line::new(redis),
            keys: Keys::new(&options.prefix),
            options,
            model: model.to_owned(),
            server: format!("{:016x}", rand::random::<u64>()),
            ready: watch::Sender::new(false),
            wake: Notify::new(),
            clock: Notify::new(),
        }));
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(post::deliver(client.clone()))),
            AbortOnDropHandle::new(tokio::spawn(post::collect(client.clone()))),
            AbortOnDropHandle::new(tokio::spawn(watch_deadlines(client.clone()))),
        ];
        let handle = FleetHandle {
            client: client.clone(),
            tasks,
        };
        Ok((client, handle))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock half way through a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model that is asked for.
    pub fn model(&self) -> &str {
        &self.0.model
    }

    /// Whether Redis is there and a worker that holds the model.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    /// The workers that hold the model, as they showed themselves last.
    pub fn workers(&self) -> Vec<Card> {
        self.lock().workers().to_vec()
    }

    /// Requests that have not been answered yet.
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight()
    }

    /// Asks for text.
    pub fn generate(&self, request: Generate) -> GenerationStream {
        let buffer = Buffer::default();
        let reader = Reader::Stream(buffer.clone(), Splice::default());
        let request = Request::Generate {
            request: Box::new(request),
        };
        match self.send(reader, request) {
            Ok(request) => GenerationStream::new(Reading { buffer, request }),
            Err(error) => GenerationStream::failed(error),
        }
    }

    /// Asks how likely each option is to come next.
    ///
    /// # Errors
    /// When the request is refused, fails, or is not answered in time.
    pub async fn weigh(&self, request: Weigh) -> Result<Vec<f32>, GenerationError> {
        let (sender, answer) = oneshot::channel();
        let _request = self.send(Reader::Weigh(sender), Request::Weigh { request })?;
        answer.await.unwrap_or(Err(GenerationError::WorkerLost))
    }

    /// Asks how likely a text is.
    ///
    /// # Errors
    /// When the request is refused, fails, or is not answered in time.
    pub async fn score(&self, request: Score) -> Result<TextScore, GenerationError> {
        let (sender, answer) = oneshot::channel();
        let _request = self.send(Reader::Score(sender), Request::Score { request })?;
        answer.await.unwrap_or(Err(GenerationError::WorkerLost))
    }

    fn send(&self, reader: Reader, request: Request) -> Result<InFlight, GenerationError> {
        let mut state = self.lock();
        let in_flight = state.in_flight();
        if in_flight >= MAX_IN_FLIGHT {
            return Err(Refusal::Busy {
                queued: u32::try_from(in_flight).unwrap_or(u32::MAX),
            }
            .into());
        }
        let first = state.is_idle();
        let number = state.take_in(reader, request, self.0.options.time);
        drop(state);
        if first {
            self.0.clock.notify_one();
        }
        self.0.wake.notify_one();
        Ok(InFlight {
            client: self.clone(),
            number,
        })
    }
}

/// Runs apart from whatever waits for Redis, so that a deadline holds while Redis hangs.
async fn watch_deadlines(client: FleetClient) {
    loop {
        let noticed = client.0.clock.notified();
        match client.expire() {
            Some(next) => tokio::time::sleep_until(next).await,
            None => noticed.await,
        }
    }
}

/// A request under way; dropping it takes the job back.
struct InFlight {
    client: FleetClient,
    number: u64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.client.lock().abandon(self.number).is_some() {
            self.client.0.wake.notify_one();
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
