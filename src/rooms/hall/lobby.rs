//! The lobby: which tables may be come to, for whoever watches. It is told as a whole, now
//! and then; who could not take one list is told a later one, so nothing piles up.

use std::collections::BTreeMap;

use actix::prelude::SendError;

use super::*;
use crate::{play::UnixMillis, rooms::frame::Frame, wire::browser::TableCard};

/// Tables that are told of at most, the newest.
const TABLES: usize = 100;

/// Shortest time between two lists.
const PACE: Duration = Duration::from_millis(250);

/// What the lobby shows, and to whom.
#[derive(Default)]
pub(super) struct Lobby {
    cards: HashMap<String, (UnixMillis, TableCard)>,
    /// Tables of the house's other servers.
    others: Vec<(UnixMillis, TableCard)>,
    /// Number of [`Self::cards`] as they are now.
    own: u64,
    /// Which list each watcher has, by number; 0 is none.
    watchers: BTreeMap<SocketId, u64>,
    /// Number of the list as it is now, from 1.
    version: u64,
    due: bool,
}

impl Lobby {
    fn list(&self) -> ToClient {
        // A table that moves is another server's before that one says so, or still.
        let others = self.others.iter();
        let others = others.filter(|(_, card)| !self.cards.contains_key(&card.room));
        ToClient::Lobby {
            tables: newest(self.cards.values().chain(others))
                .map(|(_, card)| card.clone())
                .collect(),
        }
    }

    /// The tables of this server, as others list them.
    pub(super) fn own(&self) -> Vec<(UnixMillis, TableCard)> {
        newest(self.cards.values()).cloned().collect()
    }

    /// Changes with [`Self::own`].
    pub(super) fn own_version(&self) -> u64 {
        self.own
    }

    pub(super) fn forget(&mut self, socket: SocketId) {
        self.watchers.remove(&socket);
    }
}

fn newest<'a>(
    cards: impl Iterator<Item = &'a (UnixMillis, TableCard)>,
) -> impl Iterator<Item = &'a (UnixMillis, TableCard)> {
    let mut cards: Vec<_> = cards.collect();
    cards.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.room.cmp(&other.room)));
    // Two servers may both list one that moves between them.
    cards.dedup_by(|(_, one), (_, other)| one.room == other.room);
    cards.into_iter().take(TABLES)
}

impl Hall {
    pub(super) fn watch_lobby(&mut self, socket: SocketId, watch: bool) {
        if !watch {
            self.lobby.forget(socket);
        } else if let Some(visitor) = self.visitors.get(&socket) {
            self.lobby.version = self.lobby.version.max(1);
            let list = ToSession::say(&self.lobby.list());
            tell(&visitor.guest, list);
            self.lobby.watchers.insert(socket, self.lobby.version);
        }
    }

    pub(super) fn list(&mut self, change: CardChanged, ctx: &mut Context<Self>) {
        let CardChanged { room, opened, card } = change;
        match card {
            Some(card) => {
                self.lobby.cards.insert(room, (opened, card));
            }
            None if self.lobby.cards.remove(&room).is_none() => return,
            None => {}
        }
        self.lobby.own += 1;
        self.lobby_changed(ctx);
    }

    pub(super) fn unlist(&mut self, room: &str, ctx: &mut Context<Self>) {
        if self.lobby.cards.remove(room).is_some() {
            self.lobby.own += 1;
            self.lobby_changed(ctx);
        }
    }

    /// The tables that the other servers have now.
    pub(super) fn list_others(
        &mut self,
        others: Vec<(UnixMillis, TableCard)>,
        ctx: &mut Context<Self>,
    ) {
        if self.lobby.others != others {
            self.lobby.others = others;
            self.lobby_changed(ctx);
        }
    }

    fn lobby_changed(&mut self, ctx: &mut Context<Self>) {
        self.lobby.version += 1;
        self.tell_lobby_soon(ctx);
    }

    fn tell_lobby_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.lobby.due && !self.lobby.watchers.is_empty() {
            self.lobby.due = true;
            ctx.run_later(PACE, |this, ctx| {
                this.lobby.due = false;
                this.tell_lobby(ctx);
            });
        }
    }

    fn tell_lobby(&mut self, ctx: &mut Context<Self>) {
        let frame = Frame::of(&self.lobby.list());
        let now = self.lobby.version;
        let mut behind = false;
        for (socket, known) in &mut self.lobby.watchers {
            let Some(visitor) = self.visitors.get(socket) else {
                continue;
            };
            if *known == now {
                continue;
            }
            let said = ToSession::Say(frame.clone());
            match visitor.guest.outbox.try_send(said) {
                Err(SendError::Full(_)) => behind = true,
                Ok(()) | Err(SendError::Closed(_)) => *known = now,
            }
        }
        if behind {
            self.tell_lobby_soon(ctx);
        }
    }
}
