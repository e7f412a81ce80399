//! The séance: people ask the spirit of a dead user, one after the other, and it answers,
//! and goes on and on until it is asked again.
//!
//! A **sitter** asks; there is one at a time unless the setup says otherwise. Others wait in
//! a queue, or watch (who watches is not in the log at all). A question is answered by
//! **lines**: part 0 is the answer, every later part a continuation. At most [`AHEAD`] lines
//! are made that were not wholly heard. What was **heard** is what the one who sits says was
//! played; that alone is remembered. Whoever presses the key to speak silences the spirit at
//! once: lines that were not heard are forgotten, a line that was heard in part is cut there.
//!
//! **Privacy.** A sitting begins when somebody sits down and ends when the next one does, or
//! when nobody sits any more. What was said in it is told to those who sit in it and to those
//! who watch, while it lasts; never to somebody who waits, and to nobody after it. The
//! spirit's memory is one sitting's. Neither sound nor anything measured from a voice is in
//! any event.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{UnixMillis, text::Unfit};

mod decide;
mod memory;
mod setup;
mod sight;
mod state;
mod transcript;

pub use super::party::Member;
pub use memory::{Exchange, SpokenLine, words};
pub use state::{Seance, rebuild};
pub use transcript::{TranscriptTurn, transcript};

/// Most lines that are made before they were wholly heard: the one that is being heard, and
/// the next.
pub const AHEAD: usize = 2;

/// Most people who may ask in turn, and most who may wait.
pub const SITTERS: std::ops::RangeInclusive<u8> = 1..=8;
pub const QUEUE: usize = 200;

/// Questions of a sitting that are remembered.
pub const REMEMBERED: usize = 8;

/// How a séance goes. Fixed when it opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(rename = "SeanceSetup")]
pub struct Setup {
    /// Who may ask at the same time.
    pub sitters: u8,
    /// A sitter who neither asks nor silences for this long gets up, milliseconds: while
    /// nobody waits, and while somebody does.
    #[ts(type = "number")]
    pub idle_ms: u64,
    #[ts(type = "number")]
    pub idle_while_waited_ms: u64,
    /// Longest sitting while somebody waits, milliseconds.
    #[ts(type = "number")]
    pub turn_ms: u64,
    /// Longest time between pressing the key and the transcript, milliseconds.
    #[ts(type = "number")]
    pub listening_ms: u64,
    /// Longest question, characters. One that was spoken is cut there.
    pub question_limit: u32,
    /// How long a silence is, milliseconds, when the model says nothing or fails.
    #[ts(type = "number")]
    pub silence_ms: u64,
    /// After this many silences in a row the spirit is quiet until it is asked.
    pub silences: u32,
    /// Lines that it says to the empty room after a sitting, with this pause between them,
    /// milliseconds. 0: none.
    pub alone_lines: u32,
    #[ts(type = "number")]
    pub alone_pause_ms: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sitters: 1,
            idle_ms: 180_000,
            idle_while_waited_ms: 60_000,
            turn_ms: 600_000,
            listening_ms: 45_000,
            question_limit: 500,
            silence_ms: 3_000,
            silences: 4,
            alone_lines: 12,
            alone_pause_ms: 20_000,
        }
    }
}

/// How a question was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Put {
    Spoken,
    Typed,
}

/// What the seed of a question was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum SeedFrom {
    /// A frame of the asker's camera.
    Camera,
    Dice,
}

/// Why the spirit speaks the language that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Tongue {
    /// It is the language of the question, and the model's own.
    Own,
    /// It is the language of the question, through a translation.
    Translated,
    /// The model does not speak the language of the question, and no translation is
    /// installed.
    NotSpoken,
    /// There is no voice for the language of the question.
    NoVoice,
}

/// Why somebody got up or left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    Wanted,
    /// Nothing was asked for too long.
    Idle,
    /// The sitting took long enough, and somebody waited.
    TurnOver,
    /// The line to them is dead.
    Away,
}

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Hush {
    /// The model had nothing to say.
    Empty,
    /// The model failed.
    Failed,
}

