//! The promise that every move of a client gets exactly one answer, whatever becomes of the
//! room that it was made in.

use std::sync::Arc;

use actix::Recipient;

use super::{
    audience::deliver,
    messages::{ToSession, refused},
    pulse::{Pulse, SocketId},
    tally::Tally,
};
use crate::wire::browser::{RefusalCode, ToClient};

/// A move's claim to its answer. Dropped without one, with a room that fell or was left, it
/// answers for itself.
pub(crate) struct Receipt {
    pub(crate) socket: SocketId,
    /// The client's number of the move.
    pub(crate) id: u32,
    pub(crate) outbox: Recipient<ToSession>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) answered: bool,
}

impl Receipt {
    pub(crate) fn accept(mut self) {
        self.answer(&ToClient::Accepted { id: self.id });
    }

    pub(crate) fn refuse(mut self, code: RefusalCode, why: &str) {
        self.tally.refused(code);
        self.answer(&refused(self.id, code, why));
    }

    /// Somebody else answers.
    pub(crate) fn give_up(mut self) {
        self.answered = true;
    }

    fn answer(&mut self, answer: &ToClient) {
        self.answered = true;
        deliver(&self.outbox, &self.pulse, ToSession::say(answer));
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.answered {
            self.tally.refused(RefusalCode::Trouble);
            let why = "the room was lost meanwhile; see whether it is there";
            self.answer(&refused(self.id, RefusalCode::Trouble, why));
        }
    }
}
