//! The imitation game. One person and one bot sit as witnesses A and B in an order
//! drawn at random; the judge, an AI, questions both and says which one is human.
//!
//! A round is: the judge asks, both witnesses answer, the judge gives a verdict. The
//! game ends when the judge is confident enough, when the rounds run out, when the
//! player stops or stays away, or when a machine that is needed cannot be had.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{UnixMillis, text::Unfit};

mod game;
mod score;

pub use game::{Game, Round, rebuild};

/// What the witnesses try to be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Both play human; the bot wants to be taken for the person.
    Direct,
    /// Both play bot; the person wants to be taken for the machine, the bot helps the judge.
    Inverse,
}

/// What the player gets to see before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Neither the other witness's answers nor the judge's reasoning.
    Blind,
    /// The other witness's answer before one's own, and the judge's reasoning after each round.
    Explanatory,
}

/// A witness's chair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
pub enum Seat {
    A,
    B,
}

impl Seat {
    /// The chair across.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The rules that one game is played by. Fixed when it opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Rules {
    pub kind: Kind,
    pub mode: Mode,
    /// After this many rounds the judge must say or abstain.
    pub round_cap: u32,
    /// Confidence (percent) at which the judge stops asking.
    pub confident_at: u8,
    /// Below this confidence (percent) the judge abstains at the cap.
    pub abstain_below: u8,
    /// A player who is due to answer is let go after this long, milliseconds.
    #[ts(type = "number")]
    pub idle_limit_ms: u64,
    /// Longest answer, characters.
    pub answer_limit: u32,
}

/// What the judge concludes after a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Verdict {
    pub reasoning: String,
    /// Who is human, in the judge's opinion.
    pub decision: Seat,
    /// Probability that the decision is right, percent, 50 to 100.
    pub confidence: u8,
    /// What it was computed from.
    pub grounds: Grounds,
}

/// How a verdict came about: shown to the curious, kept for studies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct Grounds {
    /// Probability that A is human, with A's answers read first; absent when the back end gives none.
    pub a_read_first: Option<f32>,
    /// The same with B's answers read first.
    pub b_read_first: Option<f32>,
    /// How surprising A's answer was to the model, nats per token.
    pub surprise_a: Option<f32>,
    /// How surprising B's answer was to the model, nats per token.
    pub surprise_b: Option<f32>,
    /// Curvature of A's answer under the model, in standard deviations; higher reads more
    /// like a machine's.
    #[serde(default)]
    pub curvature_a: Option<f32>,
    /// Curvature of B's answer under the model.
    #[serde(default)]
    pub curvature_b: Option<f32>,
}

/// How a game came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The judge was confident enough.
    Convinced,
    /// The rounds ran out and the judge said.
    RoundsOver,
    /// The rounds ran out and the judge would not say.
    Abstained,
    /// The player stopped.
    Stopped,
    /// The player stayed away.
    Idle,
    /// A model that the game needs kept failing.
    Broken,
}

/// Who won, seen from the player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    Player,
    Bot,
    /// The judge abstained.
    Nobody,
}

/// The result of a game that the judge finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Outcome {
    pub winner: Winner,
    /// The judge's mean belief, over all rounds, in what the player wanted believed, 0 to 100.
    /// The bot's score is 100 minus this.
    pub player_score: u8,
}

/// What happened. The log of a game is a list of these; a game is rebuilt from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    Opened {
        rules: Rules,
        player: String,
        /// The player's chair; the bot has the other.
        player_seat: Seat,
        /// Every random draw of the models derives from this. Shown after the end.
        seed: Option<u32>,
        /// Hash of the player's session; known to the server alone.
        #[serde(default)]
        key: Option<String>,
    },
    /// The judge's question. Rounds count from 1.
    Asked {
        round: u32,
        text: String,
    },
    Answered {
        round: u32,
        seat: Seat,
        text: String,
    },
    Judged {
        round: u32,
        verdict: Verdict,
    },
    Ended {
        ending: Ending,
        outcome: Option<Outcome>,
    },
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Open {
        rules: Rules,
        player: String,
        key: String,
    },
    /// The judge's question for `round`.
    Ask {
        round: u32,
        text: String,
    },
    /// The player's answer.
    PlayerAnswers {
        round: u32,
        text: String,
    },
    /// The bot's answer.
    BotAnswers {
        round: u32,
        text: String,
    },
    Judge {
        round: u32,
        verdict: Verdict,
    },
    Stop,
    /// Time passed; ends the game if the player was due for too long.
    Tick,
    /// A machine that must act now failed for good.
    GiveUp,
}

/// Why a command was refused. The state is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the game has not begun")]
    NotOpen,
    #[error("the game has already begun")]
    AlreadyOpen,
    #[error("the game is over")]
    Over,
    #[error("it is round {now}, not {named}")]
    WrongRound { now: u32, named: u32 },
    #[error("it is not your turn")]
    NotYourTurn,
    #[error("you have answered already")]
    AlreadyAnswered,
    #[error("an answer cannot be empty")]
    Empty,
    #[error("an answer has at most {limit} characters, this one has {got}")]
    TooLong { limit: u32, got: u32 },
    #[error("these rules cannot be played: {0}")]
    BadRules(&'static str),
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Empty => Self::Empty,
            Unfit::TooLong { limit, got } => Self::TooLong { limit, got },
        }
    }
}

/// What must be done next. Derived from the state alone, so that a rebuilt room goes on
/// where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    AskQuestion {
        round: u32,
    },
    AskBot {
        round: u32,
    },
    AskVerdict {
        round: u32,
    },
    /// The player has until then; send [`Command::Tick`] no earlier.
    WaitForPlayer {
        until: UnixMillis,
    },
}
