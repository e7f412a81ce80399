//! What finished games brought goes to the boards: once each, however often the room falls
//! in between. A room that still owes the boards something does not close.

use std::collections::VecDeque;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::*;
use crate::rooms::results::{Counted, GameResults};

/// Results on their way to the boards.
#[derive(Default)]
pub(super) struct Ledger {
    owed: VecDeque<GameResults>,
    /// How many finished games were taken up.
    games: usize,
    writing: bool,
}

impl Ledger {
    /// Takes up the results of every finished game that was not taken up before. Of a log
    /// that was read back that is all of them: the store knows which it has counted.
    pub(super) fn take_up<P: Counted>(&mut self, journal: &Journal<P>) {
        let finished = journal.finished();
        if finished > self.games {
            let results = P::results(&mut journal.events());
            let fresh = results.into_iter().skip(self.games);
            self.owed
                .extend(fresh.filter(|results| !results.outcomes.is_empty()));
            self.games = finished;
        }
    }

    /// Whether the boards have everything.
    pub(super) fn is_settled(&self) -> bool {
        self.owed.is_empty()
    }
}

impl<P: Stage> Room<P> {
    /// Has the store count what is owed, one game after another.
    pub(super) fn count_results(&mut self, ctx: &mut Context<Self>) {
        if self.ledger.writing {
            return;
        }
        let Some(GameResults { game, outcomes }) = self.ledger.owed.front().cloned() else {
            return;
        };
        self.ledger.writing = true;
        let store = self.house.store.clone();
        let room = self.journal.room().to_owned();
        let work = async move { store.add_results(&room, game, &outcomes).await };
        ctx.spawn(work.into_actor(self).map(move |counted, this, ctx| {
            let pause = match counted {
                Ok(_) => {
                    this.retry = RETRY;
                    this.ledger.owed.pop_front();
                    Duration::ZERO
                }
                Err(StoreError::NoSuchRoom(room)) => {
                    tracing::warn!(room, game, "the room was thrown away before its results");
                    this.ledger.owed.clear();
                    Duration::ZERO
                }
                Err(error) => {
                    let room = this.journal.room();
                    tracing::warn!(room, game, %error, "results were not counted; again soon");
                    this.next_retry()
                }
            };
            ctx.run_later(pause, |this, ctx| {
                this.ledger.writing = false;
                this.count_results(ctx);
                if this.ledger.is_settled() {
                    this.look_round(ctx);
                }
            });
        }));
    }
}
