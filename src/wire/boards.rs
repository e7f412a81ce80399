//! What is asked for over HTTP and shown in the page: the leaderboards.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// `GET /api/boards`: the best of each kind, the best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Boards {
    /// People who were questioned.
    pub people: Vec<BoardRow>,
    /// Machines that were questioned.
    pub machines: Vec<BoardRow>,
    /// Whoever said who is human.
    pub judges: Vec<BoardRow>,
}

/// Somebody on a board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct BoardRow {
    /// From 1.
    pub place: u32,
    /// As they were called in their last game.
    pub name: String,
    /// Whether it is a program.
    pub machine: bool,
    #[ts(type = "number")]
    pub games: u64,
    #[ts(type = "number")]
    pub wins: u64,
    /// Share of games won, 0 to 1.
    pub share: f64,
    /// Between which the share lies with a probability of 95 %; places go by `low`.
    pub low: f64,
    pub high: f64,
    /// Mean points of a game, 0 to 100.
    pub points: f64,
    /// Whether it is who asks.
    pub you: bool,
}

/// `DELETE /api/boards/me`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Erased {
    /// Whether there was anything.
    pub erased: bool,
}
