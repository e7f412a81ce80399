//! The worker's socket: greets, checks, and passes requests to the engine's thread.

use std::{fs, io, sync::Arc, thread, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{UnixListener, UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    sync::mpsc,
};
use tokio_util::{
    bytes::Bytes,
    codec::{FramedRead, FramedWrite, LengthDelimitedCodec},
    sync::CancellationToken,
};

use super::{
    Options, WorkerError,
    adapters::Adapters,
    admission::Owner,
    batch::Limits,
    door::{self, GREETING, check_path, listen, watch_stdin},
    engine_thread::{self, Command, Line},
    job::{Job, Preparer},
    open_engine,
};
use crate::wire::worker::{
    FromWorker, MAX_FRAME, ModelInfo, PROTOCOL, Refusal, RequestId, ToWorker,
};

/// Messages that may wait for a connection to be read.
const OUTBOX: usize = 4096;

/// Commands that may wait for the engine's thread.
const COMMANDS: usize = 256;

/// Runs the worker until its standard input closes or it is told to terminate: whoever
/// starts it holds the other end of that pipe, so that no worker outlives its server.
///
/// # Errors
/// When the model cannot be opened, the socket cannot be bound, or the engine breaks.
pub fn run(options: Options) -> Result<(), WorkerError> {
    let socket = options.socket.as_deref().ok_or(WorkerError::NoSocket)?;
    check_path(socket)?;
    let engine = open_engine(&options)?;
    let info = engine.info().clone();
    let greeting = FromWorker::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        models: vec![ModelInfo {
            name: options.model.clone(),
            context: u32::try_from(info.context).unwrap_or(u32::MAX),
            slots: options.settings.slots,
            precision: info.precision.clone(),
        }],
    };
    let mut preparer = Preparer::new(&options.model, &info, engine.vocabulary());
    if let Some(shape) = engine.adapter_shape() {
        let adapters = Adapters::new(options.models.adapters()?, shape.clone());
        preparer = preparer.with_adapters(Box::new(move |name| adapters.open(name)));
    }
    let preparer = Arc::new(preparer);
    let (commands, received) = mpsc::channel(COMMANDS);
    let broken = CancellationToken::new();
    let engine = {
        let guard = broken.clone().drop_guard();
        let limits = Limits {
            queue: options.settings.queue as usize,
            shelves: options.settings.shelves as usize,
            step: Duration::from_millis(options.settings.step_ms.into()),
            draft: options.settings.draft as usize,
        };
        thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                let _guard = guard;
                engine_thread::run(engine, limits, received)
            })?
    };
    // The cores belong to the engine.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let listener = listen(socket).map_err(|error| WorkerError::Listen {
            path: socket.to_owned(),
            error,
        })?;
        let orphaned = watch_stdin()?;
        let warm = preparer.clone();
        tokio::task::spawn_blocking(move || warm.warm_up());
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tracing::info!(
            model = options.model,
            slots = options.settings.slots,
            context = info.context,
            "the worker listens"
        );
        tokio::select! {
            () = accept(listener, Arc::new(greeting), preparer, commands) => {}
            () = orphaned.cancelled() => tracing::info!("standard input closed"),
            _ = terminate.recv() => tracing::info!("told to terminate"),
            () = broken.cancelled() => tracing::error!("the engine's thread ended"),
        }
        Ok(())
    });
    // Ends the connections and with them the last senders of commands, so that the thread
    // ends; the process must not leave while the engine computes.
    drop(runtime);
    let _ = fs::remove_file(socket);
    match engine.join() {
        Ok(ended) => served.and(ended.map_err(WorkerError::from)),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

async fn accept(
    listener: UnixListener,
    greeting: Arc<FromWorker>,
    preparer: Arc<Preparer>,
    commands: mpsc::Sender<Command>,
) {
    for id in 0.. {
        let socket = door::accept(&listener).await;
        let connection = Connection {
            id,
            greeting: greeting.clone(),
            preparer: preparer.clone(),
            commands: commands.clone(),
        };
        tokio::spawn(connection.serve(socket));
    }
}

type Reader = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;
type Writer = FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("closed by the other end")]
    Closed,
    #[error("it speaks protocol {0}")]
    Protocol(u16),
    #[error("it did not greet")]
    NoGreeting,
    #[error("not a message: {0}")]
    Garbage(#[from] serde_json::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("let go")]
    HungUp,
}

struct Connection {
    id: u64,
    greeting: Arc<FromWorker>,
    preparer: Arc<Preparer>,
    commands: mpsc::Sender<Command>,
}

impl Connection {
    async fn serve(self, socket: UnixStream) {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        let (read, write) = socket.into_split();
        let reader = FramedRead::new(read, codec.clone());
        let writer = FramedWrite::new(write, codec);
        let id = self.id;
        let ended = self.converse(reader, writer).await;
        match ended {
            Ended::Closed => tracing::debug!(connection = id, "closed"),
            why => tracing::warn!(connection = id, %why, "connection ended"),
        }
        // A closed channel is an engine that has ended; it has forgotten everybody.
        let _ = self.commands.send(Command::Leave { connection: id }).await;
    }

