//! The hall: knows every session and every room, seats the one in the other, rebuilds a room
//! that is lost, and keeps the leases of all. It decides nothing about games.

mod closing;
mod keeper;
mod lobby;
mod neighbours;
mod rooms;
mod seance;
mod sessions;
mod standing;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use closing::Closing;
pub use closing::{Close, Drain};
use lobby::Lobby;
use neighbours::Street;
use standing::{AnyRoom, Opening, Standing, Tenancy};

use super::{
    House,
    audience::tell,
    identity::{self, SessionKey, Token, now},
    messages::{
        CardChanged, FromGuest, GetUp, Gone, Guest, Held, Join, RoomEnded, RoomGone, RoomHeld,
        RoomIdle, SeatGivenUp, SignIn, SignOut, SignedIn, TableVacant, ToSession, Want, Wish,
        refused,
    },
    pulse::SocketId,
    room::{NewGame, NewSeance, NewTable, Start},
};
use crate::{
    play::imitation::Rules,
    store::{Fence, SessionRecord, Store, StoreError},
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

/// How long a room is left alone that nothing could be made of.
const UNFIT: Duration = Duration::from_secs(600);

/// How soon a server that starts looks for rooms without one, at most.
const FIRST_LOOK: Duration = Duration::from_millis(250);

struct Visitor {
    guest: Guest,
    /// Which arrival of the session at any server of the house this is; 0 where there is one
    /// server.
    arrival: u64,
    name: String,
    /// The room that the session last sat down in.
    room: Option<String>,
    /// Whether it sits there now.
    seated: bool,
    /// At a table: as whom it came.
    want: Option<Want>,
    /// At a séance: whether it came to ask.
    sit: bool,
}

/// What the store says of a session that arrives.
struct Known {
    found: Option<SessionRecord>,
    /// Whether the store has its room open.
    is_open: bool,
    arrival: u64,
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
    /// Sessions that left a table for good while nobody was here for them, until the store
    /// knows.
    leaving: HashSet<(SessionKey, String)>,
    lobby: Lobby,
    street: Street,
    /// Rooms that are not taken though no server has them, and until when.
    left_alone: HashMap<String, Instant>,
    /// Leases that are being given back.
    giving_back: usize,
    closing: Closing,
    /// Who waits for the end of the closing.
    closed: Option<tokio::sync::oneshot::Sender<()>>,
    /// How tables' codes are drawn.
    draw_code: fn() -> String,
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
            leaving: HashSet::new(),
            lobby: Lobby::default(),
            street: Street::default(),
            left_alone: HashMap::new(),
            giving_back: 0,
            closing: Closing::No,
            closed: None,
            draw_code: identity::table_code,
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
            tell(&visitor.guest, ToSession::say(&refused(id, code, why)));
        }
    }

    fn accept(&self, socket: SocketId, id: u32) {
        if let Some(visitor) = self.visitors.get(&socket) {
            tell(&visitor.guest, ToSession::say(&ToClient::Accepted { id }));
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
        if self.house.tenure.shared {
            self.keep_leases(ctx);
            self.listen(ctx);
            self.look_for_vacant(FIRST_LOOK, ctx);
        } else {
            self.reopen(ctx);
        }
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
        self.arriving.insert(socket);
        let store = self.house.store.clone();
        let tenure = self.house.tenure.clone();
        let keep = self.house.keep;
        let work = async move {
            let found = match &sent {
                Some(token) => store.session(&token.key().0, now()).await?,
                None => None,
            };
            let token = sent.filter(|_| found.is_some()).unwrap_or_else(Token::draw);
            // A room that is not here may be open elsewhere.
            let room = found.as_ref().and_then(|known| known.room.as_deref());
            let is_open = match room {
                Some(room) if tenure.shared => rooms::is_open(&store, room).await?,
                _ => false,
            };
            let arrival = match store.neighbours() {
                Some(others) => others.arrive(&token.key().0, &tenure.server, keep).await?,
                None => 0,
            };
            let known = Known {
                found,
                is_open,
                arrival,
            };
            Ok::<_, StoreError>((token, known))
        };
        ctx.spawn(work.into_actor(self).map(move |found, this, ctx| {
            // It may have left while the store was reading.
            if !this.arriving.remove(&socket) {
                return;
            }
            let (token, found) = match found {
                Ok((token, known)) => (token, Ok(known)),
                Err(error) => (Token::draw(), Err(error)),
            };
            let guest = Guest {
                socket,
                key: token.key(),
                outbox,
                pulse,
            };
            let bye = match found {
                Ok(known) if this.closing != Closing::Now => {
                    return this.welcome(guest, token, known, ctx);
                }
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
            Wish::Open { kind, mode, name } => {
                let name = identity::tidy_name(&name);
                let rules = self.rules(kind, mode);
                let player = name.clone();
                let start = Opening::Game(NewGame { rules, player });
                self.open(socket, id, name, start, ctx);
            }
            Wish::OpenTable { setup, role, name } => {
                let name = identity::tidy_name(&name);
                let host = name.clone();
                let start = Opening::Table(NewTable { setup, role, host });
                self.open(socket, id, name, start, ctx);
            }
            Wish::Resume {
                room,
                epoch,
                offset,
            } => self.resume(socket, id, room, Held { epoch, offset }, ctx),
            Wish::JoinTable { room, want, held } => {
                self.join_table(socket, id, room, want, held, ctx);
            }
            Wish::EnterSeance { sit, room, held } => {
                self.enter_seance(socket, id, sit, room.zip(held), ctx);
            }
            Wish::Lobby { watch } => {
                self.accept(socket, id);
                self.watch_lobby(socket, watch);
            }
            Wish::Leave => {
                // At a séance the next one sits down at once.
                let visitor = self.visitors.get(&socket);
                let room = visitor.and_then(|visitor| visitor.room.as_deref());
                let for_good = room.is_some_and(identity::is_seance);
                self.get_up(socket, for_good);
                self.accept(socket, id);
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

impl Handler<TableVacant> for Hall {
    type Result = ();

    fn handle(&mut self, message: TableVacant, _: &mut Self::Context) {
        let TableVacant { room, life, vacant } = message;
        if let Some(standing) = self.rooms.get_mut(&room)
            && standing.life == life
        {
            standing.vacant = vacant.then(Instant::now);
            // Somebody came before it could close.
            standing.over &= vacant;
        }
        self.count();
    }
}

impl Handler<RoomIdle> for Hall {
    type Result = ();

    fn handle(&mut self, message: RoomIdle, ctx: &mut Self::Context) {
        let RoomIdle {
            room,
            life,
            for_good,
        } = message;
        if !for_good && self.is_awaited(&room) {
            return;
        }
        if let Entry::Occupied(entry) = self.rooms.entry(room.clone())
            && entry.get().life == life
        {
            let standing = entry.remove();
            standing.room.shut();
            self.give_back(&room, &standing, ctx);
            self.unseat(&room);
            self.unlist(&room, ctx);
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
        match how {
            Gone::Unexpected if self.closing != Closing::Now => {
                self.rebuild(room, &standing, ctx);
            }
            Gone::Unexpected | Gone::Moved => {
                // It is for whoever asked.
                self.leave_alone(&room, self.house.tenure.lease);
                self.hand_over(&room, &standing, ctx);
            }
            Gone::Lost => self.moved(&room, ctx),
            Gone::Done | Gone::Unfit => {
                if how == Gone::Unfit {
                    self.leave_alone(&room, UNFIT);
                }
                self.give_back(&room, &standing, ctx);
                self.unseat(&room);
                self.unlist(&room, ctx);
            }
        }
        self.count();
        self.see_whether_closed();
    }
}

impl Handler<SeatGivenUp> for Hall {
    type Result = ();

    fn handle(&mut self, message: SeatGivenUp, ctx: &mut Self::Context) {
        self.forget_seat(message, ctx);
    }
}

impl Handler<CardChanged> for Hall {
    type Result = ();

    fn handle(&mut self, message: CardChanged, ctx: &mut Self::Context) {
        // The last words of a table that has gone already.
        if self.rooms.contains_key(&message.room) {
            self.list(message, ctx);
        }
    }
}
