//! The rules, and nothing else: no clock, no randomness, no I/O. Whoever calls brings
//! the time and the dice; whoever calls does what the effects say.

pub mod evidence;
pub mod imitation;
pub mod party;
pub mod seance;
mod text;

/// Milliseconds since the Unix epoch.
pub type UnixMillis = u64;

/// The only randomness that rules know: somebody else throws.
pub trait Dice {
    /// A uniform draw from `0..sides`. `sides` is at least 1.
    fn throw(&mut self, sides: u32) -> u32;
}
