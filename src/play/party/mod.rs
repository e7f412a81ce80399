//! The imitation game at a table: up to eight witnesses, people and machines in any mix,
//! questioned by an AI, by one of the people, or by an AI with everybody voting.
//!
//! People gather, the host starts, chairs are drawn at random, and from then on a witness is
//! a letter: who sits where is known to each one about himself alone, until the end. A round
//! is: a question, every witness answers, the answers are revealed together. Ballots name the
//! seat that somebody takes for a person, with a confidence. After the end the table can
//! play again with new chairs.
//!
//! [`super::imitation`] is the game of one person against one machine, with a verdict after
//! each round.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    UnixMillis,
    imitation::{Kind, Mode},
    text::Unfit,
};

mod ballots;
mod chairs;
mod game;
mod people;
mod score;
mod setup;
mod sight;
mod table;
mod text;

pub use game::{Round, Step};
pub use people::Person;
pub use score::brier;
pub use table::{Table, rebuild};
pub use text::NAMELESS;

/// Fewest and most chairs of witnesses.
pub const CHAIRS: std::ops::RangeInclusive<u8> = 2..=8;

/// Most people of a table who are not spectators, and most spectators.
pub const PLAYERS: usize = 64;
pub const SPECTATORS: usize = 2000;

/// Most rounds of a game.
pub const ROUNDS: u32 = 50;

/// Most time for an answer, seconds.
pub const SECONDS: u32 = 3600;

/// Longest name of a person, characters.
pub const NAME_LIMIT: usize = 24;

/// A witness's chair: 0 is A, 7 is H.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(transparent)]
pub struct Chair(pub u8);

impl Chair {
    /// How people call it: A to H.
    pub fn letter(self) -> char {
        char::from(b'A'.saturating_add(self.0).min(b'Z'))
    }
}

/// A person at this table, numbered in the order of coming; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(transparent)]
pub struct Member(pub u32);

/// What a machine that sits as a witness is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Machine {
    /// The chat model as it is.
    Model,
    /// The chat model with this adapter.
    Persona { name: String },
    /// Weizenbaum's program of 1966, the control.
    Eliza,
}

/// Who sits on a chair, as the end reveals it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum Witness {
    Person { member: Member },
    Machine { machine: Machine },
}

/// Who questions and decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Bench {
    /// The AI asks, weighs after every round, and decides.
    Machine,
    /// One of the people asks all the questions and names the human: the classic test.
    Person,
    /// The AI asks; after the last round everybody votes, the AI too.
    Everybody,
}

/// What happens to the chair of a person who was removed, left, or missed
/// [`MISSES`] answers in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Vacancy {
    /// A machine answers on it from now on; that it does is revealed at the end.
    Machine,
    /// It is closed, for all to see.
    Close,
}

/// Answers in a row that a person may miss before the chair is vacant.
pub const MISSES: u32 = 2;

/// How a table plays. The host may change it while people gather.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Setup {
    pub kind: Kind,
    pub mode: Mode,
    pub bench: Bench,
    /// Chairs of people; filled by the machines below up to [`CHAIRS`] together.
    pub people: u8,
    /// The machines that play along, at least one.
    pub machines: Vec<Machine>,
    pub rounds: u32,
    /// Time for an answer, a question or a ballot, seconds.
    pub seconds: u32,
    pub vacancy: Vacancy,
    /// Whether the lobby lists it.
    pub listed: bool,
    /// Whether spectators may come.
    pub open_to_spectators: bool,
    /// Longest answer, question or line, characters.
    pub line_limit: u32,
}

/// What somebody came as. Chairs are drawn among those who want one when the game starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Witness,
    /// Wants to sit on the bench; one at most, and only with [`Bench::Person`].
    Judge,
    Spectator,
}

/// Whom somebody takes for a person, and how surely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Ballot {
    pub human: Chair,
    /// Probability that this is right, percent, from what guessing gives up to 100.
    pub confidence: u8,
}

