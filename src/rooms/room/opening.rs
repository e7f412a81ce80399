//! How a room begins: opened for somebody, or read back from the store.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{log::bodies, *};

impl<P: Stage> Room<P> {
    pub(super) fn open(
        &mut self,
        guest: Guest,
        id: u32,
        opening: P::Opening,
        ctx: &mut Context<Self>,
    ) {
        let at = now();
        let command = P::opening(&guest, opening);
        let events = match self.journal.game().decide(command, at, &mut OsDice) {
            Ok(events) => events,
            Err(refusal) => {
                tracing::info!(%refusal, "a room cannot be opened so");
                self.refuse_opening(&guest, id, P::code(&refusal), &refusal.to_string(), ctx);
                return;
            }
        };
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let bodies = bodies(&events);
        let work = async move {
            let epoch = store.create(&room, at).await?;
            store.append(&room, Fence::UNLEASED, 0, at, bodies).await?;
            Ok::<u32, StoreError>(epoch)
        };
        ctx.spawn(
            work.into_actor(self)
                .map(move |result, this, ctx| match result {
                    Ok(epoch) => {
                        this.journal = Journal::new(this.journal.room().to_owned(), epoch);
                        this.take_in(at, events);
                        this.arriving.insert(
                            0,
                            Join {
                                guest,
                                id: Some(id),
                                held: None,
                                want: None,
                            },
                        );
                        this.go_on(ctx);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a room could not be opened");
                        let why = "the room could not be opened";
                        this.refuse_opening(&guest, id, RefusalCode::Trouble, why, ctx);
                    }
                }),
        );
    }

    fn refuse_opening(
        &mut self,
        guest: &Guest,
        id: u32,
        code: RefusalCode,
        why: &str,
        ctx: &mut Context<Self>,
    ) {
        self.house.tally.refused(code);
        tell(guest, ToSession::say(&refused(id, code, why)));
        self.leave(Gone::Done, ctx);
    }

    pub(super) fn load(&mut self, ctx: &mut Context<Self>) {
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let work = async move { store.read(&room, 0).await };
        ctx.spawn(work.into_actor(self).map(|result, this, ctx| {
            let room = this.journal.room().to_owned();
            match result.map(|log| Journal::read(room, &log)) {
                Ok(Ok(journal)) if journal.len() > 0 => {
                    this.journal = journal;
                    this.ledger.take_up(&this.journal);
                    P::read_back(this, ctx);
                    this.go_on(ctx);
                }
                Ok(Ok(_)) => this.turn_away(RefusalCode::NoSuchRoom, "its game never began", ctx),
                Ok(Err(damaged)) => {
                    tracing::error!(room = this.journal.room(), %damaged, "a room is lost");
                    this.turn_away(RefusalCode::Trouble, "the room's log is damaged", ctx);
                }
                Err(StoreError::NoSuchRoom(_)) => {
                    this.turn_away(RefusalCode::NoSuchRoom, "there is no such room", ctx);
                }
                Err(error) => {
                    tracing::error!(room = this.journal.room(), %error, "a room cannot be read; again soon");
                    let pause = this.next_retry();
                    ctx.run_later(pause, |this, ctx| this.load(ctx));
                }
            }
        }));
    }

    /// Nobody can sit here.
    pub(super) fn turn_away(&mut self, code: RefusalCode, why: &str, ctx: &mut Context<Self>) {
        for join in std::mem::take(&mut self.arriving) {
            self.refuse_join(&join, code, why);
        }
        self.leave(Gone::Done, ctx);
    }

    pub(super) fn seat(&mut self, join: Join, place: P::Place, ctx: &mut Context<Self>) {
        let Join {
            guest, id, held, ..
        } = join;
        tell(
            &guest,
            ToSession::Seated {
                moves: ctx.address().recipient(),
            },
        );
        if let Some(id) = id {
            tell(&guest, ToSession::say(&ToClient::Accepted { id }));
        }
        self.audience.seat(guest, place, held);
    }
}
