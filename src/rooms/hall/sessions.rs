//! Sessions: who is here, and in which seat.

use super::*;

/// What part of a session's time passes before being here renews it. A house full of browsers
/// that come back at once would otherwise wait for as many writes.
pub(super) const RENEWAL: u64 = 64;

impl Hall {
    pub(super) fn sign_out(&mut self, socket: SocketId) {
        self.arriving.remove(&socket);
        self.lobby.forget(socket);
        self.get_up(socket, false);
        if let Some(visitor) = self.visitors.remove(&socket)
            && self.seats.get(&visitor.guest.key) == Some(&socket)
        {
            self.seats.remove(&visitor.guest.key);
        }
    }

    pub(super) fn welcome(
        &mut self,
        guest: Guest,
        token: Token,
        known: Known,
        ctx: &mut Context<Self>,
    ) {
        if let Some(former) = self.seats.get(&guest.key).copied() {
            self.show_out(former);
        }
        let Known {
            found: known,
            is_open,
            arrival,
        } = known;
        let expires_at = known.as_ref().map(|known| known.expires_at);
        let (name, room) = known.map_or_else(Default::default, |known| (known.name, known.room));
        let room = room.filter(|room| {
            let leaving = (guest.key.clone(), room.clone());
            !self.leaving.contains(&leaving)
        });
        let open = room.clone().filter(|room| {
            let here = self.rooms.get(room);
            here.map_or(is_open, |standing| !standing.over)
        });
        self.seats.insert(guest.key.clone(), guest.socket);
        let signed_in = SignedIn { token, room: open };
        tell(&guest, ToSession::SignedIn(signed_in));
        // Being here keeps a session alive.
        let record = self.record(&guest.key, &name, room.clone());
        let grain = u64::try_from(self.house.keep.as_millis()).unwrap_or(u64::MAX) / RENEWAL;
        let is_fresh = expires_at.is_some_and(|at| at.saturating_add(grain) >= record.expires_at);
        let store = self.house.store.clone();
        self.visitors.insert(
            guest.socket,
            Visitor {
                guest,
                arrival,
                name,
                room,
                seated: false,
                want: None,
                sit: false,
            },
        );
        if is_fresh {
            return;
        }
        let work = async move { store.put_session(&record).await };
        ctx.spawn(work.into_actor(self).map(|result, _, _| {
            if let Err(error) = result {
                tracing::warn!(%error, "a session was not renewed");
            }
        }));
    }

    /// The session's next welcome names that table no more, here or after a restart.
    pub(super) fn forget_seat(&mut self, given_up: SeatGivenUp, ctx: &mut Context<Self>) {
        let here = self.seats.get(&given_up.key);
        if let Some(visitor) = here.and_then(|socket| self.visitors.get_mut(socket)) {
            if visitor.room.as_ref() == Some(&given_up.room) {
                visitor.room = None;
                visitor.seated = false;
                visitor.want = None;
                let name = visitor.name.clone();
                self.keep_seat(&given_up.key, &name, None, ctx);
            }
            return;
        }
        let store = self.house.store.clone();
        let SeatGivenUp { room, key } = given_up;
        let (sat, session) = (room.clone(), key.0.clone());
        // Who comes in meanwhile is known by what the store said before.
        let leaving = (key, room);
        self.leaving.insert(leaving.clone());
        let work = async move {
            match store.session(&session, now()).await? {
                Some(known) if known.room.as_ref() == Some(&sat) => {
                    let record = SessionRecord {
                        room: None,
                        ..known
                    };
                    store.put_session(&record).await
                }
                _ => Ok(()),
            }
        };
        ctx.spawn(work.into_actor(self).map(move |result, this, ctx| {
            seat_kept(result);
            this.leaving.remove(&leaving);
            let (key, room) = leaving;
            let came = this.seats.get(&key);
            let came = came.and_then(|socket| this.visitors.get(socket));
            // And who has sat down there again since sits there.
            if let Some(visitor) = came.filter(|visitor| visitor.room.as_ref() == Some(&room)) {
                let name = visitor.name.clone();
                this.keep_seat(&key, &name, Some(room), ctx);
            }
        }));
    }

    pub(super) fn keep_seat(
        &self,
        key: &SessionKey,
        name: &str,
        room: Option<String>,
        ctx: &mut Context<Self>,
    ) {
        let record = self.record(key, name, room);
        let store = self.house.store.clone();
        let work = async move { store.put_session(&record).await };
        ctx.spawn(work.into_actor(self).map(|result, _, _| seat_kept(result)));
    }
}

fn seat_kept(result: Result<(), StoreError>) {
    if let Err(error) = result {
        // Only the welcome's hint is stale: the table itself knows who sits there.
        tracing::warn!(%error, "which table a session sits at was not stored");
    }
}
