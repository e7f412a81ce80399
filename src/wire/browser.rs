//! Browser ↔ server: JSON text frames over `/ws`, tagged by `type`. See docs/protocol.md
//! for the order in which they come and what each side owes the other.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::play::imitation::{Event, Kind, Mode, Seat};

/// Version of this protocol. A server closes with [`Bye::OldClient`] on another one.
pub const PROTOCOL: u16 = 1;

/// Longest frame a client may send, bytes.
pub const MAX_CLIENT_FRAME: usize = 16 << 10;

/// What a client says. `id` is the client's own and comes back in [`ToClient::Accepted`]
/// or [`ToClient::Refused`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[ts(export)]
pub enum FromClient {
    /// First, always. `session` is the token of an earlier [`ToClient::Welcome`].
    Hello {
        protocol: u16,
        #[serde(default)]
        session: Option<String>,
    },
    /// Opens a room and sits down in it. A game that this session has not finished is
    /// stopped.
    Open {
        id: u32,
        kind: Kind,
        mode: Mode,
        #[serde(default)]
        name: String,
    },
    /// Comes back to a room whose first `offset` events the client holds.
    Resume {
        id: u32,
        room: String,
        epoch: u32,
        offset: u32,
    },
    Answer {
        id: u32,
        round: u32,
        text: String,
    },
    Stop {
        id: u32,
    },
    /// Gets up. The room waits for the player until its idle limit.
    Leave {
        id: u32,
    },
    Ping {
        nonce: u32,
    },
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(export)]
pub enum ToClient {
    Welcome {
        protocol: u16,
        /// The server's program version.
        version: String,
        /// Say this in the next `hello` to be known again. A secret.
        session: String,
        /// The room this session sits in, if it is still open.
        room: Option<String>,
        limits: Limits,
    },
    Accepted {
        id: u32,
    },
    Refused {
        id: u32,
        code: RefusalCode,
        message: String,
    },
    /// Where the client stands. Replaces what it held of this room when `offset` is 0,
    /// continues it otherwise.
    Joined {
        room: String,
        epoch: u32,
        /// Offset of the first of `events`.
        offset: u32,
        seat: Seat,
        events: Vec<Stamped>,
        doing: Doing,
    },
    /// The next event of the room.
    Event {
        room: String,
        #[serde(flatten)]
        stamped: Stamped,
    },
    /// What the room is waiting for now.
    Doing {
        room: String,
        doing: Doing,
    },
    /// A line that is being written. It ends with the event that carries the whole line.
    Partial {
        room: String,
        round: u32,
        line: Line,
        /// A higher attempt starts the line anew.
        attempt: u32,
        /// Characters (Unicode scalar values) of this line sent before.
        from: u32,
        text: String,
    },
    /// After the end: every event that was veiled, with its offset.
    Unveiled {
        room: String,
        events: Vec<Stamped>,
    },
    Pong {
        nonce: u32,
    },
    /// The socket closes after this.
    Bye {
        code: Bye,
        come_back: bool,
        message: String,
    },
}

/// An event, where it stands in the room's log, and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Stamped {
    pub offset: u32,
    /// Milliseconds since the Unix epoch.
    #[ts(type = "number")]
    pub at: u64,
    /// Absent while the mode veils it.
    pub event: Option<Event>,
}

/// What a room is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Doing {
    JudgeAsks,
    /// Both may still owe an answer.
    WitnessesAnswer {
        your_turn: bool,
        /// You will be let go at this time, milliseconds since the Unix epoch.
        #[ts(type = "number | null")]
        until: Option<u64>,
    },
    JudgeWeighs,
    /// The model is away; the turn is run again when it is back.
    WaitsForModel,
    Over,
}

/// Whose line is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Question,
    OtherAnswer,
    Reasoning,
}

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Limits {
    /// Bytes.
    pub frame: u32,
    /// Characters.
    pub answer: u32,
    /// Characters.
    pub name: u32,
}

/// Why a message was refused. The socket stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// Not JSON of a known message, or a field out of its limits.
    Malformed,
    /// The rules do not allow it now.
    NotNow,
    /// Every room is taken.
    FullHouse,
    NoSuchRoom,
    /// Somebody else's seat.
    NotYours,
    TooFast,
    /// The store or another part of the server failed; nothing was lost.
    Trouble,
}

/// Why the server closes. The number of each is its WebSocket close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Bye {
    /// 4000: the server stops or restarts. Come back.
    Restarting,
    /// 4001: you read too slowly. Come back.
    TooSlow,
    /// 4002: nothing was heard from you. Come back.
    Silent,
    /// 4003: the full house. Come back later.
    Full,
    /// 4100: another protocol. Reload the page.
    OldClient,
    /// 4101: frames no client of ours sends.
    Hostile,
    /// 4102: this session was opened elsewhere; the newer one has the seat.
    Elsewhere,
}
