//! Browser ↔ server: JSON text frames over `/ws`, tagged by `type`. See docs/protocol.md
//! for the order in which they come and what each side owes the other.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::play::{
    imitation::{self, Kind, Mode, Seat},
    party::{self, Act, Member, Role, Setup},
    seance,
};

/// Version of this protocol. A server closes with [`Bye::OldClient`] on another one.
pub const PROTOCOL: u16 = 2;

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
    /// Opens a table for many and sits down at it as its host.
    OpenTable {
        id: u32,
        setup: Setup,
        role: Role,
        #[serde(default)]
        name: String,
    },
    /// Comes to a table by its code, or comes back to it (then name and role stay as they
    /// were). `seat` is the token of an earlier [`ToClient::Seated`] at this table: it gives
    /// back that place to whoever holds it, in any browser. `held` is what the client has of
    /// the table's log.
    JoinTable {
        id: u32,
        room: String,
        role: Role,
        #[serde(default)]
        name: String,
        #[serde(default)]
        seat: Option<String>,
        #[serde(default)]
        held: Option<Held>,
    },
    /// Does something at the table.
    #[serde(deserialize_with = "acting")]
    Act {
        id: u32,
        #[serde(flatten)]
        act: Act,
    },
    /// Asks for the list of open tables, now and whenever it changes, until `watch` is false.
    Lobby {
        id: u32,
        watch: bool,
    },
    /// Gets up. The room waits for the player until its idle limit; a séance goes on with the
    /// next one at once.
    Leave {
        id: u32,
    },
    /// Comes to the house's séance, or comes back to it. `sit`: wants to ask, and waits for a
    /// free seat; else watches. Said again it changes from the one to the other. Only with
    /// the gate's cookie.
    EnterSeance {
        id: u32,
        sit: bool,
        /// What the client has of this séance's log.
        #[serde(default)]
        room: Option<String>,
        #[serde(default)]
        held: Option<Held>,
    },
    /// The sitter presses the key: the spirit is silenced, and microphone frames with this
    /// number follow (see [`crate::wire::sound`]). The client counts its utterances.
    Listen {
        id: u32,
        utterance: u32,
        /// What may be spoken, ISO 639-1; empty: any language that the house hears.
        #[serde(default)]
        languages: Vec<String>,
    },
    /// The key is let go: all frames of it were sent.
    Spoken {
        id: u32,
        utterance: u32,
        /// Taken from a frame of the camera: the sum of its red values. Absent: dice.
        #[serde(default)]
        seed: Option<u32>,
    },
    /// What was being said is taken back.
    Unspoken {
        id: u32,
        utterance: u32,
    },
    /// A question that was typed.
    Question {
        id: u32,
        text: String,
        /// ISO 639-1; absent: the house's own.
        #[serde(default)]
        language: Option<String>,
        #[serde(default)]
        seed: Option<u32>,
    },
    /// Silence, until it is asked again.
    Hush {
        id: u32,
    },
    /// So many words of the line were played, counted from its beginning; said at the end of
    /// each clause and before anything that silences. Has no answer.
    Heard {
        line: u32,
        words: u32,
    },
    Ping {
        nonce: u32,
    },
}

/// The fields of [`FromClient::Act`]. What is flattened leaves its fields behind, where they
/// would be taken for unknown ones.
fn acting<'de, D: serde::Deserializer<'de>>(from: D) -> Result<(u32, Act), D::Error> {
    #[derive(Deserialize)]
    struct Acting {
        id: u32,
        #[serde(flatten)]
        act: Act,
    }
    Acting::deserialize(from).map(|Acting { id, act }| (id, act))
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
        events: Vec<Stamped<imitation::Event>>,
        doing: Doing,
    },
    /// The next event of the room.
    Event {
        room: String,
        #[serde(flatten)]
        stamped: Stamped<imitation::Event>,
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
        events: Vec<Stamped<imitation::Event>>,
    },
    /// Where the client stands at a table; else as [`Self::Joined`].
    Seated {
        room: String,
        epoch: u32,
        offset: u32,
        you: Member,
        /// Say this in a `join_table` to have this place again. A secret.
        seat: String,
        events: Vec<Stamped<party::Event>>,
        doing: TableDoing,
        /// Who has a socket open.
        present: Vec<Member>,
    },
    /// The next event of the table.
    TableEvent {
        room: String,
        #[serde(flatten)]
        stamped: Stamped<party::Event>,
    },
    /// After the end of a game: every event of it that was veiled, with its offset.
    TableUnveiled {
        room: String,
        events: Vec<Stamped<party::Event>>,
    },
    /// What a table is waiting for now.
    TableDoing {
        room: String,
        doing: TableDoing,
    },
    /// Who of the table has a socket open, whenever that changes.
    Present {
        room: String,
        present: Vec<Member>,
    },
    /// Where the client stands in a séance; else as [`Self::Joined`]. The log may begin
    /// anywhere: what is left out belongs to earlier sittings.
    Seance {
        room: String,
        epoch: u32,
        /// Offset of the first of `events`. A client that holds events before it in the same
        /// epoch, without a gap, keeps them.
        offset: u32,
        /// The place of one who sits or waits; none for one who watches.
        you: Option<Member>,
        events: Vec<Stamped<seance::Event>>,
        doing: SeanceDoing,
    },
    /// The next event of the séance.
    SeanceEvent {
        room: String,
        #[serde(flatten)]
        stamped: Stamped<seance::Event>,
    },
    /// What a séance is doing now.
    SeanceDoing {
        room: String,
        doing: SeanceDoing,
    },
    /// What the house can do at a séance: after [`Self::Seance`], and when it changes.
    SeanceMeans {
        room: String,
        means: SeanceMeans,
    },
    /// Who sits and who waits, seen from the client: whenever that changes.
    Waiting {
        room: String,
        /// The client's place in the queue, from 1; none for one who sits or watches.
        place: Option<u32>,
        /// How many wait.
        waiting: u32,
        /// Whether somebody sits.
        taken: bool,
    },
    /// What was understood so far of what is being said. The next one takes its place, and
    /// at last the event with the question.
    Hearing {
        room: String,
        utterance: u32,
        text: String,
    },
    /// A clause of a line, before its sound, which follows at once. A line begins with
    /// clause 0.
    Caption {
        room: String,
        line: u32,
        clause: u32,
        words: Vec<CaptionWord>,
        /// The clause's first sample, counted from the beginning of the line.
        from: u32,
        /// Its length in samples. 0: there is no voice, and the page shows the words at the
        /// pace of reading.
        samples: u32,
        /// Samples per second of all sound of this line.
        rate: u32,
        /// The asker's timbre could not be taken on, and the voice keeps its own.
        unlike: bool,
    },
    /// All clauses of the line were sent.
    LineOver {
        room: String,
        line: u32,
    },
    /// The open tables that are listed, newest first.
    Lobby {
        tables: Vec<TableCard>,
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
pub struct Stamped<E> {
    pub offset: u32,
    /// Milliseconds since the Unix epoch.
    #[ts(type = "number")]
    pub at: u64,
    /// Absent while the mode veils it.
    pub event: Option<E>,
}

/// How much of a room's log a client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Held {
    pub epoch: u32,
    pub offset: u32,
}

