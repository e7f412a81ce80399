//! Everything that actors say to each other. No message has an answer: whoever owes one
//! sends a message of its own, which carries what it answers.

use std::sync::Arc;

use actix::{Message, Recipient};

use super::{
    bot::AnswerBrief,
    frame::Frame,
    identity::SessionKey,
    judge::{QuestionBrief, VerdictBrief},
    medium::{Asked, Said, VoiceSays},
    opinion::OpinionBrief,
    pulse::{Pulse, SocketId},
    receipt::Receipt,
    seeds::Purpose,
    sound::Sound,
};
use crate::{
    generation::GenerationError,
    play::{
        UnixMillis,
        imitation::{Ending, Kind, Mode, Verdict},
        party::{Act, Chair, Opinion, Role, Setup},
        seance::Tongue,
    },
    store::Fence,
    wire::{
        browser::{Bye, RefusalCode, TableCard, ToClient},
        sound::SoundFrame,
    },
};

pub(crate) use crate::wire::browser::Held;

/// A socket as others hold it.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) socket: SocketId,
    pub(crate) key: SessionKey,
    /// Bounded; who finds it full leaves word in `pulse`.
    pub(crate) outbox: Recipient<ToSession>,
    pub(crate) pulse: Arc<Pulse>,
}

// ---- session → hall

/// A socket says who it is.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SignIn {
    pub(crate) socket: SocketId,
    pub(crate) token: Option<String>,
    pub(crate) outbox: Recipient<ToSession>,
    pub(crate) pulse: Arc<Pulse>,
}

/// A socket is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SignOut {
    pub(crate) socket: SocketId,
}

/// A guest wants something of the hall. `id` is the client's.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromGuest {
    pub(crate) socket: SocketId,
    pub(crate) id: u32,
    pub(crate) wish: Wish,
}

pub(crate) enum Wish {
    Open {
        kind: Kind,
        mode: Mode,
        name: String,
    },
    Resume {
        room: String,
        epoch: u32,
        offset: u32,
    },
    OpenTable {
        setup: Setup,
        role: Role,
        name: String,
    },
    JoinTable {
        room: String,
        want: Want,
        held: Option<Held>,
    },
    /// To hear of open tables, or no longer.
    Lobby {
        watch: bool,
    },
    /// To the house's séance. `sit`: to ask, else to watch. `held` is what the client has of
    /// the séance of that name.
    EnterSeance {
        sit: bool,
        room: Option<String>,
        held: Option<Held>,
    },
    Leave,
}

/// As whom somebody comes to a table.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) role: Role,
    pub(crate) name: String,
    /// A seat token, as the client sent it.
    pub(crate) seat: Option<String>,
}

// ---- to a session

/// What a session hears from hall and room.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum ToSession {
    /// The hall knows it.
    SignedIn(SignedIn),
    /// It sits in a room; from now on the room is told its moves.
    Seated {
        moves: Recipient<FromPlayer>,
        /// Where sound goes, and what has no answer; at a séance.
        sounds: Option<Recipient<FromSitter>>,
    },
    /// It sits nowhere any more.
    Unseated,
    Say(Frame),
    /// A frame of the voice. Who is slow loses it.
    Sound(Sound),
    Bye {
        bye: Bye,
        why: &'static str,
    },
}

impl ToSession {
    pub(crate) fn say(message: &ToClient) -> Self {
        Self::Say(Frame::of(message))
    }
}

/// What a welcome needs.
pub(crate) struct SignedIn {
    pub(crate) token: super::identity::Token,
    pub(crate) room: Option<String>,
}

// ---- session → room

/// A player's move.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromPlayer {
    pub(crate) receipt: Receipt,
    pub(crate) what: Move,
}

#[derive(Clone, Debug)]
pub(crate) enum Move {
    Answer { round: u32, text: String },
    Stop,
    Act(Act),
    Seance(Gesture),
}

/// What a sitter does at a séance.
#[derive(Clone, Debug)]
pub(crate) enum Gesture {
    Listen {
        utterance: u32,
        languages: Vec<String>,
    },
    Spoken {
        utterance: u32,
        seed: Option<u32>,
    },
    Unspoken {
        utterance: u32,
    },
    Question {
        text: String,
        language: Option<String>,
        seed: Option<u32>,
    },
    Hush,
}

/// What a sitter's page sends without waiting for an answer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromSitter {
    pub(crate) socket: SocketId,
    pub(crate) what: Stream,
}

pub(crate) enum Stream {
    /// Sound of the microphone.
    Sound(SoundFrame),
    /// So many words of the line were played.
    Heard { line: u32, words: u32 },
}

// ---- hall → room

/// Somebody sits down. The hall has made sure that the seat is theirs.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct Join {
    pub(crate) guest: Guest,
    /// The request that this answers; none when the hall seats a guest again.
    pub(crate) id: Option<u32>,
    /// What the client holds of the room; none means nothing.
    pub(crate) held: Option<Held>,
    /// At a table: as whom.
    pub(crate) want: Option<Want>,
    /// At a séance: whether they want to ask.
    pub(crate) sit: bool,
}

/// Somebody gets up.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct GetUp {
    pub(crate) socket: SocketId,
    /// The player plays elsewhere now: this game stops.
    pub(crate) for_good: bool,
}

