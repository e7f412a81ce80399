//! Stands between a model and the room: what a bot wrote is tidied, or thrown back.

use crate::play::imitation::Kind;

/// Why a reply cannot be said. The bot tries again with the next attempt's seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("nothing is left of it")]
    Empty,
    #[error("it says that it is a machine")]
    Disclaimer,
    #[error("it repeats itself")]
    Loop,
    #[error("it was said before")]
    Repeated,
    #[error("it only repeats the question")]
    Echo,
}

/// What a reply is held against.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    pub kind: Kind,
    /// Longest reply, characters.
    pub limit: usize,
    pub question: &'a str,
    /// The bot's own earlier answers.
    pub earlier: &'a [&'a str],
}

/// The reply as it may be said: one line, one speaker, no loop, within the limit.
///
/// Tidying a tidied reply changes nothing.
///
/// # Errors
/// When no part of it may be said.
pub fn tidy(reply: &str, bounds: Bounds<'_>) -> Result<String, Fault> {
    let _ = (reply, bounds);
    unimplemented!()
}
