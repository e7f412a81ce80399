//! A room as the hall holds it, of whichever kind.

use std::time::Instant;

use actix::Addr;

use crate::{
    play::{imitation::Game, party::Table},
    rooms::{
        messages::{GetUp, Join, Shut},
        room::{NewGame, NewTable, Room},
    },
};

/// What a new room starts from.
pub(super) enum Opening {
    Game(NewGame),
    Table(NewTable),
}

/// The actor of a room.
pub(super) enum AnyRoom {
    Game(Addr<Room<Game>>),
    Table(Addr<Room<Table>>),
}

impl AnyRoom {
    pub(super) fn join(&self, join: Join) {
        match self {
            Self::Game(room) => room.do_send(join),
            Self::Table(room) => room.do_send(join),
        }
    }

    pub(super) fn get_up(&self, get_up: GetUp) {
        match self {
            Self::Game(room) => room.do_send(get_up),
            Self::Table(room) => room.do_send(get_up),
        }
    }

    #[cfg(test)]
    pub(super) fn fell(&self) {
        use crate::rooms::room::Fall;
        match self {
            Self::Game(room) => room.do_send(Fall),
            Self::Table(room) => room.do_send(Fall),
        }
    }

    pub(super) fn shut(&self) {
        match self {
            Self::Game(room) => room.do_send(Shut),
            Self::Table(room) => room.do_send(Shut),
        }
    }
}

pub(super) struct Standing {
    pub(super) room: AnyRoom,
    pub(super) life: u32,
    pub(super) since: Instant,
    pub(super) short_lives: u32,
    pub(super) over: bool,
}
