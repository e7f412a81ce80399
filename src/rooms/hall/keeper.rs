//! The leases of all rooms: renewed at one place, given up by one rule, given back; and the
//! rooms that no server has, taken.

use futures_util::{StreamExt as _, stream};
use rand::RngExt as _;

use super::*;

/// Renewals that are under way at once.
const RENEWALS: usize = 64;

/// Rooms without a server that are taken at once.
const ADOPTED: u32 = 32;

/// How long after a look for such rooms the next one comes, at most; sooner where there were
/// more than could be taken.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_SOON: Duration = Duration::from_millis(250);

/// A lease as it is renewed, and whose.
struct Renewal {
    room: String,
    life: u32,
    fence: Fence,
}

impl Handler<RoomHeld> for Hall {
    type Result = ();

    fn handle(&mut self, message: RoomHeld, ctx: &mut Self::Context) {
        let RoomHeld { room, life, fence } = message;
        match self.rooms.get_mut(&room) {
            Some(standing) if standing.life == life => {
                let since = Instant::now();
                standing.lease = Some(Tenancy { fence, since });
                if std::mem::take(&mut standing.found) {
                    self.house.tally.adopted();
                }
            }
            // It was shut meanwhile. If it has another life here, that has a newer lease.
            _ => self.release(room, fence, false, ctx),
        }
    }
}

impl Hall {
    pub(super) fn keep_leases(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(self.house.tenure.renew_every(), |this, ctx| this.renew(ctx));
    }

    fn renew(&mut self, ctx: &mut Context<Self>) {
        let held: Vec<Renewal> = self
            .rooms
            .iter()
            .filter_map(|(room, standing)| {
                standing.lease.map(|lease| Renewal {
                    room: room.clone(),
                    life: standing.life,
                    fence: lease.fence,
                })
            })
            .collect();
        let store = self.house.store.clone();
        let lease = self.house.tenure.lease;
        let work = async move {
            let renew = |held: Renewal| {
                let store = store.clone();
                async move {
                    let result = store.renew(&held.room, held.fence, lease).await;
                    (held, result)
                }
            };
            let renewals = stream::iter(held).map(renew).buffer_unordered(RENEWALS);
            renewals.collect::<Vec<_>>().await
        };
        ctx.spawn(work.into_actor(self).map(|renewed, this, ctx| {
            for (held, result) in renewed {
                this.renewed(&held, result);
            }
            this.keep_leases(ctx);
        }));
    }

    fn renewed(&self, held: &Renewal, result: Result<bool, StoreError>) {
        let Some(standing) = self.rooms.get(&held.room) else {
            return;
        };
        let Some(lease) = standing.lease.filter(|_| standing.life == held.life) else {
            return;
        };
        match result {
            Ok(false) => {}
            Ok(true) => {
                let seated = self.is_awaited(&held.room);
                if self.house.tenure.gives_way(seated, lease.since.elapsed()) {
                    tracing::info!(
                        room = held.room,
                        "another server asks for a room and has it"
                    );
                    standing.room.move_out(false);
                }
            }
            Err(StoreError::Fenced { .. } | StoreError::NoSuchRoom(_)) => {
                standing.room.move_out(true);
            }
            Err(error) => {
                // While nobody takes the room, a lease that ran out is as good as one that did not.
                tracing::warn!(room = held.room, %error, "a lease was not renewed");
            }
        }
    }

    /// Lets others have a room that nobody needs here.
    pub(super) fn give_back(&mut self, room: &str, standing: &Standing, ctx: &mut Context<Self>) {
        if let Some(lease) = standing.lease {
            self.release(room.to_owned(), lease.fence, false, ctx);
        }
    }

    /// Lets others have a room, and sends its people after it: not before it is free, so that
    /// they find it so.
    pub(super) fn hand_over(&mut self, room: &str, standing: &Standing, ctx: &mut Context<Self>) {
        match standing.lease {
            Some(lease) => self.release(room.to_owned(), lease.fence, true, ctx),
            None => self.moved(room, ctx),
        }
    }

    fn release(&mut self, room: String, fence: Fence, moved: bool, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        self.giving_back += 1;
        let work = async move {
            match store.release(&room, fence).await {
                // We or others have taken it anew.
                Ok(()) | Err(StoreError::Fenced { .. } | StoreError::NoSuchRoom(_)) => {}
                Err(error) => {
                    tracing::warn!(room, %error, "a lease was not given back; it will run out");
                }
            }
            room
        };
        ctx.spawn(work.into_actor(self).map(move |room, this, ctx| {
            this.giving_back -= 1;
            if moved {
                this.moved(&room, ctx);
            }
            this.see_whether_closed();
        }));
    }

    /// Whoever comes to the room may have it loaded; for a while we do not by ourselves.
    pub(super) fn leave_alone(&mut self, room: &str, time: Duration) {
        self.left_alone
            .insert(room.to_owned(), Instant::now() + time);
    }

    /// Looks for rooms that no server has, after a while drawn up to `at_most`.
    pub(super) fn look_for_vacant(&mut self, at_most: Duration, ctx: &mut Context<Self>) {
        // Not in step with other servers.
        let pause = at_most.mul_f64(rand::rng().random_range(0.5..=1.0));
        ctx.run_later(pause, |this, ctx| this.adopt(ctx));
    }

    fn adopt(&mut self, ctx: &mut Context<Self>) {
        if self.closing != Closing::No {
            return;
        }
        let now = Instant::now();
        self.left_alone.retain(|_, until| *until > now);
        let left_alone = u32::try_from(self.left_alone.len()).unwrap_or(u32::MAX);
        let limit = ADOPTED.saturating_add(left_alone);
        let store = self.house.store.clone();
        let work = async move { store.vacant(limit).await };
        ctx.spawn(work.into_actor(self).map(move |vacant, this, ctx| {
            let vacant = vacant.unwrap_or_else(|error| {
                tracing::warn!(%error, "rooms without a server cannot be looked for");
                Vec::new()
            });
            let more = vacant.len() == limit as usize;
            for room in vacant {
                // One of our own that is vacant will be renewed.
                if !this.rooms.contains_key(&room) && !this.left_alone.contains_key(&room) {
                    this.load_room(room.clone(), None, ctx);
                    if let Some(standing) = this.rooms.get_mut(&room) {
                        standing.found = true;
                    }
                }
            }
            this.look_for_vacant(if more { LOOK_SOON } else { LOOK }, ctx);
        }));
    }
}
