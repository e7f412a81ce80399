//! The actors: they keep order, mind the time, and know who may hear what. What happens is
//! decided in [`crate::play`], what is said in [`crate::persona`]; what survives lies in
//! [`crate::store`].
//!
//! A [`session`] is one browser socket. The [`hall`] knows the sessions and the rooms, and
//! rebuilds a room that is lost. A `room` owns one log: the game of one person, or a table
//! for many. Only it writes the log, and whatever it tells anybody is in the log already.
//! A `bot` for each machine that plays and a `judge` take their turns for it. Nobody waits for anybody: a reply is a message that names its turn.

mod asides;
mod audience;
mod bot;
mod briefs;
mod bucket;
pub mod cast;
mod cursor;
mod forms;
mod frame;
pub mod hall;
pub mod identity;
pub(crate) mod journal;
mod judge;
pub mod link;
pub mod medium;
mod messages;
mod microphone;
mod opinion;
pub(crate) mod play;
pub mod pulse;
mod receipt;
pub(crate) mod results;
mod room;
pub mod seats;
mod seeds;
pub mod session;
mod sound;
pub mod tally;
pub mod tenure;
mod turn;
mod turns;

use std::{sync::Arc, time::Duration};

use crate::store::AnyStore;

pub use turn::Mind;

/// What every room of this house shares.
#[derive(Clone, Debug)]
pub struct House {
    pub store: AnyStore,
    /// Who plays the bot.
    pub witness: Mind,
    /// Who judges.
    pub judge: Mind,
    /// Share of a human's typing time that a bot takes; 0 is at once.
    pub typing: f32,
    pub round_cap: u32,
    /// How long a player may keep everybody waiting.
    pub idle_limit: Duration,
    /// How long a table stays open with nobody at it.
    pub table_keep: Duration,
    /// Signs the seats at tables.
    pub seats: seats::SeatKey,
    /// Games and tables that may be open at the same time.
    pub room_cap: usize,
    /// How long a session is remembered after it was last seen.
    pub keep: Duration,
    pub tally: Arc<tally::Tally>,
    /// How rooms are held.
    pub tenure: tenure::Tenure,
    /// What a séance is held with; none where none is held.
    pub rite: Option<Arc<medium::Rite>>,
}
