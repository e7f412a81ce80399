//! What the bot on the witness's chair is told.

use super::Draft;
use crate::play::imitation::Kind;

/// What the bot was asked and said in an earlier round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    pub question: &'a str,
    pub answer: &'a str,
}

/// Somebody to be. The same seed gives the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Character {
    pub name: &'static str,
    pub age: u32,
    pub job: &'static str,
    pub town: &'static str,
    pub mood: &'static str,
}

impl Character {
    /// The person that belongs to the game's seed.
    pub fn of(seed: u32) -> Self {
        let _ = seed;
        unimplemented!()
    }
}

/// The prompt for the bot's answer to `question`, as a chat in which the judge is the user.
///
/// `seed` is the game's own: the character must stay the same through all rounds.
pub fn prompt(kind: Kind, seed: u32, earlier: &[Said<'_>], question: &str) -> Draft {
    let _ = (kind, seed, earlier, question);
    unimplemented!()
}