    async fn converse(&self, mut reader: Reader, mut writer: Writer) -> Ended {
        match tokio::time::timeout(GREETING, receive(&mut reader)).await {
            Err(_) => return Ended::NoGreeting,
            Ok(Err(ended)) => return ended,
            Ok(Ok(ToWorker::Hello { protocol })) if protocol == PROTOCOL => {}
            Ok(Ok(ToWorker::Hello { protocol })) => return Ended::Protocol(protocol),
            Ok(Ok(_)) => return Ended::NoGreeting,
        }
        if let Err(ended) = send(&mut writer, [&*self.greeting]).await {
            return ended;
        }
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let hang_up = CancellationToken::new();
        let line = Line {
            outbox: outbox.clone(),
            hang_up: hang_up.clone(),
        };
        let connection = self.id;
        if self
            .commands
            .send(Command::Open { connection, line })
            .await
            .is_err()
        {
            return Ended::HungUp;
        }
        tokio::select! {
            biased;
            () = hang_up.cancelled() => Ended::HungUp,
            ended = self.take_all(reader, outbox) => ended,
            ended = write_all(messages, writer) => ended,
        }
    }

    async fn take_all(&self, mut reader: Reader, outbox: mpsc::Sender<FromWorker>) -> Ended {
        loop {
            let message = match receive(&mut reader).await {
                Ok(message) => message,
                Err(ended) => return ended,
            };
            let command = match self.command(message).await {
                Ok(command) => command,
                Err(answer) => match *answer {
                    Answer::Say(message) => {
                        if outbox.send(message).await.is_err() {
                            return Ended::HungUp;
                        }
                        continue;
                    }
                    Answer::End(ended) => return ended,
                },
            };
            if self.commands.send(command).await.is_err() {
                return Ended::HungUp;
            }
        }
    }

    async fn command(&self, message: ToWorker) -> Result<Command, Box<Answer>> {
        let connection = self.id;
        let owner = |request| Owner {
            connection,
            request,
        };
        match message {
            ToWorker::Hello { .. } => Err(Box::new(Answer::End(Ended::NoGreeting))),
            ToWorker::Ping { nonce } => Ok(Command::Ping { connection, nonce }),
            ToWorker::Cancel { id } => Ok(Command::Cancel { owner: owner(id) }),
            ToWorker::Generate { id, request } => {
                self.prepare(owner(id), move |preparer| preparer.generate(&request))
                    .await
            }
            ToWorker::Weigh { id, request } => {
                self.prepare(owner(id), move |preparer| preparer.weigh(&request))
                    .await
            }
            ToWorker::Score { id, request } => {
                self.prepare(owner(id), move |preparer| preparer.score(&request))
                    .await
            }
        }
    }

    /// Tokenising and compiling a grammar take long enough to hold up other connections.
    async fn prepare(
        &self,
        owner: Owner,
        prepare: impl FnOnce(&Preparer) -> Result<Job, Refusal> + Send + 'static,
    ) -> Result<Command, Box<Answer>> {
        let id: RequestId = owner.request;
        let preparer = self.preparer.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&preparer)).await;
        match prepared {
            Ok(Ok(job)) => Ok(Command::Submit {
                owner,
                job: Box::new(job),
            }),
            Ok(Err(refusal)) => Err(Box::new(Answer::Say(FromWorker::Refused { id, refusal }))),
            Err(panicked) => {
                let message = format!("preparing the request failed: {panicked}");
                Err(Box::new(Answer::Say(FromWorker::Failed { id, message })))
            }
        }
    }
}

/// What a connection does with a message that is not for the engine.
enum Answer {
    Say(FromWorker),
    End(Ended),
}

async fn receive(reader: &mut Reader) -> Result<ToWorker, Ended> {
    let frame = reader.next().await.ok_or(Ended::Closed)??;
    Ok(serde_json::from_slice(&frame)?)
}

async fn write_all(mut messages: mpsc::Receiver<FromWorker>, mut writer: Writer) -> Ended {
    let mut batch = Vec::new();
    while messages.recv_many(&mut batch, 64).await > 0 {
        if let Err(ended) = send(&mut writer, &batch).await {
            return ended;
        }
        batch.clear();
    }
    Ended::HungUp
}

async fn send<'a>(
    writer: &mut Writer,
    messages: impl IntoIterator<Item = &'a FromWorker>,
) -> Result<(), Ended> {
    for message in messages {
        let frame = Bytes::from(serde_json::to_vec(message)?);
        writer.feed(frame).await?;
    }
    SinkExt::<Bytes>::flush(writer).await?;
    Ok(())
}
