//! What follows from where a game stands: who is asked, who waits, who is shown what.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::*;
use crate::rooms::asides::Asides;

impl<P: Stage> Room<P> {
    /// Everything that may follow from a change: seats who has come, tells the audience,
    /// does what the game needs next, and takes the next command.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.busy = false;
        if self.leaving.is_some() {
            // What was written last is told yet.
            self.show(ctx);
        }
        if self.has_left(ctx) {
            return;
        }
        // Whoever comes to a room that is closed for good waits for the hall to say so.
        if !self.arriving.is_empty() && (P::STAYS || !self.closed) {
            let joins = std::mem::take(&mut self.arriving);
            if let Arrival::First(wanted, events) = P::arrive(self, joins, ctx) {
                self.store(wanted, now(), events, ctx);
                return;
            }
        }
        self.follow_effects(ctx);
        P::changed(self, ctx);
        self.show(ctx);
        P::told(self, ctx);
        self.count_results(ctx);
        if let Some(next) = self.waiting.pop_front().or_else(|| self.finished_turn()) {
            self.act(next, ctx);
        } else if P::is_done(self) && self.ledger.is_settled() {
            self.close(ctx);
        }
    }

    /// A line that came whole and may go into the log now.
    pub(super) fn finished_turn(&self) -> Option<Wanted<P>> {
        let game = self.journal.game();
        let now = now();
        self.turns
            .done()
            .find(|(turn, _)| !game.holds(*turn, now))
            .map(|(turn, done)| Wanted {
                command: match done {
                    Done::Made(made) => P::command(turn, made.clone()),
                    Done::GivenUp => P::give_up(),
                },
                from: Origin::Turn(turn),
            })
    }

    fn follow_effects(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let game = self.journal.game();
        let effects = game.effects();
        let wanted: Vec<TurnId> = effects
            .iter()
            .filter_map(|effect| game.turn(effect))
            .collect();
        for dropped in self.turns.keep(&wanted) {
            P::let_go(self, dropped);
        }
        for turn in wanted {
            if !self.turns.has(turn) {
                self.turns.begin(turn);
                P::ask(self, turn, 0, ctx);
            }
        }
        if let Some(until) = effects.iter().filter_map(P::wait).min() {
            let pause = Duration::from_millis(until.saturating_sub(now()));
            self.timer = Some(ctx.run_later(pause, |this, ctx| {
                this.timer = None;
                // Going on sets the timer again.
                if !this.busy {
                    // What machines have ready is in time.
                    let next = this.finished_turn();
                    let tick = || Wanted::by_nobody(P::tick());
                    this.act(next.unwrap_or_else(tick), ctx);
                }
            }));
        }
    }

    pub(super) fn show(&mut self, ctx: &mut Context<Self>) {
        let game = self.journal.game();
        let lines: Vec<_> = self
            .turns
            .lines()
            .filter(|writing| game.shows(writing.line))
            .collect();
        let doing = game.doing_now(&self.turns);
        let mut audience = std::mem::take(&mut self.audience);
        let apart = P::apart(self);
        let nothing = Asides::default();
        let view = View {
            journal: &self.journal,
            doing: &*doing,
            lines: &lines,
            present: P::present(self),
            apart: &*apart,
            asides: P::asides(self).unwrap_or(&nothing),
        };
        let updated = audience.update(&view, Instant::now());
        drop(apart);
        drop(doing);
        self.audience = audience;
        self.house.tally.too_slow(updated.too_slow);
        if !updated.gone.is_empty() {
            for place in updated.gone {
                P::left(self, &place, false, ctx);
            }
            ctx.run_later(Duration::ZERO, |this, ctx| this.look_round(ctx));
        }
        if updated.behind && !self.catching_up {
            self.catching_up = true;
            ctx.run_later(CATCH_UP, |this, ctx| {
                this.catching_up = false;
                this.show(ctx);
            });
        }
    }

    /// Goes on, unless the log is being written: then it will anyway.
    pub(super) fn look_round(&mut self, ctx: &mut Context<Self>) {
        if !self.busy {
            self.go_on(ctx);
        }
    }

    /// Nobody is here and nothing will happen any more.
    fn close(&mut self, ctx: &mut Context<Self>) {
        if self.closed {
            self.ask_leave();
            return;
        }
        self.busy = true;
        self.in_hand = true;
        let store = self.house.store.clone();
        let (room, fence) = (self.journal.room().to_owned(), self.fence);
        let work = async move { store.close(&room, fence, now()).await };
        ctx.spawn(work.into_actor(self).map(|result, this, ctx| {
            this.in_hand = false;
            match result {
                Ok(()) => {}
                Err(StoreError::Fenced { .. }) => return this.lost(ctx),
                // It stays open in the store and is closed when it is loaded again.
                Err(error) => {
                    tracing::warn!(room = this.journal.room(), %error, "a room was not closed");
                }
            }
            this.closed = true;
            this.go_on(ctx);
        }));
    }
}
