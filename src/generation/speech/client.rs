//! The server's end of the speech process's socket.
//!
//! One [`SpeechClient`] outlives many processes, as [`crate::generation::client::WorkerClient`]
//! does: the launcher attaches each new one's socket.

use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
};
use tokio_util::bytes::Bytes;

use super::{Abilities, Heard, Listening, Microphone, Speaking, SpeechError, Voiced};
use crate::{
    generation::link::{self, ConnectionError, Link, Protocol},
    wire::speech::{
        AUDIO, Clause, FRAME_SAMPLES, FromSpeech, Listen, MAX_FRAME, MAX_TEXT, PROTOCOL, RequestId,
        Speak, SpeechRefusal, ToSpeech, Translate, parse_sound, sound_frame,
    },
};

/// Answers of one question that may wait to be read; partial transcripts are far fewer.
const ANSWERS: usize = 256;

/// Clauses of one text that may wait to be read, and samples that they may have in all:
/// more than any text within the protocol's limit takes.
const CLAUSES: usize = 4096;
const SAMPLES: usize = 16 << 20;

/// Who waits for a request's answer.
pub(super) enum Waiting {
    Listening(mpsc::Sender<Result<Heard, SpeechError>>),
    Saying(Box<Saying>),
    Translation(oneshot::Sender<Result<String, SpeechError>>),
}

pub(super) enum Outgoing {
    Message(ToSpeech),
    Sound(RequestId, Vec<i16>),
}

pub(super) enum Incoming {
    Message(FromSpeech),
    Sound(RequestId, Vec<i16>),
}

/// What is spoken with the speech process.
pub(super) struct Sounds;

type State = link::State<Sounds>;

impl Protocol for Sounds {
    const MAX_FRAME: usize = MAX_FRAME;
    /// With the longest question it bounds what waits for the process: 64 times 30 s at 32 kB
    /// a second.
    const MAX_IN_FLIGHT: usize = 64;
    type Outgoing = Outgoing;
    type Incoming = Incoming;
    type Waiting = Waiting;
    type About = Abilities;
    type Load = ();
    type Error = SpeechError;

    const LOST: SpeechError = SpeechError::Lost;

    fn busy(_in_flight: usize) -> SpeechError {
        SpeechRefusal::Busy.into()
    }

    fn hello() -> Outgoing {
        Outgoing::Message(ToSpeech::Hello { protocol: PROTOCOL })
    }

    fn ping(nonce: u64) -> Outgoing {
        Outgoing::Message(ToSpeech::Ping { nonce })
    }

    fn cancel(id: RequestId) -> Outgoing {
        Outgoing::Message(ToSpeech::Cancel { id })
    }

    fn encode(outgoing: &Outgoing) -> Result<Bytes, ConnectionError> {
        match outgoing {
            Outgoing::Sound(id, samples) => Ok(sound_frame(*id, samples).into()),
            Outgoing::Message(message) => link::to_json(message),
        }
    }

    fn decode(frame: &[u8]) -> Result<Incoming, ConnectionError> {
        if frame.first() == Some(&AUDIO) {
            let (id, samples) = parse_sound(frame).ok_or_else(|| garbage("not sound"))?;
            return Ok(Incoming::Sound(id, samples));
        }
        link::from_json(frame).map(Incoming::Message)
    }

    fn greeted(greeting: Incoming) -> Result<Abilities, ConnectionError> {
        match greeting {
            Incoming::Message(FromSpeech::Hello {
                protocol,
                hears,
                voices,
                translates,
                clones,
                ..
            }) if protocol == PROTOCOL => Ok(Abilities {
                hears,
                voices,
                translates,
                clones,
            }),
            Incoming::Message(FromSpeech::Hello { protocol, .. }) => {
                Err(ConnectionError::Protocol {
                    theirs: protocol,
                    ours: PROTOCOL,
                })
            }
            _ => Err(garbage("no greeting")),
        }
    }

    fn receive(state: &mut State, incoming: Incoming) -> Result<(), ConnectionError> {
        match incoming {
            Incoming::Sound(id, samples) => sound(state, id, &samples),
            Incoming::Message(message) => receive(state, message),
        }
    }