/// Who gave a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(tag = "voter", rename_all = "snake_case")]
pub enum Voter {
    Machine,
    Person { member: Member },
}

/// What the AI on the bench concludes after a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Opinion {
    pub reasoning: String,
    /// Probability that each open chair holds a person, percent, in the order of the chairs.
    pub beliefs: Vec<Belief>,
}

/// The AI's belief about one chair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Belief {
    pub chair: Chair,
    /// Percent.
    pub human: u8,
    /// What this round alone says, log-odds in nats: the beliefs of a round are computed from
    /// those of all rounds. Absent when nothing was measured.
    #[serde(default)]
    pub reading: Option<f32>,
    /// How surprising the answer was to the model, nats per token, and its curvature in
    /// standard deviations (as in [`super::imitation::Grounds`]); absent when the back end
    /// gives none.
    pub surprise: Option<f32>,
    pub curvature: Option<f32>,
}

/// How a game at the table came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// Every round was played and the ballots are in.
    Played,
    /// The host stopped it.
    Stopped,
    /// No person is left on a chair, or the person on the bench left, or let the time for a
    /// question or the ballot pass.
    Deserted,
    /// A model that the game needs kept failing.
    Broken,
}

/// How one chair did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct ChairScore {
    pub chair: Chair,
    pub witness: Witness,
    /// Mean probability of being a person that the others' ballots gave it, percent; 0 when
    /// there are none.
    pub taken_for_human: u8,
    /// Whether it is among the best at what the kind of game asks of witnesses.
    pub won: bool,
}

/// How well somebody told people from machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct VoterScore {
    pub voter: Voter,
    pub ballot: Ballot,
    pub right: bool,
    /// 100 · (1 − Brier): 100 for sure and right, 0 for sure and wrong.
    pub score: u8,
}

/// What happened at the table. Its log is a list of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(rename = "TableEvent")]
pub enum Event {
    /// Somebody opened the table and is its host, member 0 (who [`Event::Came`] next).
    TableOpened {
        setup: Setup,
    },
    /// Somebody came. `key` (hash of the session) is known to the server alone.
    Came {
        member: Member,
        name: String,
        role: Role,
        key: Option<String>,
    },
    /// Left for good, or was removed by the host.
    Went {
        member: Member,
        removed: bool,
    },
    RoleChanged {
        member: Member,
        role: Role,
    },
    HostChanged {
        member: Member,
    },
    SetupChanged {
        setup: Setup,
    },
    Muted {
        member: Member,
        muted: bool,
    },
    /// A line of talk; only while nobody plays.
    Said {
        member: Member,
        text: String,
    },
    /// A game starts. `chairs` is for the end; a person at the table sees `yours`.
    Started {
        /// Games at this table, from 1.
        game: u32,
        chairs: Option<Vec<Witness>>,
        /// How many chairs there are.
        count: u8,
        /// The chair of the one who looks; filled in for each reader.
        yours: Option<Chair>,
        /// The person on the bench.
        judge: Option<Member>,
        seed: Option<u32>,
    },
    Questioned {
        round: u32,
        text: String,
    },
    /// One witness's answer; none if time ran out. Veiled to others until [`Event::Revealed`].
    Replied {
        round: u32,
        chair: Chair,
        text: Option<String>,
    },
    /// All answers of the round, in the order of the chairs: what everybody sees at once.
    Revealed {
        round: u32,
        answers: Vec<Answer>,
    },
    /// A person's chair fell vacant. Veiled with [`Vacancy::Machine`].
    Vacated {
        chair: Chair,
        vacancy: Vacancy,
    },
    /// The AI weighed a round. Veiled in blind mode.
    Weighed {
        round: u32,
        opinion: Opinion,
    },
    /// Ballots are being taken.
    BallotsOpened,
    /// Somebody voted. The ballot is veiled to others until the end, that it was given is not.
    Voted {
        voter: Voter,
        ballot: Option<Ballot>,
    },
    Finished {
        finish: Finish,
        chairs: Vec<ChairScore>,
        voters: Vec<VoterScore>,
    },
}

