//! How the house is closed so that another server goes on: first it takes nothing new, then
//! each room is given up as soon as it is written, and its people are told to come back.

use tokio::sync::oneshot;

use super::*;

/// How far the closing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// What is here goes on; new rooms are for other servers.
    Soon,
    Now,
}

/// Takes no new rooms any more. Whoever wants one is told to come back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Gives every room up and says goodbye to everybody. Games go on elsewhere, or after the next
/// start.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Close {
    /// Told when every room is given back and everybody was told.
    pub done: oneshot::Sender<()>,
}

impl Handler<Drain> for Hall {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        if self.closing == Closing::No {
            self.closing = Closing::Soon;
        }
    }
}

impl Handler<Close> for Hall {
    type Result = ();

    fn handle(&mut self, message: Close, _: &mut Self::Context) {
        self.closing = Closing::Now;
        self.closed = Some(message.done);
        for standing in self.rooms.values() {
            standing.room.move_out(false);
        }
        // Whoever sits in a room comes back to find it free: they are told when it is.
        for visitor in self.visitors.values() {
            let room = visitor.room.as_ref().filter(|_| visitor.seated);
            if room.is_none_or(|room| !self.rooms.contains_key(room)) {
                tell_bye(&visitor.guest, Bye::Restarting);
            }
        }
        self.see_whether_closed();
    }
}

impl Hall {
    /// A room is not ours any more: its people are sent after it.
    pub(super) fn moved(&mut self, room: &str, ctx: &mut Context<Self>) {
        let bye = if self.closing == Closing::Now {
            Bye::Restarting
        } else {
            self.house.tally.moved();
            Bye::Moved
        };
        for visitor in self.sitting(room) {
            tell_bye(&visitor.guest, bye);
        }
        self.unlist(room, ctx);
    }

    pub(super) fn see_whether_closed(&mut self) {
        if self.closing == Closing::Now
            && self.rooms.is_empty()
            && self.giving_back == 0
            && let Some(done) = self.closed.take()
        {
            // Whoever waits for it may have lost patience.
            let _ = done.send(());
        }
    }

    /// Whether `socket` wants what only another server can give, because this one closes;
    /// then it is told so.
    pub(super) fn sends_away(&self, socket: SocketId) -> bool {
        let closes = self.closing != Closing::No;
        if closes && let Some(visitor) = self.visitors.get(&socket) {
            tell_bye(&visitor.guest, Bye::Restarting);
        }
        closes
    }
}

fn tell_bye(guest: &Guest, bye: Bye) {
    let why = match bye {
        Bye::Moved => "the room is another server's now",
        _ => "the server restarts",
    };
    tell(guest, ToSession::Bye { bye, why });
}
