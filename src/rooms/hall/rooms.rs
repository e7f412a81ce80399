//! Rooms: opened, found, rebuilt.

use super::*;
use crate::{
    play::imitation::{Event, Kind, Mode},
    rooms::room::Room,
    store::AnyStore,
};

/// A table that nobody has been at for so short a part of the time that it is kept is safe from
/// a full house: whoever was only cut off comes back to it.
const GRACE: u32 = 30;

const NO_TABLE: &str = "there is no such table, or it was closed";

/// Whether the store has a room of that name which is not finished.
pub(super) async fn is_open(store: &AnyStore, room: &str) -> Result<bool, StoreError> {
    match store.read(room, u32::MAX).await {
        Ok(log) => Ok(!log.closed),
        Err(StoreError::NoSuchRoom(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whose game it is, by the log: the hash of a session. None when that does not say.
pub(super) async fn player_of(store: &AnyStore, room: &str) -> Result<Option<String>, StoreError> {
    let log = store.read(room, 0).await?;
    let first = log.records.first();
    let opened = first.and_then(|record| serde_json::from_str(&record.body).ok());
    Ok(match opened {
        Some(Event::Opened { key, .. }) => key,
        _ => None,
    })
}

/// Whether there is, or was, a room of that name.
async fn is_room(store: &AnyStore, room: &str) -> Result<bool, StoreError> {
    match store.read(room, u32::MAX).await {
        Ok(_) => Ok(true),
        Err(StoreError::NoSuchRoom(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A code that no table has on any server. (Should another one draw it at the same instant,
/// the store refuses to create it twice.)
async fn free_code(store: &AnyStore, draw: fn() -> String) -> Result<String, StoreError> {
    loop {
        let code = draw();
        match store.read(&code, u32::MAX).await {
            Err(StoreError::NoSuchRoom(_)) => return Ok(code),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
}

impl Hall {
    /// Starts the actor of a room that the store has.
    pub(super) fn load_room(&mut self, id: String, before: Option<&Standing>, ctx: &Context<Self>) {
        if identity::is_seance(&id) {
            // A house that holds none leaves it to those who do.
            if let Some(room) = self.seance(&id, Start::Load, ctx) {
                self.stand(id, room, before);
            }
        } else if identity::is_table(&id) {
            let room = self.table(&id, Start::Load, ctx);
            self.stand(id, room, before);
        } else {
            let room = self.game(&id, Start::Load, ctx);
            self.stand(id, room, before);
        }
    }

    fn game(&mut self, id: &str, start: Start<NewGame>, ctx: &Context<Self>) -> AnyRoom {
        self.lives += 1;
        let house = Arc::clone(&self.house);
        let room = Room::new(house, id.to_owned(), self.lives, start, ctx.address());
        AnyRoom::Game(room.start())
    }

    fn table(&mut self, id: &str, start: Start<NewTable>, ctx: &Context<Self>) -> AnyRoom {
        self.lives += 1;
        let house = Arc::clone(&self.house);
        let room = Room::new(house, id.to_owned(), self.lives, start, ctx.address());
        AnyRoom::Table(room.start())
    }

    /// Notes the room that was started last.
    pub(super) fn stand(&mut self, id: String, room: AnyRoom, before: Option<&Standing>) {
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
                life: self.lives,
                since: Instant::now(),
                short_lives,
                over: false,
                vacant: None,
                found: false,
                lease: None,
            },
        );
        self.count();
    }

    /// By what a game of this house is played.
    pub(super) fn rules(&self, kind: Kind, mode: Mode) -> Rules {
        let idle = self.house.idle_limit.as_millis();
        Rules {
            kind,
            mode,
            round_cap: self.house.round_cap,
            confident_at: CONFIDENT_AT,
            abstain_below: ABSTAIN_BELOW,
            idle_limit_ms: u64::try_from(idle).unwrap_or(u64::MAX),
            answer_limit: ANSWER_LIMIT,
        }
    }

    /// Starts every room that was open when the house last closed, or fell.
    pub(super) fn reopen(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let work = async move { store.open_rooms().await };
        ctx.spawn(work.into_actor(self).map(|rooms, this, ctx| match rooms {
            Ok(rooms) => {
                for room in rooms {
                    if !this.rooms.contains_key(&room) {
                        this.load_room(room, None, ctx);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "the open rooms cannot be read; again soon");
                ctx.run_later(RETRY, |this, ctx| this.reopen(ctx));
            }
        }));
    }

    pub(super) fn open(
        &mut self,
        socket: SocketId,
        id: u32,
        name: String,
        opening: Opening,
        ctx: &mut Context<Self>,
    ) {
        if self.sends_away(socket) {
            return;
        }
        if self.games() >= self.house.room_cap && !self.make_room() {
            self.refuse(socket, id, RefusalCode::FullHouse, "every room is taken");
            return;
        }
        let Some(visitor) = self.visitors.get(&socket) else {
            return;
        };
        let mut record = self.record(&visitor.guest.key, &name, None);
        let store = self.house.store.clone();
        let draw = matches!(opening, Opening::Table(_)).then_some(self.draw_code);
        // The seat is stored before the room is: a crash in between leaves a session that
        // points nowhere, which is harmless; a room that nobody may enter would not be.
        let work = async move {
            let room = match draw {
                Some(draw) => free_code(&store, draw).await?,
                None => identity::room_id(),
            };
            record.room = Some(room.clone());
            store.put_session(&record).await?;
            Ok::<String, StoreError>(room)
        };
        self.opening += 1;
        ctx.spawn(work.into_actor(self).map(move |result, this, ctx| {
            this.opening -= 1;
            match result {
                Ok(_) if this.closing == Closing::Now => {}
                Ok(room) => this.seat_in_new(socket, id, room, name, opening, ctx),
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

    /// Has the table closed that nobody has been at for longest. Whether there is one.
    fn make_room(&mut self) -> bool {
        let grace = self.house.table_keep / GRACE;
        let vacant = self.rooms.values_mut().filter_map(|standing| {
            let since = standing.vacant.filter(|since| since.elapsed() >= grace)?;
            (!standing.over).then_some((since, standing))
        });
        let Some((_, standing)) = vacant.min_by_key(|(since, _)| *since) else {
            return false;
        };
        standing.over = true;
        standing.room.make_room();
        true
    }

    fn seat_in_new(
        &mut self,
        socket: SocketId,
        id: u32,
        room: String,
        name: String,
        opening: Opening,
        ctx: &mut Context<Self>,
    ) {
        self.leave_behind(socket, ctx);
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        visitor.name = name;
        visitor.room = Some(room.clone());
        visitor.seated = true;
        visitor.want = None;
        let join = Join {
            guest: visitor.guest.clone(),
            id: Some(id),
            held: None,
            want: None,
            sit: false,
        };
        let actor = match opening {
            Opening::Game(opening) => self.game(&room, Start::New { join, opening }, ctx),
            Opening::Table(opening) => self.table(&room, Start::New { join, opening }, ctx),
        };
        self.stand(room, actor, None);
    }

    /// Seats somebody at a table, new there or not: the table knows.
    pub(super) fn join_table(
        &mut self,
        socket: SocketId,
        id: u32,
        typed: String,
        want: Want,
        held: Option<Held>,
        ctx: &mut Context<Self>,
    ) {
        let Some(room) = identity::table_code_of(&typed) else {
            self.refuse(socket, id, RefusalCode::NoSuchRoom, NO_TABLE);
            return;
        };
        if self.rooms.contains_key(&room) {
            self.sit_down(socket, id, room, want, held, ctx);
            return;
        }
        if self.sends_away(socket) {
            return;
        }
        // Whoever mistypes a code keeps the seat they have.
        let store = self.house.store.clone();
        let work = async move {
            let found = is_open(&store, &room).await;
            (room, found)
        };
        ctx.spawn(
            work.into_actor(self)
                .map(move |(room, found), this, ctx| match found {
                    Ok(true) => this.sit_down(socket, id, room, want, held, ctx),
                    Ok(false) => this.refuse(socket, id, RefusalCode::NoSuchRoom, NO_TABLE),
                    Err(error) => {
                        tracing::error!(room, %error, "a table cannot be looked for");
                        let why = "the store failed; try again";
                        this.refuse(socket, id, RefusalCode::Trouble, why);
                    }
                }),
        );
    }

    /// Seats somebody at a table that there is, here or elsewhere.
    fn sit_down(
        &mut self,
        socket: SocketId,
        id: u32,
        room: String,
        want: Want,
        held: Option<Held>,
        ctx: &mut Context<Self>,
    ) {
        self.get_up_elsewhere(socket, &room, true);
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        let moved = visitor.room.as_ref() != Some(&room);
        visitor.name = identity::tidy_name(&want.name);
        visitor.room = Some(room.clone());
        visitor.seated = true;
        visitor.want = Some(want.clone());
        let join = Join {
            guest: visitor.guest.clone(),
            id: Some(id),
            held,
            want: Some(want),
            sit: false,
        };
        if moved {
            let (key, name) = (visitor.guest.key.clone(), visitor.name.clone());
            let record = self.record(&key, &name, Some(room.clone()));
            let store = self.house.store.clone();
            let work = async move { store.put_session(&record).await };
            ctx.spawn(work.into_actor(self).map(|result, _, _| {
                if let Err(error) = result {
                    // Only the welcome's hint is lost: the table itself knows who sits there.
                    tracing::warn!(%error, "a session's table was not stored");
                }
            }));
        }
        self.bring(room, join, ctx);
    }

    /// Has somebody join a room, which is loaded if need be.
    pub(super) fn bring(&mut self, room: String, join: Join, ctx: &mut Context<Self>) {
        if !self.rooms.contains_key(&room) {
            if self.sends_away(join.guest.socket) {
                return;
            }
            self.load_room(room.clone(), None, ctx);
        }
        if let Some(standing) = self.rooms.get(&room) {
            standing.room.join(join);
        }
    }

    pub(super) fn resume(
        &mut self,
        socket: SocketId,
        id: u32,
        room: String,
        held: Held,
        ctx: &mut Context<Self>,
    ) {
        let Some(visitor) = self.visitors.get(&socket) else {
            return;
        };
        if identity::is_seance(&room) {
            let why = "that is a séance; enter it";
            self.refuse(socket, id, RefusalCode::NotYours, why);
            return;
        }
        if identity::is_table(&room) {
            let why = "that is a table; join it";
            self.refuse(socket, id, RefusalCode::NotYours, why);
            return;
        }
        if visitor.room.as_ref() == Some(&room) {
            self.play_on(socket, id, room, held, ctx);
            return;
        }
        // Whoever opened another game has left this one. But a server that fell, or stood still
        // and wrote late, leaves sessions that point at a game which never began: then the log
        // says whose this one is.
        let key = visitor.guest.key.clone();
        // A séance is nobody's game.
        let other = visitor.room.clone();
        let other = other.filter(|room| !identity::is_seance(room));
        let store = self.house.store.clone();
        let work = async move {
            let is_theirs = async {
                let player = player_of(&store, &room).await?;
                let elsewhere = match other {
                    Some(other) => is_room(&store, &other).await?,
                    None => false,
                };
                Ok::<bool, StoreError>(player.is_some_and(|player| player == key.0) && !elsewhere)
            };
            (is_theirs.await, room, key)
        };
        ctx.spawn(
            work.into_actor(self)
                .map(move |(is_theirs, room, key), this, ctx| {
                    let (code, why) = match is_theirs {
                        Ok(true) => {
                            if let Some(visitor) = this.visitors.get_mut(&socket) {
                                visitor.room = Some(room.clone());
                                let name = visitor.name.clone();
                                this.keep_seat(&key, &name, Some(room.clone()), ctx);
                            }
                            return this.play_on(socket, id, room, held, ctx);
                        }
                        Ok(false) => (RefusalCode::NotYours, "that is somebody else's seat"),
                        Err(StoreError::NoSuchRoom(_)) => {
                            (RefusalCode::NoSuchRoom, "there is no such room")
                        }
                        Err(error) => {
                            tracing::error!(room, %error, "whose game it is cannot be read");
                            (RefusalCode::Trouble, "the store failed; try again")
                        }
                    };
                    this.refuse(socket, id, code, why);
                }),
        );
    }

    fn play_on(
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
        visitor.seated = true;
        let join = Join {
            guest: visitor.guest.clone(),
            id: Some(id),
            held: Some(held),
            want: None,
            sit: false,
        };
        self.bring(room, join, ctx);
    }

    pub(super) fn get_up(&mut self, socket: SocketId, for_good: bool) {
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        visitor.seated = false;
        let room = visitor.room.as_ref().and_then(|room| self.rooms.get(room));
        if let Some(standing) = room {
            standing.room.get_up(GetUp { socket, for_good });
        }
    }

    /// Has somebody get up who sits in another room than this.
    pub(super) fn get_up_elsewhere(&mut self, socket: SocketId, room: &str, for_good: bool) {
        let sits_elsewhere = self
            .visitors
            .get(&socket)
            .is_some_and(|visitor| visitor.seated && visitor.room.as_deref() != Some(room));
        if sits_elsewhere {
            self.get_up(socket, for_good);
        }
    }

    pub(super) fn is_awaited(&self, room: &str) -> bool {
        self.sitting(room).next().is_some()
    }

    pub(super) fn sitting<'a>(&'a self, room: &'a str) -> impl Iterator<Item = &'a Visitor> {
        self.visitors
            .values()
            .filter(move |visitor| visitor.seated && visitor.room.as_deref() == Some(room))
    }

    pub(super) fn unseat(&self, room: &str) {
        for visitor in self.sitting(room) {
            tell(&visitor.guest, ToSession::Unseated);
        }
    }

    pub(super) fn rebuild(&mut self, room: String, fallen: &Standing, ctx: &mut Context<Self>) {
        if fallen.short_lives >= REBUILDS {
            tracing::error!(
                room,
                "a room falls again and again; it is left as its log has it"
            );
            self.leave_alone(&room, UNFIT);
            self.give_back(&room, fallen, ctx);
            self.unseat(&room);
            return;
        }
        tracing::error!(room, "a room fell; it is rebuilt from its log");
        self.house.tally.rebuilt();
        self.load_room(room.clone(), Some(fallen), ctx);
        if let Some(standing) = self.rooms.get(&room) {
            for visitor in self.sitting(&room) {
                standing.room.join(Join {
                    guest: visitor.guest.clone(),
                    id: None,
                    held: None,
                    want: visitor.want.clone(),
                    sit: visitor.sit,
                });
            }
        }
    }
}
