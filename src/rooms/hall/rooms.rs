//! Rooms: opened, found, rebuilt.

use super::*;

impl Hall {
    pub(super) fn start_room(
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
    pub(super) fn reopen(&mut self, ctx: &mut Context<Self>) {
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

    pub(super) fn open(
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

    pub(super) fn seat_in_new(
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

    pub(super) fn resume(
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

    pub(super) fn get_up(&mut self, socket: SocketId, for_good: bool) {
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        visitor.seated = false;
        let room = visitor.room.as_ref().and_then(|room| self.rooms.get(room));
        if let Some(standing) = room {
            standing.room.do_send(GetUp { socket, for_good });
        }
    }

    pub(super) fn is_awaited(&self, room: &str) -> bool {
        self.sitting(room).next().is_some()
    }

    pub(super) fn sitting<'a>(&'a self, room: &'a str) -> impl Iterator<Item = &'a Guest> {
        self.visitors
            .values()
            .filter(move |visitor| visitor.seated && visitor.room.as_deref() == Some(room))
            .map(|visitor| &visitor.guest)
    }

    pub(super) fn unseat(&self, room: &str) {
        for guest in self.sitting(room) {
            tell(guest, ToSession::Unseated);
        }
    }

    pub(super) fn rebuild(&mut self, room: String, fallen: &Standing, ctx: &Context<Self>) {
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
}
