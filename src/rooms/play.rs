//! What the rooms ask of a game, whichever it is: the rules of [`crate::play`] seen from
//! here, and how the game's news are worded for browsers.

use std::{fmt, hash::Hash};

use serde::{Serialize, de::DeserializeOwned};

use super::messages::TurnId;
use crate::{
    play::{Dice, UnixMillis},
    wire::browser::{RefusalCode, Stamped, ToClient},
};

mod game;
mod seance;
mod table;

pub(crate) use seance::Visitor;
pub(crate) use table::Sitter;

/// Where an event stands in a log that may hold several games.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A game begins with it.
    Begins,
    /// A game ends with it: what the game veiled is told now.
    Ends,
    /// Newcomers are told of this and of what comes after it.
    Anew,
    Goes,
}

/// What a client that arrives is told besides the log.
pub(crate) struct Whereabouts<'a, D> {
    pub(crate) room: &'a str,
    pub(crate) epoch: u32,
    pub(crate) offset: u32,
    pub(crate) doing: D,
    pub(crate) present: &'a [crate::play::party::Member],
}

/// The rules of one kind of game, and how they are told.
pub(crate) trait Play: Clone + Default + Unpin + 'static {
    type Event: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Unpin;
    type Command: Clone + fmt::Debug + Unpin;
    type Refusal: std::error::Error;
    type Effect;
    /// Whose eyes see.
    type Viewer: Copy + fmt::Debug + Eq + Hash + Unpin;
    /// What the room tells about what it waits for.
    type Doing: Clone + fmt::Debug + PartialEq + Unpin;
    /// What somebody who watches has in hand.
    type Place: Clone + Unpin;

    /// Somebody in the room who takes no part.
    const ONLOOKER: Self::Viewer;
    /// Somebody who reads of a finished game.
    const PUBLIC: Self::Viewer;

    fn decide(
        &self,
        command: Self::Command,
        now: UnixMillis,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    fn apply(&mut self, at: UnixMillis, event: &Self::Event);

    fn effects(&self) -> Vec<Self::Effect>;

    /// What `viewer` may see now of `event`, which stands at `offset` and has been applied.
    fn shown(&self, viewer: Self::Viewer, offset: u32, event: &Self::Event) -> Option<Self::Event>;

    /// Everybody who may see another thing of `event` than an onlooker does.
    fn insiders(&self, event: &Self::Event) -> Vec<Self::Viewer>;

    /// Whether `viewer` is told what goes on besides the log now.
    fn hears(&self, _viewer: Self::Viewer) -> bool {
        true
    }

    /// Whether what a newcomer may see of the past is what the game says now, and not what was
    /// settled when it happened.
    const FORGETS: bool = false;

    fn mark(event: &Self::Event) -> Mark;

    /// The state in writing, which stands for all events so far: what is told by such a
    /// snapshot need not keep its whole log. None for games, which are told by their log alone.
    fn snapshot(&self) -> Option<String> {
        None
    }

    /// What [`Self::snapshot`] wrote.
    ///
    /// # Errors
    /// With the reason, when it cannot be read.
    fn restore(_snapshot: &str) -> Result<Self, String> {
        Err("a game is kept whole".into())
    }

    /// The machine's turn that an effect asks for; none if it asks for none.
    fn turn(&self, effect: &Self::Effect) -> Option<TurnId>;

    /// Until when an effect wants to wait.
    fn wait(effect: &Self::Effect) -> Option<UnixMillis>;

    fn viewer(place: &Self::Place) -> Self::Viewer;

    /// How a refusal is called on the wire.
    fn code(refusal: &Self::Refusal) -> RefusalCode;

    fn tick() -> Self::Command;

    fn give_up() -> Self::Command;

    // ---- words

    fn joined(
        &self,
        place: &Self::Place,
        at: Whereabouts<'_, Self::Doing>,
        events: Vec<Stamped<Self::Event>>,
    ) -> ToClient;

    fn happened(room: String, stamped: Stamped<Self::Event>) -> ToClient;

    fn unveiled(room: String, events: Vec<Stamped<Self::Event>>) -> ToClient;

    fn doing(room: String, doing: Self::Doing) -> ToClient;
}