/// One revealed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Answer {
    pub chair: Chair,
    /// None: it did not come in time, or the chair is closed.
    pub text: Option<String>,
}

/// What somebody wants of the table. The room has made sure who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Open {
        setup: Setup,
        name: String,
        key: String,
        role: Role,
    },
    Come {
        name: String,
        key: String,
        role: Role,
    },
    By {
        member: Member,
        act: Act,
    },
    /// The member's socket has been gone for longer than the room waits for hosts; `present`
    /// are those who have one. A host who is away passes the table on to the first of them,
    /// spectators last; who else is away changes nothing.
    Away {
        member: Member,
        present: Vec<Member>,
    },
    /// The AI's question.
    Question {
        round: u32,
        text: String,
    },
    /// A machine's answer.
    Reply {
        round: u32,
        chair: Chair,
        text: String,
    },
    Weigh {
        round: u32,
        opinion: Opinion,
    },
    /// Time passed: what is due happens.
    Tick,
    /// A machine that must act now failed for good.
    GiveUp,
}

/// What a member does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "act", rename_all = "snake_case")]
#[ts(export)]
pub enum Act {
    Take {
        role: Role,
    },
    Say {
        text: String,
    },
    Leave,
    /// The person on the bench asks.
    Question {
        round: u32,
        text: String,
    },
    Answer {
        round: u32,
        text: String,
    },
    Vote {
        ballot: Ballot,
    },
    /// The person on the bench has heard enough: a ballot instead of another question.
    CallVote,
    /// The rest is the host's.
    Setup {
        setup: Setup,
    },
    Start,
    Stop,
    Mute {
        member: Member,
        muted: bool,
    },
    Remove {
        member: Member,
    },
    /// A new game with new chairs; those who sit stay.
    Rematch,
    /// Makes another member the host.
    HandOver {
        member: Member,
    },
}

/// Who looks at the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Viewer {
    Member(Member),
    /// Somebody who reads a finished game.
    Public,
}

/// What must be done next; derived from the state alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The AI asks.
    AskQuestion { round: u32 },
    /// A machine answers.
    AskMachine {
        round: u32,
        chair: Chair,
        machine: Machine,
    },
    /// The AI weighs the round.
    AskOpinion { round: u32 },
    /// Somebody has until then; send [`Command::Tick`] no earlier.
    Wait { until: UnixMillis },
}

/// Why a command was refused. The state is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such table")]
    NotOpen,
    #[error("the table is open already")]
    AlreadyOpen,
    #[error("there is no such member")]
    NoSuchMember,
    #[error("the table is full")]
    Full,
    #[error("that is the host's to do")]
    NotHost,
    #[error("a game is being played")]
    Playing,
    #[error("no game is being played")]
    NotPlaying,
    #[error("it is not your turn")]
    NotYourTurn,
    #[error("it is round {now}, not {named}")]
    WrongRound { now: u32, named: u32 },
    #[error("you have answered already")]
    AlreadyDone,
    #[error("you are muted")]
    Muted,
    #[error("a line cannot be empty")]
    Empty,
    #[error("a line has at most {limit} characters, this one has {got}")]
    TooLong { limit: u32, got: u32 },
    #[error("that chair cannot be named")]
    NoSuchChair,
    #[error("a confidence is a percentage from {least}, which is guessing, to 100")]
    BadConfidence { least: u8 },
    #[error("this table takes no spectators")]
    NoSpectators,
    #[error("the bench is taken, or not for people at this table")]
    NoBench,
    #[error("you were removed from this table")]
    Removed,
    #[error("this table cannot be set so: {0}")]
    BadSetup(&'static str),
    #[error("the table cannot start: {0}")]
    CannotStart(&'static str),
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Empty => Self::Empty,
            Unfit::TooLong { limit, got } => Self::TooLong { limit, got },
        }
    }
}
