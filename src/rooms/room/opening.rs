//! How a room begins: opened for somebody, or read back from the store.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{log::bodies, *};
use crate::rooms::journal::Stored;

impl<P: Stage> Room<P> {
    pub(super) fn open(&mut self, join: Join, opening: P::Opening, ctx: &mut Context<Self>) {
        let at = now();
        let command = P::opening(&join.guest, opening);
        let events = match self.journal.game().decide(command, at, &mut OsDice) {
            Ok(events) => events,
            Err(refusal) => {
                tracing::info!(%refusal, "a room cannot be opened so");
                self.refuse_opening(&join, P::code(&refusal), &refusal.to_string(), ctx);
                return;
            }
        };
        let store = self.house.store.clone();
        let tenure = self.house.tenure.clone();
        let room = self.journal.room().to_owned();
        let bodies = bodies(&events);
        let work = async move {
            let epoch = store.create(&room, at).await?;
            let fence = store
                .acquire(&room, &tenure.server, tenure.lease)
                .await?
                .fence;
            store.append(&room, fence, 0, at, bodies).await?;
            Ok::<(u32, Fence), StoreError>((epoch, fence))
        };
        self.in_hand = true;
        ctx.spawn(work.into_actor(self).map(move |result, this, ctx| {
            this.in_hand = false;
            match result {
                Ok((epoch, fence)) => {
                    this.journal = Journal::new(this.journal.room().to_owned(), epoch);
                    this.hold(fence);
                    this.take_in(at, events);
                    this.arriving.insert(0, join);
                    this.go_on(ctx);
                }
                Err(error) => {
                    tracing::error!(%error, "a room could not be opened");
                    let why = "the room could not be opened";
                    this.refuse_opening(&join, RefusalCode::Trouble, why, ctx);
                }
            }
        }));
    }

    fn refuse_opening(
        &mut self,
        join: &Join,
        code: RefusalCode,
        why: &str,
        ctx: &mut Context<Self>,
    ) {
        self.refuse_join(join, code, why);
        self.leave(Gone::Done, ctx);
    }

    /// Goes on with the game that the store has, which is ours by now.
    pub(super) fn read(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let work = async move { Stored::load(&store, &room).await };
        ctx.spawn(work.into_actor(self).map(|result, this, ctx| {
            let stored = match result {
                Ok(stored) => stored,
                Err(error) => return this.not_loaded(&error, ctx),
            };
            match Journal::read(this.journal.room().to_owned(), &stored) {
                Ok(_) if stored.log.closed && !P::STAYS => {
                    this.turn_away(RefusalCode::NoSuchRoom, "it was closed", ctx);
                }
                Ok(journal) if journal.len() > 0 => {
                    this.journal = journal;
                    this.closed = stored.log.closed;
                    this.ledger.take_up(&this.journal);
                    P::read_back(this, ctx);
                    this.go_on(ctx);
                }
                // Whoever opened it fell before the first word.
                Ok(_) => this.discard(ctx),
                Err(damaged) => {
                    tracing::error!(room = this.journal.room(), %damaged, "a room is lost");
                    this.refuse_all(RefusalCode::Trouble, "the room's log is damaged");
                    this.leave(Gone::Unfit, ctx);
                }
            }
        }));
    }

    pub(super) fn not_loaded(&mut self, error: &StoreError, ctx: &mut Context<Self>) {
        if let StoreError::NoSuchRoom(_) = error {
            self.turn_away(RefusalCode::NoSuchRoom, "there is no such room", ctx);
            return;
        }
        tracing::error!(room = self.journal.room(), %error, "a room cannot be read; again soon");
        let pause = self.next_retry();
        ctx.run_later(pause, |this, ctx| this.load(ctx));
    }

    fn discard(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let (room, fence) = (self.journal.room().to_owned(), self.fence);
        let work = async move { store.close(&room, fence, now()).await };
        ctx.spawn(work.into_actor(self).map(|result, this, ctx| {
            if let Err(error) = result {
                tracing::warn!(room = this.journal.room(), %error, "an empty room was not closed");
            }
            this.turn_away(RefusalCode::NoSuchRoom, "its game never began", ctx);
        }));
    }

    /// Nobody can sit here.
    pub(super) fn turn_away(&mut self, code: RefusalCode, why: &str, ctx: &mut Context<Self>) {
        self.refuse_all(code, why);
        self.leave(Gone::Done, ctx);
    }

    fn refuse_all(&mut self, code: RefusalCode, why: &str) {
        for join in std::mem::take(&mut self.arriving) {
            self.refuse_join(&join, code, why);
        }
    }

    pub(super) fn seat(&mut self, join: Join, place: P::Place, ctx: &mut Context<Self>) {
        let Join {
            guest, id, held, ..
        } = join;
        tell(
            &guest,
            ToSession::Seated {
                moves: ctx.address().recipient(),
                sounds: P::sounds(ctx),
            },
        );
        if let Some(id) = id {
            tell(&guest, ToSession::say(&ToClient::Accepted { id }));
        }
        self.audience.seat(guest, place, held);
    }
}