    fn fail(waiting: Waiting, error: SpeechError) {
        // A closed channel is a reader that has left; a full one never comes to be read
        // before its end, which is the sender's drop.
        match waiting {
            Waiting::Listening(sender) => drop(sender.try_send(Err(error))),
            Waiting::Saying(saying) => drop(saying.clauses.try_send(Err(error))),
            Waiting::Translation(sender) => drop(sender.send(Err(error))),
        }
    }
}

fn receive(state: &mut State, message: FromSpeech) -> Result<(), ConnectionError> {
    const UNFIT: &str = "an end that does not fit its request";
    match message {
        FromSpeech::Hello { .. } => return Err(garbage("a second greeting")),
        FromSpeech::Partial { id, text } => match state.waiting(id) {
            Some(Waiting::Listening(sender)) => {
                // A reader that is slow hears of a later one.
                drop(sender.try_send(Ok(Heard::Partial(text))));
            }
            None => {}
            Some(_) => return Err(garbage("a partial transcript of a voice")),
        },
        FromSpeech::Heard { id, transcript } => match state.take(id) {
            Some(Waiting::Listening(sender)) => {
                drop(sender.try_send(Ok(Heard::Transcript(transcript))));
            }
            other => state.mistaken(id, other, UNFIT)?,
        },
        FromSpeech::Clause { id, clause } => begin_clause(state, id, clause)?,
        FromSpeech::Spoken { id } => match state.take(id) {
            Some(Waiting::Saying(saying)) if saying.open.is_none() => {}
            other => state.mistaken(id, other, UNFIT)?,
        },
        FromSpeech::Translated { id, text } => match state.take(id) {
            Some(Waiting::Translation(sender)) => drop(sender.send(Ok(text))),
            other => state.mistaken(id, other, UNFIT)?,
        },
        FromSpeech::Refused { id, refusal } => state.fail(id, refusal.into()),
        FromSpeech::Cancelled { id } => {
            state.fail(id, SpeechError::Failed("it was cancelled".into()));
        }
        FromSpeech::Failed { id, message } => state.fail(id, SpeechError::Failed(message)),
        FromSpeech::Pong { nonce } => state.pong(nonce, ()),
    }
    Ok(())
}

/// The clause whose sound comes next.
fn begin_clause(state: &mut State, id: RequestId, clause: Clause) -> Result<(), ConnectionError> {
    let saying = match state.waiting(id) {
        None => return Ok(()),
        Some(Waiting::Saying(saying)) if saying.open.is_none() => saying,
        Some(_) => return Err(garbage("a clause out of order")),
    };
    let samples = clause.samples as usize;
    saying.samples = saying.samples.saturating_add(samples);
    if saying.samples > SAMPLES {
        return Err(garbage("a voice without end"));
    }
    saying.open = Some(Voiced {
        clause,
        sound: Vec::with_capacity(samples),
    });
    saying.close_if_whole()
}

/// Sound of the clause that was begun.
fn sound(state: &mut State, id: RequestId, samples: &[i16]) -> Result<(), ConnectionError> {
    match state.waiting(id) {
        None => Ok(()),
        Some(Waiting::Saying(saying)) => {
            let Some(open) = &mut saying.open else {
                return Err(garbage("sound without a clause"));
            };
            open.sound.extend_from_slice(samples);
            saying.close_if_whole()
        }
        Some(_) => Err(garbage("sound for what is no voice")),
    }
}

/// A text as far as it is said.
pub(super) struct Saying {
    clauses: mpsc::Sender<Result<Voiced, SpeechError>>,
    /// The clause whose sound is coming.
    open: Option<Voiced>,
    samples: usize,
}

impl Saying {
    fn close_if_whole(&mut self) -> Result<(), ConnectionError> {
        let whole = |open: &mut Voiced| open.sound.len() >= open.clause.samples as usize;
        let Some(voiced) = self.open.take_if(whole) else {
            return Ok(());
        };
        if voiced.sound.len() > voiced.clause.samples as usize {
            return Err(garbage("more sound than its clause has"));
        }
        match self.clauses.try_send(Ok(voiced)) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(garbage("clauses without end")),
            // Closed is a reader that has left; the cancellation is on its way.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }
}

/// The process would refuse it too; but a frame may not hold it.
fn check_length(text: &str) -> Result<(), SpeechRefusal> {
    if text.len() > MAX_TEXT {
        let message = format!("{} bytes of text; at most {MAX_TEXT}", text.len());
        return Err(SpeechRefusal::Malformed { message });
    }
    Ok(())
}

fn garbage(problem: &str) -> ConnectionError {
    ConnectionError::Garbage(problem.into())
}

/// Asks the local speech process. Cheap to clone; every clone speaks for the same process.
#[derive(Clone, Debug, Default)]
pub struct SpeechClient(pub(super) Link<Sounds>);

impl SpeechClient {
    /// A client without a process yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a process is attached.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.0.ready()
    }