/// The player plays another game now, at another server: this one stops.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Abandoned;

/// Nobody needs the room any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Shut;

/// The house is full and somebody wants a room: this table closes if nobody is at it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct MakeRoom;

/// The room goes to another server: finish what is being written, and stop. The game is as the
/// log has it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct MoveOut {
    /// Somebody else has it already, so that nothing more can be written.
    pub(crate) lost: bool,
}

// ---- room → hall

/// A room has its lease, and is to be kept in it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomHeld {
    pub(crate) room: String,
    pub(crate) life: u32,
    pub(crate) fence: Fence,
}

/// A room reached the end of its game.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomEnded {
    pub(crate) room: String,
    pub(crate) life: u32,
    /// Whether it ended just now; otherwise it was found ended.
    pub(crate) fresh: Option<Ending>,
}

/// Whether nobody is at a table and nothing is played there, whenever that changes.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TableVacant {
    pub(crate) room: String,
    pub(crate) life: u32,
    pub(crate) vacant: bool,
}

/// A room is over and empty, and would go.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomIdle {
    pub(crate) room: String,
    pub(crate) life: u32,
    /// Whether it is gone for good: then whoever is on the way here comes too late.
    pub(crate) for_good: bool,
}

/// How a table looks from the lobby; none while it is not listed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct CardChanged {
    pub(crate) room: String,
    pub(crate) opened: UnixMillis,
    pub(crate) card: Option<TableCard>,
}

/// Somebody left a table for good, or was removed: the session does not belong there any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SeatGivenUp {
    pub(crate) room: String,
    pub(crate) key: SessionKey,
}

/// A room's actor is no more. Sent however that came about.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomGone {
    pub(crate) room: String,
    pub(crate) life: u32,
    pub(crate) how: Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Nobody needs it any more.
    Done,
    /// It is free for another server.
    Moved,
    /// Another server has it.
    Lost,
    /// What is stored of it cannot be played.
    Unfit,
    /// It panicked, or found that its state is not the log's.
    Unexpected,
}

// ---- room → bot and judge

/// A machine's turn.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ask<B> {
    pub(crate) turn: TurnId,
    /// The first attempt that the room will listen to.
    pub(crate) attempt: u32,
    pub(crate) brief: B,
    pub(crate) room: Recipient<FromTurn>,
}

/// The bot's turn.
pub(crate) type Answer = Ask<AnswerBrief>;
/// The judge's turn: a question.
pub(crate) type AskQuestion = Ask<QuestionBrief>;
/// The judge's turn: a verdict.
pub(crate) type GiveVerdict = Ask<VerdictBrief>;
/// The judge's turn: an opinion of many witnesses.
pub(crate) type GiveOpinion = Ask<OpinionBrief>;

/// Lets go of the turn in hand.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LetGo;

/// Names a turn of one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TurnId {
    /// Which of the room's games.
    pub(crate) game: u32,
    pub(crate) round: u32,
    pub(crate) purpose: Purpose,
    /// Whose turn it is where several machines answer.
    pub(crate) chair: Option<Chair>,
}

/// What a turn came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Made {
    Question(String),
    Answer(String),
    Verdict(Verdict),
    Opinion(Opinion),
    Line(SaidLine),
}

/// A line of a spirit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SaidLine {
    pub(crate) text: String,
    /// ISO 639-1.
    pub(crate) language: String,
    /// The text in the model's language, where it is another one.
    pub(crate) inner: Option<String>,
    pub(crate) tongue: Tongue,
}

// ---- bot and judge → room

/// What a turn reports. A higher attempt starts the turn's text anew.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromTurn {
    pub(crate) turn: TurnId,
    pub(crate) attempt: u32,
    pub(crate) says: TurnSays,
}

pub(crate) enum TurnSays {
    /// More of the line.
    Wrote(String),
    /// The model is away; the turn goes on by itself when it is back.
    Away,
    /// The model is back.
    Back,
    Finished(Made),
    /// It cannot be done.
    Failed(TurnError),
    /// Whoever had the turn is gone without a word.
    Lost,
}

/// Why a turn was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    #[error("the model failed {times} times, at last: {last}")]
    Generation { times: u32, last: GenerationError },
    #[error("{times} texts were thrown back, at last because {last}")]
    Spoiled { times: u32, last: String },
}

// ---- medium → room

/// What is heard and voiced for a séance.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromMedium {
    pub(crate) says: MediumSays,
}

pub(crate) enum MediumSays {
    /// The speech process came or went.
    MeansChanged,
    /// What is understood so far.
    Hearing { utterance: u32, text: String },
    /// All of it.
    Understood { utterance: u32, said: Said },
    /// The ear failed.
    Deaf { utterance: u32, why: String },
    /// A typed question, brought into the model's language.
    Question { receipt: Receipt, asked: Asked },
    /// A voice goes on.
    Voice { line: u32, says: VoiceSays },
}

// ---- anybody

/// A refusal of a client's request.
pub(crate) fn refused(id: u32, code: RefusalCode, message: impl Into<String>) -> ToClient {
    ToClient::Refused {
        id,
        code,
        message: message.into(),
    }
}
