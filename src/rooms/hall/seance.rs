//! The house's séance: one room, found by its name, on whichever server has it.

use super::{standing::AnyRoom, *};
use crate::{
    rooms::{medium::Rite, room::Room},
    store::AnyStore,
};

/// The séance that goes on, or the name that the next one gets.
async fn find(store: &AnyStore) -> Result<(String, bool), StoreError> {
    // Names come free again when closed logs expire, so the lowest one tells nothing.
    let open = store.open_rooms().await?;
    if let Some(name) = open.into_iter().find(|room| identity::is_seance(room)) {
        return Ok((name, true));
    }
    for number in 1.. {
        let name = identity::seance_name(number);
        match store.read(&name, u32::MAX).await {
            Ok(_) => {}
            Err(StoreError::NoSuchRoom(_)) => return Ok((name, false)),
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Failed("every name of a séance is taken".into()))
}

impl Hall {
    /// The actor of a séance; none where none is held.
    pub(super) fn seance(
        &mut self,
        id: &str,
        start: Start<NewSeance>,
        ctx: &Context<Self>,
    ) -> Option<AnyRoom> {
        self.house.rite.as_ref()?;
        self.lives += 1;
        let house = Arc::clone(&self.house);
        let room = Room::new(house, id.to_owned(), self.lives, start, ctx.address());
        Some(AnyRoom::Seance(room.start()))
    }

    /// Brings somebody to the séance, which is opened if there is none.
    pub(super) fn enter_seance(
        &mut self,
        socket: SocketId,
        id: u32,
        sit: bool,
        held: Option<(String, Held)>,
        ctx: &mut Context<Self>,
    ) {
        let Some(rite) = self.house.rite.clone() else {
            let why = "no séance is held in this house";
            self.refuse(socket, id, RefusalCode::NoSuchRoom, why);
            return;
        };
        let here = self
            .rooms
            .keys()
            .find(|room| identity::is_seance(room))
            .cloned();
        if let Some(room) = here {
            self.seat_at_seance(socket, id, room, true, sit, held, &rite, ctx);
            return;
        }
        if self.sends_away(socket) {
            return;
        }
        let store = self.house.store.clone();
        let work = async move { find(&store).await };
        ctx.spawn(work.into_actor(self).map(move |found, this, ctx| {
            match found {
                Ok(_) if this.closing == Closing::Now => {}
                Ok((room, exists)) => {
                    // Somebody else may have been quicker.
                    let exists = exists || this.rooms.contains_key(&room);
                    this.seat_at_seance(socket, id, room, exists, sit, held, &rite, ctx);
                }
                Err(error) => {
                    tracing::error!(%error, "the séance cannot be looked for");
                    let why = "the store failed; try again";
                    this.refuse(socket, id, RefusalCode::Trouble, why);
                }
            }
        }));
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is one request")]
    fn seat_at_seance(
        &mut self,
        socket: SocketId,
        id: u32,
        room: String,
        exists: bool,
        sit: bool,
        held: Option<(String, Held)>,
        rite: &Rite,
        ctx: &mut Context<Self>,
    ) {
        self.get_up_elsewhere(socket, &room, false);
        let Some(visitor) = self.visitors.get_mut(&socket) else {
            return;
        };
        visitor.room = Some(room.clone());
        visitor.seated = true;
        visitor.sit = sit;
        visitor.want = None;
        let join = Join {
            guest: visitor.guest.clone(),
            id: Some(id),
            held: held.filter(|(name, _)| *name == room).map(|(_, held)| held),
            want: None,
            sit,
        };
        if exists {
            self.bring(room, join, ctx);
            return;
        }
        let opening = NewSeance {
            setup: rite.setup.clone(),
        };
        if let Some(actor) = self.seance(&room, Start::New { join, opening }, ctx) {
            self.stand(room, actor, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fence, sqlite::SqliteStore};

    /// A store with these séances, and whether each is closed.
    async fn store(folder: &tempfile::TempDir, rooms: &[(&str, bool)]) -> AnyStore {
        let store = SqliteStore::open(&folder.path().join("store.sqlite")).expect("a store");
        for (room, closed) in rooms {
            store.create(room, 0).await.expect("it is new");
            if *closed {
                let close = store.close(room, Fence::UNLEASED, 0).await;
                close.expect("it is closed");
            }
        }
        store.into()
    }

    #[actix::test]
    async fn the_seance_that_goes_on_is_found_though_older_ones_have_expired() {
        for (rooms, found) in [
            (&[][..], ("seance-1", false)),
            (&[("seance-1", false)], ("seance-1", true)),
            (&[("seance-1", true)], ("seance-2", false)),
            (
                &[("seance-3", true), ("seance-4", false)],
                ("seance-4", true),
            ),
            (&[("seance-3", true)], ("seance-1", false)),
            (&[("7K3M-9QXT", false)], ("seance-1", false)),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let store = store(&folder, rooms).await;
            let (name, exists) = find(&store).await.expect("it is looked for");
            assert_eq!((name.as_str(), exists), found, "{rooms:?}");
        }
    }
}
