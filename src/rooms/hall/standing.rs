//! A room as the hall holds it, of whichever kind.

use std::time::Instant;

use actix::Addr;

use crate::{
    play::{imitation::Game, party::Table, seance::Seance},
    rooms::{
        messages::{GetUp, Join, MakeRoom, MoveOut, Shut},
        room::{NewGame, NewTable, Room},
    },
    store::Fence,
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
    Seance(Addr<Room<Seance>>),
}

impl AnyRoom {
    pub(super) fn join(&self, join: Join) {
        match self {
            Self::Game(room) => room.do_send(join),
            Self::Table(room) => room.do_send(join),
            Self::Seance(room) => room.do_send(join),
        }
    }

    pub(super) fn get_up(&self, get_up: GetUp) {
        match self {
            Self::Game(room) => room.do_send(get_up),
            Self::Table(room) => room.do_send(get_up),
            Self::Seance(room) => room.do_send(get_up),
        }
    }

    #[cfg(test)]
    pub(super) fn fell(&self) {
        use crate::rooms::room::Fall;
        match self {
            Self::Game(room) => room.do_send(Fall),
            Self::Table(room) => room.do_send(Fall),
            Self::Seance(room) => room.do_send(Fall),
        }
    }

    pub(super) fn move_out(&self, lost: bool) {
        match self {
            Self::Game(room) => room.do_send(MoveOut { lost }),
            Self::Table(room) => room.do_send(MoveOut { lost }),
            Self::Seance(room) => room.do_send(MoveOut { lost }),
        }
    }

    /// Asks a table to close if nobody is at it.
    pub(super) fn make_room(&self) {
        if let Self::Table(room) = self {
            room.do_send(MakeRoom);
        }
    }

    pub(super) fn shut(&self) {
        match self {
            Self::Game(room) => room.do_send(Shut),
            Self::Table(room) => room.do_send(Shut),
            Self::Seance(room) => room.do_send(Shut),
        }
    }
}

pub(super) struct Standing {
    pub(super) room: AnyRoom,
    pub(super) life: u32,
    pub(super) since: Instant,
    pub(super) short_lives: u32,
    pub(super) over: bool,
    /// Since when nobody is at the table.
    pub(super) vacant: Option<Instant>,
    /// Whether nobody asked for it: it was found without a server.
    pub(super) found: bool,
    /// What the room writes by, once it has it.
    pub(super) lease: Option<Tenancy>,
}

/// A lease that is ours.
#[derive(Clone, Copy)]
pub(super) struct Tenancy {
    pub(super) fence: Fence,
    pub(super) since: Instant,
}
