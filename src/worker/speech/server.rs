//! The socket: greets, checks, and lays requests on the desks of the engines' threads.

use std::{
    collections::HashMap,
    fs, io,
    sync::{Arc, Weak},
    thread,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::{
    bytes::Bytes,
    codec::{FramedRead, FramedWrite, LengthDelimitedCodec},
    sync::CancellationToken,
};

use super::{
    Ears, Interpreter, Mouth, Options, SpeechError,
    desk::Desk,
    ear_thread::{self, ToEar},
    mouth_thread::{self, Order},
    ticket::{Line, Outgoing, PongOnDrop, Ticket},
};
use crate::{
    wire::speech::{
        AUDIO, FromSpeech, MAX_FRAME, MAX_TEXT, PROTOCOL, RequestId, Speak, SpeechRefusal,
        ToSpeech, Translate, parse_sound, sound_frame,
    },
    worker::{
        WorkerError,
        door::{self, GREETING},
    },
};

/// Messages that may wait for a connection to be read: with frames of sound, a few megabytes.
const OUTBOX: usize = 256;

/// Frames of sound and questions that may wait for the ear.
const SOUNDS: usize = 2048;

/// Texts that may wait for the mouth, and for the interpreter.
const TEXTS: usize = 16;

struct Desks {
    ear: Desk<ToEar>,
    mouth: Desk<Order<Speak>>,
    interpreter: Desk<Order<Translate>>,
}

/// Serves with these engines.
pub(super) fn run(
    options: &Options,
    ears: impl Ears,
    mouth: Box<dyn Mouth>,
    interpreter: Box<dyn Interpreter>,
) -> Result<(), WorkerError> {
    let greeting = FromSpeech::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        hears: ears.languages(),
        voices: mouth.voices(),
        translates: interpreter.pairs(),
        clones: mouth.clones(),
    };
    let desks = Arc::new(Desks {
        ear: Desk::new(SOUNDS),
        mouth: Desk::new(TEXTS),
        interpreter: Desk::new(TEXTS),
    });
    let broken = CancellationToken::new();
    let engine = |name: &str, work: Box<dyn FnOnce(&Desks) + Send>| {
        let guard = broken.clone().drop_guard();
        let desks = Arc::clone(&desks);
        thread::Builder::new().name(name.into()).spawn(move || {
            let _guard = guard;
            work(&desks);
        })
    };
    let engines = [
        engine(
            "ear",
            Box::new(move |desks| ear_thread::listen(ears, &desks.ear)),
        )?,
        engine(
            "mouth",
            Box::new(move |desks| mouth_thread::speak(mouth, &desks.mouth)),
        )?,
        engine(
            "interpreter",
            Box::new(move |desks| mouth_thread::translate(interpreter, &desks.interpreter)),
        )?,
    ];
    // The cores belong to the engines.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let socket = &options.socket;
    let served = runtime.block_on(async {
        let listener = door::listen(socket).map_err(|error| WorkerError::Listen {
            path: socket.clone(),
            error,
        })?;
        let orphaned = door::watch_stdin()?;
        let mut terminate = signal(SignalKind::terminate())?;
        tracing::info!(
            ear = options.settings.ear,
            voices = options.settings.voices.join(","),
            translations = options.settings.translations.join(","),
            "the speech process listens"
        );
        tokio::select! {
            () = accept(listener, Arc::new(greeting), Arc::clone(&desks)) => Ok(()),
            () = orphaned.cancelled() => Ok(()),
            _ = terminate.recv() => Ok(()),
            () = broken.cancelled() => Err(WorkerError::EngineLost),
        }
    });
    drop(runtime);
    let _ = fs::remove_file(socket);
    desks.ear.close();
    desks.mouth.close();
    desks.interpreter.close();
    // The process must not leave while an engine computes.
    for engine in engines {
        if let Err(panic) = engine.join() {
            std::panic::resume_unwind(panic);
        }
    }
    served
}

