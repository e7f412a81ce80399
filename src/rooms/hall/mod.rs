//! The hall: knows every session and every room, seats the one in the other, and rebuilds
//! a room that is lost. It decides nothing about games.

mod rooms;
mod sessions;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};

use super::{
    House,
    audience::tell,
    identity::{self, SessionKey, Token, now},
    messages::{
        FromGuest, GetUp, Gone, Guest, Held, Join, RoomEnded, RoomGone, RoomIdle, Shut, SignIn,
        SignOut, SignedIn, ToSession, Wish, refused,
    },
    pulse::SocketId,
    room::{Room, Start},
};
use crate::{
    play::imitation::{Kind, Mode, Rules},
    store::{SessionRecord, Store},
    wire::browser::{Bye, RefusalCode, ToClient},
};

/// Longest answer, characters.
pub const ANSWER_LIMIT: u32 = 500;

/// Confidence (percent) at which the judge stops asking, and below which it abstains at the cap.
const CONFIDENT_AT: u8 = 80;
const ABSTAIN_BELOW: u8 = 60;

/// Messages that wait in the hall's mailbox before sessions are told to slow down.
const MAILBOX: usize = 1024;

/// A room that is lost this often, each time within [`SHORT_LIFE`], is left alone: its log
/// is safe, but something in it brings the room down.
const REBUILDS: u32 = 3;
const SHORT_LIFE: Duration = Duration::from_secs(60);

/// How soon a store that failed at the start is tried again.
const RETRY: Duration = Duration::from_secs(1);

struct Standing {
    room: Addr<Room>,
    life: u32,
    since: Instant,
    short_lives: u32,
    over: bool,
}

struct Visitor {
    guest: Guest,
    name: String,
    /// The room that the session last sat down in.
    room: Option<String>,
    /// Whether it sits there now.
    seated: bool,
}

/// The actor.
pub struct Hall {
    house: Arc<House>,
    rooms: HashMap<String, Standing>,
    /// Room actors so far: each has its number, so that the last words of one are not taken
    /// for the next one's.
    lives: u32,
    /// Rooms that are being opened, so that the cap holds while the store works.
    opening: usize,
    visitors: HashMap<SocketId, Visitor>,
    seats: HashMap<SessionKey, SocketId>,
    /// Sockets whose session is being looked up.
    arriving: HashSet<SocketId>,
    closing: bool,
}

impl Hall {
    pub fn new(house: Arc<House>) -> Self {
        Self {
            house,
            rooms: HashMap::new(),
            lives: 0,
            opening: 0,
            visitors: HashMap::new(),
            seats: HashMap::new(),
            arriving: HashSet::new(),
            closing: false,
        }
    }

    fn games(&self) -> usize {
        let running = self.rooms.values().filter(|standing| !standing.over);
        running.count() + self.opening
    }

    fn count(&self) {
        self.house.tally.rooms.set(self.games());
    }

    fn refuse(&self, socket: SocketId, id: u32, code: RefusalCode, why: &str) {
        self.house.tally.refused(code);
        if let Some(visitor) = self.visitors.get(&socket) {
            tell(
                &visitor.guest,
                ToSession::Say(Arc::new(refused(id, code, why))),
            );
        }
    }

    fn record(&self, key: &SessionKey, name: &str, room: Option<String>) -> SessionRecord {
        let keep = u64::try_from(self.house.keep.as_millis()).unwrap_or(u64::MAX);
        SessionRecord {
            key: key.0.clone(),
            name: name.to_owned(),
            room,
            expires_at: now().saturating_add(keep),
        }
    }
}

impl Actor for Hall {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.reopen(ctx);
    }
}

impl Handler<SignIn> for Hall {
    type Result = ();