/// What happened. The log of a séance is a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(rename = "SeanceEvent")]
pub enum Event {
    Opened {
        setup: Setup,
    },
    /// Somebody joined the end of the queue. `key` (hash of the session) is known to the
    /// server alone.
    Came {
        member: Member,
        key: Option<String>,
    },
    /// The first of the queue sat down, and a sitting begins: nothing is remembered.
    Sat {
        member: Member,
    },
    /// A sitter got up, or somebody left the queue. When nobody sits any more the sitting is
    /// over.
    Left {
        member: Member,
        why: Leaving,
    },
    /// A sitter speaks. The spirit is silent.
    Listening {
        member: Member,
        /// The sitter's own number for what is being said.
        utterance: u32,
    },
    /// What was said could not be understood, or was taken back. The spirit goes on where it
    /// was silenced.
    Unheard {
        member: Member,
        utterance: u32,
    },
    Asked {
        /// From 1, in the whole séance.
        question: u32,
        member: Member,
        put: Put,
        text: String,
        /// ISO 639-1.
        language: String,
        /// The text in a language that the model speaks, where it is another one.
        #[serde(default)]
        inner: Option<String>,
        seed: u32,
        seed_from: SeedFrom,
    },
    /// The spirit says something; whether it is heard is seen later.
    Said {
        /// From 1, in the whole séance; numbers may be left out.
        line: u32,
        /// 0: asked by nobody, said to the empty room.
        question: u32,
        /// 0: the answer; else a continuation.
        part: u32,
        text: String,
        /// ISO 639-1.
        language: String,
        /// The text in the model's language, where it is another one.
        #[serde(default)]
        inner: Option<String>,
        tongue: Tongue,
    },
    /// In place of a line there is a silence.
    Silence {
        line: u32,
        question: u32,
        part: u32,
        why: Hush,
    },
    /// So many words of the line were played, and all lines before it.
    Heard {
        line: u32,
        words: u32,
    },
    /// A pause is over.
    PauseOver,
    /// A sitter silenced the spirit, until it is asked again.
    Hushed {
        member: Member,
    },
    /// The séance is over.
    Closed,
}

/// What somebody wants. The room has made sure who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Open {
        setup: Setup,
    },
    /// Somebody wants to sit. One session has one place.
    Come {
        key: String,
    },
    Leave {
        member: Member,
    },
    /// The member's line has been dead for longer than the room waits.
    Away {
        member: Member,
    },
    /// The member presses the key and speaks.
    Listen {
        member: Member,
        utterance: u32,
    },
    /// Nothing came of what the member said.
    Unheard {
        member: Member,
        utterance: u32,
    },
    Ask {
        member: Member,
        /// What was spoken; none when the question is typed.
        utterance: Option<u32>,
        text: String,
        /// ISO 639-1.
        language: String,
        inner: Option<String>,
        /// From the camera; none throws dice.
        seed: Option<u32>,
    },
    /// The line that [`Effect::Speak`] asked for. An empty text is a silence. A line that is
    /// silenced while it is being made is said as far as it was made, then heard, then
    /// silenced.
    Say {
        line: u32,
        text: String,
        language: String,
        inner: Option<String>,
        tongue: Tongue,
    },
    /// How far a line was played. `by` is a sitter, or nobody: the room's own clock, when
    /// nobody sits who could tell. News of lines that are forgotten changes nothing.
    Heard {
        by: Option<Member>,
        line: u32,
        words: u32,
    },
    /// The member wants silence.
    Hush {
        member: Member,
    },
    /// Time passed: what is due happens.
    Tick,
    /// The model failed for good at the line that is due.
    GiveUp,
    Close,
}

/// Who looks at the séance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Viewer {
    /// Somebody who sits, waits, or did.
    Member(Member),
    /// Somebody who only watches.
    Watcher,
    /// Somebody who reads about it later.
    Public,
}

/// What must be done next; derived from the state alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The spirit is to say this line.
    Speak { line: u32, question: u32, part: u32 },
    /// This line is to be voiced, from this word on.
    Voice { line: u32, from: u32 },
    /// Something is due then; send [`Command::Tick`] no earlier.
    Wait { until: UnixMillis },
}

/// Why a command was refused. The state is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such séance")]
    NotOpen,
    #[error("the séance is open already")]
    AlreadyOpen,
    #[error("the séance is over")]
    Closed,
    #[error("there is no such member")]
    NoSuchMember,
    #[error("you have a place already")]
    AlreadyHere,
    #[error("too many people wait")]
    Full,
    #[error("somebody else asks now; your place in the queue is {place}")]
    NotSitting { place: u32 },
    #[error("somebody else is speaking")]
    SomebodySpeaks,
    #[error("nothing of that number is being listened to")]
    NotListening,
    #[error("that line is not wanted, or no longer")]
    Stale,
    #[error("a question cannot be empty")]
    Empty,
    #[error("a question has at most {limit} characters, this one has {got}")]
    TooLong { limit: u32, got: u32 },
    #[error("a séance cannot be set so: {0}")]
    BadSetup(&'static str),
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Empty => Self::Empty,
            Unfit::TooLong { limit, got } => Self::TooLong { limit, got },
        }
    }
}
