//! One room: the owner of one game and the only writer of its log.
//!
//! Whatever is wanted of the game becomes a command; the rules turn it into events; the
//! store takes them; only then are they true and told. While the store writes, commands
//! wait in a bounded queue. What must be done next is read off the game after every change,
//! so that a room rebuilt from its log goes on where it stood.

mod follow;
mod log;
mod opening;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, Addr, Context, Handler, SpawnHandle};

use super::{
    House,
    audience::{Audience, tell},
    bot::Bot,
    briefs,
    cursor::View,
    hall::Hall,
    identity::now,
    journal::Journal,
    judge::Judge,
    messages::{
        Answer, AskQuestion, FromPlayer, FromTurn, GetUp, GiveVerdict, Gone, Guest, Join, LetGo,
        Move, RoomEnded, RoomGone, RoomIdle, Shut, ToSession, TurnId, refused,
    },
    seeds::{OsDice, Purpose},
    turns::{Follow, Turns},
};
use crate::{
    play::{
        UnixMillis,
        imitation::{Command, Effect, Event, Refusal, Rules},
    },
    store::{Fence, Store, StoreError},
    wire::browser::{Doing, Line, RefusalCode, ToClient},
};

/// Player's commands that wait while the store writes.
const QUEUE: usize = 16;

/// Messages that wait in a room's mailbox before players are told to slow down.
const MAILBOX: usize = 128;

/// How soon somebody whose outbox was full is tried again.
const CATCH_UP: Duration = Duration::from_millis(100);

/// How soon the store is tried again for what no player will repeat: at first, and at most.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_AT_MOST: Duration = Duration::from_secs(30);

/// How a room comes to be.
pub(crate) enum Start {
    /// A new game for this guest, who asked for it in message `id`.
    New {
        guest: Guest,
        id: u32,
        rules: Rules,
        player: String,
    },
    /// Back from the store.
    Load,
}

/// Who wants something of the game.
#[derive(Clone, Debug)]
enum Origin {
    Player {
        id: u32,
        socket: u64,
    },
    Turn(TurnId),
    /// The clock, or a player who plays elsewhere now. Nobody waits for an answer.
    Nobody,
}

#[derive(Clone, Debug)]
struct Wanted {
    command: Command,
    from: Origin,
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
pub(crate) struct Room {
    house: Arc<House>,
    hall: Addr<Hall>,
    life: u32,
    start: Option<Start>,
    journal: Journal,
    audience: Audience,
    turns: Turns,
    bot: Option<Addr<Bot>>,
    judge: Option<Addr<Judge>>,
    /// Whether the log is being read or written.
    busy: bool,
    waiting: VecDeque<Wanted>,
    arriving: Vec<Join>,
    /// Whether the store knows that the game is over.
    closed: bool,
    timer: Option<SpawnHandle>,
    catching_up: bool,
    retry: Duration,
    notice: DeathNotice,
}

impl Room {
    /// `life` counts the actors that this room has had.
    pub(crate) fn new(
        house: Arc<House>,
        room: String,
        life: u32,
        start: Start,
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
            bot: None,
            judge: None,
            busy: true,
            waiting: VecDeque::new(),
            arriving: Vec::new(),
            closed: false,
            timer: None,
            catching_up: false,
            retry: RETRY,
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
        });
    }

    fn leave(&mut self, how: Gone, ctx: &mut Context<Self>) {
        self.let_go(Purpose::Answer);
        self.let_go(Purpose::Question);
        self.notice.how = how;
        ctx.stop();
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        match self.start.take() {
            Some(Start::New {
                guest,
                id,
                rules,
                player,
            }) => self.open(guest, id, rules, player, ctx),
            Some(Start::Load) | None => self.load(ctx),
        }
    }
}

impl Handler<Join> for Room {
    type Result = ();

    fn handle(&mut self, join: Join, ctx: &mut Self::Context) {
        self.arriving.push(join);
        if !self.busy {
            self.go_on(ctx);
        }
    }
}

impl Handler<GetUp> for Room {
    type Result = ();

    fn handle(&mut self, message: GetUp, ctx: &mut Self::Context) {
        self.arriving
            .retain(|join| join.guest.socket != message.socket);
        self.audience.remove(message.socket);
        if message.for_good {
            self.act(
                Wanted {
                    command: Command::Stop,
                    from: Origin::Nobody,
                },
                ctx,
            );
        } else if !self.busy {
            self.go_on(ctx);
        }
    }
}

impl Handler<FromPlayer> for Room {
    type Result = ();

    fn handle(&mut self, message: FromPlayer, ctx: &mut Self::Context) {
        let FromPlayer { socket, id, what } = message;
        if !self.audience.has(socket) {
            return;
        }
        let command = match what {
            Move::Answer { round, text } => Command::PlayerAnswers { round, text },
            Move::Stop => Command::Stop,
        };
        self.act(
            Wanted {
                command,
                from: Origin::Player { id, socket },
            },
            ctx,
        );
    }
}

impl Handler<FromTurn> for Room {
    type Result = ();

    fn handle(&mut self, report: FromTurn, ctx: &mut Self::Context) {
        match self.turns.hear(report) {
            Follow::Stale => {}
            Follow::Show => self.show(ctx),
            Follow::Done => {}
            Follow::AskAgain(turn, attempt) => {
                self.ask(turn, attempt, ctx);
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

impl Handler<Shut> for Room {
    type Result = ();

    fn handle(&mut self, _: Shut, ctx: &mut Self::Context) {
        self.leave(Gone::Done, ctx);
    }
}

/// Brings the room down as a fault in it would.
#[cfg(test)]
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct Fall;

#[cfg(test)]
impl Handler<Fall> for Room {
    type Result = ();

    fn handle(&mut self, _: Fall, _: &mut Self::Context) {
        panic!("the room was told to fall");
    }
}
