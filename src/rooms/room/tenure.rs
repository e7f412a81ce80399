//! Whose room it is: taken before anything is read or written, asked for where another server
//! has it, and left when another one is to have it.

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use rand::RngExt as _;

use super::*;

/// How soon a room that another server holds is tried again, at most.
const AGAIN: Duration = Duration::from_millis(250);

/// How long whoever came waits for it. Its holder gives way sooner, or falls and lets its
/// lease run out.
const PATIENCE: Duration = Duration::from_secs(15);

impl<P: Stage> Room<P> {
    /// Takes the room, and goes on with the game that the store has.
    pub(super) fn load(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let tenure = self.house.tenure.clone();
        let room = self.journal.room().to_owned();
        let work = async move { store.acquire(&room, &tenure.server, tenure.lease).await };
        self.in_hand = true;
        ctx.spawn(work.into_actor(self).map(|result, this, ctx| {
            this.in_hand = false;
            if let Ok(lease) = &result {
                this.hold(lease.fence);
            }
            if this.has_left(ctx) {
                return;
            }
            match result {
                Ok(_) => this.read(ctx),
                Err(StoreError::Held { owner, .. }) => this.ask_for_room(&owner, ctx),
                Err(error) => this.not_loaded(&error, ctx),
            }
        }));
    }

    /// Writes with this lease from now on.
    pub(super) fn hold(&mut self, fence: Fence) {
        self.fence = fence;
        self.hall.do_send(RoomHeld {
            room: self.journal.room().to_owned(),
            life: self.life,
            fence,
        });
    }

    /// Another server has the room: whoever came here waits until it gives way.
    fn ask_for_room(&mut self, owner: &str, ctx: &mut Context<Self>) {
        let room = self.journal.room().to_owned();
        if self.arriving.is_empty() {
            // It is in good hands, and nobody needs it here.
            self.leave(Gone::Done, ctx);
            return;
        }
        let since = *self.asking_since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            tracing::warn!(room, owner, "a room is not given up by its holder");
            let why = "the room is busy elsewhere; try again";
            self.turn_away(RefusalCode::Trouble, why, ctx);
            return;
        }
        let store = self.house.store.clone();
        let asks_for = self.house.tenure.asks_for();
        let work = async move { store.ask(&room, asks_for).await };
        ctx.spawn(work.into_actor(self).map(|result, this, _| {
            if let Err(error) = result {
                tracing::debug!(room = this.journal.room(), %error, "a room is not asked for");
            }
        }));
        // Not in step with others who want it.
        let pause = AGAIN.mul_f64(rand::rng().random_range(0.5..=1.0));
        ctx.run_later(pause, |this, ctx| this.load(ctx));
    }

    /// Another server has the room: nothing that we hold of it may be true any more.
    pub(super) fn lost(&mut self, ctx: &mut Context<Self>) {
        tracing::warn!(room = self.journal.room(), "a room is another server's now");
        self.leave(Gone::Lost, ctx);
    }

    /// Goes if it was told to while the store was at work.
    pub(super) fn has_left(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(how) = self.leaving else {
            return false;
        };
        self.leave(how, ctx);
        true
    }
}

impl<P: Stage> Handler<MoveOut> for Room<P> {
    type Result = ();

    fn handle(&mut self, message: MoveOut, ctx: &mut Self::Context) {
        if message.lost {
            self.lost(ctx);
        } else if self.in_hand {
            self.leaving = Some(Gone::Moved);
        } else {
            self.leave(Gone::Moved, ctx);
        }
    }
}
