//! The hall: knows every session and every room, seats the one in the other, and rebuilds
//! a room that is lost. It decides nothing about games.

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

    // ---- rooms

    fn start_room(
        &mut self,
        id: String,
        start: Start,
        before: Option<&Standing>,
        ctx: &Context<Self>,
    ) {
        self.lives += 1;
        let life = self.lives;
        let house = Arc::clone(&self.house);
        let room = Room::new(house, id.clone(), life, start, ctx.address()).start();
        let short_lives = before.map_or(0, |standing| {
            if standing.since.elapsed() < SHORT_LIFE {
                standing.short_lives + 1
            } else {
                0
            }
        });
        self.rooms.insert(
            id,
            Standing {
                room,
                life,
                since: Instant::now(),
                short_lives,
                over: false,
            },
        );
        self.count();
    }

    /// Starts every room that was open when the house last closed, or fell.
    fn reopen(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let work = async move { store.open_rooms().await };
        ctx.spawn(work.into_actor(self).map(|rooms, this, ctx| match rooms {
            Ok(rooms) => {
                for room in rooms {
                    if !this.rooms.contains_key(&room) {
                        this.start_room(room, Start::Load, None, ctx);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "the open rooms cannot be read; again soon");
                ctx.run_later(RETRY, |this, ctx| this.reopen(ctx));
            }
        }));
    }

    fn open(
        &mut self,
        socket: SocketId,
        id: u32,
        (kind, mode, name): (Kind, Mode, &str),
        ctx: &mut Context<Self>,
    ) {
        if self.games() >= self.house.room_cap {
            self.refuse(socket, id, RefusalCode::FullHouse, "every room is taken");
            return;
        }
        let Some(visitor) = self.visitors.get(&socket) else {
            return;
        };
        let room = identity::room_id();
        let name = identity::tidy_name(name);
        let record = self.record(&visitor.guest.key, &name, Some(room.clone()));
        let store = self.house.store.clone();
        // The seat is stored before the room is: a crash in between leaves a session that
        // points nowhere, which is harmless; a room that nobody may enter would not be.
        let work = async move { store.put_session(&record).await };
        self.opening += 1;
        ctx.spawn(work.into_actor(self).map(move |result, this, ctx| {
            this.opening -= 1;
            match result {
                Ok(()) => this.seat_in_new(socket, id, room, (kind, mode, name), ctx),
                Err(error) => {
                    tracing::error!(%error, "a seat was not stored");
                    this.refuse(
                        socket,
                        id,
                        RefusalCode::Trouble,
                        "the store failed; try again",
                    );
                }
            }
            this.count();
        }));
    }

    fn seat_in_new(
        &mut self,
        socket: SocketId,
        id: u32,
        room: String,
        (kind, mode, name): (Kind, Mode, String),
        ctx: &mut Context<Self>,
    ) {
        self.get_up(socket, true);
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        visitor.name.clone_from(&name);
        visitor.room = Some(room.clone());
        visitor.seated = true;
        let idle = self.house.idle_limit.as_millis();
        let start = Start::New {
            guest: visitor.guest.clone(),
            id,
            rules: Rules {
                kind,
                mode,
                round_cap: self.house.round_cap,
                confident_at: CONFIDENT_AT,
                abstain_below: ABSTAIN_BELOW,
                idle_limit_ms: u64::try_from(idle).unwrap_or(u64::MAX),
                answer_limit: ANSWER_LIMIT,
            },
            player: name,
        };
        self.start_room(room, start, None, ctx);
    }

    fn resume(
        &mut self,
        socket: SocketId,
        id: u32,
        room: String,
        held: Held,
        ctx: &mut Context<Self>,
    ) {
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        if visitor.room.as_deref() != Some(room.as_str()) {
            // Whose room it is, and whether there is one, is nobody else's business.
            let (code, why) = if self.rooms.contains_key(&room) {
                (RefusalCode::NotYours, "that is somebody else's seat")
            } else {
                (RefusalCode::NoSuchRoom, "there is no such room")
            };
            self.refuse(socket, id, code, why);
            return;
        }
        visitor.seated = true;
        let join = Join {
            guest: visitor.guest.clone(),
            id: Some(id),
            held: Some(held),
        };
        if !self.rooms.contains_key(&room) {
            self.start_room(room.clone(), Start::Load, None, ctx);
        }
        if let Some(standing) = self.rooms.get(&room) {
            standing.room.do_send(join);
        }
    }

    fn get_up(&mut self, socket: SocketId, for_good: bool) {
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        visitor.seated = false;
        let room = visitor.room.as_ref().and_then(|room| self.rooms.get(room));
        if let Some(standing) = room {
            standing.room.do_send(GetUp { socket, for_good });
        }
    }

    fn is_awaited(&self, room: &str) -> bool {
        self.sitting(room).next().is_some()
    }

    fn sitting<'a>(&'a self, room: &'a str) -> impl Iterator<Item = &'a Guest> {
        self.visitors
            .values()
            .filter(move |visitor| visitor.seated && visitor.room.as_deref() == Some(room))
            .map(|visitor| &visitor.guest)
    }

    fn unseat(&self, room: &str) {
        for guest in self.sitting(room) {
            tell(guest, ToSession::Unseated);
        }
    }

    fn rebuild(&mut self, room: String, fallen: &Standing, ctx: &Context<Self>) {
        if fallen.short_lives >= REBUILDS {
            tracing::error!(
                room,
                "a room falls again and again; it is left as its log has it"
            );
            self.unseat(&room);
            return;
        }
        tracing::error!(room, "a room fell; it is rebuilt from its log");
        self.house.tally.rebuilt();
        self.start_room(room.clone(), Start::Load, Some(fallen), ctx);
        if let Some(standing) = self.rooms.get(&room) {
            for guest in self.sitting(&room) {
                standing.room.do_send(Join {
                    guest: guest.clone(),
                    id: None,
                    held: None,
                });
            }
        }
    }

    // ---- sessions

    fn sign_out(&mut self, socket: SocketId) {
        self.arriving.remove(&socket);
        self.get_up(socket, false);
        if let Some(visitor) = self.visitors.remove(&socket)
            && self.seats.get(&visitor.guest.key) == Some(&socket)
        {
            self.seats.remove(&visitor.guest.key);
        }
    }

    fn welcome(
        &mut self,
        guest: Guest,
        token: Token,
        known: Option<SessionRecord>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(former) = self.seats.get(&guest.key).copied() {
            if let Some(visitor) = self.visitors.get(&former) {
                let bye = ToSession::Bye {
                    bye: Bye::Elsewhere,
                    why: "this session was opened elsewhere",
                };
                tell(&visitor.guest, bye);
            }
            self.sign_out(former);
        }
        let (name, room) = known.map_or_else(Default::default, |known| (known.name, known.room));
        let open = room
            .clone()
            .filter(|room| self.rooms.get(room).is_some_and(|standing| !standing.over));
        self.seats.insert(guest.key.clone(), guest.socket);
        let signed_in = SignedIn { token, room: open };
        tell(&guest, ToSession::SignedIn(signed_in));
        // Being here keeps a session alive.
        let record = self.record(&guest.key, &name, room.clone());
        let store = self.house.store.clone();
        self.visitors.insert(
            guest.socket,
            Visitor {
                guest,
                name,
                room,
                seated: false,
            },
        );
        let work = async move { store.put_session(&record).await };
        ctx.spawn(work.into_actor(self).map(|result, _, _| {
            if let Err(error) = result {
                tracing::warn!(%error, "a session was not renewed");
            }
        }));
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