async fn accept(listener: UnixListener, greeting: Arc<FromSpeech>, desks: Arc<Desks>) {
    loop {
        let socket = door::accept(&listener).await;
        let greeting = Arc::clone(&greeting);
        let desks = Arc::clone(&desks);
        tokio::spawn(serve(socket, greeting, desks));
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
    #[error("a request's id came twice")]
    Twice,
    #[error("not a message: {0}")]
    Garbage(#[from] serde_json::Error),
    #[error("not sound")]
    NoSound,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("let go")]
    HungUp,
}

async fn serve(socket: UnixStream, greeting: Arc<FromSpeech>, desks: Arc<Desks>) {
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(MAX_FRAME)
        .new_codec();
    let (read, write) = socket.into_split();
    let mut reader = FramedRead::new(read, codec.clone());
    let mut writer = FramedWrite::new(write, codec);
    let ended = match greet(&mut reader, &mut writer, &greeting).await {
        Ok(()) => converse(reader, writer, desks).await,
        Err(ended) => ended,
    };
    match ended {
        Ended::Closed => tracing::debug!("a connection closed"),
        why => tracing::warn!(%why, "a connection ended"),
    }
}

async fn greet(
    reader: &mut Reader,
    writer: &mut Writer,
    greeting: &FromSpeech,
) -> Result<(), Ended> {
    let hello = tokio::time::timeout(GREETING, receive(reader))
        .await
        .map_err(|_| Ended::NoGreeting)??;
    match hello {
        Heard::Message(ToSpeech::Hello { protocol }) if protocol == PROTOCOL => {}
        Heard::Message(ToSpeech::Hello { protocol }) => return Err(Ended::Protocol(protocol)),
        _ => return Err(Ended::NoGreeting),
    }
    let frame = Bytes::from(serde_json::to_vec(greeting)?);
    Ok(writer.send(frame).await?)
}

async fn converse(reader: Reader, writer: Writer, desks: Arc<Desks>) -> Ended {
    let (outbox, messages) = mpsc::channel(OUTBOX);
    let hang_up = CancellationToken::new();
    let line = Line {
        outbox,
        hang_up: hang_up.clone(),
    };
    let mut connection = Connection {
        desks,
        line,
        requests: HashMap::new(),
    };
    let ended = tokio::select! {
        biased;
        () = hang_up.cancelled() => Ended::HungUp,
        ended = connection.take_all(reader) => ended,
        ended = write_all(messages, writer) => ended,
    };
    hang_up.cancel();
    connection.cancel_all();
    ended
}

/// A request of this connection.
enum Held {
    Hearing(Weak<Ticket>),
    Other(Weak<Ticket>),
}

impl Held {
    fn ticket(&self) -> Option<Arc<Ticket>> {
        match self {
            Self::Hearing(ticket) | Self::Other(ticket) => ticket.upgrade(),
        }
    }
}

struct Connection {
    desks: Arc<Desks>,
    line: Line,
    requests: HashMap<RequestId, Held>,
}

impl Connection {
    async fn take_all(&mut self, mut reader: Reader) -> Ended {
        loop {
            let taken = match receive(&mut reader).await {
                Ok(Heard::Message(message)) => self.take(message),
                Ok(Heard::Sound(id, samples)) => {
                    self.take_sound(id, samples);
                    Ok(())
                }
                Err(ended) => Err(ended),
            };
            if let Err(ended) = taken {
                return ended;
            }
        }
    }

    fn take(&mut self, message: ToSpeech) -> Result<(), Ended> {
        match message {
            ToSpeech::Hello { .. } => return Err(Ended::NoGreeting),
            ToSpeech::Listen { id, request } => {
                let ticket = self.admit(id)?;
                let held = Held::Hearing(Arc::downgrade(&ticket));
                self.requests.insert(id, held);
                let job = ToEar::Listen(Arc::clone(&ticket), request);
                if self.desks.ear.offer(job).is_err() {
                    ticket.end_now(SpeechRefusal::Busy.into());
                }
            }
            ToSpeech::End { id } => {
                if let Some(ticket) = self.requests.get(&id).and_then(Held::ticket) {
                    self.desks.ear.add(ToEar::End(ticket));
                }
            }
            ToSpeech::Speak { id, request } => {
                if let Some(ticket) = self.order(id, &request.text)? {
                    let offered = self.desks.mouth.offer(Order { ticket, request });
                    offered.unwrap_or_else(refuse);
                }
            }
            ToSpeech::Translate { id, request } => {
                if let Some(ticket) = self.order(id, &request.text)? {
                    let offered = self.desks.interpreter.offer(Order { ticket, request });
                    offered.unwrap_or_else(refuse);
                }
            }
            ToSpeech::Cancel { id } => {
                if let Some(held) = self.requests.remove(&id) {
                    self.cancel(&held);
                }
            }
            ToSpeech::Ping { nonce } => {
                let line = self.line.clone();
                let pong = Arc::new(PongOnDrop { nonce, line });
                self.desks.ear.ping(Arc::clone(&pong));
                self.desks.mouth.ping(Arc::clone(&pong));
                self.desks.interpreter.ping(pong);
            }
        }
        Ok(())
    }

    fn take_sound(&self, id: RequestId, samples: Vec<i16>) {
        // What comes after the end of a question is of no use.
        if let Some(ticket) = self.requests.get(&id).and_then(Held::ticket) {
            let job = ToEar::Sound(Arc::clone(&ticket), samples);
            if self.desks.ear.offer(job).is_err() {
                let problem = "the sound came faster than it could be listened to";
                ticket.end_now(SpeechError::Failed(problem.into()));
                ticket.cancel();
                self.desks.ear.add(ToEar::End(ticket));
            }
        }
    }

    fn admit(&mut self, id: RequestId) -> Result<Arc<Ticket>, Ended> {
        self.requests.retain(|_, held| held.ticket().is_some());
        if self.requests.contains_key(&id) {
            return Err(Ended::Twice);
        }
        Ok(Arc::new(Ticket::new(id, self.line.clone())))
    }

    /// A request about a text; none if the text is too long, which is said.
    fn order(&mut self, id: RequestId, text: &str) -> Result<Option<Arc<Ticket>>, Ended> {
        let ticket = self.admit(id)?;
        if text.len() > MAX_TEXT {
            let message = format!("{} bytes of text; at most {MAX_TEXT}", text.len());
            ticket.end_now(SpeechRefusal::Malformed { message }.into());
            return Ok(None);
        }
        let held = Held::Other(Arc::downgrade(&ticket));
        self.requests.insert(id, held);
        Ok(Some(ticket))
    }

    fn cancel(&self, held: &Held) {
        let Some(ticket) = held.ticket() else { return };
        ticket.cancel();
        if let Held::Hearing(_) = held {
            // Has the ear forget it.
            self.desks.ear.add(ToEar::End(ticket));
        }
    }

    fn cancel_all(&mut self) {
        for held in std::mem::take(&mut self.requests).into_values() {
            self.cancel(&held);
        }
    }
}

fn refuse<R>(order: Order<R>) {
    order.ticket.end_now(SpeechRefusal::Busy.into());
}

enum Heard {
    Message(ToSpeech),
    Sound(RequestId, Vec<i16>),
}

async fn receive(reader: &mut Reader) -> Result<Heard, Ended> {
    let frame = reader.next().await.ok_or(Ended::Closed)??;
    if frame.first() == Some(&AUDIO) {
        let (id, samples) = parse_sound(&frame).ok_or(Ended::NoSound)?;
        return Ok(Heard::Sound(id, samples));
    }
    Ok(Heard::Message(serde_json::from_slice(&frame)?))
}

async fn write_all(mut messages: mpsc::Receiver<Outgoing>, mut writer: Writer) -> Ended {
    let mut batch = Vec::new();
    while messages.recv_many(&mut batch, 64).await > 0 {
        if let Err(ended) = write(&mut batch, &mut writer).await {
            return ended;
        }
    }
    Ended::HungUp
}

async fn write(batch: &mut Vec<Outgoing>, writer: &mut Writer) -> Result<(), Ended> {
    for outgoing in batch.drain(..) {
        let frame = match outgoing {
            Outgoing::Message(message) => serde_json::to_vec(&message)?,
            Outgoing::Sound(id, samples) => sound_frame(id, &samples),
        };
        writer.feed(Bytes::from(frame)).await?;
    }
    SinkExt::<Bytes>::flush(writer).await?;
    Ok(())
}
