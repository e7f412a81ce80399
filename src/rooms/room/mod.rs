//! One room: the owner of one log of games and its only writer.
//!
//! Whatever is wanted of the game becomes a command; the rules turn it into events; the
//! store takes them; only then are they true and told. While the store writes, commands
//! wait in a bounded queue. What must be done next is read off the game after every change,
//! so that a room rebuilt from its log goes on where it stood.
//!
//! A room begins by taking its lease in the store, and writes with it alone; the hall renews
//! it and gives it back.

mod entry;
mod follow;
mod log;
mod opening;
mod results;
mod seance;
mod solo;
mod stage;
mod table;
mod tenure;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, Addr, Context, Handler, SpawnHandle};

use super::{
    House,
    audience::{Audience, tell},
    cursor::View,
    hall::Hall,
    identity::now,
    journal::Journal,
    messages::{
        FromPlayer, FromTurn, GetUp, Gone, Join, MoveOut, RoomGone, RoomHeld, RoomIdle, Shut,
        ToSession, TurnId, refused,
    },
    receipt::Receipt,
    seeds::OsDice,
    turns::{Done, Follow, Turns},
};
use crate::{
    play::UnixMillis,
    store::{Fence, Store, StoreError},
    wire::browser::{RefusalCode, ToClient},
};

pub(crate) use seance::NewSeance;
pub(crate) use solo::NewGame;
use stage::Arrival;
pub(crate) use stage::Stage;
pub(crate) use table::NewTable;

/// Player's commands that wait while the store writes.
const QUEUE: usize = 16;

/// Messages that wait in a room's mailbox before players are told to slow down.
const MAILBOX: usize = 128;

/// How soon somebody whose outbox was full is tried again.
const CATCH_UP: Duration = Duration::from_millis(100);

/// How soon the store is tried again for what no player will repeat: at first, and at most.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_AT_MOST: Duration = Duration::from_secs(5);

/// How a room comes to be.
pub(crate) enum Start<O> {
    /// A new game for this guest, who asked for it.
    New { join: Join, opening: O },
    /// Back from the store.
    Load,
}

/// Who wants something of the game.
pub(crate) enum Origin {
    Player(Receipt),
    Turn(TurnId),
    /// Somebody who came and has to be entered in the log first.
    Arrival(Join),
    /// The clock, or a player who plays elsewhere now. Nobody waits for an answer.
    Nobody,
}

/// A command on its way.
pub(crate) struct Wanted<P: Stage> {
    command: P::Command,
    from: Origin,
}

impl<P: Stage> Wanted<P> {
    fn by_nobody(command: P::Command) -> Self {
        Self {
            command,
            from: Origin::Nobody,
        }
    }
}

/// Tells the hall that the room is no more, whichever way it went.
struct DeathNotice {
    hall: Addr<Hall>,
    room: String,
    life: u32,
    how: Gone,
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        self.hall.do_send(RoomGone {
            room: std::mem::take(&mut self.room),
            life: self.life,
            how: self.how,
        });
    }
}

/// The actor.
pub(crate) struct Room<P: Stage> {
    house: Arc<House>,
    hall: Addr<Hall>,
    life: u32,
    start: Option<Start<P::Opening>>,
    journal: Journal<P>,
    audience: Audience<P>,
    turns: Turns,
    /// What only rooms of its kind have.
    own: P::Own,
    /// What the store takes our writes by.
    fence: Fence,
    /// Whether the log is being read or written, or will be soon.
    busy: bool,
    /// Whether the store has a call of ours that has to be waited for.
    in_hand: bool,
    /// How to go when that is answered.
    leaving: Option<Gone>,
    /// Since when another server is asked for the room.
    asking_since: Option<Instant>,
    waiting: VecDeque<Wanted<P>>,
    arriving: Vec<Join>,
    /// Whether the store knows that the game is over.
    closed: bool,
    timer: Option<SpawnHandle>,
    catching_up: bool,
    retry: Duration,
    ledger: results::Ledger,
    notice: DeathNotice,
}

