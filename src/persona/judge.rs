//! What the judge is told: how to ask, how to weigh, how to give reasons.

use serde_json::Value;

use super::{Draft, Exchange};
use crate::play::{
    evidence::Opinion,
    imitation::{Kind, Seat},
};

/// Why a question cannot be put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("there is no question in it")]
    NoQuestion,
    #[error("it is too long")]
    TooLong,
    #[error("it was asked before")]
    Repeated,
    #[error("it talks about the game itself")]
    OffStage,
}

/// The prompt for the question of `round` (from 1). `seed` draws the subject and examples;
/// pass another one to try again.
pub fn question(kind: Kind, seed: u32, round: u32, earlier: &[Exchange]) -> Draft {
    let _ = (kind, seed, round, earlier);
    unimplemented!()
}

/// The question in what a model wrote, cleaned.
///
/// # Errors
/// When it cannot be put to the witnesses; try again with another seed.
pub fn acceptable_question(text: &str, earlier: &[Exchange]) -> Result<String, Unfit> {
    let _ = (text, earlier);
    unimplemented!()
}

/// A question from the book that was not asked yet: the last resort when a model fails
/// several times in a row to write one of its own.
pub fn bank_question(seed: u32, earlier: &[Exchange]) -> &'static str {
    let _ = (seed, earlier);
    unimplemented!()
}

/// Whose answers the judge reads first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    AFirst,
    BFirst,
}

/// What to weigh after the prompt of [`weigh`]: the first witness is human, the second is.
pub const OPTIONS: [&str; 2] = [" first", " second"];

/// The prompt whose next word is one of [`OPTIONS`]. It holds this round's exchange alone:
/// [`crate::play::evidence::combine`] adds the rounds up.
pub fn weigh(kind: Kind, exchange: &Exchange, order: Order) -> Draft {
    let _ = (kind, exchange, order);
    unimplemented!()
}

/// The prompt for the reasons of a decision that is already made, to be generated under
/// [`reasoning_schema`].
pub fn reasoning(kind: Kind, exchange: &Exchange, opinion: Opinion) -> Draft {
    let _ = (kind, exchange, opinion);
    unimplemented!()
}

/// The form of the reasons: the decision and confidence are fixed, only `reasoning` is free.
pub fn reasoning_schema(opinion: Opinion) -> Value {
    let _ = opinion;
    unimplemented!()
}

/// The prompt for a judge that fills in the whole form itself (a remote back end), under
/// [`form_schema`]. Ask once in each order.
pub fn form(kind: Kind, earlier: &[Exchange], exchange: &Exchange, order: Order) -> Draft {
    let _ = (kind, earlier, exchange, order);
    unimplemented!()
}

/// The whole form: reasoning, decision, confidence.
pub fn form_schema() -> Value {
    unimplemented!()
}

/// A form that was filled in, in terms of the true seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub reasoning: String,
    pub opinion: Opinion,
}

/// Why a form cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("it is not the JSON that was asked for: {0}")]
    Malformed(String),
    #[error("it gives no reasons")]
    NoReasons,
}

/// Reads what came back for [`form`], tolerating text around the JSON.
///
/// # Errors
/// When it holds no such form; ask again.
pub fn parse_form(text: &str, order: Order) -> Result<Form, FormError> {
    let _ = (text, order);
    unimplemented!()
}

/// Reads what came back for [`reasoning`].
///
/// # Errors
/// When it holds no reasons; ask again.
pub fn parse_reasoning(text: &str) -> Result<String, FormError> {
    let _ = text;
    unimplemented!()
}

/// The reasons in as much of either form as has arrived, unescaped: for showing them while
/// they are written. Only ever grows as `partial` grows. Not relabelled.
pub fn reasoning_so_far(partial: &str) -> String {
    let _ = partial;
    unimplemented!()
}

/// How the judge names a witness to the player.
pub fn witness_name(seat: Seat) -> &'static str {
    match seat {
        Seat::A => "Witness A",
        Seat::B => "Witness B",
    }
}