    fn handle(&mut self, message: SignIn, ctx: &mut Self::Context) {
        let SignIn {
            socket,
            token,
            outbox,
            pulse,
        } = message;
        let sent = token.as_deref().and_then(Token::parse);
        let key = sent.as_ref().map(Token::key);
        self.arriving.insert(socket);
        let store = self.house.store.clone();
        let work = async move {
            match key {
                Some(key) => store.session(&key.0, now()).await,
                None => Ok(None),
            }
        };
        ctx.spawn(work.into_actor(self).map(move |found, this, ctx| {
            // It may have left while the store was reading.
            if !this.arriving.remove(&socket) {
                return;
            }
            let known = found.as_ref().is_ok_and(Option::is_some);
            let token = sent.filter(|_| known).unwrap_or_else(Token::draw);
            let guest = Guest {
                socket,
                key: token.key(),
                outbox,
                pulse,
            };
            let bye = match found {
                Ok(found) if !this.closing => return this.welcome(guest, token, found, ctx),
                Ok(_) => "the server restarts",
                Err(error) => {
                    tracing::error!(%error, "a session cannot be looked up");
                    "the server cannot reach its store"
                }
            };
            tell(
                &guest,
                ToSession::Bye {
                    bye: Bye::Restarting,
                    why: bye,
                },
            );
        }));
    }
}

impl Handler<SignOut> for Hall {
    type Result = ();

    fn handle(&mut self, message: SignOut, _: &mut Self::Context) {
        self.sign_out(message.socket);
    }
}

impl Handler<FromGuest> for Hall {
    type Result = ();

    fn handle(&mut self, message: FromGuest, ctx: &mut Self::Context) {
        let FromGuest { socket, id, wish } = message;
        match wish {
            Wish::Open { kind, mode, name } => self.open(socket, id, (kind, mode, &name), ctx),
            Wish::Resume {
                room,
                epoch,
                offset,
            } => self.resume(socket, id, room, Held { epoch, offset }, ctx),
            Wish::Leave => {
                self.get_up(socket, false);
                if let Some(visitor) = self.visitors.get(&socket) {
                    tell(
                        &visitor.guest,
                        ToSession::Say(Arc::new(ToClient::Accepted { id })),
                    );
                }
            }
        }
    }
}

impl Handler<RoomEnded> for Hall {
    type Result = ();

    fn handle(&mut self, message: RoomEnded, _: &mut Self::Context) {
        if let Some(ending) = message.fresh {
            self.house.tally.ended(ending);
        }
        if let Some(standing) = self.rooms.get_mut(&message.room)
            && standing.life == message.life
        {
            standing.over = true;
        }
        self.count();
    }
}

impl Handler<RoomIdle> for Hall {
    type Result = ();

    fn handle(&mut self, message: RoomIdle, _: &mut Self::Context) {
        let RoomIdle { room, life } = message;
        if self.is_awaited(&room) {
            return;
        }
        if let Entry::Occupied(entry) = self.rooms.entry(room)
            && entry.get().life == life
        {
            entry.remove().room.do_send(Shut);
            self.count();
        }
    }
}

impl Handler<RoomGone> for Hall {
    type Result = ();

    fn handle(&mut self, message: RoomGone, ctx: &mut Self::Context) {
        let RoomGone { room, life, how } = message;
        let standing = match self.rooms.entry(room.clone()) {
            Entry::Occupied(entry) if entry.get().life == life => entry.remove(),
            _ => return,
        };
        if how == Gone::Unexpected && !self.closing {
            self.rebuild(room, &standing, ctx);
        } else {
            self.unseat(&room);
        }
        self.count();
    }
}

/// Says goodbye to every session and stops every room. Games go on after the next start.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Close;

impl Handler<Close> for Hall {
    type Result = ();

    fn handle(&mut self, _: Close, _: &mut Self::Context) {
        self.closing = true;
        for visitor in self.visitors.values() {
            tell(
                &visitor.guest,
                ToSession::Bye {
                    bye: Bye::Restarting,
                    why: "the server restarts",
                },
            );
        }
        for standing in self.rooms.values() {
            standing.room.do_send(Shut);
        }
    }
}