impl<P: Stage> Room<P> {
    /// `life` counts the actors that this room has had.
    pub(crate) fn new(
        house: Arc<House>,
        room: String,
        life: u32,
        start: Start<P::Opening>,
        hall: Addr<Hall>,
    ) -> Self {
        Self {
            house,
            hall: hall.clone(),
            life,
            start: Some(start),
            journal: Journal::new(room.clone(), 0),
            audience: Audience::default(),
            turns: Turns::default(),
            own: P::Own::default(),
            fence: Fence::UNLEASED,
            busy: true,
            in_hand: false,
            leaving: None,
            asking_since: None,
            waiting: VecDeque::new(),
            arriving: Vec::new(),
            closed: false,
            timer: None,
            catching_up: false,
            retry: RETRY,
            ledger: results::Ledger::default(),
            notice: DeathNotice {
                hall,
                room,
                life,
                how: Gone::Unexpected,
            },
        }
    }

    /// The hall knows who is on the way here, so it decides.
    fn ask_leave(&self) {
        self.hall.do_send(RoomIdle {
            room: self.journal.room().to_owned(),
            life: self.life,
            for_good: !P::STAYS,
        });
    }

    fn leave(&mut self, how: Gone, ctx: &mut Context<Self>) {
        for turn in self.turns.keep(&[]) {
            P::let_go(self, turn);
        }
        if let Gone::Moved | Gone::Lost = how {
            // Whoever made a move is told to come back, and sees then whether it was made.
            for wanted in self.waiting.drain(..) {
                if let Origin::Player(receipt) = wanted.from {
                    receipt.give_up();
                }
            }
        }
        self.notice.how = how;
        ctx.stop();
    }
}

impl<P: Stage> Actor for Room<P> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        match self.start.take() {
            Some(Start::New { join, opening }) => self.open(join, opening, ctx),
            Some(Start::Load) | None => self.load(ctx),
        }
    }
}

impl<P: Stage> Handler<Join> for Room<P> {
    type Result = ();

    fn handle(&mut self, join: Join, ctx: &mut Self::Context) {
        self.arriving.push(join);
        if !self.busy {
            self.go_on(ctx);
        }
    }
}

impl<P: Stage> Handler<GetUp> for Room<P> {
    type Result = ();

    fn handle(&mut self, message: GetUp, ctx: &mut Self::Context) {
        self.arriving
            .retain(|join| join.guest.socket != message.socket);
        let place = self.audience.place(message.socket).cloned();
        self.audience.remove(message.socket);
        if let Some(place) = place {
            P::left(self, &place, message.for_good, ctx);
        }
        self.look_round(ctx);
    }
}

impl<P: Stage> Handler<FromPlayer> for Room<P> {
    type Result = ();

    fn handle(&mut self, message: FromPlayer, ctx: &mut Self::Context) {
        let FromPlayer { receipt, what } = message;
        let Some((receipt, what)) = P::before(self, receipt, what, ctx) else {
            return;
        };
        let Some(place) = self.audience.place(receipt.socket) else {
            // Gone from here while the move was on its way.
            receipt.refuse(RefusalCode::NoSuchRoom, "you sit in no room");
            return;
        };
        match P::understand(place, what) {
            Ok(command) => {
                let from = Origin::Player(receipt);
                self.act(Wanted { command, from }, ctx);
            }
            Err((code, why)) => receipt.refuse(code, why),
        }
    }
}

impl<P: Stage> Handler<FromTurn> for Room<P> {
    type Result = ();

    fn handle(&mut self, report: FromTurn, ctx: &mut Self::Context) {
        match self.turns.hear(report) {
            Follow::Stale => {}
            Follow::Show => self.show(ctx),
            Follow::Done => {}
            Follow::AskAgain(turn, attempt) => {
                P::ask(self, turn, attempt, ctx);
                self.show(ctx);
            }
            Follow::GiveUp(error) => {
                tracing::error!(room = self.journal.room(), %error, "a game is broken off");
            }
            Follow::Vanished => {
                tracing::error!(
                    room = self.journal.room(),
                    "a game is broken off: its turn vanished"
                );
            }
        }
        if !self.busy && self.finished_turn().is_some() {
            self.go_on(ctx);
        }
    }
}

impl<P: Stage> Handler<Shut> for Room<P> {
    type Result = ();

    fn handle(&mut self, _: Shut, ctx: &mut Self::Context) {
        self.turn_away(RefusalCode::NoSuchRoom, "it was closed", ctx);
    }
}

/// Brings the room down as a fault in it would.
#[cfg(test)]
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct Fall;

#[cfg(test)]
impl<P: Stage> Handler<Fall> for Room<P> {
    type Result = ();

    fn handle(&mut self, _: Fall, _: &mut Self::Context) {
        panic!("the room was told to fall");
    }
}