    /// What the process can do that is attached, or was last.
    pub fn abilities(&self) -> Abilities {
        self.0.lock().about.clone()
    }

    /// Begins to listen: sound goes into the one, what was said comes out of the other.
    ///
    /// # Errors
    /// When no process is there, or too much is under way.
    pub fn listen(&self, request: Listen) -> Result<(Microphone, Listening), SpeechError> {
        let (sender, answers) = mpsc::channel(ANSWERS);
        let request = self.send(Waiting::Listening(sender), |id| ToSpeech::Listen {
            id,
            request,
        })?;
        let microphone = Microphone {
            client: self.clone(),
            id: request.id(),
            taken: 0,
        };
        let listening = Listening {
            answers,
            request: Some(request),
        };
        Ok((microphone, listening))
    }

    /// Has a text said.
    ///
    /// # Errors
    /// When no process is there, or too much is under way.
    pub fn speak(&self, request: Speak) -> Result<Speaking, SpeechError> {
        check_length(&request.text)?;
        let (clauses, said) = mpsc::channel(CLAUSES);
        let saying = Waiting::Saying(Box::new(Saying {
            clauses,
            open: None,
            samples: 0,
        }));
        let request = self.send(saying, |id| ToSpeech::Speak { id, request })?;
        Ok(Speaking {
            clauses: said,
            request: Some(request),
        })
    }

    /// Has a text translated.
    ///
    /// # Errors
    /// When the process refuses, fails or is lost.
    pub async fn translate(&self, request: Translate) -> Result<String, SpeechError> {
        check_length(&request.text)?;
        let (sender, answer) = oneshot::channel();
        let _request = self.send(Waiting::Translation(sender), |id| ToSpeech::Translate {
            id,
            request,
        })?;
        answer.await.unwrap_or(Err(SpeechError::Lost))
    }

    /// Asks for a sign of life of every engine.
    ///
    /// # Errors
    /// When the process is lost before it answers. There is no deadline here.
    pub async fn ping(&self) -> Result<(), SpeechError> {
        self.0.ping().await
    }

    fn send(
        &self,
        waiting: Waiting,
        message: impl FnOnce(RequestId) -> ToSpeech,
    ) -> Result<InFlight, SpeechError> {
        let message = |id| Outgoing::Message(message(id));
        self.0.send(waiting, message)
    }

    pub(super) fn send_sound(&self, id: RequestId, samples: &[i16]) {
        let mut state = self.0.lock();
        if let Some(Waiting::Listening(_)) = state.waiting(id) {
            for frame in samples.chunks(FRAME_SAMPLES) {
                state.tell(Outgoing::Sound(id, frame.to_vec()));
            }
        }
    }

    pub(super) fn send_end(&self, id: RequestId) {
        let mut state = self.0.lock();
        if let Some(Waiting::Listening(_)) = state.waiting(id) {
            state.tell(Outgoing::Message(ToSpeech::End { id }));
        }
    }

    /// Greets the process at the other end of `socket` and serves requests there from now
    /// on. Whatever process was attached before is let go.
    ///
    /// # Errors
    /// When it does not greet back in this protocol.
    pub async fn attach(&self, socket: UnixStream) -> Result<Connection, ConnectionError> {
        self.0.attach(socket).await.map(Connection)
    }
}

/// One attached process. Dropping it lets the process go.
#[derive(Debug)]
pub struct Connection(link::Connection<Sounds>);

impl Connection {
    /// Waits until the process is lost.
    pub async fn lost(&mut self) -> ConnectionError {
        self.0.lost().await
    }
}

/// A request under way; dropping it tells the process that nobody waits any more.
pub(super) type InFlight = link::InFlight<Sounds>;
