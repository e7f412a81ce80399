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
        let expires_at = known.as_ref().map(|known| known.expires_at);
        let (name, room) = known.map_or_else(Default::default, |known| (known.name, known.room));
        let open = room
            .clone()
            .filter(|room| self.rooms.get(room).is_some_and(|standing| !standing.over));
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
                name,
                room,
                seated: false,
                want: None,
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
}