/// What a table is doing. `until` is when it goes on without whoever is late, milliseconds
/// since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum TableDoing {
    Gathering,
    /// The AI or the person on the bench is to ask.
    Asking {
        round: u32,
        your_turn: bool,
        #[ts(type = "number | null")]
        until: Option<u64>,
    },
    Answering {
        round: u32,
        your_turn: bool,
        #[ts(type = "number | null")]
        until: Option<u64>,
    },
    Weighing {
        round: u32,
    },
    Voting {
        your_turn: bool,
        #[ts(type = "number | null")]
        until: Option<u64>,
    },
    WaitsForModel,
    Over,
}

/// What a séance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum SeanceDoing {
    /// Nobody asks and the spirit says nothing.
    Quiet,
    /// A sitter speaks, or what was said is being understood.
    Listening,
    /// The answer is being made.
    Thinking,
    /// The spirit speaks, or pauses between two lines.
    Speaking,
    /// The model is away; the spirit goes on when it is back.
    WaitsForModel,
    Over,
}

/// What can be done at a séance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SeanceMeans {
    /// Languages that are understood when they are spoken, ISO 639-1. None: questions can
    /// only be typed.
    pub hears: Vec<String>,
    /// Languages that have a voice. None: the spirit is only read.
    pub voices: Vec<String>,
    /// Languages that the spirit answers in, by itself or through a translation.
    pub answers: Vec<String>,
    /// Longest question that is typed, characters.
    pub question_limit: u32,
    /// Longest question that is spoken, seconds.
    pub question_seconds: u32,
    /// The spirit's voice takes on the timbre of whoever asks aloud: they are told before.
    pub clones: bool,
}

/// A word of a caption, and when it sounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CaptionWord {
    /// As it is written, with the punctuation that clings to it; a sound in brackets is a
    /// word. Words are counted as [`seance::words`] counts those of the line.
    pub text: String,
    /// First sample and the one after its last, from the beginning of the line.
    pub from: u32,
    pub to: u32,
}

/// One table in the lobby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TableCard {
    pub room: String,
    pub host: String,
    pub setup: Setup,
    /// People on or waiting for chairs and the bench.
    pub players: u32,
    pub spectators: u32,
    pub playing: bool,
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
    /// The gate is shut: a password opens it.
    Locked,
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
    /// 4004: the room is another server's now. Come back.
    Moved,
    /// 4100: another protocol. Reload the page.
    OldClient,
    /// 4101: frames no client of ours sends.
    Hostile,
    /// 4102: this session was opened elsewhere; the newer one has the seat.
    Elsewhere,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_read_as_it_is_written_and_other_messages_stay_strict() {
        let acts = [
            Act::Leave,
            Act::Say { text: "hi".into() },
            Act::Answer {
                round: 2,
                text: "so".into(),
            },
        ];
        for act in acts {
            let message = FromClient::Act { id: 3, act };
            let text = serde_json::to_string(&message).expect("json");
            assert_eq!(
                serde_json::from_str::<FromClient>(&text).ok(),
                Some(message),
                "{text}"
            );
        }
        let say = r#"{"type":"act","id":1,"act":"say","text":"hi"}"#;
        assert!(serde_json::from_str::<FromClient>(say).is_ok());
        for odd in [
            r#"{"type":"act","id":1,"act":"dance"}"#,
            r#"{"type":"act","id":1}"#,
            r#"{"type":"act","act":"leave"}"#,
            r#"{"type":"stop","id":1,"more":true}"#,
        ] {
            assert!(serde_json::from_str::<FromClient>(odd).is_err(), "{odd}");
        }
    }
}
